//! Requests: what is sent, and who may see what of it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::activity::Activity;
use super::body::StreamedBody;
use super::percent::percent_decoded_text;
use crate::error::{Error, ErrorKind, Result};

pub(crate) struct Request<'r> {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Body<'r>,
    /// Answers that whoever sends it takes as they are, beside the 2xx ones.
    pub expected: &'static [StatusCode],
}

pub(crate) enum Body<'r> {
    Empty,
    Bytes(Bytes),
    /// Goes to no other host than the first, wherever that sends us.
    Secret(Bytes),
    /// Made anew each time that the request is sent.
    Stream(&'r dyn Fn() -> Result<StreamedBody>, &'r Activity),
}

impl Request<'_> {
    pub fn new(method: Method, url: Url) -> Self {
        Request { method, url, headers: HeaderMap::new(), body: Body::Empty, expected: &[] }
    }
}

/// The `Authorization` that is shown to the origin of one URL, and to nobody else.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub header: HeaderValue,
    pub owner: Url,
}

impl Authorization {
    pub fn is_for(&self, url: &Url) -> bool {
        self.owner.origin() == url.origin()
    }
}

/// Returns what an `Authorization` holds that shows user and password (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    secret_header(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
}

/// Takes user and password out of `url`; returns what an `Authorization` holds that shows them, if there are any.
pub(crate) fn take_user(url: &mut Url) -> Result<Option<HeaderValue>> {
    let header = match (url.username(), url.password()) {
        ("", None) => None,
        (user, password) => {
            Some(basic(&percent_decoded_text(user), &percent_decoded_text(password.unwrap_or_default()))?)
        }
    };
    let taken = url.set_username("").and_then(|()| url.set_password(None));
    taken.map(|()| header).map_err(|()| Error::input("the URL has a user, and cannot have one"))
}

/// Returns a header's value that no log shows.
pub(crate) fn secret_header(value: &str) -> Result<HeaderValue> {
    let refuse = |_| Error::new(ErrorKind::Registry, "a token holds characters that no header can carry");
    let mut header = HeaderValue::from_str(value).map_err(refuse)?;
    header.set_sensitive(true);
    Ok(header)
}
