//! A client that is made when it is first asked for.

use std::sync::LazyLock;

use super::client::Client;
use super::options::RegistryOptions;
use crate::error::{Error, Result};

/// A client that is made when it is first asked for: it has threads of its own, and much can be done without one.
pub struct OnDemand(LazyLock<Result<Client>, Box<dyn FnOnce() -> Result<Client> + Send>>);

impl OnDemand {
    /// Returns a client that is not made yet: nothing fails here.
    pub fn new(options: RegistryOptions) -> Self {
        OnDemand(LazyLock::new(Box::new(|| Client::new(options))))
    }

    /// Makes the client, the first time; if that fails, each time tells of the same failure.
    pub fn client(&self) -> Result<&Client> {
        self.0.as_ref().map_err(|error| {
            let cause = error.source.as_ref().map(|source| format!(": {source}")).unwrap_or_default();
            let again = Error::new(error.kind, format!("{}{cause}", error.message));
            Error { hint: error.hint.clone(), excerpt: error.excerpt.clone(), ..again }
        })
    }
}
