//! Requests on their way: through which proxy, with what patience, through which redirects, and what refusals mean.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{Method, StatusCode, Url};
use tokio::runtime::Runtime;

use super::activity::{Activity, Stall};
use super::failure::{Failure, label};
use super::gate::Gates;
use super::http::Http;
use super::options::HttpOptions;
use super::pace::Pace;
use super::proxy::Route;
use super::request::{Authorization, Body, Request};
use super::response::{BodyReader, Response};
use super::secrets::Secrets;
use super::server::Server;
use super::stop::Stop;
use super::wait::LONGEST_WAIT;
use super::words::{repeatable, words};
use crate::error::{Error, ErrorKind, Result};

const REDIRECTS: usize = 10;
const THREADS: usize = 4;
/// The most that is read of an answer that refuses, in bytes.
pub(crate) const REFUSAL_LIMIT: u64 = 64 << 10;

/// Speaks HTTP to any number of servers. Its methods block, so none of them may be called from within an async runtime.
pub struct HttpClient {
    runtime: Arc<Runtime>,
    options: HttpOptions,
    gates: Gates,
    route: Route,
    http: Http,
}

impl HttpClient {
    /// Returns a client that has sent nothing yet; certificates are read when they are needed.
    pub fn new(options: HttpOptions) -> Result<HttpClient> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("net")
            .enable_all()
            .build()
            .map_err(|source| Error::new(ErrorKind::Io, "cannot start the network threads").with_source(source))?;
        let route = Route::new(&options.proxies)?;
        let http = Http::new(route.clone(), options.certificates.clone(), options.socket.clone());
        Ok(HttpClient { runtime: Arc::new(runtime), options, gates: Gates::default(), route, http })
    }

    /// Returns the options that the client was made with.
    pub fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// Sends a request to `server`, and sends it on where it is redirected to: GET and HEAD by any redirect, others only
    /// by those that keep method and body (RFC 9110, section 15.4). Returns the answer, whatever its status, when its
    /// headers are there.
    pub(crate) fn send(
        &self,
        server: &Server,
        request: &Request<'_>,
        authorization: Option<&Authorization>,
        stop: &Stop,
    ) -> Result<Response, Failure> {
        self.wait(request, stop, self.follow(server, request, authorization, stop))
    }

    /// Returns the failure that `answer` stands for, and what it `said`. If it asks for a while of peace, all that goes to
    /// the same host waits from now on.
    pub(crate) fn refusal(&self, answer: &Response, said: Option<&str>) -> Failure {
        let (url, status) = (answer.url(), answer.status());
        let mut failure = Failure::status(answer.label(), url, answer.noun, status, answer.headers(), said);
        // In plain HTTP a proxy may answer in the server's place, and not in its way.
        let is_strange = answer.method != Method::HEAD && said.is_none();
        if url.scheme() == "http" && (is_strange || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            failure.error.hint = self.route.hint(url, status).or(failure.error.hint);
        }
        if let Some(asked) = failure.passing.as_mut().and_then(|passing| passing.asked.as_mut())
            && asked.wait <= LONGEST_WAIT
        {
            asked.is_news = self.gates.close(url, asked.wait);
        }
        failure
    }

    /// Returns the same, with what the answer says to people.
    pub(crate) fn refusal_in_words(&self, mut answer: Response) -> Failure {
        let body = answer.read(REFUSAL_LIMIT).unwrap_or_default();
        let said = words(answer.headers(), &body).and_then(|said| repeatable(&said, &answer.secrets));
        self.refusal(&answer, said.as_deref())
    }

    /// Sends a request once; returns the answer, wherever that leads to.
    pub(crate) fn send_once(&self, server: &Server, request: &Request<'_>, stop: &Stop) -> Result<Response, Failure> {
        self.wait(request, stop, self.ask(server, request, &request.url, None, stop))
    }

    fn wait(
        &self,
        request: &Request<'_>,
        stop: &Stop,
        work: impl Future<Output = Result<Response, Failure>>,
    ) -> Result<Response, Failure> {
        let stopped = || Err(Failure::stopped(label(&request.method, &request.url)));
        self.runtime.block_on(stop.race(work)).unwrap_or_else(stopped)
    }

    async fn follow(
        &self,
        server: &Server,
        request: &Request<'_>,
        authorization: Option<&Authorization>,
        stop: &Stop,
    ) -> Result<Response, Failure> {
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS {
            let answer = self.ask(server, request, &url, authorization, stop).await?;
            let is_safe = matches!(request.method, Method::GET | Method::HEAD);
            let keeps = matches!(answer.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
            let moved = answer.status().is_redirection() && answer.headers().contains_key(LOCATION);
            if !moved || !(is_safe || keeps) {
                return Ok(answer);
            }
            url = answer.location()?;
            if matches!(request.body, Body::Secret(_)) && url.origin() != request.url.origin() {
                return Ok(answer);
            }
        }
        let request = label(&request.method, &request.url);
        Err(Error::new(ErrorKind::Registry, format!("{request}: more than {REDIRECTS} redirects")).into())
    }

    /// The request to `url`, one hop of its way.
    async fn ask(
        &self,
        server: &Server,
        request: &Request<'_>,
        url: &Url,
        authorization: Option<&Authorization>,
        stop: &Stop,
    ) -> Result<Response, Failure> {
        let shown = authorization.filter(|authorization| authorization.is_for(url));
        let mut headers = request.headers.clone();
        headers.extend(shown.map(|shown| (AUTHORIZATION, shown.header.clone())));
        let HttpOptions { patience, least_speed, .. } = self.options;
        let (runtime, stop) = (self.runtime.clone(), stop.clone());
        Ok(Response {
            method: request.method.clone(),
            noun: server.noun,
            inner: self.transmit(server, request, url, headers).await?,
            reader: BodyReader { runtime, stop, patience, least_speed, pace: Pace::default() },
            authorization: shown.map(|shown| shown.header.clone()),
            secrets: Secrets::in_header(authorization.map(|authorization| &authorization.header)),
        })
    }

    /// One request to `url` with `headers`, once its host may be asked: no redirects, any status.
    async fn transmit(
        &self,
        server: &Server,
        request: &Request<'_>,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<reqwest::Response, Failure> {
        self.gates.pass(url).await;
        let (body, activity) = match &request.body {
            Body::Empty => (None, &Activity::default()),
            Body::Bytes(bytes) | Body::Secret(bytes) => (Some(bytes.clone().into()), &Activity::default()),
            Body::Stream(make, activity) => (Some(make()?.0), *activity),
        };
        let mut sent = reqwest::Request::new(request.method.clone(), url.clone());
        *sent.headers_mut() = headers;
        *sent.body_mut() = body;
        let sent = self.http.client(server, url)?.execute(sent);
        let HttpOptions { patience, least_speed, .. } = self.options;
        match activity.watch(patience, least_speed, sent).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => {
                let label = label(&request.method, url);
                let proxys = self.route.failure(&label, url, &source).await;
                Err(proxys.unwrap_or_else(|| Failure::transport(label, url, server.noun, &source)))
            }
            Err(Stall::Silent) => Err(Failure::silent(label(&request.method, url), patience)),
            Err(Stall::Slow) => Err(Failure::slow(label(&request.method, url), least_speed)),
        }
    }
}
