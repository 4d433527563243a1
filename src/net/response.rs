//! Answers, whose bodies are read as they are asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url, Version};
use tokio::runtime::Runtime;

use super::failure::{Failure, label};
use super::pace::{LeastSpeed, Pace};
use super::secrets::Secrets;
use super::stop::Stop;
use crate::error::{Error, ErrorKind, Result};

pub(crate) struct Response {
    pub(super) method: Method,
    /// The word that people have for the server that the request was for.
    pub(super) noun: &'static str,
    pub(super) inner: reqwest::Response,
    pub(super) reader: BodyReader,
    /// The `Authorization` that whoever answered was shown.
    pub authorization: Option<HeaderValue>,
    /// The parts of this answer that are not to be repeated.
    pub secrets: Secrets,
}

/// The means by which the rest of a body is read.
pub(super) struct BodyReader {
    pub runtime: Arc<Runtime>,
    pub stop: Stop,
    pub patience: Duration,
    pub least_speed: LeastSpeed,
    pub pace: Pace,
}

impl Response {
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// Returns where the answer came from, behind all redirects.
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    pub fn version(&self) -> Version {
        self.inner.version()
    }

    /// Returns how many bytes of the body are still to come, where that was told.
    pub fn content_length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// Returns `METHOD scheme://host/path`, as errors name the request.
    pub fn label(&self) -> String {
        label(&self.method, self.url())
    }

    /// Returns the next bytes of the body; none at its end.
    pub fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let BodyReader { runtime, stop, patience, least_speed, pace } = &mut self.reader;
        let begun = Instant::now();
        let inner = &mut self.inner;
        let next = runtime.block_on(stop.race(async { tokio::time::timeout(*patience, inner.chunk()).await }));
        if let Some(Ok(Ok(Some(chunk)))) = &next
            && !pace.advance(*least_speed, begun.elapsed(), chunk.len() as u64)
        {
            return Err(Failure::slow(self.label(), self.reader.least_speed));
        }
        match next {
            Some(Ok(Ok(chunk))) => Ok(chunk),
            Some(Ok(Err(source))) => Err(Failure::transport(self.label(), self.url(), self.noun, &source)),
            Some(Err(_)) => Err(Failure::silent(self.label(), self.reader.patience)),
            None => Err(Failure::stopped(self.label())),
        }
    }

    /// Returns the rest of the body; one over `limit` bytes is an error.
    pub fn read(&mut self, limit: u64) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk()? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(self.refuse(&format!("the answer has more than {limit} bytes")).into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Returns where the answer points to, which is never from HTTPS to plain HTTP.
    pub fn location(&self) -> Result<Url> {
        let from = self.url();
        let value = self.headers().get(LOCATION).ok_or_else(|| self.refuse("the answer has no Location"))?;
        let value = value.to_str().map_err(|_| self.refuse("the answer's Location is not a URL"))?;
        let to = from.join(value).map_err(|_| self.refuse("the answer's Location is not a URL"))?;
        match (from.scheme(), to.scheme()) {
            ("http", "http") | (_, "https") => Ok(to),
            ("https", "http") => {
                let noun = self.noun;
                let hint =
                    format!("if the {noun} is behind a proxy, the proxy must tell it the scheme (X-Forwarded-Proto)");
                Err(self.refuse("the answer leads from HTTPS to plain HTTP").with_hint(hint))
            }
            _ => Err(self.refuse("the answer leads away from HTTP")),
        }
    }

    /// Returns where a partial answer begins: `bytes 5-9/10` (RFC 9110, section 14.4).
    pub fn first_byte(&self) -> Result<u64> {
        let range = self.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let first = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok());
        first.ok_or_else(|| self.refuse("a partial answer does not say which part it is"))
    }

    fn refuse(&self, why: &str) -> Error {
        Error::new(ErrorKind::Registry, format!("{}: {why}", self.label()))
    }
}
