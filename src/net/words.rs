//! What answers say to people.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use super::secrets::Secrets;

/// The most of an answer's own words that an error repeats, in characters.
const LONGEST_MESSAGE: usize = 300;

/// Returns what the body of an answer with these headers says, in one line: the message of a JSON object, by the usual
/// names for it, or a text. Returns none where it says nothing, or only to programs.
pub(crate) fn words(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let is_text = || headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let said = match serde_json::from_slice::<Value>(body) {
        Ok(document) => {
            let names = ["error_description", "details", "message", "error"];
            names.iter().find_map(|name| document[*name].as_str().map(printable).filter(|text| !text.is_empty()))
        }
        Err(_) if is_text() => Some(printable(&String::from_utf8_lossy(body))),
        Err(_) => None,
    };
    said.filter(|said| !said.is_empty())
}

/// Returns as much of what was `said` as an error repeats, without what is secret.
pub(crate) fn repeatable(said: &str, secrets: &Secrets) -> Option<String> {
    // Before it is cut: part of a secret is no better.
    let said = secrets.hide(said);
    match said.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => Some(format!("{}…", said[..end].trim_end())),
        None => Some(said).filter(|said| !said.is_empty()),
    }
}

/// Returns `text` in one line, without what controls a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_message_or_a_line_of_text_is_found_and_trimmed() {
        let said = |body: &str| words(&HeaderMap::new(), body.as_bytes());
        assert_eq!(
            said(r#"{"details":"incorrect\n password \u001b[31m"}"#).as_deref(),
            Some("incorrect password [31m")
        );
        assert_eq!(said("<html>Bad Gateway</html>"), None);
        for nothing in ["{}", "[]", "null", "\"x\"", r#"{"message":" "}"#, r#"{"message":{"a":"b"}}"#] {
            assert_eq!(said(nothing), None, "{nothing}");
        }
        let kind = |kind| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        assert_eq!(words(&kind("text/plain; charset=utf-8"), b"no\r\nquota left\n").as_deref(), Some("no quota left"));
        assert_eq!(words(&kind("text/html"), b"no quota left"), None);
    }

    #[test]
    fn what_is_repeated_is_short() {
        let repeated = repeatable(&"é".repeat(400), &Secrets::default());
        assert_eq!(repeated.unwrap().chars().count(), 301);
        assert_eq!(repeatable("", &Secrets::default()), None);
    }
}
