//! How requests fail: in words for the reader, and with what the retry needs to know.

use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::pace::LeastSpeed;
use super::tls::tls_hint;
use super::wait::{asked_wait, may_pass};
use crate::error::{Error, ErrorKind};

#[derive(Debug)]
pub(crate) struct Failure {
    pub error: Error,
    /// The words for another try; `None` where that would fail alike.
    pub passing: Option<Box<Passing>>,
}

#[derive(Debug)]
pub(crate) struct Passing {
    pub request: String,
    pub reason: String,
    /// The wait that the server asked for.
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
    /// Returns the failure of a server, or of the way to it, that may pass.
    pub fn passing(request: String, reason: String) -> Self {
        let error = Error::new(ErrorKind::Registry, format!("{request}: {reason}"));
        Failure { error, passing: Some(Box::new(Passing { request, reason, asked: None })) }
    }

    /// Returns the same, of what is read: what fails for good then lies in the content.
    pub fn in_content(mut self) -> Self {
        if self.passing.is_none() {
            self.error.kind = ErrorKind::Integrity;
        }
        self
    }

    pub(super) fn silent(request: String, patience: Duration) -> Self {
        Self::passing(request, format!("no answer for {} s", patience.as_secs_f64()))
    }

    /// Less passed than is to pass.
    pub(super) fn slow(request: String, least: LeastSpeed) -> Self {
        let LeastSpeed { bytes, within } = least;
        let reason = format!("too slow: fewer than {bytes} bytes passed in {} s", within.as_secs_f64());
        Self::passing(request, reason)
    }

    /// Returns the failure of a request that got no answer, or whose answer broke off. `noun` is what the server at `url` is to
    /// people.
    pub(super) fn transport(request: String, url: &Url, noun: &str, source: &reqwest::Error) -> Self {
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
        failure.error.hint = Some(unreachable(url, noun, source));
        // A name that nobody has will not have an owner in a second.
        if is_unknown(source) && !may_be_known_later(&cause) {
            failure.passing = None;
        }
        failure
    }

    /// Returns the failure that is an answer to `request` from `url` with a status that the request cannot do with, and what it
    /// `said`.
    pub(super) fn status(
        request: String,
        url: &Url,
        noun: &str,
        status: StatusCode,
        headers: &HeaderMap,
        said: Option<&str>,
    ) -> Self {
        let reason = match said {
            Some(said) => format!("{status}: {said}"),
            None => status.to_string(),
        };
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Denied,
            StatusCode::NOT_FOUND => ErrorKind::NotFound,
            _ => ErrorKind::Registry,
        };
        let mut error = Error::new(kind, format!("{request}: {reason}"));
        let location = headers.get(LOCATION).filter(|_| status.is_redirection());
        error.hint = location.map(|location| moved(url, noun, location));
        let passing = may_pass(status).then(|| {
            let asked = asked_wait(status, headers, SystemTime::now()).map(|wait| Asked { wait, is_news: true });
            Box::new(Passing { request, reason, asked })
        });
        Failure { error, passing }
    }

    /// Returns the failure of a request whose call was ended before it was.
    pub(super) fn stopped(request: String) -> Self {
        Error::new(ErrorKind::Registry, format!("{request}: it was stopped")).into()
    }
}

/// Returns what to do about a host that no connection came about with.
fn unreachable(url: &Url, noun: &str, source: &reqwest::Error) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let plain = if url.scheme() == "https" { " (--insecure allows plain HTTP)" } else { "" };
    let io = causes(source).find_map(|cause| cause.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        _ if is_unknown(source) => format!("the name {host} cannot be resolved: is it right, and is there a network?"),
        Some(io::ErrorKind::ConnectionRefused) => {
            format!("nothing listens at {host}:{port}: is the {noun} running, and are its name and port right?{plain}")
        }
        _ => format!("nothing answers at {host}:{port}: are its name and port right, and is it within reach?{plain}"),
    }
}

/// Returns whether the name of the host leads to no address: "dns error" where it is looked up, and "invalid dns name" where
/// it cannot be one.
fn is_unknown(source: &reqwest::Error) -> bool {
    causes(source).any(|cause| cause.to_string().contains("dns "))
}

/// Returns whether the look-up of a name failed for want of an answer, in the words of glibc and musl for `EAI_AGAIN`, which
/// are all that the standard library tells.
fn may_be_known_later(cause: &str) -> bool {
    cause.ends_with("Temporary failure in name resolution") || cause.ends_with("Try again")
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |cause| cause.source())
}

/// For a redirect that is not followed. Of where it leads no more is told than the host.
fn moved(from: &Url, noun: &str, location: &HeaderValue) -> String {
    match location.to_str().ok().and_then(|location| from.join(location).ok()) {
        Some(to) => format!("it sends to {}: is that the {noun}'s address?", to.origin().ascii_serialization()),
        None => "it sends elsewhere, but not to a URL".to_owned(),
    }
}

/// Returns `METHOD scheme://host/path`. The query stays out: in signed URLs it is a key to the content.
pub(crate) fn label(method: &Method, url: &Url) -> String {
    format!("{method} {}{}", url.origin().ascii_serialization(), url.path())
}

pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In glibc's words and in musl's.
    #[test]
    fn only_a_look_up_without_an_answer_may_help_later() {
        let failed = |reason: &str| format!("failed to lookup address information: {reason}");
        for (reason, may_help) in [
            ("Temporary failure in name resolution", true),
            ("Try again", true),
            ("Name or service not known", false),
            ("No address associated with hostname", false),
            ("Name does not resolve", false),
        ] {
            assert_eq!(may_be_known_later(&failed(reason)), may_help, "{reason}");
        }
    }

    #[test]
    fn a_label_has_no_query_and_no_user() {
        let url = Url::parse("https://user:secret@host:5000/v2/a/blobs/uploads/1?_state=key").unwrap();
        assert_eq!(label(&Method::PUT, &url), "PUT https://host:5000/v2/a/blobs/uploads/1");
    }
}
