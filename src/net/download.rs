//! Files on any web server, as they are downloaded: over as many requests as it takes, and only what has changed.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{
    DATE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::client::HttpClient;
use super::date::http_date;
use super::failure::Failure;
use super::request::{Authorization, Request, take_user};
use super::response::Response;
use super::retry::Tries;
use super::server::Server;
use super::stop::Stop;
use crate::error::{Error, ErrorKind, Result};
use crate::progress::{Fetch, Fetched, Progress};

/// The facts that a server tells of a file beside its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Headers {
    /// The entity tag with its quotes, and `W/` before a weak one (RFC 9110, section 8.8.3).
    pub etag: Option<String>,
    /// The date as the server wrote it (RFC 9110, section 8.8.2).
    pub last_modified: Option<String>,
    /// It was modified long enough before it was sent, that another change would show (RFC 9110, section 8.8.2.2).
    pub is_settled: bool,
}

/// How a download ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt<W> {
    /// It is what it was when the headers given were received.
    Unchanged,
    /// All of it has been written to `content`.
    Received {
        /// The writer that was given. Nobody has verified what it took.
        content: W,
        /// The headers, to be given when the file is next asked for.
        headers: Headers,
    },
}

/// A change within this time of another might have the same date.
const SETTLED: Duration = Duration::from_secs(60);

/// In bytes. Once so many more have arrived, the breaks before them are forgotten.
const PROGRESS: u64 = 1 << 20;

impl Headers {
    fn of(answer: &HeaderMap) -> Self {
        let text = |name: HeaderName| answer.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let last_modified = text(LAST_MODIFIED);
        let modified = last_modified.as_deref().and_then(http_date);
        let sent = text(DATE).and_then(|date| http_date(&date));
        let is_settled = match (modified, sent) {
            (Some(modified), Some(sent)) => sent.duration_since(modified).is_ok_and(|age| age >= SETTLED),
            _ => false,
        };
        Headers { etag: text(ETAG), last_modified, is_settled }
    }

    /// Returns when it was last modified, in seconds since 1970, if the server says so.
    pub fn modified(&self) -> Option<i64> {
        let since = http_date(self.last_modified.as_deref()?)?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    }

    /// Returns whether the file is certainly the same one as it was with `self`.
    fn is_same(&self, other: &Headers) -> bool {
        match (&self.etag, &other.etag) {
            (Some(one), Some(other)) => one.trim_start_matches("W/") == other.trim_start_matches("W/"),
            (None, None) => self.is_settled && self.last_modified == other.last_modified,
            _ => false,
        }
    }

    /// Returns what tells the server to go on only with the same bytes (RFC 9110, section 13.1.5).
    fn if_range(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or_else(|| self.last_modified.as_deref().filter(|_| self.is_settled && self.etag.is_none()))
    }
}

impl HttpClient {
    /// Downloads `url` into what `begin` returns, which is asked for another one each time that the content starts anew.
    /// User and password in the URL are shown to its own host alone. With headers that are `known` nothing is downloaded
    /// that is still the same. What breaks off goes on where it was if the server vouches that it is the same; an error
    /// of `begin` or of writing is returned as it is. It fails once `stop` is ended.
    pub fn download<'a, W: Write>(
        &'a self,
        url: &str,
        known: Option<&'a Headers>,
        begin: impl FnMut() -> Result<W>,
        stop: &Stop,
        progress: Progress<'a>,
    ) -> Result<Receipt<W>> {
        let mut transfer = Fetching::new(self, url, known, begin, stop, progress)?;
        let mut tries = Tries::new(self.options().backoff, progress, &transfer.stop);
        let mut forgotten_at = 0;
        loop {
            let failure = match transfer.run() {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            if transfer.arrived >= forgotten_at + PROGRESS {
                tries.reset();
                forgotten_at = transfer.arrived;
            }
            tries.next(failure)?;
        }
    }
}

struct Fetching<'a, W, B> {
    client: &'a HttpClient,
    server: Server,
    url: Url,
    authorization: Option<Authorization>,
    known: Option<&'a Headers>,
    begin: B,
    /// The part that has arrived so far, and what the server said of it.
    begun: Option<(W, Headers)>,
    arrived: u64,
    stop: Stop,
    progress: Progress<'a>,
    /// Tells of it, once there is something to come.
    fetch: Option<Fetch<'a>>,
}

impl<'a, W: Write, B: FnMut() -> Result<W>> Fetching<'a, W, B> {
    fn new(
        client: &'a HttpClient,
        text: &str,
        known: Option<&'a Headers>,
        begin: B,
        stop: &Stop,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let wrong = || Error::input("this is not a URL to download from");
        let mut url = Url::parse(text).map_err(|_| wrong())?;
        let host = url.host_str().ok_or_else(wrong)?;
        let host = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let server = Server { noun: "server", name: host.clone(), host, insecure: false };
        let header = take_user(&mut url)?;
        url.set_fragment(None);
        let authorization = header.map(|header| Authorization { header, owner: url.clone() });
        let stop = stop.clone();
        Ok(Fetching {
            client,
            server,
            url,
            authorization,
            known,
            begin,
            begun: None,
            arrived: 0,
            stop,
            progress,
            fetch: None,
        })
    }

    /// One request, to the end of its answer.
    fn run(&mut self) -> Result<Receipt<W>, Failure> {
        let mut answer = self.ask()?;
        if answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(Receipt::Unchanged);
        }
        let headers = Headers::of(answer.headers());
        if self.known.is_some_and(|known| known.etag.is_some() && known.is_same(&headers)) {
            return Ok(Receipt::Unchanged); // there are servers that do not heed conditions
        }
        if answer.status() == StatusCode::PARTIAL_CONTENT {
            let begins_at = answer.first_byte()?;
            if begins_at != self.arrived {
                let place = answer.label();
                let message =
                    format!("{place}: asked to continue at byte {}, the server continues at {begins_at}", self.arrived);
                return Err(Error::new(ErrorKind::Registry, message).into());
            }
        } else {
            self.begun = None;
        }
        if self.begun.is_none() {
            self.begun = Some(((self.begin)()?, headers));
            self.arrived = 0;
            self.fetch = None;
        }
        if self.fetch.is_none() {
            let name = format!("{}{}", self.url.origin().ascii_serialization(), self.url.path());
            self.fetch = Some(Fetch::begin(self.progress, Fetched::File(&name), answer.content_length()));
        }
        self.take(&mut answer)?;
        self.fetch.iter_mut().for_each(Fetch::complete);
        let Some((content, headers)) = self.begun.take() else { return Ok(Receipt::Unchanged) };
        Ok(Receipt::Received { content, headers })
    }

    fn take(&mut self, answer: &mut Response) -> Result<(), Failure> {
        while let Some(chunk) = answer.chunk()? {
            let Some((content, _)) = &mut self.begun else { break };
            content.write_all(&chunk).map_err(|source| Error::from_read("write", answer.label(), source))?;
            self.arrived += chunk.len() as u64;
            self.fetch.iter().for_each(|fetch| fetch.advance(chunk.len() as u64));
        }
        Ok(())
    }

    fn ask(&mut self) -> Result<Response, Failure> {
        let mut request = Request::new(Method::GET, self.url.clone());
        let mut set = |name: HeaderName, value: &str| {
            // What a server sent as a header can be sent back as one.
            HeaderValue::from_str(value).map(|value| drop(request.headers.insert(name, value))).unwrap_or_default();
        };
        let resumed = self.begun.as_ref().and_then(|(_, headers)| headers.if_range()).filter(|_| self.arrived > 0);
        if let Some(if_range) = resumed {
            set(RANGE, &format!("bytes={}-", self.arrived));
            set(IF_RANGE, if_range);
        } else if let Some(known) = self.known {
            match (&known.etag, &known.last_modified) {
                (Some(etag), _) => set(IF_NONE_MATCH, etag),
                (None, Some(modified)) if known.is_settled => set(IF_MODIFIED_SINCE, modified),
                _ => {}
            }
        }
        let answer = self.client.send(&self.server, &request, self.authorization.as_ref(), &self.stop)?;
        let is_whole = answer.status() == StatusCode::OK;
        let is_rest = answer.status() == StatusCode::PARTIAL_CONTENT && resumed.is_some();
        let is_unchanged = answer.status() == StatusCode::NOT_MODIFIED && self.known.is_some() && resumed.is_none();
        if is_whole || is_rest || is_unchanged {
            return Ok(answer);
        }
        if answer.status().is_success() || answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            self.begun = None;
            return Err(Failure::passing(answer.label(), format!("{}, which is not the file", answer.status())));
        }
        let mut failure = self.client.refusal_in_words(answer);
        failure.error.hint = hint(failure.error.kind);
        Err(failure)
    }
}

fn hint(kind: ErrorKind) -> Option<String> {
    match kind {
        ErrorKind::NotFound => Some("check the URL: the server has nothing there".to_owned()),
        ErrorKind::Denied => Some("the server requires a login: download the file into the context".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> Headers {
        let lines = lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        Headers::of(&HeaderMap::from_iter(lines))
    }

    #[test]
    fn only_what_is_certainly_the_same_is_taken_for_it() {
        let date = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        let later = ("date", "Sun, 06 Nov 1994 08:50:37 GMT");
        let soon = ("date", "Sun, 06 Nov 1994 08:50:36 GMT");
        assert!(headers(&[("etag", "\"a\"")]).is_same(&headers(&[("etag", "W/\"a\"")])));
        assert!(!headers(&[("etag", "\"a\"")]).is_same(&headers(&[("etag", "\"b\"")])));
        assert!(!headers(&[("etag", "\"a\""), date, later]).is_same(&headers(&[date, later])));
        assert!(headers(&[date, later]).is_same(&headers(&[date, soon])));
        assert!(!headers(&[date, soon]).is_same(&headers(&[date, soon])), "it may have changed in that second");
        assert!(!headers(&[]).is_same(&headers(&[])));
        assert_eq!(headers(&[date]).modified(), Some(784_111_777));
    }

    #[test]
    fn a_weak_tag_says_nothing_of_single_bytes() {
        assert_eq!(headers(&[("etag", "\"a\"")]).if_range(), Some("\"a\""));
        assert_eq!(headers(&[("etag", "W/\"a\"")]).if_range(), None);
        assert_eq!(headers(&[]).if_range(), None);
    }
}
