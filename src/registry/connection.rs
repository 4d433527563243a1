//! Requests: over which scheme, with what patience, through which redirects, and how their answers are judged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use super::access::Access;
use super::client::Options;
use crate::net::failure::{Failure, label, said};
use crate::net::gate::Gates;
use super::hint::{Shown, wants_tls};
use crate::net::http::Http;
use crate::net::pace::{LeastSpeed, Pace};
use crate::net::retry::LONGEST_WAIT;
use crate::net::secrets::Secrets;
use crate::net::proxy::is_loopback;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::Digest;

const REDIRECTS: usize = 10;
/// How often one request is answered with what others have fetched meanwhile, or with something of its own.
const AUTHORIZATIONS: usize = 4;
/// The most that is read of an answer that refuses, in bytes.
const REFUSAL_LIMIT: u64 = 64 << 10;

/// Answers to HEAD that settle nothing: the registry may not know the method, or take what is missing for forbidden
/// (Artifactory), and without a body nobody learns why. The request that comes next, with a body of words, tells.
pub(crate) const UNSETTLED: &[StatusCode] = &[
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_ACCEPTABLE,
    StatusCode::NOT_IMPLEMENTED,
];

pub(crate) struct Request<'r> {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Body<'r>,
    /// Answers that the caller takes as they are, beside the 2xx ones.
    pub expected: &'static [StatusCode],
}

pub(crate) enum Body<'r> {
    Empty,
    Bytes(Bytes),
    /// Goes to no other host than the first, wherever that sends us.
    Secret(Bytes),
    /// Made anew each time that the request is sent.
    Stream(&'r dyn Fn() -> Result<reqwest::Body>, &'r Activity),
}

impl Request<'_> {
    pub fn new(method: Method, url: Url) -> Self {
        Request { method, url, headers: HeaderMap::new(), body: Body::Empty, expected: &[] }
    }
}

/// What is noted of a body on its way, for those who wait for its end.
#[derive(Default)]
pub(crate) struct Activity {
    /// Signs of life.
    signs: AtomicU64,
    pace: Mutex<Pace>,
    is_slow: AtomicBool,
}

/// Why work is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stall {
    Silent,
    Slow,
}

impl Activity {
    /// Something happens.
    pub fn note(&self) {
        self.signs.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes were taken by the far side, which was `waited` for.
    pub fn note_taken(&self, least: LeastSpeed, waited: Duration, bytes: usize) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if !pace.advance(least, waited, bytes as u64) {
            self.is_slow.store(true, Ordering::Relaxed);
        }
        self.note();
    }

    /// The outcome of `work`, unless there was no sign of life for as long as `patience`, or what was noted is slower than
    /// `least`.
    async fn watch<T>(&self, patience: Duration, least: LeastSpeed, work: impl Future<Output = T>) -> Result<T, Stall> {
        let mut work = std::pin::pin!(work);
        let (mut seen, mut silence) = (self.signs.load(Ordering::Relaxed), Duration::ZERO);
        loop {
            let wait = least.within.min(patience - silence);
            if let Ok(done) = tokio::time::timeout(wait, &mut work).await {
                return Ok(done);
            }
            if self.is_slow.swap(false, Ordering::Relaxed) {
                return Err(Stall::Slow);
            }
            let signs = self.signs.load(Ordering::Relaxed);
            silence = if signs == seen { silence + wait } else { Duration::ZERO };
            seen = signs;
            if silence >= patience {
                return Err(Stall::Silent);
            }
        }
    }
}

pub(crate) struct Connection {
    pub options: Options,
    gates: Gates,
    http: Http,
}

impl Connection {
    pub fn new(options: Options) -> Result<Connection> {
        Ok(Connection { gates: Gates::default(), http: Http::new(&options)?, options })
    }

    /// Where the registry answers, decided at the first call.
    pub async fn base<'a>(&self, access: &'a Access) -> Result<&'a Url, Failure> {
        access.place.base.get_or_try_init(|| self.decide(access)).await
    }

    async fn decide(&self, access: &Access) -> Result<Url, Failure> {
        let host = access.place.host();
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/"))
                .map_err(|_| Error::input(format!("`{host}` is not the name of a registry")))
        };
        let (https, http) = (parse("https")?, parse("http")?);
        if !self.is_insecure(access) {
            let is_plain = is_loopback(&https) && !self.options.certificates.are_there_for(access.registry());
            return Ok(if is_plain { http } else { https });
        }
        let first = match self.probe(access, &https).await {
            Ok(()) => return Ok(https),
            Err(failure) => failure,
        };
        self.probe(access, &http).await.map(|()| http).map_err(|_| first)
    }

    async fn probe(&self, access: &Access, base: &Url) -> Result<(), Failure> {
        let request = Request::new(Method::GET, join(base, "v2/")?);
        self.transmit(access, &request, &request.url, HeaderMap::new()).await.map(drop)
    }

    /// Sends a request, logging in where that is asked for and following redirects; returns an answer that is 2xx or
    /// `expected`. What was shown, and the registry then tired of, is renewed once, and the request sent again.
    pub async fn exchange(&self, access: &Access, request: &Request<'_>) -> Result<Response, Failure> {
        let answer = self.converse(access, request).await?;
        if answer.status().is_success() || request.expected.contains(&answer.status()) {
            return Ok(answer);
        }
        Err(self.refusal(access, &request.method, answer).await)
    }

    /// The same for whom any answer will do.
    pub async fn converse(&self, access: &Access, request: &Request<'_>) -> Result<Response, Failure> {
        let owns = |url: &Url| access.owns(url);
        let mut shown = self.authorization(access).await;
        let mut answer = self.follow(access, request, shown.as_ref(), owns).await?;
        for _ in 0..AUTHORIZATIONS {
            if answer.status() != StatusCode::UNAUTHORIZED || !access.owns(answer.url()) {
                break;
            }
            let Some(better) = self.authorize(access, &answer, shown.as_ref()).await? else { break };
            shown = Some(better.header);
            answer = self.follow(access, request, shown.as_ref(), owns).await?;
            if better.is_fresh {
                break;
            }
        }
        answer.extensions_mut().insert(Secrets::in_header(shown.as_ref()));
        let shown = shown.filter(|_| access.owns(answer.url()));
        answer.extensions_mut().insert(Shown::in_header(shown.as_ref()));
        Ok(answer)
    }

    /// The failure that `answer` stands for, with the registry's words where they can be read. If it asks for a while
    /// of peace, all that goes to the same host waits from now on.
    pub async fn refusal(&self, access: &Access, method: &Method, mut answer: Response) -> Failure {
        let body = self.read(method, &mut answer, REFUSAL_LIMIT).await.unwrap_or_default();
        let mut failure = Failure::status(access, method, &answer, &body);
        // In plain HTTP a proxy may answer in the registry's place, and not in its way.
        let (url, status) = (answer.url(), answer.status());
        let is_wordless = said(&answer, &body).is_none();
        let is_strange = method != Method::HEAD && is_wordless;
        if url.scheme() == "http" && (is_strange || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            failure.error.hint = self.http.route.hint(url, status).or(failure.error.hint);
        }
        // Servers that want TLS say no more than this to those who do not speak it.
        if url.scheme() == "http" && is_loopback(url) && status == StatusCode::BAD_REQUEST && is_wordless {
            failure.error.hint.get_or_insert_with(|| wants_tls(access.registry()));
        }
        if let Some(asked) = failure.passing.as_mut().and_then(|passing| passing.asked.as_mut())
            && asked.wait <= LONGEST_WAIT
        {
            asked.is_news = self.gates.close(answer.url(), asked.wait);
        }
        failure
    }

    /// Sends a request, and sends it on where it is redirected to: GET and HEAD by any redirect, others only by those
    /// that keep method and body (RFC 9110, section 15.4). `authorization` is shown to what `owns` holds for alone.
    pub async fn follow(
        &self,
        access: &Access,
        request: &Request<'_>,
        authorization: Option<&HeaderValue>,
        owns: impl Fn(&Url) -> bool,
    ) -> Result<Response, Failure> {
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS {
            let mut headers = request.headers.clone();
            if let Some(authorization) = authorization
                && owns(&url)
            {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            let answer = self.transmit(access, request, &url, headers).await?;
            let is_safe = matches!(request.method, Method::GET | Method::HEAD);
            let keeps = matches!(answer.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
            let moved = answer.status().is_redirection() && answer.headers().contains_key(LOCATION);
            if !moved || !(is_safe || keeps) {
                return Ok(answer);
            }
            url = location(&request.method, &answer)?;
            if matches!(request.body, Body::Secret(_)) && !owns(&url) {
                return Ok(answer);
            }
        }
        let request = label(&request.method, &request.url);
        Err(Error::new(ErrorKind::Registry, format!("{request}: more than {REDIRECTS} redirects")).into())
    }

    /// One request to `url` with `headers`, once its host may be asked: no login, no redirects, any status.
    async fn transmit(
        &self,
        access: &Access,
        request: &Request<'_>,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<Response, Failure> {
        self.gates.pass(url).await;
        let (body, activity) = match &request.body {
            Body::Empty => (None, &Activity::default()),
            Body::Bytes(bytes) | Body::Secret(bytes) => (Some(bytes.clone().into()), &Activity::default()),
            Body::Stream(make, activity) => (Some(make()?), *activity),
        };
        let mut sent = reqwest::Request::new(request.method.clone(), url.clone());
        *sent.headers_mut() = headers;
        *sent.body_mut() = body;
        let sent = self.http.client(access, url, self.is_insecure(access))?.execute(sent);
        let Options { patience, least_speed, .. } = self.options;
        match activity.watch(patience, least_speed, sent).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => {
                let label = label(&request.method, url);
                let proxys = self.http.route.failure(&label, url, &source).await;
                Err(proxys.unwrap_or_else(|| Failure::transport(label, url, &source)))
            }
            Err(Stall::Silent) => Err(Failure::silent(label(&request.method, url), patience)),
            Err(Stall::Slow) => Err(Failure::slow(label(&request.method, url), least_speed)),
        }
    }

    fn is_insecure(&self, access: &Access) -> bool {
        self.options.insecure || access.place.insecure
    }

    /// The rest of the body of `answer`; one over `limit` bytes is an error.
    pub async fn read(&self, method: &Method, answer: &mut Response, limit: u64) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(method, answer).await? {
            if (body.len() + chunk.len()) as u64 > limit {
                let request = label(method, answer.url());
                let message = format!("{request}: the answer has more than {limit} bytes");
                return Err(Error::new(ErrorKind::Registry, message).into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The next bytes of a body; `None` at its end.
    pub async fn chunk(&self, method: &Method, answer: &mut Response) -> Result<Option<Bytes>, Failure> {
        let Options { patience, least_speed, .. } = self.options;
        let begun = Instant::now();
        let next = tokio::time::timeout(patience, answer.chunk()).await;
        if let Ok(Ok(Some(chunk))) = &next {
            let pace = answer.extensions_mut().get_or_insert_default::<Pace>();
            if !pace.advance(least_speed, begun.elapsed(), chunk.len() as u64) {
                return Err(Failure::slow(label(method, answer.url()), least_speed));
            }
        }
        let url = answer.url();
        match next {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(source)) => Err(Failure::transport(label(method, url), url, &source)),
            Err(_) => Err(Failure::silent(label(method, url), patience)),
        }
    }
}

/// Where an answer points to.
pub(crate) fn location(method: &Method, answer: &Response) -> Result<Url> {
    let from = answer.url();
    let refuse = |why: &str| Error::new(ErrorKind::Registry, format!("{}: {why}", label(method, from)));
    let value = answer.headers().get(LOCATION).ok_or_else(|| {
        refuse("the answer has no Location")
            .with_hint("is there a registry, and not some other server, at this address?")
    })?;
    let value = value.to_str().map_err(|_| refuse("the answer's Location is not a URL"))?;
    let to = from.join(value).map_err(|_| refuse("the answer's Location is not a URL"))?;
    match (from.scheme(), to.scheme()) {
        ("http", "http") | (_, "https") => Ok(to),
        ("https", "http") => Err(refuse("the answer leads from HTTPS to plain HTTP")
            .with_hint("if the registry is behind a proxy, that has to tell it the scheme (X-Forwarded-Proto)")),
        _ => Err(refuse("the answer leads away from HTTP")),
    }
}

/// Checks the digest that an answer gives, if it gives one that can be read (distribution-spec, `Docker-Content-Digest`).
pub(crate) fn check_digest(method: &Method, answer: &Response, expected: Digest) -> Result<()> {
    match content_digest(answer) {
        Some(actual) if actual != expected => Err(Error::integrity(format!(
            "{}: the registry has the digest {actual} where {expected} is right",
            label(method, answer.url())
        ))),
        _ => Ok(()),
    }
}

pub(crate) fn content_digest(answer: &Response) -> Option<Digest> {
    answer.headers().get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

pub(crate) fn join(base: &Url, path: &str) -> Result<Url> {
    base.join(path).map_err(|_| Error::input(format!("`{path}` is not a path in a registry")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_given_up_after_a_silence_and_not_after_a_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let busy = async |activity: &Activity, notes: bool| {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                notes.then(|| activity.note());
            }
        };
        let activity = Activity::default();
        let (patience, least) = (Duration::from_millis(200), LeastSpeed::default());
        assert_eq!(runtime.block_on(activity.watch(patience, least, busy(&activity, true))), Ok(()));
        assert_eq!(runtime.block_on(activity.watch(patience, least, busy(&activity, false))), Err(Stall::Silent));
        // A look at the speed now and then does not make it wait less.
        let least = LeastSpeed { bytes: 1, within: Duration::from_millis(30) };
        assert_eq!(runtime.block_on(activity.watch(patience, least, busy(&activity, true))), Ok(()));
        assert_eq!(runtime.block_on(activity.watch(patience, least, busy(&activity, false))), Err(Stall::Silent));
    }

    #[test]
    fn work_is_given_up_once_it_is_slow() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let activity = Activity::default();
        let least = LeastSpeed { bytes: 100, within: Duration::from_millis(50) };
        let slow = async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                activity.note_taken(least, Duration::from_millis(5), 1);
            }
        };
        let outcome: Result<(), Stall> = runtime.block_on(activity.watch(Duration::from_secs(60), least, slow));
        assert_eq!(outcome, Err(Stall::Slow));
    }
}
