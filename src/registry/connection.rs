//! Registries as they are reached: over which scheme, and what their refusals mean.

use super::access::Access;
use super::answer::join;
use super::credential::Credentials;
use super::hint::{Shown, hint, wants_tls};
use super::words::said;
use crate::error::{Error, Result};
use crate::net::header::HeaderValue;
use crate::net::{
    Authorization, Failure, HttpClient, Method, REFUSAL_LIMIT, Request, Response, StatusCode, Url, is_loopback,
};

pub(super) struct Connection {
    pub http: HttpClient,
    pub credentials: Credentials,
}

impl Connection {
    /// Returns where the registry answers, decided at the first call.
    pub fn base<'a>(&self, access: &'a Access) -> Result<&'a Url, Failure> {
        access.place.base.get_or_find(|| self.decide(access))
    }

    fn decide(&self, access: &Access) -> Result<Url, Failure> {
        let host = &access.place.server.host;
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/"))
                .map_err(|_| Error::input(format!("`{host}` is not the name of a registry")))
        };
        let (https, http) = (parse("https")?, parse("http")?);
        if !access.place.server.insecure {
            let certificates = &self.http.options().certificates;
            let is_plain = is_loopback(&https) && !certificates.are_there_for(access.registry());
            return Ok(if is_plain { http } else { https });
        }
        let first = match self.probe(access, &https) {
            Ok(()) => return Ok(https),
            Err(failure) => failure,
        };
        self.probe(access, &http).map(|()| http).map_err(|_| first)
    }

    /// Whatever it answers, a server that leads elsewhere included, it speaks the scheme of `base`.
    fn probe(&self, access: &Access, base: &Url) -> Result<(), Failure> {
        let request = Request::new(Method::GET, join(base, "v2/")?);
        self.http.send_once(&access.place.server, &request, &access.stop).map(drop)
    }

    /// Sends a request, and sends it on where it is redirected to; returns any answer. `shown` is for the registry alone.
    pub fn send(
        &self,
        access: &Access,
        request: &Request<'_>,
        shown: Option<&HeaderValue>,
    ) -> Result<Response, Failure> {
        let base = access.place.base.get();
        let authorization =
            shown.zip(base).map(|(header, base)| Authorization { header: header.clone(), owner: base.clone() });
        self.http.send(&access.place.server, request, authorization.as_ref(), &access.stop)
    }

    /// Returns the failure that `answer` stands for, with the registry's words where they can be read.
    pub fn refusal(&self, access: &Access, answer: Response) -> Failure {
        let shown = Shown::in_header(answer.authorization.as_ref());
        self.refusal_of(access, answer, shown)
    }

    /// Returns the same for an answer to a request that has shown who we are in its own way.
    pub fn refusal_of(&self, access: &Access, mut answer: Response, shown: Shown) -> Failure {
        let body = answer.read(REFUSAL_LIMIT).unwrap_or_default();
        let said = said(&answer, &body);
        let mut failure = self.http.refusal(&answer, said.as_deref());
        let wait = failure.passing.as_ref().and_then(|passing| passing.asked).map(|asked| asked.wait);
        let (url, status) = (answer.url(), answer.status());
        let own = || hint(access, status, said.as_deref(), shown, wait);
        failure.error.hint = failure.error.hint.or_else(own);
        // Servers that want TLS say no more than this to those who do not speak it.
        if url.scheme() == "http" && is_loopback(url) && status == StatusCode::BAD_REQUEST && said.is_none() {
            failure.error.hint.get_or_insert_with(|| wants_tls(access.registry()));
        }
        failure
    }
}
