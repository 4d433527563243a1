//! How requests fail: in words for the reader, and with what the retry needs to know.

use std::time::{Duration, SystemTime};

use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use super::auth::Access;
use super::retry;
use super::settings::tls_hint;
use crate::error::{Error, ErrorKind};

/// The most of an answer's own words that an error repeats, in characters.
const LONGEST_MESSAGE: usize = 300;

#[derive(Debug)]
pub(super) struct Failure {
    pub error: Error,
    /// What is to be said of another try; `None` where that would fail alike.
    pub passing: Option<Passing>,
}

#[derive(Debug)]
pub(super) struct Passing {
    pub request: String,
    pub reason: String,
    pub retry_after: Option<Duration>,
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
        Failure { error, passing: Some(Passing { request, reason, retry_after: None }) }
    }

    pub fn silent(request: String, patience: Duration) -> Self {
        Self::passing(request, format!("no answer for {} s", patience.as_secs_f64()))
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
        failure.error.hint = Some(match url.scheme() {
            "http" => format!("is the registry at {host} running, and are its name and port right?"),
            _ => format!("is the registry at {host} running, and is its name right? (--insecure allows plain HTTP)"),
        });
        failure
    }

    /// An answer with a status that the request cannot do with. `said` is what its body says of it.
    pub fn status(access: &Access, method: &Method, answer: &Response, said: Option<String>) -> Self {
        let status = answer.status();
        let request = label(method, answer.url());
        let mut reason = status.to_string();
        if let Some(said) = said {
            reason.push_str(": ");
            reason.push_str(&said);
        }
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Denied,
            StatusCode::NOT_FOUND => ErrorKind::NotFound,
            _ => ErrorKind::Registry,
        };
        let mut error = Error::new(kind, format!("{request}: {reason}"));
        error.hint = hint(access, status);
        let passing = retry::may_pass(status).then(|| {
            let header = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = header.and_then(|value| retry::retry_after(value, SystemTime::now()));
            Passing { request, reason, retry_after }
        });
        Failure { error, passing }
    }
}

/// `METHOD scheme://host/path`. The query stays out: in signed URLs it is a key to the content.
pub(super) fn label(method: &Method, url: &Url) -> String {
    format!("{method} {}{}", url.origin().ascii_serialization(), url.path())
}

/// What the body of a refusal says: the errors of the distribution-spec ("Error Codes"), or a token server's words.
pub(super) fn said(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |value: &Value| value.as_str().map(printable).filter(|text| !text.is_empty());
    let said = match body["errors"].as_array() {
        Some(errors) => {
            let line = |error: &Value| match (text(&error["code"]), text(&error["message"])) {
                (Some(code), Some(message)) => Some(format!("{code}: {message}")),
                (code, message) => code.or(message),
            };
            errors.iter().filter_map(line).collect::<Vec<_>>().join("; ")
        }
        None => ["error_description", "details", "message", "error"].iter().find_map(|key| text(&body[*key]))?,
    };
    match said.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => Some(format!("{}…", said[..end].trim_end())),
        None => Some(said).filter(|said| !said.is_empty()),
    }
}

fn hint(access: &Access, status: StatusCode) -> Option<String> {
    let registry = access.registry();
    let repository = access.repository();
    match status.as_u16() {
        401 | 403 => Some(match (access.user(), repository) {
            (None, _) => format!("log in with `ocibake login {registry}`"),
            (Some(_), None) => "check the user name and the password".to_owned(),
            (Some(user), Some(repository)) => format!(
                "logged in to {registry} as {user}: check that this user may {} {repository}, or log in again with \
                 `ocibake login {registry}`",
                if access.pushes() { "push to" } else { "pull from" },
            ),
        }),
        404 if access.pushes() => repository.map(|repository| {
            format!(
                "check the name {repository}: some registries want a repository to be created before the first push"
            )
        }),
        404 => repository.map(|repository| format!("check the name {repository}, and the tag or digest")),
        413 => Some("the registry, or a proxy before it, limits the size of uploads".to_owned()),
        429 => Some("the registry limits how much it is asked: try again later".to_owned()),
        500 | 502 | 503 | 504 => Some("the registry, or a proxy before it, has trouble: try again later".to_owned()),
        _ => None,
    }
}

pub(super) fn root_cause(error: &reqwest::Error) -> String {
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
    use super::*;

    #[test]
    fn the_registrys_own_words_are_found_and_trimmed() {
        let said = |body: &str| said(body.as_bytes());
        let two =
            r#"{"errors":[{"code":"DENIED","message":"not\n yours \u001b[31m","detail":[]},{"code":"NAME_INVALID"}]}"#;
        assert_eq!(said(two).as_deref(), Some("DENIED: not yours [31m; NAME_INVALID"));
        assert_eq!(said(r#"{"details":"incorrect password"}"#).as_deref(), Some("incorrect password"));
        assert_eq!(said(r#"{"errors":[]}"#), None);
        assert_eq!(said("<html>Bad Gateway</html>"), None);
        let long = format!(r#"{{"message":"{}"}}"#, "é".repeat(400));
        assert_eq!(said(&long).unwrap().chars().count(), 301);
    }

    #[test]
    fn a_label_has_no_query_and_no_user() {
        let url = Url::parse("https://user:secret@host:5000/v2/a/blobs/uploads/1?_state=key").unwrap();
        assert_eq!(label(&Method::PUT, &url), "PUT https://host:5000/v2/a/blobs/uploads/1");
    }
}
