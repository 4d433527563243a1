//! Who we are to a registry, and what it is shown of that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderValue;
use reqwest::{Response, Url};
use tokio::sync::{Mutex, OnceCell};

use super::challenge::Challenge;
use super::connection::Connection;
use super::credential::{Credential, Credentials, Keyring};
use crate::net::failure::Failure;
use super::known::Known;
use crate::error::{Error, ErrorKind, Result};

/// What a registry accepted, or is about to be shown.
pub(crate) struct Authorization {
    pub header: HeaderValue,
    pub renewal: Option<Renewal>,
}

/// When a token is to be renewed, and by the answer to which challenge.
pub(crate) struct Renewal {
    pub challenge: Challenge,
    pub at: Instant,
}

/// Held while a token is fetched, so that it is fetched once.
type Slot = Arc<Mutex<Option<Authorization>>>;

/// One registry: where it is and who we are to it, shared by all that speaks to it.
pub(crate) struct Registry {
    name: String,
    /// Whether any certificate, and plain HTTP, will do.
    pub insecure: bool,
    /// `scheme://host[:port]/`, decided at the first request.
    pub base: OnceCell<Url>,
    /// What pushes have found out about it.
    pub known: Known,
    keyring: OnceCell<Keyring>,
    authorizations: SyncMutex<HashMap<String, Slot>>,
}

impl Registry {
    pub fn new(name: &str, insecure: bool) -> Self {
        Registry {
            name: name.to_owned(),
            insecure,
            base: OnceCell::new(),
            known: Known::default(),
            keyring: OnceCell::new(),
            authorizations: SyncMutex::default(),
        }
    }

    /// One whose credential is given and not looked up.
    pub fn with_credential(name: &str, insecure: bool, credential: &Credential) -> Self {
        Registry { keyring: OnceCell::new_with(Some(credential.clone().into())), ..Self::new(name, insecure) }
    }

    /// Where the registry answers: Docker Hub's API is not at the host that its names give.
    pub fn host(&self) -> &str {
        if self.name == "docker.io" { "registry-1.docker.io" } else { &self.name }
    }

    /// Whether `url` leads to the registry's host, through whatever port.
    pub fn is_host_of(&self, url: &Url) -> bool {
        Url::parse(&format!("https://{}/", self.host())).is_ok_and(|own| own.host() == url.host())
    }

    /// Looked up once, when it is first asked for: a helper may be slow or want to be unlocked.
    async fn keyring(&self, credentials: &Credentials) -> Result<&Keyring> {
        self.keyring.get_or_try_init(async || credentials.find(&self.name)).await
    }
}

/// What is wanted of a registry: a repository to pull from or to push to, or no more than to be let in.
#[derive(Clone)]
pub(crate) struct Access {
    pub place: Arc<Registry>,
    repository: Option<String>,
    pushes: bool,
    /// A further repository, to pull from.
    other: Option<String>,
}

impl Access {
    pub fn entry(place: Arc<Registry>) -> Self {
        Access { place, repository: None, pushes: false, other: None }
    }

    pub fn pull(place: Arc<Registry>, repository: &str) -> Self {
        Access { place, repository: Some(repository.to_owned()), pushes: false, other: None }
    }

    pub fn push(&self) -> Self {
        Access { pushes: true, ..self.clone() }
    }

    /// The same, and to take blobs from the repository `other`.
    pub fn mounting(&self, other: &str) -> Self {
        Access { other: Some(other.to_owned()), ..self.clone() }
    }

    /// No more than to be let in.
    pub fn without_repository(&self) -> Self {
        Self::entry(self.place.clone())
    }

    pub fn registry(&self) -> &str {
        &self.place.name
    }

    pub fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    pub fn pushes(&self) -> bool {
        self.pushes
    }

    /// The user that the registry was asked as, if it has asked who we are.
    pub fn user(&self) -> Option<&str> {
        self.place.keyring.get()?.credential(self.repository()).map(Credential::user)
    }

    /// Whether `url` is the registry itself, the only place that its credentials and tokens are for.
    pub fn owns(&self, url: &Url) -> bool {
        self.place.base.get().is_some_and(|base| base.origin() == url.origin())
    }

    fn slot(&self) -> Slot {
        let mut authorizations = self.place.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        authorizations.entry(self.scopes().join(" ")).or_default().clone()
    }

    /// None where no repository is meant.
    pub fn scopes(&self) -> Vec<String> {
        let actions = if self.pushes { "pull,push" } else { "pull" };
        let own = self.repository.iter().map(|repository| format!("repository:{repository}:{actions}"));
        own.chain(self.other.iter().map(|other| format!("repository:{other}:pull"))).collect()
    }
}

/// What answers a refusal.
pub(crate) struct Answer {
    pub header: HeaderValue,
    /// It was made for this refusal: if it is refused as well, there is nothing better.
    pub is_fresh: bool,
}

impl Connection {
    /// The `Authorization` that the registry has accepted before. A token that is about to expire is renewed first.
    pub(crate) async fn authorization(&self, access: &Access) -> Option<HeaderValue> {
        let slot = access.slot();
        let mut known = slot.lock().await;
        let known = known.as_mut()?;
        if let Some(renewal) = known.renewal.take_if(|renewal| renewal.at <= Instant::now())
            && let Some(keyring) = access.place.keyring.get()
            && let credential = keyring.credential(access.repository())
            && let Ok(renewed) = self.token(access, &renewal.challenge, credential).await
        {
            *known = renewed;
        }
        // Should there be no new one, the old may still be good; if not, the registry says so, and why is then told.
        Some(known.header.clone())
    }

    /// What answers `refusal`, a 401 to a request that carried `shown`; `None` if there is nothing to answer it with
    /// that was not shown already. Of many that are refused at once one asks for a token, and the others wait for that.
    pub(crate) async fn authorize(
        &self,
        access: &Access,
        refusal: &Response,
        shown: Option<&HeaderValue>,
    ) -> Result<Option<Answer>, Failure> {
        let slot = access.slot();
        let mut known = slot.lock().await;
        if let Some(known) = known.as_ref().filter(|known| Some(&known.header) != shown) {
            return Ok(Some(Answer { header: known.header.clone(), is_fresh: false }));
        }
        let challenges = Challenge::all(refusal.headers());
        let credential = access.place.keyring(&self.options.credentials).await?.credential(access.repository());
        let bearer =
            challenges.iter().find(|challenge| challenge.scheme == "bearer" && challenge.get("realm").is_some());
        if let Some(Credential::RegistryToken { token }) = credential {
            let header = secret_header(&format!("Bearer {token}"))?;
            let is_new = Some(&header) != shown;
            *known = Some(Authorization { header: header.clone(), renewal: None });
            return Ok(is_new.then_some(Answer { header, is_fresh: true }));
        }
        let basic = match credential {
            Some(Credential::Basic { user, password }) if challenges.iter().any(|known| known.scheme == "basic") => {
                Some(Authorization { header: basic(user, password)?, renewal: None })
            }
            _ => None,
        };
        *known = match bearer {
            None => basic,
            Some(bearer) => match (self.token(access, bearer, credential).await, basic) {
                (Err(failure), Some(basic)) if is_no_token_server(&failure) => Some(basic),
                (token, _) => Some(token?),
            },
        };
        let new = known.as_ref().filter(|known| Some(&known.header) != shown);
        Ok(new.map(|known| Answer { header: known.header.clone(), is_fresh: true }))
    }
}

/// Whether it failed for another reason than who we are or the moment.
fn is_no_token_server(failure: &Failure) -> bool {
    failure.passing.is_none() && failure.error.kind != ErrorKind::Denied
}

/// RFC 7617.
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    secret_header(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
}

pub(crate) fn secret_header(value: &str) -> Result<HeaderValue> {
    let refuse = |_| Error::new(ErrorKind::Registry, "a token holds characters that no header can carry");
    let mut header = HeaderValue::from_str(value).map_err(refuse)?;
    header.set_sensitive(true);
    Ok(header)
}
