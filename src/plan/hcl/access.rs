//! What is taken of a value: attributes and elements.

use super::convert::convert;
use super::place::BakePlace;
use super::types::Type;
use super::value::{SequenceKind, Value};
use crate::error::{Error, Result, suggestion};

/// Returns the attribute `name` of `value`. Fails, with `place`, if it has none.
pub fn attribute(value: &Value, name: &str, place: &BakePlace) -> Result<Value> {
    if value.is_null() {
        return Err(place.error(format!("this is null, and has no attribute `{name}`")));
    }
    match value.as_entries() {
        Some(entries) => entries.get(name).cloned().ok_or_else(|| {
            let what = if value.kind().is_collection() { "map" } else { "object" };
            hinted(place.error(format!("this {what} has no `{name}`")), name, entries.keys().map(String::as_str))
        }),
        None => {
            let error = place.error(format!("{} has no attributes, and so no `{name}`", value.kind().name()));
            Err(match value {
                Value::Sequence(_) => error.with_hint(format!("to take `{name}` of every element, write `[*].{name}`")),
                _ => error,
            })
        }
    }
}

/// Returns the element of `collection` that `key` names. Fails, with `place`, if there is none.
pub fn index(collection: &Value, key: &Value, place: &BakePlace) -> Result<Value> {
    if collection.is_null() {
        return Err(place.error("this is null, and has no elements"));
    }
    if key.is_null() {
        return Err(place.error("null cannot be an index"));
    }
    element(collection, key).map_err(|why| {
        let error = place.error(why);
        match (collection.as_entries(), key.as_text()) {
            (Some(entries), Some(name)) => hinted(error, name, entries.keys().map(String::as_str)),
            _ => error,
        }
    })
}

/// Returns the element of `collection` that `key` names. Fails with the reason if there is none.
pub fn element(collection: &Value, key: &Value) -> std::result::Result<Value, String> {
    match collection {
        Value::Sequence(sequence) if matches!(sequence.kind, SequenceKind::Set(_)) => {
            Err("the elements of a set have no index".to_owned())
        }
        Value::Sequence(sequence) => {
            let key = convert(key, &Type::Number).map_err(|why| format!("this is not an index: {why}"))?;
            let index = key.as_number().cloned().unwrap_or_else(|| 0usize.into());
            if index.to_integer().is_none() {
                return Err(format!("an index must be a whole number, but this is {index}"));
            }
            if index.is_negative() && !index.is_zero() {
                return Err(format!("an index must not be negative, but this is {index}"));
            }
            let found = index.to_i64().and_then(|index| sequence.values.get(usize::try_from(index).ok()?));
            found.cloned().ok_or_else(|| match sequence.values.len() {
                0 => format!("there is no element {index}, because there are none at all"),
                count => format!("there is no element {index}: the last of {count} is {}", count - 1),
            })
        }
        Value::Mapping(mapping) => {
            let key = convert(key, &Type::String).map_err(|why| format!("this is not a key: {why}"))?;
            let name = key.as_text().unwrap_or_default();
            mapping.values.get(name).cloned().ok_or_else(|| format!("there is no element `{name}`"))
        }
        _ => Err(format!("{} has no elements", collection.kind().name())),
    }
}

fn hinted<'a>(error: Error, name: &str, names: impl Iterator<Item = &'a str>) -> Error {
    match suggestion(name, names) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    }
}
