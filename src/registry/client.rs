//! What programs hold: the client, and the repositories that it speaks to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, Url};
use tokio::runtime::Runtime;

use super::access::{Access, Registry};
use super::connection::{Connection, Request, join};
use super::credential::{Credential, Credentials};
use crate::net::failure::Failure;
use super::mirrored::Mirrored;
use crate::net::pace::LeastSpeed;
use crate::net::retry::Backoff;
use super::registries::{Place, Registries, RegistriesConf};
use crate::net::certificates::Certificates;
use crate::net::proxy::Proxies;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::Reference;
use crate::progress::{Progress, silent};

/// How to speak to registries.
///
/// Loopback hosts (`localhost`, 127.0.0.0/8, `[::1]`) are spoken to over plain HTTP, all others over HTTPS. With
/// `insecure` any host is tried over HTTPS with whatever certificate it has, then over plain HTTP. That is decided once
/// for a registry.
pub struct Options {
    pub insecure: bool,
    pub credentials: Credentials,
    pub certificates: Certificates,
    pub proxies: Proxies,
    pub registries: RegistriesConf,
    /// Blobs that are on their way at once; 0 counts as 1, and more than 64 as 64.
    pub parallel: usize,
    pub backoff: Backoff,
    /// How long neither side may be silent in the middle of a request. It covers what a registry does between the end
    /// of an upload and its answer, which for a large blob takes a while.
    pub patience: Duration,
    /// A far side that is slower has failed, and is tried again as it is after other failures.
    pub least_speed: LeastSpeed,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            insecure: false,
            credentials: Credentials::none(),
            certificates: Certificates::default(),
            proxies: Proxies::default(),
            registries: RegistriesConf::default(),
            parallel: 4,
            backoff: Backoff::default(),
            patience: Duration::from_secs(120),
            least_speed: LeastSpeed::default(),
        }
    }
}

/// Speaks to any number of registries, and remembers their tokens. Its methods block.
pub struct Client {
    pub(crate) runtime: Runtime,
    pub(crate) connection: Connection,
    settings: Registries,
    registries: Mutex<HashMap<(String, bool), Arc<Registry>>>,
}

impl Client {
    /// Reads `registries.conf`; certificates and credentials are read when they are needed.
    pub fn new(options: Options) -> Result<Client> {
        let settings = Registries::read(&options.registries)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.parallel.clamp(1, 4))
            .thread_name("registry")
            .enable_all()
            .build()
            .map_err(|source| Error::new(ErrorKind::Io, "cannot start the network threads").with_source(source))?;
        Ok(Client { runtime, connection: Connection::new(options)?, settings, registries: Mutex::default() })
    }

    /// The repository that `reference` names, wherever its mirrors are: what is to be pushed to, and asked for what it
    /// has. Nothing is sent yet. One that is blocked fails at the first request.
    pub fn repository<'a>(&'a self, reference: &Reference, progress: Progress<'a>) -> Repository<'a> {
        let insecure = self.settings.is_insecure(&reference.to_string()).unwrap_or_default();
        let place = Place { reference: reference.clone(), insecure };
        self.repository_at(&place, self.connection.options.backoff, progress)
    }

    /// What `reference` names, to be pulled from its mirrors, and from its registry at the end. Nothing is sent yet.
    pub fn mirrored<'a>(&'a self, reference: &Reference, progress: Progress<'a>) -> Result<Mirrored<'a>> {
        let places = self.settings.places(reference)?;
        let last = places.len().saturating_sub(1);
        let sources = places.iter().enumerate().map(|(number, place)| {
            let backoff = self.connection.options.backoff;
            // Where there is another place to ask, a failure is not waited for.
            let tries = if number < last { 1 } else { backoff.tries };
            self.repository_at(place, Backoff { tries, ..backoff }, progress)
        });
        Ok(Mirrored::new(reference.clone(), sources.collect(), progress))
    }

    fn repository_at<'a>(&'a self, place: &Place, backoff: Backoff, progress: Progress<'a>) -> Repository<'a> {
        let (reference, insecure) = (&place.reference, place.insecure);
        let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        let registry = registries
            .entry((reference.registry().to_owned(), insecure))
            .or_insert_with(|| Arc::new(Registry::new(reference.registry(), insecure)));
        Repository {
            client: self,
            access: Access::pull(registry.clone(), reference.repository()),
            reference: reference.clone(),
            backoff,
            progress,
        }
    }

    /// Whether `registry` lets `credential` in (distribution-spec, end-1), or [`ErrorKind::Denied`].
    pub fn check(&self, registry: &str, credential: &Credential) -> Result<()> {
        let insecure = self.settings.is_insecure(registry)?;
        let access = Access::entry(Arc::new(Registry::with_credential(registry, insecure, credential)));
        let connection = &self.connection;
        self.runtime.block_on(connection.options.backoff.run(&silent, async || {
            let request = Request::new(Method::GET, join(connection.base(&access).await?, "v2/")?);
            connection.exchange(&access, &request).await.map(drop)
        }))
    }
}

/// One repository of a registry: a [`Store`] to pull from, and a place to push to.
///
/// [`Store`]: crate::store::Store
pub struct Repository<'a> {
    pub(crate) client: &'a Client,
    pub(crate) access: Access,
    pub(crate) reference: Reference,
    pub(crate) backoff: Backoff,
    pub(crate) progress: Progress<'a>,
}

impl Repository<'_> {
    /// The URL of something in this repository.
    pub(crate) async fn url(&self, access: &Access, path: &str) -> Result<Url, Failure> {
        self.client.settings.is_insecure(&self.reference.to_string())?;
        let base = self.client.connection.base(access).await?;
        Ok(join(base, &format!("v2/{}/{path}", self.reference.repository()))?)
    }
}
