//! What a registry is shown of who we are.

use std::time::Instant;

use super::access::{Access, Grant};
use super::challenge::Challenge;
use super::connection::Connection;
use super::credential::{Credential, Keyring};
use crate::error::{ErrorKind, Result};
use crate::net::header::HeaderValue;
use crate::net::{Failure, Response, basic, secret_header};
use crate::sync::locked;

/// The answer to a refusal.
pub(super) struct Renewed {
    pub header: HeaderValue,
    /// It was made for this refusal: if it is refused as well, there is nothing better.
    pub is_fresh: bool,
}

impl Connection {
    /// Returns the `Authorization` that the registry has accepted before. A token that is about to expire is renewed first.
    pub(super) fn authorization(&self, access: &Access) -> Option<HeaderValue> {
        let slot = access.slot();
        let mut known = locked(&slot);
        let known = known.as_mut()?;
        if let Some(renewal) = known.renewal.take_if(|renewal| renewal.at <= Instant::now())
            && let Some(keyring) = access.place.keyring.get()
            && let credential = keyring.credential(access.repository())
            && let Ok(renewed) = self.token(access, &renewal.challenge, credential)
        {
            *known = renewed;
        }
        // Should there be no new one, the old may still be good; if not, the registry says so, and why is then told.
        Some(known.header.clone())
    }

    /// Returns what answers `refusal`, a 401 to a request that carried `shown`; `None` if there is nothing to answer it
    /// with that was not shown already. Of many that are refused at once one asks for a token, and the others wait for
    /// that.
    pub(super) fn authorize(
        &self,
        access: &Access,
        refusal: &Response,
        shown: Option<&HeaderValue>,
    ) -> Result<Option<Renewed>, Failure> {
        let slot = access.slot();
        let mut known = locked(&slot);
        if let Some(known) = known.as_ref().filter(|known| Some(&known.header) != shown) {
            return Ok(Some(Renewed { header: known.header.clone(), is_fresh: false }));
        }
        let challenges = Challenge::all(refusal.headers());
        let credential = self.keyring(access)?.credential(access.repository());
        let bearer =
            challenges.iter().find(|challenge| challenge.scheme == "bearer" && challenge.get("realm").is_some());
        if let Some(Credential::RegistryToken { token }) = credential {
            let header = secret_header(&format!("Bearer {token}"))?;
            let is_new = Some(&header) != shown;
            *known = Some(Grant { header: header.clone(), renewal: None });
            return Ok(is_new.then_some(Renewed { header, is_fresh: true }));
        }
        let basic = match credential {
            Some(Credential::Basic { user, password }) if challenges.iter().any(|known| known.scheme == "basic") => {
                Some(Grant { header: basic(user, password)?, renewal: None })
            }
            _ => None,
        };
        *known = match bearer {
            None => basic,
            Some(bearer) => match (self.token(access, bearer, credential), basic) {
                (Err(failure), Some(basic)) if is_no_token_server(&failure) => Some(basic),
                (token, _) => Some(token?),
            },
        };
        let new = known.as_ref().filter(|known| Some(&known.header) != shown);
        Ok(new.map(|known| Renewed { header: known.header.clone(), is_fresh: true }))
    }

    /// Looked up once, when it is first asked for: a helper may be slow or want to be unlocked.
    fn keyring<'a>(&self, access: &'a Access) -> Result<&'a Keyring> {
        access.place.keyring.get_or_find(|| self.credentials.find(access.registry()))
    }
}

/// Returns whether it failed for another reason than who we are or the moment.
fn is_no_token_server(failure: &Failure) -> bool {
    failure.passing.is_none() && failure.error.kind != ErrorKind::Denied
}
