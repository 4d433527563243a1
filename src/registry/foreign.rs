//! JSON that programs written in Go give and take: docker's files, credential helpers, token servers. It is read as Go's
//! decoder reads it: the first value counts, whatever follows, names are known in any case, and null is nothing.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Returns the first value of `text`; the default one, which is null, where there is none.
pub(super) fn first_value<T: DeserializeOwned + Default>(text: &[u8]) -> serde_json::Result<T> {
    serde_json::Deserializer::from_slice(text).into_iter().next().unwrap_or_else(|| Ok(T::default()))
}

/// Returns a member of an object; none where it is null, not there, or `object` is none.
pub(super) fn member<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    let object = object.as_object()?;
    object.get(&key(object, name)).filter(|value| !value.is_null())
}

/// Returns the text of a member, if it has one that is not empty.
pub(super) fn text<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    member(object, name)?.as_str().filter(|text| !text.is_empty())
}

/// Returns the name that a member has in `object`: as it is written there, else `name`.
pub(super) fn key(object: &Map<String, Value>, name: &str) -> String {
    let written = || object.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
    if object.contains_key(name) { name.to_owned() } else { written().unwrap_or_else(|| name.to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_value_counts() {
        assert_eq!(first_value::<Value>(b"{\"a\":1} done").unwrap(), json!({"a": 1}));
        assert_eq!(first_value::<Value>(b"{}{\"a\":1}").unwrap(), json!({}));
        for nothing in ["", " \r\n", "null", "null\n{}"] {
            assert_eq!(first_value::<Value>(nothing.as_bytes()).unwrap(), Value::Null, "{nothing:?}");
        }
        for wrong in ["done {}", "{\"a\":", "{'a':1}"] {
            assert!(first_value::<Value>(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_known_in_any_case() {
        let object = json!({"Auth": "a", "TOKEN": "b", "token": "c", "empty": "", "none": null, "number": 1});
        assert_eq!(text(&object, "auth"), Some("a"));
        assert_eq!(text(&object, "token"), Some("c"));
        for name in ["empty", "none", "number", "other"] {
            assert_eq!(text(&object, name), None, "{name}");
        }
        assert_eq!(member(&object, "Number"), Some(&json!(1)));
        assert_eq!(member(&json!("text"), "auth"), None);
    }
}
