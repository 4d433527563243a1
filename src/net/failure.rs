//! How requests fail: in words for the reader, and with what the retry needs to know.

use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use crate::registry::access::Access;
use crate::registry::challenge::Challenge;
use crate::registry::hint::{Shown, hint};
use super::pace::LeastSpeed;
use super::retry;
use super::secrets::Secrets;
use super::tls::tls_hint;
use crate::error::{Error, ErrorKind};

/// The most of an answer's own words that an error repeats, in characters.
const LONGEST_MESSAGE: usize = 300;

#[derive(Debug)]
pub(crate) struct Failure {
    pub error: Error,
    /// What is to be said of another try; `None` where that would fail alike.
    pub passing: Option<Passing>,
}

#[derive(Debug)]
pub(crate) struct Passing {
    pub request: String,
    pub reason: String,
    /// What the registry asked for.
    pub asked: Option<Asked>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub wait: Duration,
    /// Nobody was told of it yet.
    pub is_news: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { error, passing: None }
    }
}

impl Failure {
    /// The registry, or the way to it, failed in a manner that may pass.
    pub fn passing(request: String, reason: String) -> Self {
        let error = Error::new(ErrorKind::Registry, format!("{request}: {reason}"));
        Failure { error, passing: Some(Passing { request, reason, asked: None }) }
    }

    pub fn silent(request: String, patience: Duration) -> Self {
        Self::passing(request, format!("no answer for {} s", patience.as_secs_f64()))
    }

    /// Less passed than is to pass.
    pub fn slow(request: String, least: LeastSpeed) -> Self {
        let LeastSpeed { bytes, within } = least;
        let reason = format!("too slow: fewer than {bytes} bytes passed in {} s", within.as_secs_f64());
        Self::passing(request, reason)
    }

    /// The request got no answer, or the answer broke off.
    pub fn transport(request: String, url: &Url, source: &reqwest::Error) -> Self {
        let cause = root_cause(source);
        let host = url.host_str().unwrap_or_default();
        if let Some(hint) = tls_hint(url, source) {
            let message = format!("{request}: no TLS connection: {cause}");
            return Error::new(ErrorKind::Registry, message).with_hint(hint).into();
        }
        if !source.is_connect() {
            let mut failure = Self::passing(request, format!("the connection broke: {cause}"));
            failure.error.hint = Some(format!("look for a proxy or a network between here and {host} that cuts it"));
            return failure;
        }
        let mut failure = Self::passing(request, format!("cannot connect: {cause}"));
        failure.error.hint = Some(unreachable(url, source));
        failure
    }

    /// An answer with a status that the request cannot do with, its body (or the start of it), and what was `shown`.
    pub fn status(access: &Access, method: &Method, answer: &Response, body: &[u8]) -> Self {
        let shown = answer.extensions().get().copied().unwrap_or(Shown::Nothing);
        let status = answer.status();
        let request = label(method, answer.url());
        let said = said(answer, body);
        let reason = match &said {
            Some(said) => format!("{status}: {said}"),
            None => status.to_string(),
        };
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Denied,
            StatusCode::NOT_FOUND => ErrorKind::NotFound,
            _ => ErrorKind::Registry,
        };
        let wait = retry::asked_wait(status, answer.headers(), SystemTime::now());
        let mut error = Error::new(kind, format!("{request}: {reason}"));
        error.hint = match answer.headers().get(LOCATION).filter(|_| status.is_redirection()) {
            Some(location) => Some(moved(answer.url(), location)),
            None => hint(access, status, said.as_deref(), shown, wait),
        };
        let passing = retry::may_pass(status).then(|| {
            let asked = wait.map(|wait| Asked { wait, is_news: true });
            Passing { request, reason, asked }
        });
        Failure { error, passing }
    }
}

/// What to do about a host that no connection came about with.
fn unreachable(url: &Url, source: &reqwest::Error) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let plain = if url.scheme() == "https" { " (--insecure allows plain HTTP)" } else { "" };
    let io = causes(source).find_map(|cause| cause.downcast_ref::<io::Error>());
    // "dns error" where it is looked up, and "invalid dns name" where it cannot be one.
    let is_unknown = causes(source).any(|cause| cause.to_string().contains("dns "));
    match io.map(io::Error::kind) {
        _ if is_unknown => format!("the name {host} is not known: is it right, and is there a network?"),
        Some(io::ErrorKind::ConnectionRefused) => {
            format!(
                "nothing listens at {host}:{port}: is the registry running, and are its name and port right?{plain}"
            )
        }
        _ => format!("nothing answers at {host}:{port}: are its name and port right, and is it within reach?{plain}"),
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |cause| cause.source())
}

/// For a redirect that is not followed. Of where it leads no more is told than the host.
fn moved(from: &Url, location: &HeaderValue) -> String {
    match location.to_str().ok().and_then(|location| from.join(location).ok()) {
        Some(to) => format!("it sends to {}: is that the registry's address?", to.origin().ascii_serialization()),
        None => "it sends elsewhere, but not to a URL".to_owned(),
    }
}

/// `METHOD scheme://host/path`. The query stays out: in signed URLs it is a key to the content.
pub(crate) fn label(method: &Method, url: &Url) -> String {
    format!("{method} {}{}", url.origin().ascii_serialization(), url.path())
}

/// What a refusal says: the errors of the distribution-spec ("Error Codes"), a token server's words, a line of text;
/// or, where there is no body, the error of its challenge (RFC 6750, section 3.1). Without what it was shown.
pub(crate) fn said(answer: &Response, body: &[u8]) -> Option<String> {
    words(answer.headers(), body, answer.extensions().get().unwrap_or(&Secrets::default()))
}

fn words(headers: &HeaderMap, body: &[u8], secrets: &Secrets) -> Option<String> {
    let is_text = || headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let said = match serde_json::from_slice(body) {
        Ok(document) => document_says(&document),
        Err(_) if is_text() => Some(printable(&String::from_utf8_lossy(body))),
        Err(_) => None,
    };
    let challenged = || {
        let challenges = Challenge::all(headers);
        challenges.iter().find_map(|challenge| challenge.get("error")).map(printable)
    };
    let said = said.filter(|said| !said.is_empty()).or_else(challenged)?;
    // Before it is cut: part of a secret is no better.
    let said = secrets.hide(&said);
    match said.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => Some(format!("{}…", said[..end].trim_end())),
        None => Some(said).filter(|said| !said.is_empty()),
    }
}

fn document_says(document: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(printable).filter(|text| !text.is_empty());
    match document["errors"].as_array() {
        Some(errors) => {
            let line = |error: &Value| match (text(&error["code"]), text(&error["message"])) {
                // This code says nothing, and all that is known is in the detail.
                (Some(code), Some(message)) if code == "UNKNOWN" && !error["detail"].is_null() => {
                    let detail = text(&error["detail"]).unwrap_or_else(|| printable(&error["detail"].to_string()));
                    Some(format!("{code}: {message}: {detail}"))
                }
                (Some(code), Some(message)) => Some(format!("{code}: {message}")),
                (code, message) => code.or(message),
            };
            Some(errors.iter().filter_map(line).collect::<Vec<_>>().join("; "))
        }
        None => ["error_description", "details", "message", "error"].iter().find_map(|key| text(&document[*key])),
    }
}

pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

fn printable(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use reqwest::header::WWW_AUTHENTICATE;

    use super::*;

    #[test]
    fn the_registrys_own_words_are_found_and_trimmed() {
        let said = |body: &str| words(&HeaderMap::new(), body.as_bytes(), &Secrets::default());
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
        let said = |headers: &HeaderMap, body: &[u8]| words(headers, body, &Secrets::default());
        let text = header(CONTENT_TYPE, "text/plain; charset=utf-8");
        assert_eq!(said(&text, b"no\r\nquota left\n").as_deref(), Some("no quota left"));
        assert_eq!(said(&header(CONTENT_TYPE, "text/html"), b"no quota left"), None);
        let challenge = header(WWW_AUTHENTICATE, r#"Bearer realm="x",error="insufficient_scope""#);
        assert_eq!(said(&challenge, b"").as_deref(), Some("insufficient_scope"));
        assert_eq!(said(&challenge, br#"{"message":"not yours"}"#).as_deref(), Some("not yours"));
    }

    #[test]
    fn a_label_has_no_query_and_no_user() {
        let url = Url::parse("https://user:secret@host:5000/v2/a/blobs/uploads/1?_state=key").unwrap();
        assert_eq!(label(&Method::PUT, &url), "PUT https://host:5000/v2/a/blobs/uploads/1");
    }
}
