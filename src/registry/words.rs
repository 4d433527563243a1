//! What a refusal says.

use serde_json::Value;

use super::challenge::Challenge;
use crate::net::header::HeaderMap;
use crate::net::{Response, Secrets, printable, repeatable, words};

/// Returns what a refusal says: the errors of the distribution-spec ("Error Codes"), a token server's words, a line of text;
/// or, where there is no body, the error of its challenge (RFC 6750, section 3.1). What it was shown is not in it.
pub(super) fn said(answer: &Response, body: &[u8]) -> Option<String> {
    told(answer.headers(), body, &answer.secrets)
}

fn told(headers: &HeaderMap, body: &[u8], secrets: &Secrets) -> Option<String> {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let told = match document["errors"].as_array() {
        Some(errors) => Some(errors.iter().filter_map(line).collect::<Vec<_>>().join("; ")),
        None => words(headers, body),
    };
    let challenged = || {
        let challenges = Challenge::all(headers);
        challenges.iter().find_map(|challenge| challenge.get("error")).map(printable)
    };
    repeatable(&told.filter(|told| !told.is_empty()).or_else(challenged)?, secrets)
}

/// Returns one error of a registry in a line.
fn line(error: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(printable).filter(|text| !text.is_empty());
    match (text(&error["code"]), text(&error["message"])) {
        // This code says nothing, and all that is known is in the detail.
        (Some(code), Some(message)) if code == "UNKNOWN" && !error["detail"].is_null() => {
            let detail = text(&error["detail"]).unwrap_or_else(|| printable(&error["detail"].to_string()));
            Some(format!("{code}: {message}: {detail}"))
        }
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (code, message) => code.or(message),
    }
}

#[cfg(test)]
mod tests {
    use crate::net::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};

    use super::*;

    #[test]
    fn the_registrys_own_words_are_found_and_trimmed() {
        let said = |body: &str| told(&HeaderMap::new(), body.as_bytes(), &Secrets::default());
        let two =
            r#"{"errors":[{"code":"DENIED","message":"not\n yours \u001b[31m","detail":[]},{"code":"NAME_INVALID"}]}"#;
        assert_eq!(said(two).as_deref(), Some("DENIED: not yours [31m; NAME_INVALID"));
        assert_eq!(said(r#"{"details":"incorrect password"}"#).as_deref(), Some("incorrect password"));
        let unknown = |detail: &str| {
            said(&format!(r#"{{"errors":[{{"code":"UNKNOWN","message":"unknown error","detail":{detail}}}]}}"#))
        };
        assert_eq!(unknown(r#""no space""#).as_deref(), Some("UNKNOWN: unknown error: no space"));
        assert_eq!(unknown(r#"{"Err":28}"#).as_deref(), Some(r#"UNKNOWN: unknown error: {"Err":28}"#));
        assert_eq!(unknown("null").as_deref(), Some("UNKNOWN: unknown error"));
        assert_eq!(said(r#"{"errors":[]}"#), None);
        assert_eq!(said("<html>Bad Gateway</html>"), None);
        let long = format!(r#"{{"message":"{}"}}"#, "é".repeat(400));
        assert_eq!(said(&long).unwrap().chars().count(), 301);
    }

    #[test]
    fn without_json_a_line_of_text_or_the_challenge_says_why() {
        let header = |name, value| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        let said = |headers: &HeaderMap, body: &[u8]| told(headers, body, &Secrets::default());
        let text = header(CONTENT_TYPE, "text/plain; charset=utf-8");
        assert_eq!(said(&text, b"no\r\nquota left\n").as_deref(), Some("no quota left"));
        assert_eq!(said(&header(CONTENT_TYPE, "text/html"), b"no quota left"), None);
        let challenge = header(WWW_AUTHENTICATE, r#"Bearer realm="x",error="insufficient_scope""#);
        assert_eq!(said(&challenge, b"").as_deref(), Some("insufficient_scope"));
        assert_eq!(said(&challenge, br#"{"message":"not yours"}"#).as_deref(), Some("not yours"));
    }
}
