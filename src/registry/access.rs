//! What is wanted of which registry, and who we are to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::challenge::Challenge;
use super::credential::{Credential, Keyring};
use super::known::Known;
use crate::net::header::HeaderValue;
use crate::net::{Server, Stop, Url};
use crate::sync::{Once, locked};

/// The credential that a registry accepted, or is about to be shown.
pub(super) struct Grant {
    pub header: HeaderValue,
    pub renewal: Option<Renewal>,
}

/// When a token is to be renewed, and by the answer to which challenge.
pub(super) struct Renewal {
    pub challenge: Challenge,
    pub at: Instant,
}

/// Held while a token is fetched, so that it is fetched once.
pub(super) type GrantSlot = Arc<Mutex<Option<Grant>>>;

/// One registry: where it is and who we are to it, shared by all that speaks to it.
pub(super) struct Registry {
    /// One that is insecure may be spoken to in plain HTTP, too.
    pub server: Server,
    /// `scheme://host[:port]/`, decided at the first request.
    pub base: Once<Url>,
    /// The facts that pushes have found out about it.
    pub known: Known,
    pub keyring: Once<Keyring>,
    grants: Mutex<HashMap<String, GrantSlot>>,
}

impl Registry {
    pub fn new(name: &str, insecure: bool) -> Self {
        // Docker Hub's API is not at the host that its names give.
        let host = if name == "docker.io" { "registry-1.docker.io" } else { name };
        Registry {
            server: Server { noun: "registry", name: name.to_owned(), host: host.to_owned(), insecure },
            base: Once::default(),
            known: Known::default(),
            keyring: Once::default(),
            grants: Mutex::default(),
        }
    }

    /// Returns one whose credential is given and not looked up.
    pub fn with_credential(name: &str, insecure: bool, credential: &Credential) -> Self {
        Registry { keyring: Keyring::from(credential.clone()).into(), ..Self::new(name, insecure) }
    }
}

/// The access that is wanted of a registry: a repository to pull from or to push to, or no more than to be let in; and
/// until when.
#[derive(Clone)]
pub(super) struct Access {
    pub place: Arc<Registry>,
    repository: Option<String>,
    pushes: bool,
    deletes: bool,
    /// A further repository, to pull from.
    other: Option<String>,
    pub stop: Stop,
}

impl Access {
    pub fn entry(place: Arc<Registry>) -> Self {
        Access { place, repository: None, pushes: false, deletes: false, other: None, stop: Stop::default() }
    }

    pub fn pull(place: Arc<Registry>, repository: &str) -> Self {
        Access {
            place,
            repository: Some(repository.to_owned()),
            pushes: false,
            deletes: false,
            other: None,
            stop: Stop::default(),
        }
    }

    pub fn push(&self) -> Self {
        Access { pushes: true, ..self.clone() }
    }

    /// Returns the same, and to remove what is there.
    pub fn delete(&self) -> Self {
        Access { pushes: true, deletes: true, ..self.clone() }
    }

    /// Returns the same, and to take blobs from the repository `other`.
    pub fn mounting(&self, other: &str) -> Self {
        Access { other: Some(other.to_owned()), ..self.clone() }
    }

    /// Returns the same, until `stop` is ended.
    pub fn until(self, stop: &Stop) -> Self {
        Access { stop: stop.clone(), ..self }
    }

    /// Returns no more than to be let in.
    pub fn without_repository(&self) -> Self {
        Self::entry(self.place.clone())
    }

    pub fn registry(&self) -> &str {
        &self.place.server.name
    }

    pub fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    pub fn pushes(&self) -> bool {
        self.pushes
    }

    /// Returns the user that the registry was asked as, if it has asked who we are.
    pub fn user(&self) -> Option<&str> {
        self.place.keyring.get()?.credential(self.repository()).map(Credential::user)
    }

    /// Returns whether `url` is the registry itself, the only place that its credentials and tokens are for.
    pub fn owns(&self, url: &Url) -> bool {
        self.place.base.get().is_some_and(|base| base.origin() == url.origin())
    }

    pub fn slot(&self) -> GrantSlot {
        let mut grants = locked(&self.place.grants);
        grants.entry(self.scopes().join(" ")).or_default().clone()
    }

    /// Returns the scopes, none where no repository is meant.
    pub fn scopes(&self) -> Vec<String> {
        let actions = match (self.pushes, self.deletes) {
            (_, true) => "pull,push,delete",
            (true, false) => "pull,push",
            (false, false) => "pull",
        };
        let own = self.repository.iter().map(|repository| format!("repository:{repository}:{actions}"));
        own.chain(self.other.iter().map(|other| format!("repository:{other}:pull"))).collect()
    }
}
