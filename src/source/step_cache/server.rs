//! Entries on a server that speaks the HTTP protocol of Bazel's remote caches, such as bazel-remote: `ac/HEX` is the entry of a
//! key, as the output of an action whose only file is the layer, and `cas/HEX` a layer. The server removes what is not used.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;
use std::thread;

use bytes::{Buf, Bytes};

use super::action_result::{ActionFile, ActionResult};
use super::entry::{Lookup, StepEntry};
use crate::error::{Error, ErrorKind, Result};
use crate::net::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use crate::net::{
    Authorization, Body, Failure, HttpClient, Method, Request, Response, Server, StatusCode, Stop, Url, is_loopback,
    take_user,
};
use crate::oci::{Descriptor, Digest, VerifyingReader};
use crate::plan::{shown_url, url_without_user};
use crate::progress::{BlobOutcome, Event, Fetch, Fetched, Progress, silent};
use crate::registry::{OnDemand, StreamedContent};
use crate::source::artifact::{ARTIFACT_LIMIT, ArtifactForm, as_wrong, is_there};
use crate::store::Store;
use crate::sync::Once;

/// A larger answer is not one with an entry.
const RESULT_LIMIT: u64 = ARTIFACT_LIMIT + (16 << 10);

/// Where such a server is. What shows it does not show user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(Url);

/// A server that can be asked and written to.
pub struct StepServer<'a> {
    /// Ends with a slash, and has no user.
    base: Url,
    title: String,
    server: Server,
    client: &'a OnDemand,
    progress: Progress<'a>,
    /// What is shown to it.
    shown: Once<Option<Authorization>>,
}

impl FromStr for ServerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| Error::usage(format!("`{}` {what}", shown_url(text)));
        let mut url = Url::parse(text).map_err(|_| wrong("is not the URL of a server"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("is not the URL of a server").with_hint("it begins with https:// or http://"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has more than a path, and the URL of a cache ends with that"));
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(ServerUrl(url))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(url_without_user(self.0.as_str()).trim_end_matches('/'))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "ServerUrl({self})")
    }
}

impl<'a> StepServer<'a> {
    /// Returns a server of which nothing is asked yet. Fails where it would be spoken to without TLS, and neither is on this
    /// machine nor may be.
    pub fn open(url: &ServerUrl, client: &'a OnDemand, progress: Progress<'a>) -> Result<Self> {
        let (mut base, title) = (url.0.clone(), url.to_string());
        let own = take_user(&mut base)?.map(|header| Authorization { header, owner: base.clone() });
        let host = base.host_str().unwrap_or_default();
        let host = base.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let insecure = client.client()?.is_insecure(&host)?;
        if base.scheme() == "http" && !insecure && !is_loopback(&base) {
            return Err(Error::usage(format!(
                "{title} is not encrypted: anyone between here and there can decide what is built"
            ))
            .with_hint("use https://, or say --insecure"));
        }
        let server = Server { noun: "cache", name: host.clone(), host, insecure };
        let shown = own.map_or_else(Once::default, |own| Once::from(Some(own)));
        Ok(StepServer { base, title, server, client, progress, shown })
    }

    pub fn find(&self, key: &Digest, is_trusted: &dyn Fn(&StepEntry) -> bool, stop: &Stop) -> Result<Lookup> {
        let found = self.tries(&silent, stop, || {
            let mut answer = self.ask(&self.request(Method::GET, "ac", key)?, stop)?;
            let is_there = answer.status().is_success();
            if is_there { answer.read(RESULT_LIMIT).map_err(Failure::in_content).map(Some) } else { Ok(None) }
        });
        let Some(result) = found? else { return Ok(Lookup::Missing) };
        let result = ActionResult::read(&result)?;
        let entry = StepEntry::read(&result.stdout, key).map_err(as_wrong)?;
        if !is_trusted(&entry) {
            return Ok(Lookup::Useless);
        }
        let Some(layer) = &entry.layer else { return Ok(Lookup::Entry(Box::new(entry))) };
        if !result.files.contains(&file(&layer.descriptor)) {
            // It would not be kept as long as the entry.
            return Err(Error::integrity(format!("the entry of the key {key} does not have its layer for a file")));
        }
        // Where its size is not told, it shows when it is read.
        let size = self.tries(&silent, stop, || self.size(&layer.descriptor.digest, stop))?;
        let size = size.map(|told| told.unwrap_or(layer.descriptor.size));
        let is_there = is_there(&layer.descriptor, size)?;
        Ok(if is_there { Lookup::Entry(Box::new(entry)) } else { Lookup::Useless })
    }

    pub fn has(&self, key: &Digest) -> Result<bool> {
        let stop = Stop::default();
        self.tries(&silent, &stop, || {
            Ok(self.ask(&self.request(Method::HEAD, "ac", key)?, &stop)?.status().is_success())
        })
    }

    pub fn layer(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let (stop, digest) = (Stop::default(), descriptor.digest);
        let answer = self.tries(self.progress, &stop, || {
            let answer = self.ask(&self.request(Method::GET, "cas", &digest)?, &stop)?;
            let is_there = answer.status().is_success();
            is_there.then_some(answer).ok_or_else(|| Error::not_found(format!("there is no blob {digest}")).into())
        })?;
        let what = Fetched::Blob { digest, repository: &self.title };
        let fetch = Fetch::begin(self.progress, what, Some(descriptor.size));
        let arriving = ArrivingLayer { answer, chunk: Bytes::new(), fetch };
        Ok(Box::new(VerifyingReader::new(arriving, digest, descriptor.size)))
    }

    pub fn put(&self, entry: &StepEntry, store: &dyn Store) -> Result<()> {
        let files: Vec<ActionFile> = entry.layer.iter().map(|layer| file(&layer.descriptor)).collect();
        if let Some(layer) = &entry.layer {
            self.put_layer(&layer.descriptor, store)?;
        }
        let result = ActionResult { files, stdout: entry.artifact().manifest(ArtifactForm::Artifact).0 };
        let mut request = self.request(Method::PUT, "ac", &entry.key)?;
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        request.body = Body::Bytes(result.write().into());
        self.send(&request, &Stop::default())
    }

    /// Puts a layer, which is in `store`, unless it is there.
    fn put_layer(&self, layer: &Descriptor, store: &dyn Store) -> Result<()> {
        let stop = Stop::default();
        let least_speed = self.http()?.options().least_speed;
        let outcome = thread::scope(|scope| {
            let content = StreamedContent::new(scope, store, layer, self.progress, least_speed);
            let make_body = || content.body(0, layer.size);
            self.tries(self.progress, &stop, || {
                if self.size(&layer.digest, &stop)?.is_some_and(|size| size.is_none_or(|size| size == layer.size)) {
                    return Ok(BlobOutcome::Present);
                }
                let mut request = self.request(Method::PUT, "cas", &layer.digest)?;
                request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
                request.headers.insert(CONTENT_LENGTH, HeaderValue::from(layer.size));
                request.body = Body::Stream(&make_body, &content.activity);
                let answer = self.ask(&request, &stop);
                // What the store says of it counts more than what became of the request.
                content.end(answer.is_ok())?;
                answer.map(|_| BlobOutcome::Sent)
            })
        })?;
        (self.progress)(Event::BlobFinished { digest: layer.digest, outcome });
        Ok(())
    }

    /// The size of a layer, where that is told; none if it is not there.
    fn size(&self, digest: &Digest, stop: &Stop) -> Result<Option<Option<u64>>, Failure> {
        let answer = self.ask(&self.request(Method::HEAD, "cas", digest)?, stop)?;
        let told = answer.headers().get(CONTENT_LENGTH).and_then(|size| size.to_str().ok()?.parse().ok());
        Ok(answer.status().is_success().then_some(told))
    }

    fn send(&self, request: &Request<'_>, stop: &Stop) -> Result<()> {
        self.tries(self.progress, stop, || self.ask(request, stop).map(drop))
    }

    /// A request to what has this digest in that part of the server; that it is not there is an answer, too, to a question.
    fn request(&self, method: Method, part: &str, digest: &Digest) -> Result<Request<'static>> {
        let path = format!("{part}/{}", digest.hex());
        let url = self.base.join(&path).map_err(|_| Error::input(format!("`{path}` is not a path in a cache")))?;
        let expected: &[StatusCode] = if method == Method::PUT { &[] } else { &[StatusCode::NOT_FOUND] };
        Ok(Request { expected, ..Request::new(method, url) })
    }

    /// Sends a request, once; returns an answer that is 2xx or expected.
    fn ask(&self, request: &Request<'_>, stop: &Stop) -> Result<Response, Failure> {
        let shown = self.shown.get_or_find(|| {
            let kept = self.client.client()?.password_for(&self.server.host)?;
            Ok::<_, Error>(kept.map(|header| Authorization { header, owner: self.base.clone() }))
        })?;
        let http = self.http()?;
        let answer = http.send(&self.server, request, shown.as_ref(), stop)?;
        if answer.status().is_success() || request.expected.contains(&answer.status()) {
            return Ok(answer);
        }
        let mut failure = http.refusal_in_words(answer);
        if failure.error.kind == ErrorKind::Denied {
            let hint = format!(
                "it requires a user and a password: docker's config.json has none that are accepted for {}",
                self.server.host
            );
            failure.error.hint.get_or_insert(hint);
        }
        Err(failure)
    }

    fn tries<T>(&self, progress: Progress<'_>, stop: &Stop, step: impl FnMut() -> Result<T, Failure>) -> Result<T> {
        self.http()?.options().backoff.run(progress, stop, step)
    }

    fn http(&self) -> Result<&'a HttpClient> {
        Ok(self.client.client()?.http())
    }
}

/// The file that stands for a layer.
fn file(layer: &Descriptor) -> ActionFile {
    ActionFile { hash: layer.digest.hex(), size: layer.size }
}

/// The body of an answer, not verified.
struct ArrivingLayer<'a> {
    answer: Response,
    chunk: Bytes,
    fetch: Fetch<'a>,
}

impl Read for ArrivingLayer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() && !buffer.is_empty() {
            self.chunk = self.answer.chunk().map_err(|failure| io::Error::other(failure.error))?.unwrap_or_default();
            match self.chunk.len() {
                0 => self.fetch.complete(),
                length => self.fetch.advance(length as u64),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password_and_stands_for_a_directory() {
        let url: ServerUrl = "https://me:hidden@cache.example:8080/team".parse().unwrap();
        assert_eq!((url.to_string(), url.0.path()), ("https://cache.example:8080/team".to_owned(), "/team/"));
        assert!(!format!("{url:?}").contains("hidden"));
        for wrong in ["cache.example", "ftp://me:hidden@x/", "https://", "https://me:hidden@x/?a=hidden", "http://x/#a"]
        {
            let error = wrong.parse::<ServerUrl>().unwrap_err();
            assert!(!error.message.contains("hidden"), "{}", error.message);
        }
    }
}
