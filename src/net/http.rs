//! The HTTP clients: one for each way to trust and to be trusted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Proxy, Url, redirect};
use rustls::ClientConfig;

use crate::registry::access::Access;
use crate::registry::client::Options;
use super::certificates::Certificates;
use super::proxy::Route;
use super::tls::configuration;
use crate::error::{Error, ErrorKind, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Http {
    pub route: Route,
    certificates: Certificates,
    clients: Mutex<HashMap<Kind, reqwest::Client>>,
}

/// What tells clients apart.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    /// Whether certificates are checked.
    verifies: bool,
    /// The registry whose certificates count.
    registry: Option<String>,
    /// Whether it speaks to the registry's own host, and not to one that the registry leads to.
    is_own: bool,
}

impl Http {
    pub fn new(options: &Options) -> Result<Http> {
        let route = Route::new(&options.proxies)?;
        Ok(Http { route, certificates: options.certificates.clone(), clients: Mutex::default() })
    }

    /// The client for a request to `url`, made when it is first asked for: certificates are read then. With `insecure`
    /// the registry's own host may have any.
    pub fn client(&self, access: &Access, url: &Url, insecure: bool) -> Result<reqwest::Client> {
        let is_own = access.place.is_host_of(url);
        let kind = match url.scheme() {
            "http" => Kind { verifies: false, registry: None, is_own: false },
            _ => Kind { verifies: !(insecure && is_own), registry: Some(access.registry().to_owned()), is_own },
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(client.clone());
        }
        let trust = kind.registry.as_deref().map(|registry| self.certificates.trust(registry)).transpose()?.flatten();
        // Registries without anything of their own share one.
        let shared = Kind { registry: None, is_own: false, ..kind.clone() };
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
            .tls_backend_preconfigured(tls)
            .build();
        client.map_err(|source| Error::new(ErrorKind::Registry, "cannot set up HTTP").with_source(source.without_url()))
    }
}
