//! The client that programs hold.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::access::{Access, Registry};
use super::answer::join;
use super::connection::Connection;
use super::credential::Credential;
use super::options::RegistryOptions;
use super::parallel::each;
use super::registries::Registries;
use crate::error::Result;
use crate::net::header::HeaderValue;
use crate::net::{HttpClient, Method, Request, Stop, basic};
use crate::progress::Progress;
use crate::sync::locked;

/// Speaks to any number of registries, and remembers their tokens. Its methods block.
pub struct Client {
    pub(super) connection: Connection,
    pub(super) settings: Registries,
    /// Blobs that are on their way at once, 1 at least.
    pub(super) parallel: usize,
    insecure: bool,
    registries: Mutex<HashMap<(String, bool), Arc<Registry>>>,
}

impl Client {
    /// Reads `registries.conf`; certificates and credentials are read when they are needed.
    pub fn new(options: RegistryOptions) -> Result<Client> {
        let RegistryOptions { insecure, credentials, registries, parallel, http } = options;
        let settings = Registries::read(&registries)?;
        let connection = Connection { http: HttpClient::new(http)?, credentials };
        Ok(Client { connection, settings, parallel: parallel.clamp(1, 64), insecure, registries: Mutex::default() })
    }

    /// Returns what speaks to all other servers, with the same certificates, proxies and patience.
    pub fn http(&self) -> &HttpClient {
        &self.connection.http
    }

    /// Returns whether a server at `host[:port]`, a registry or not, may be spoken to without safety.
    pub(crate) fn is_insecure(&self, host: &str) -> Result<bool> {
        Ok(self.settings.is_insecure(host)? || self.insecure)
    }

    /// Returns what shows a server at `host[:port]`, which is not a registry, the user and the password that are kept for it, if
    /// there are any.
    pub(crate) fn password_for(&self, host: &str) -> Result<Option<HeaderValue>> {
        match self.connection.credentials.find(host)?.credential(None) {
            Some(Credential::Basic { user, password }) => basic(user, password).map(Some),
            Some(Credential::IdentityToken { .. } | Credential::RegistryToken { .. }) | None => Ok(None),
        }
    }

    /// Checks whether `registry` lets `credential` in (distribution-spec, end-1), or [`ErrorKind::Denied`].
    ///
    /// [`ErrorKind::Denied`]: crate::error::ErrorKind::Denied
    pub fn check(&self, registry: &str, credential: &Credential, progress: Progress<'_>) -> Result<()> {
        let insecure = self.is_insecure(registry)?;
        let access = Access::entry(Arc::new(Registry::with_credential(registry, insecure, credential)));
        let connection = &self.connection;
        connection.http.options().backoff.run(progress, &access.stop, || {
            let request = Request::new(Method::GET, join(connection.base(&access)?, "v2/")?);
            connection.exchange(&access, &request).map(drop)
        })
    }

    /// Does `work` with each of `items`, as many at once as blobs move. The first failure is the one returned, and nothing more is
    /// begun then.
    pub fn each<T: Send>(
        &self,
        items: impl IntoIterator<Item = T>,
        work: impl Fn(T) -> Result<()> + Sync,
    ) -> Result<()> {
        each(items, self.parallel, &Stop::default(), work)
    }

    /// Does the same, and returns what `work` returns for each, in their order.
    pub fn gather<T: Send, R: Send>(
        &self,
        items: impl IntoIterator<Item = T>,
        work: impl Fn(T) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let results = Mutex::new(Vec::new());
        self.each(items.into_iter().enumerate(), |(number, item)| {
            let result = work(item)?;
            locked(&results).push((number, result));
            Ok(())
        })?;
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(number, _)| *number);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    /// Returns what is known of a registry, to all who speak to it.
    pub(super) fn registry(&self, name: &str, insecure: bool) -> Arc<Registry> {
        let insecure = self.insecure || insecure;
        let mut registries = locked(&self.registries);
        let registry = registries.entry((name.to_owned(), insecure));
        registry.or_insert_with(|| Arc::new(Registry::new(name, insecure))).clone()
    }
}
