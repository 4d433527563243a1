//! The HTTP library's clients: one for each way to trust and to be trusted.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use reqwest::{Proxy, Url, redirect};
use rustls::ClientConfig;

use super::certificates::Certificates;
use super::proxy::Route;
use super::server::Server;
use super::tls::configuration;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::locked;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Http {
    route: Route,
    certificates: Certificates,
    socket: Option<PathBuf>,
    clients: Mutex<HashMap<ClientKind, reqwest::Client>>,
}

/// The things that tell clients apart.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ClientKind {
    /// Certificates are checked.
    verifies: bool,
    /// The server whose certificates count.
    server: Option<String>,
    /// It speaks to the server's own host, and not to one that the server leads to.
    is_own: bool,
}

impl Http {
    pub fn new(route: Route, certificates: Certificates, socket: Option<PathBuf>) -> Http {
        Http { route, certificates, socket, clients: Mutex::default() }
    }

    /// Returns the client for a request to `url`, to which `server` has led; it is made when it is first asked for, and
    /// certificates are read then.
    pub fn client(&self, server: &Server, url: &Url) -> Result<reqwest::Client> {
        let is_own = server.is_host_of(url);
        let kind = match url.scheme() {
            "http" => ClientKind { verifies: false, server: None, is_own: false },
            _ => ClientKind { verifies: !(server.insecure && is_own), server: Some(server.name.clone()), is_own },
        };
        let mut clients = locked(&self.clients);
        if let Some(client) = clients.get(&kind) {
            return Ok(client.clone());
        }
        let trust = kind.server.as_deref().map(|server| self.certificates.trust(server)).transpose()?.flatten();
        // Servers without anything of their own share one.
        let shared = ClientKind { server: None, is_own: false, ..kind.clone() };
        let client = match clients.get(&shared).filter(|_| trust.is_none()) {
            Some(client) => client.clone(),
            None => {
                let roots = kind.verifies.then(|| self.certificates.roots()).transpose()?;
                self.build(configuration(roots, trust.as_ref(), is_own)?)?
            }
        };
        if trust.is_none() {
            clients.insert(shared, client.clone());
        }
        clients.insert(kind, client.clone());
        Ok(client)
    }

    /// Nothing is taken from the environment: reqwest would look for proxies there.
    fn build(&self, tls: ClientConfig) -> Result<reqwest::Client> {
        let route = self.route.clone();
        let client = reqwest::Client::builder()
            .user_agent(concat!("ocibake/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .proxy(Proxy::custom(move |url| route.proxy(url).cloned()))
            .tls_backend_preconfigured(tls);
        let client = match &self.socket {
            Some(socket) => client.unix_socket(socket.as_path()),
            None => client,
        };
        client
            .build()
            .map_err(|source| Error::new(ErrorKind::Registry, "cannot set up HTTP").with_source(source.without_url()))
    }
}
