//! What a registry can do, found out by asking it.

mod sample;

use bytes::Bytes;
use serde_json::Value;

use super::access::Access;
use super::answer::{join, location};
use super::challenge::Challenge;
use super::repository::Repository;
use super::words::said;
use sample::Samples;

use crate::error::{ErrorKind, Result};
use crate::net::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, SET_COOKIE};
use crate::net::{Body, Failure, Method, Request, Response, StatusCode, Url};
use crate::oci::{Descriptor, Digest, MANIFEST_LIMIT};

/// The answer to one question, and how it was found.
pub struct Finding {
    /// In a word or two, such as `referrers`.
    pub question: &'static str,
    /// The answer in a word.
    pub verdict: Verdict,
    /// One line.
    pub detail: String,
    /// The requests that led to it, in their order.
    pub exchanges: Vec<Exchange>,
}

/// The answer to a question that is put to a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The registry can do it.
    Yes,
    /// The registry was asked, and cannot do it.
    No,
    /// It could not be asked.
    Unknown,
}

/// A request and its answer as they were, without what is secret in them: queries, cookies and credentials.
pub struct Exchange {
    /// `METHOD scheme://host/path`.
    pub request: String,
    /// The status code of the answer.
    pub status: u16,
    /// The answer's headers, name and value, without those that hold something secret.
    pub headers: Vec<(String, String)>,
    /// The words of a refusal.
    pub words: Option<String>,
}

/// In bytes: of the first chunks that are tried, and what the pickiest registries (S3 behind them) ask for.
const SMALL_CHUNK: usize = 64 << 10;
const LARGE_CHUNK: usize = 5 << 20;

impl Repository<'_> {
    /// Asks one question after the other. Nothing is changed by it; uploads that are begun are never completed, and
    /// registries forget them by themselves. With `writes` a tag that is there is set to what it stands for already, and
    /// small images are uploaded without a tag. The only failure is that of the first question: there is no registry, or
    /// no way to it.
    pub fn probe(&self, writes: bool) -> Result<Vec<Finding>> {
        let mut probe = Probe { repository: self, push: self.access.push(), exchanges: Vec::new() };
        let mut findings = vec![probe.api().map_err(|failure| failure.error)?];
        findings.push(probe.login());
        let (pull, tag) = probe.pull();
        findings.push(pull);
        let image = tag.as_deref().and_then(|tag| probe.image(tag).ok());
        findings.push(probe.push());
        findings.push(probe.chunks());
        findings.push(probe.mount(image.as_ref()));
        findings.push(probe.referrers(image.as_ref()));
        findings.push(probe.tags_at_once(tag.zip(image).filter(|_| writes), writes));
        findings.push(self.media_types(writes)?);
        Ok(findings)
    }

    /// Which kinds of images it takes: whether they can be uploaded is all that says so.
    fn media_types(&self, writes: bool) -> Result<Finding> {
        let finding = |verdict, detail| Finding { question: "media types", verdict, detail, exchanges: Vec::new() };
        if !writes {
            return Ok(finding(Verdict::Unknown, WITHOUT_WRITE.to_owned()));
        }
        let mut samples = Samples::default();
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for (kind, graph) in samples.all()? {
            match self.upload(&graph, &samples) {
                Ok(()) => taken.push(kind),
                Err(_) => refused.push(kind),
            }
        }
        let verdict = if taken.is_empty() { Verdict::No } else { Verdict::Yes };
        let but = if refused.is_empty() { String::new() } else { format!("; not {}", refused.join(", ")) };
        Ok(finding(verdict, format!("{}{but}", taken.join(", "))))
    }
}

const WITHOUT_WRITE: &str = "not tried without --write";

struct Probe<'r> {
    repository: &'r Repository<'r>,
    push: Access,
    /// Since the last finding.
    exchanges: Vec<Exchange>,
}

/// The facts that are known of an image in the repository.
struct KnownImage {
    /// A manifest or an index.
    root: Descriptor,
    bytes: Vec<u8>,
    /// The config of one of its images.
    config: Option<String>,
}

struct Answer {
    response: Response,
    body: Vec<u8>,
}

impl Probe<'_> {
    /// Finds out what answers before anybody has logged in.
    fn api(&mut self) -> Result<Finding, Failure> {
        let connection = &self.repository.client.connection;
        let access = &self.repository.access;
        let url = join(connection.base(access)?, "v2/")?;
        let response = connection.send(access, &Request::new(Method::GET, url.clone()), None)?;
        let answer = self.read(response)?;
        let status = answer.response.status();
        let is_api = status.is_success() || status == StatusCode::UNAUTHORIZED;
        let challenges = Challenge::all(answer.response.headers());
        let ways: Vec<String> = challenges.iter().map(Challenge::describe).collect();
        let wants = if ways.is_empty() { "does not ask for a login".to_owned() } else { ways.join(" or ") };
        let (scheme, version) = (url.scheme(), answer.response.version());
        Ok(match is_api {
            true => self.finding("api", Verdict::Yes, format!("{scheme}, {version:?}; {wants}")),
            false => self.finding("api", Verdict::No, format!("{status}, but a registry answers 200 or 401")),
        })
    }

    fn login(&mut self) -> Finding {
        let access = self.repository.access.without_repository();
        let url = self.base("v2/");
        let outcome = self.ask(&access, url, |url| Request::new(Method::GET, url));
        let who = match access.user() {
            Some(user) => format!("as {user}"),
            None => "without a user".to_owned(),
        };
        self.judged("login", outcome, |_| who)
    }

    /// Also a tag that is there.
    fn pull(&mut self) -> (Finding, Option<String>) {
        let access = self.repository.access.clone();
        let url = self.repository.url(&access, "tags/list").map(|mut url| {
            url.set_query(Some("n=1"));
            url
        });
        let outcome = self.ask(&access, url, |url| Request::new(Method::GET, url));
        let Ok(answer) = &outcome else { return (self.judged("pull", outcome, |_| String::new()), None) };
        if answer.response.status() == StatusCode::NOT_FOUND {
            let detail = "there is no such repository yet".to_owned();
            return (self.finding("pull", Verdict::Unknown, detail), None);
        }
        let own = self.repository.reference.tag().map(str::to_owned);
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let tag = own.or_else(|| document["tags"][0].as_str().map(str::to_owned));
        let detail = match &tag {
            Some(tag) => format!("it has tags, such as {tag}"),
            None => "it has no tags".to_owned(),
        };
        (self.judged("pull", outcome, |_| detail), tag)
    }

    fn image(&mut self, tag: &str) -> Result<KnownImage, Failure> {
        let (root, bytes) = self.manifest(tag)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let document: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let config = match text(&document["manifests"][0]["digest"]) {
            Some(child) => {
                let (_, bytes) = self.manifest(&child)?;
                let document: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                text(&document["config"]["digest"])
            }
            None => text(&document["config"]["digest"]),
        };
        Ok(KnownImage { root, bytes, config })
    }

    fn manifest(&mut self, name: &str) -> Result<(Descriptor, Vec<u8>), Failure> {
        let access = &self.repository.access;
        let request = self.repository.manifest_request(access, Method::GET, name)?;
        let mut answer = self.repository.client.connection.exchange(access, &request)?;
        let bytes = answer.read(MANIFEST_LIMIT)?;
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok((Descriptor::of(kind, &bytes), bytes))
    }

    fn push(&mut self) -> Finding {
        let outcome = self.begin(&[]);
        self.judged("push", outcome, |answer| {
            let place = match location(&answer.response) {
                Ok(to) if to.origin() == answer.response.url().origin() => "here".to_owned(),
                Ok(to) => format!("at {}", to.origin().ascii_serialization()),
                Err(_) => "nowhere".to_owned(),
            };
            format!("uploads continue {place}")
        })
    }

    fn chunks(&mut self) -> Finding {
        const QUESTION: &str = "chunks";
        let mut least = None;
        for size in [SMALL_CHUNK, LARGE_CHUNK] {
            let begun = match self.begin(&[]) {
                Ok(answer) if answer.response.status() == StatusCode::ACCEPTED => answer,
                outcome => return self.judged(QUESTION, outcome, |_| String::new()),
            };
            let stated = begun.response.headers().get("oci-chunk-min-length").and_then(|value| value.to_str().ok());
            least = stated.map(str::to_owned).or(least);
            let mut url = location(&begun.response).map_err(Failure::from);
            let mut outcome = Ok(begun);
            for (from, length) in [(0, size), (size, 1)] {
                outcome = self.ask(&self.push.clone(), url, |url| chunk(url, from, length));
                let Ok(answer) = &outcome else { break };
                if !answer.response.status().is_success() {
                    break;
                }
                url = location(&answer.response).map_err(Failure::from);
            }
            let taken = matches!(&outcome, Ok(answer) if answer.response.status().is_success());
            if taken || size == LARGE_CHUNK {
                let stated = least.map(|least| format!("; it asks for at least {least} bytes")).unwrap_or_default();
                return self.judged(QUESTION, outcome, |_| format!("of {} KiB and more{stated}", size >> 10));
            }
        }
        self.finding(QUESTION, Verdict::Unknown, String::new())
    }

    /// From the repository itself, which it has in common with every other way to mount.
    fn mount(&mut self, image: Option<&KnownImage>) -> Finding {
        const QUESTION: &str = "mount";
        let Some(blob) = image.and_then(|image| image.config.clone()) else {
            return self.finding(QUESTION, Verdict::Unknown, "there is no image to try it with".to_owned());
        };
        let from = self.repository.reference.repository().to_owned();
        let outcome = self.begin(&[("mount", blob), ("from", from)]);
        match &outcome {
            Ok(answer) if answer.response.status() == StatusCode::ACCEPTED => {
                self.finding(QUESTION, Verdict::No, "the blob has to be sent".to_owned())
            }
            _ => self.judged(QUESTION, outcome, |_| "blobs of other repositories are mounted".to_owned()),
        }
    }

    fn referrers(&mut self, image: Option<&KnownImage>) -> Finding {
        let digest = image.map_or_else(|| Digest::of(b""), |image| image.root.digest);
        let access = self.repository.access.clone();
        let url = self.repository.url(&access, &format!("referrers/{digest}"));
        let outcome = self.ask(&access, url, |url| Request::new(Method::GET, url));
        match &outcome {
            Ok(answer) if answer.response.status() == StatusCode::NOT_FOUND => {
                self.finding("referrers", Verdict::No, "they are kept under a tag sha256-…".to_owned())
            }
            Ok(answer) if answer.response.status().is_success() && !is_index(&answer.body) => {
                self.finding("referrers", Verdict::No, "the answer is not an index".to_owned())
            }
            _ => self.judged("referrers", outcome, |_| "it lists what refers to an image".to_owned()),
        }
    }

    /// Puts the image under the tag that it has, by digest (distribution-spec after 1.1, "Pushing Manifests").
    fn tags_at_once(&mut self, there: Option<(String, KnownImage)>, writes: bool) -> Finding {
        const QUESTION: &str = "tags at once";
        let Some((tag, image)) = there else {
            let why = if writes { "there is no image to try it with" } else { WITHOUT_WRITE };
            return self.finding(QUESTION, Verdict::Unknown, why.to_owned());
        };
        let url = self.repository.url(&self.push, &format!("manifests/{}", image.root.digest));
        let url = url.map(|mut url| {
            url.query_pairs_mut().append_pair("tag", &tag);
            url
        });
        let kind = HeaderValue::from_str(&image.root.media_type).ok();
        let bytes = Bytes::from(image.bytes);
        let put = |url| {
            let mut request = Request::new(Method::PUT, url);
            request.headers.extend(kind.map(|kind| (CONTENT_TYPE, kind)));
            request.body = Body::Bytes(bytes);
            request
        };
        let outcome = self.ask(&self.push.clone(), url, put);
        match &outcome {
            Ok(answer)
                if answer.response.status().is_success() && !answer.response.headers().contains_key("oci-tag") =>
            {
                self.finding(QUESTION, Verdict::No, "each tag needs a request of its own".to_owned())
            }
            _ => self.judged(QUESTION, outcome, |_| "one request sets them all".to_owned()),
        }
    }

    fn begin(&mut self, query: &[(&str, String)]) -> Result<Answer, Failure> {
        let url = self.repository.url(&self.push, "blobs/uploads/").map(|mut url| {
            if !query.is_empty() {
                url.query_pairs_mut().extend_pairs(query);
            }
            url
        });
        let post = |url| {
            let mut request = Request::new(Method::POST, url);
            request.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            request
        };
        self.ask(&self.push.clone(), url, post)
    }

    fn base(&self, path: &str) -> Result<Url, Failure> {
        let base = self.repository.client.connection.base(&self.repository.access)?;
        Ok(join(base, path)?)
    }

    /// Any answer, noted.
    fn ask<'b>(
        &mut self,
        access: &Access,
        url: Result<Url, Failure>,
        request: impl FnOnce(Url) -> Request<'b>,
    ) -> Result<Answer, Failure> {
        let request = request(url?);
        let response = self.repository.client.connection.converse(access, &request)?;
        self.read(response)
    }

    fn read(&mut self, mut response: Response) -> Result<Answer, Failure> {
        let body = response.read(MANIFEST_LIMIT)?;
        let is_secret = |name: &str| [SET_COOKIE.as_str(), AUTHORIZATION.as_str()].contains(&name);
        let shown = response.headers().iter().filter(|(name, _)| !is_secret(name.as_str()));
        let secrets = &response.secrets;
        let value = |value: &HeaderValue| secrets.hide(&without_query(&String::from_utf8_lossy(value.as_bytes())));
        let headers = shown.map(|(name, text)| (name.to_string(), value(text))).collect();
        let status = response.status();
        let words = if status.is_success() { None } else { said(&response, &body) };
        let request = response.label();
        self.exchanges.push(Exchange { request, status: status.as_u16(), headers, words });
        Ok(Answer { response, body })
    }

    /// Yes where the answer is a success, no where it is another.
    fn judged(
        &mut self,
        question: &'static str,
        outcome: Result<Answer, Failure>,
        detail: impl FnOnce(&Answer) -> String,
    ) -> Finding {
        match outcome {
            Ok(answer) if answer.response.status().is_success() => {
                let detail = detail(&answer);
                self.finding(question, Verdict::Yes, detail)
            }
            Ok(answer) => {
                let said = said(&answer.response, &answer.body).map(|said| format!(": {said}")).unwrap_or_default();
                self.finding(question, Verdict::No, format!("{}{said}", answer.response.status()))
            }
            // It is the token server that has refused.
            Err(Failure { error, .. }) if error.kind == ErrorKind::Denied => {
                self.finding(question, Verdict::No, error.message)
            }
            Err(failure) => self.finding(question, Verdict::Unknown, failure.error.message),
        }
    }

    fn finding(&mut self, question: &'static str, verdict: Verdict, detail: String) -> Finding {
        Finding { question, verdict, detail, exchanges: std::mem::take(&mut self.exchanges) }
    }
}

fn chunk<'b>(url: Url, from: usize, length: usize) -> Request<'b> {
    let mut request = Request::new(Method::PATCH, url);
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    request.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let range = HeaderValue::from_str(&format!("{from}-{}", from + length - 1));
    request.headers.extend(range.ok().map(|range| (CONTENT_RANGE, range)));
    request.body = Body::Bytes(vec![0; length].into());
    request
}

fn is_index(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|document| document["manifests"].is_array())
}

/// A URL's query may be a key to what is there.
fn without_query(value: &str) -> String {
    match value.split_once('?') {
        Some((place, _)) if place.contains('/') => format!("{place}?…"),
        _ => value.to_owned(),
    }
}
