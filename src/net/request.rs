//! Requests: what is sent, and who may see what of it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::activity::Activity;
use super::body::StreamedBody;
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

/// Returns a header's value that no log shows.
pub(crate) fn secret_header(value: &str) -> Result<HeaderValue> {
    let refuse = |_| Error::new(ErrorKind::Registry, "a token holds characters that no header can carry");
    let mut header = HeaderValue::from_str(value).map_err(refuse)?;
    header.set_sensitive(true);
    Ok(header)
}
