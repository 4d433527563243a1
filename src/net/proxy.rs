//! Through which proxy a request goes, and what its refusals mean.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{StatusCode, Url};

use super::failure::{Failure, Passing, root_cause};
use super::host::{host, is_loopback};
use super::percent::percent_decoded;
use crate::error::{Error, ErrorKind, Result};

/// How long a proxy that has refused is given to say why.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is read of what it says, in bytes.
const ANSWER_LIMIT: u64 = 8 << 10;

/// The proxies that requests go through: `[http://][USER:PASSWORD@]HOST[:PORT]` or `https://…`, user and password with
/// `%XX` for what a URL cannot hold. `Debug` does not show them.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For servers in plain HTTP; the proxy sees all of it.
    pub http: Option<String>,
    /// For servers in HTTPS; the proxy sees their hosts alone.
    pub https: Option<String>,
    /// The hosts that no proxy is for, apart by commas or blanks: `HOST` (and what is below it), `.HOST` or `*.HOST`
    /// (what is below it alone), an address, a network such as `10.0.0.0/8`, each but the last with `:PORT` if need be;
    /// or `*`. Loopback hosts are always among it.
    pub exceptions: Option<String>,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("exceptions", &self.exceptions).finish_non_exhaustive()
    }
}

/// The same, understood.
#[derive(Clone)]
pub(super) struct Route {
    http: Option<Url>,
    https: Option<Url>,
    exceptions: Vec<Exception>,
}

impl Route {
    pub fn new(proxies: &Proxies) -> Result<Route> {
        let exceptions = proxies.exceptions.as_deref().unwrap_or_default();
        let words = exceptions.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        Ok(Route {
            http: proxies.http.as_deref().map(|text| proxy("HTTP", text)).transpose()?,
            https: proxies.https.as_deref().map(|text| proxy("HTTPS", text)).transpose()?,
            exceptions: words.map(Exception::parse).collect(),
        })
    }

    /// Returns the proxy on the way to `url`, with its credentials.
    pub fn proxy(&self, url: &Url) -> Option<&Url> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !is_loopback(url) && !self.exceptions.iter().any(|exception| exception.covers(url)))
    }

    /// Returns what `error` means if it is the proxy that failed on the way to `url`.
    pub async fn failure(&self, request: &str, url: &Url, error: &reqwest::Error) -> Option<Failure> {
        let proxy = self.proxy(url)?;
        let (name, host) = (name(proxy), url.host_str().unwrap_or_default());
        let trouble = tunnel_trouble(error);
        let unreached = trouble.as_ref().is_some_and(|trouble| trouble.contains("underlying connection"));
        let unreached = unreached || (trouble.is_none() && url.scheme() == "http" && error.is_connect());
        if unreached || (error.is_connect() && error.is_timeout()) {
            let way = if unreached { "to" } else { "through" };
            let reason = format!("cannot connect {way} the proxy {name}: {}", root_cause(error));
            let mut failure = Failure::passing(request.to_owned(), reason);
            failure.error.hint = Some(format!(
                "is the proxy running, and is {} right? If there is a way to {host} without it, name {host} in NO_PROXY",
                variable(url)
            ));
            return Some(failure);
        }
        let status = if trouble?.contains("authorization required") {
            Some(StatusCode::PROXY_AUTHENTICATION_REQUIRED)
        } else {
            let (proxy, url) = (proxy.clone(), url.clone());
            tokio::task::spawn_blocking(move || ask(&proxy, &url).ok()).await.ok()?
        };
        let said = status.map(|status| format!(": {status}")).unwrap_or_default();
        let reason = format!("the proxy {name} refuses to connect to {host}{said}");
        let error = Error::new(ErrorKind::Registry, format!("{request}: {reason}"));
        let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
        let hint = self.hint(url, status).unwrap_or_else(|| format!("ask whoever runs the proxy about {host}"));
        let passing = status
            .is_server_error()
            .then(|| Passing { request: request.to_owned(), reason, asked: None })
            .map(Box::new);
        Some(Failure { error: error.with_hint(hint), passing })
    }

    /// Returns what to do about a status with which the proxy on the way to `url`, if there is one, may have answered.
    pub fn hint(&self, url: &Url, status: StatusCode) -> Option<String> {
        let proxy = self.proxy(url)?;
        let (name, host, variable) = (name(proxy), url.host_str().unwrap_or_default(), variable(url));
        match status.as_u16() {
            407 if proxy.username().is_empty() => Some(format!(
                "the proxy {name} requires a login: put it into {variable}, as in http://USER:PASSWORD@HOST:PORT"
            )),
            407 => Some(format!(
                "the proxy {name} rejects the user and the password in {variable}; write what a URL cannot hold as \
                    %XX there, @ as %40"
            )),
            403 => Some(format!(
                "the proxy {name} may not allow {host}: ask whoever runs it, or name {host} in NO_PROXY if there is a \
                 way without it"
            )),
            500.. => Some(format!(
                "the proxy {name} may not reach {host}: is that name right? If there is a way without it, name {host} in \
                 NO_PROXY"
            )),
            _ => None,
        }
    }
}

/// `scheme` is that of the servers which the proxy is for. Neither error nor hint shows `text`, which may hold a
/// password.
fn proxy(scheme: &str, text: &str) -> Result<Url> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let malformed = |why: &str| {
        Error::input(format!("the proxy for {scheme} {why}"))
            .with_hint(format!("{scheme}_PROXY must be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"))
    };
    let url = Url::parse(&with_scheme).map_err(|_| malformed("is not a URL"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        other => Err(malformed(&format!("speaks {other}, and only http and https are known"))),
    }
}

/// The variable that a proxy is usually set by.
fn variable(url: &Url) -> &'static str {
    if url.scheme() == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" }
}

/// Without user and password.
fn name(proxy: &Url) -> String {
    proxy.origin().ascii_serialization()
}

/// Returns what went wrong between here and the end of CONNECT. The error's type is out of reach behind reqwest's; its
/// words are what can be told apart.
fn tunnel_trouble(error: &reqwest::Error) -> Option<String> {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if text.starts_with("tunnel error") {
            return Some(text);
        }
        cause = error.source();
    }
    None
}

/// Asks the proxy once more, for the status that the HTTP library keeps to itself.
fn ask(proxy: &Url, url: &Url) -> io::Result<StatusCode> {
    if proxy.scheme() != "http" {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let place = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
    let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
    if !proxy.username().is_empty() {
        let (user, password) = (
            percent_decoded(proxy.username().as_bytes()),
            percent_decoded(proxy.password().unwrap_or_default().as_bytes()),
        );
        let pair = [user, b":".to_vec(), password].concat();
        request.push_str(&format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(pair)));
    }
    let port = proxy.port_or_known_default().unwrap_or(80);
    let address = (host(proxy).0, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut rest = stream.take(ANSWER_LIMIT);
    let begun = Instant::now();
    while !answer.contains(&b'\n') && begun.elapsed() < PATIENCE {
        let mut piece = [0; 256];
        match rest.read(&mut piece)? {
            0 => break,
            count => answer.extend_from_slice(&piece[..count]),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split_whitespace().nth(1).and_then(|code| StatusCode::from_bytes(code.as_bytes()).ok());
    status.ok_or(io::ErrorKind::InvalidData.into())
}

/// A host that no proxy is for, by the rules of Go's programs, docker and podman among them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    Network(IpAddr, u32),
    /// And what is below it; without `itself` that alone.
    Host {
        name: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl Exception {
    fn parse(word: &str) -> Exception {
        let word = word.to_ascii_lowercase();
        if word == "*" {
            return Exception::Everything;
        }
        if let Some((address, bits)) = word.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse(), bits.parse())
        {
            return Exception::Network(address, bits);
        }
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
            _ => (word.as_str(), None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let below_alone = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
        Exception::Host { name: below_alone.unwrap_or(host).to_owned(), itself: below_alone.is_none(), port }
    }

    fn covers(&self, url: &Url) -> bool {
        let (host, address) = host(url);
        match self {
            Exception::Everything => true,
            Exception::Network(network, bits) => address.is_some_and(|address| is_within(address, *network, *bits)),
            Exception::Host { name, itself, port } => {
                let is_itself = name == host || (address.is_some() && name.parse().ok() == address);
                let is_below = address.is_none() && host.strip_suffix(&**name).is_some_and(|rest| rest.ends_with('.'));
                (*itself && is_itself || is_below) && port.is_none_or(|port| url.port_or_known_default() == Some(port))
            }
        }
    }
}

/// Returns whether the first `bits` of both are the same.
fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same =
        |one: u128, other: u128, width: u32| (one ^ other).checked_shr(width.saturating_sub(bits)).unwrap_or(0) == 0;
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => same(one.to_bits().into(), other.to_bits().into(), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => same(one.to_bits(), other.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(exceptions: &str, url: &str) -> bool {
        let proxies = Proxies {
            http: Some("p".to_owned()),
            https: Some("p".to_owned()),
            exceptions: Some(exceptions.to_owned()),
        };
        Route::new(&proxies).unwrap().proxy(&Url::parse(url).unwrap()).is_none()
    }

    /// The cases are those of the documentation of Go's `golang.org/x/net/http/httpproxy`.
    #[test]
    fn exceptions_are_hosts_what_is_below_them_addresses_and_networks() {
        for (exceptions, url) in [
            ("*", "https://registry.example/"),
            ("example", "https://registry.example/"),
            ("a.example, Registry.Example", "https://registry.example/"),
            ("a.example registry.example", "https://registry.example/"),
            ("registry.example:443", "https://registry.example/"),
            ("registry.example:5000", "https://registry.example:5000/"),
            (".example", "https://registry.example/"),
            ("*.example", "https://registry.example/"),
            ("10.1.2.3", "https://10.1.2.3:5000/"),
            ("10.1.2.3:5000", "https://10.1.2.3:5000/"),
            ("10.0.0.0/8", "https://10.1.2.3/"),
            ("0.0.0.0/0", "https://10.1.2.3/"),
            ("fd00::/8", "https://[fd12::1]/"),
            ("fd12::1", "https://[fd12::1]:5000/"),
            ("[fd12::1]:5000", "https://[fd12::1]:5000/"),
        ] {
            assert!(covers(exceptions, url), "{exceptions} does not cover {url}");
        }
        for (exceptions, url) in [
            ("", "https://registry.example/"),
            (".registry.example", "https://registry.example/"),
            ("*.registry.example", "https://registry.example/"),
            ("gistry.example", "https://registry.example/"),
            ("registry.example:5000", "https://registry.example/"),
            ("10.1.2.3:5000", "https://10.1.2.3/"),
            ("10.0.0.0/8", "https://11.1.2.3/"),
            ("10.0.0.0/8", "https://registry.example/"),
            ("1.2.3", "https://10.1.2.3/"),
            ("fd00::/8", "https://[fe12::1]/"),
        ] {
            assert!(!covers(exceptions, url), "{exceptions} covers {url}");
        }
    }

    #[test]
    fn no_proxy_is_for_loopback_hosts() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.9.1", "[::1]", "[::1]:5000"] {
            assert!(covers("", &format!("https://{host}/")), "{host}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_and_not_shown() {
        for text in ["http://ada:s3cret@", "socks5://ada:s3cret@host:1080", "http://ada:s3cret@host:port"] {
            let error = Route::new(&Proxies { https: Some(text.to_owned()), ..Proxies::default() }).err().unwrap();
            assert!(error.message.starts_with("the proxy for HTTPS "), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
        let proxies = Proxies { http: Some("http://ada:s3cret@host".to_owned()), ..Proxies::default() };
        assert!(!format!("{proxies:?}").contains("s3cret"));
    }
}
