//! Who we are to a registry: challenges (RFC 9110, section 11.6.1) and what answers them (distribution's token and
//! oauth2 documents).

use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Response, Url};
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use super::connection::Connection;
use super::credential::{Credential, Credentials, Keyring};
use super::failure::{Failure, label};
use crate::error::{Error, ErrorKind, Result};

/// The most that is read of a token server's answer, in bytes.
const TOKEN_LIMIT: u64 = 1 << 20;

/// The header that a registry accepted, or is about to be shown; held while it is fetched, so that it is fetched once.
type Authorization = Arc<Mutex<Option<HeaderValue>>>;

/// One registry: where it is and who we are to it, shared by all that speaks to it.
pub(super) struct Registry {
    name: String,
    /// Whether any certificate, and plain HTTP, will do.
    pub insecure: bool,
    /// `scheme://host[:port]/`, decided at the first request.
    pub base: OnceCell<Url>,
    keyring: OnceCell<Keyring>,
    authorizations: SyncMutex<HashMap<String, Authorization>>,
}

impl Registry {
    pub fn new(name: &str, insecure: bool) -> Self {
        Registry {
            name: name.to_owned(),
            insecure,
            base: OnceCell::new(),
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

    fn authorization(&self, scope: &str) -> Authorization {
        let mut authorizations = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        authorizations.entry(scope.to_owned()).or_default().clone()
    }
}

/// What is wanted of a registry: a repository to pull from or to push to, or no more than to be let in.
#[derive(Clone)]
pub(super) struct Access {
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

    pub async fn authorization(&self) -> Option<HeaderValue> {
        self.place.authorization(&self.scopes().join(" ")).lock().await.clone()
    }

    /// None where no repository is meant.
    fn scopes(&self) -> Vec<String> {
        let actions = if self.pushes { "pull,push" } else { "pull" };
        let own = self.repository.iter().map(|repository| format!("repository:{repository}:{actions}"));
        own.chain(self.other.iter().map(|other| format!("repository:{other}:pull"))).collect()
    }
}

impl Connection {
    /// An `Authorization` that answers `refusal`, a 401 to a request that carried `shown`; `None` if there is nothing
    /// to answer it with. Of many that are refused at once one asks for a token, and the others wait for that.
    pub(super) async fn authorize(
        &self,
        access: &Access,
        refusal: &Response,
        shown: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Failure> {
        let slot = access.place.authorization(&access.scopes().join(" "));
        let mut known = slot.lock().await;
        if known.is_some() && known.as_ref() != shown {
            return Ok(known.clone());
        }
        let challenges = Challenge::all(refusal.headers());
        let credential = access.place.keyring(&self.options.credentials).await?.credential(access.repository());
        let bearer =
            challenges.iter().find(|challenge| challenge.scheme == "bearer" && challenge.get("realm").is_some());
        *known = if let Some(bearer) = bearer {
            let token = self.token(access, bearer, credential).await?;
            Some(secret_header(&format!("Bearer {token}"))?)
        } else if challenges.iter().any(|challenge| challenge.scheme == "basic") {
            match credential {
                Some(Credential::Basic { user, password }) => Some(basic(user, password)?),
                _ => None,
            }
        } else {
            None
        };
        Ok(known.clone())
    }

    async fn token(
        &self,
        access: &Access,
        challenge: &Challenge,
        credential: Option<&Credential>,
    ) -> Result<String, Failure> {
        let realm = realm(access, challenge)?;
        let (method, url, headers, body) = token_request(access, challenge, credential, realm)?;
        let request = label(&method, &url);
        let mut answer = self.transmit(access, &method, &url, &headers, body).await?;
        if !answer.status().is_success() {
            return Err(self.refusal(access, &method, answer).await);
        }
        let body = self.read(&method, &mut answer, TOKEN_LIMIT).await?;
        let document: Value = serde_json::from_slice(&body).unwrap_or_default();
        let token = ["token", "access_token"].iter().find_map(|key| document[*key].as_str());
        let token = token.filter(|token| !token.is_empty());
        Ok(token
            .ok_or_else(|| Error::new(ErrorKind::Registry, format!("{request}: the answer holds no token")))?
            .to_owned())
    }
}

/// Where tokens are had, unless the way there is less safe than that to the registry.
fn realm(access: &Access, challenge: &Challenge) -> Result<Url> {
    let registry = access.registry();
    let refuse = |what: String| Error::new(ErrorKind::Registry, format!("{registry} sends to a token server {what}"));
    let url = Url::parse(challenge.get("realm").unwrap_or_default())
        .map_err(|_| refuse("without saying where it is".to_owned()))?;
    let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
    let plain_registry = access.place.base.get().is_some_and(|base| base.scheme() == "http");
    match url.scheme() {
        "https" => Ok(url),
        "http" if plain_registry => Ok(url),
        "http" => Err(refuse(format!("in plain HTTP, {place}, and speaks HTTPS itself: no credential goes there"))),
        _ => Err(refuse("that does not speak HTTP".to_owned())),
    }
}

type Parts = (Method, Url, HeaderMap, Option<Bytes>);

fn token_request(
    access: &Access,
    challenge: &Challenge,
    credential: Option<&Credential>,
    mut realm: Url,
) -> Result<Parts> {
    let scopes = access.scopes();
    let all_scopes = scopes.join(" ");
    let mut parameters = Vec::new();
    if let Some(service) = challenge.get("service") {
        parameters.push(("service", service));
    }
    let mut headers = HeaderMap::new();
    if let Some(Credential::IdentityToken { token, .. }) = credential {
        if !scopes.is_empty() {
            parameters.push(("scope", &all_scopes));
        }
        parameters.extend([("grant_type", "refresh_token"), ("client_id", "ocibake"), ("refresh_token", token)]);
        // A query and a form are written alike.
        let mut form = realm.clone();
        form.set_query(None);
        form.query_pairs_mut().extend_pairs(parameters);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let body = Bytes::from(form.query().unwrap_or_default().to_owned());
        return Ok((Method::POST, realm, headers, Some(body)));
    }
    // A query names them one by one, a form all at once (distribution's token and oauth2 documents).
    parameters.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
    if !parameters.is_empty() {
        realm.query_pairs_mut().extend_pairs(parameters);
    }
    if let Some(Credential::Basic { user, password }) = credential {
        headers.insert(AUTHORIZATION, basic(user, password)?);
    }
    Ok((Method::GET, realm, headers, None))
}

/// RFC 7617.
fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    secret_header(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
}

fn secret_header(value: &str) -> Result<HeaderValue> {
    let refuse = |_| Error::new(ErrorKind::Registry, "a token holds characters that no header can carry");
    let mut header = HeaderValue::from_str(value).map_err(refuse)?;
    header.set_sensitive(true);
    Ok(header)
}

/// One way in that a 401 offers. Scheme and names of parameters are in lower case.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn all(headers: &HeaderMap) -> Vec<Challenge> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(Challenge::parse).collect()
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A header may hold several challenges, with the same comma between them as between their parameters: a word with
    /// `=` behind it is a parameter, any other begins a challenge.
    fn parse(header: &str) -> Vec<Challenge> {
        let mut challenges: Vec<Challenge> = Vec::new();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',', '=']);
            let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            if word.is_empty() {
                return challenges;
            }
            let word = word.to_ascii_lowercase();
            match (behind.trim_start().strip_prefix('='), challenges.last_mut()) {
                (Some(value), Some(challenge)) => {
                    let (value, behind) = parameter_value(value.trim_start());
                    challenge.parameters.push((word, value));
                    rest = behind;
                }
                _ => {
                    challenges.push(Challenge { scheme: word, parameters: Vec::new() });
                    rest = behind;
                }
            }
        }
    }
}

/// A token or quoted string (RFC 9110, section 5.6.4), and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, behind) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return (value.to_owned(), behind);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        Challenge { scheme: scheme.to_owned(), parameters: parameters.iter().map(owned).collect() }
    }

    #[test]
    fn challenges_are_read_in_any_case_with_commas_in_quotes() {
        assert_eq!(
            Challenge::parse(r#"bEaReR Realm="https://auth.io/token",SERVICE="reg",scope="repository:a/b:pull,push""#),
            [challenge(
                "bearer",
                &[("realm", "https://auth.io/token"), ("service", "reg"), ("scope", "repository:a/b:pull,push")]
            )]
        );
    }

    #[test]
    fn one_header_holds_several_challenges() {
        assert_eq!(
            Challenge::parse(r#"Negotiate, Basic realm="a \"b\", c" , Bearer realm = x, error=invalid_token"#),
            [
                challenge("negotiate", &[]),
                challenge("basic", &[("realm", r#"a "b", c"#)]),
                challenge("bearer", &[("realm", "x"), ("error", "invalid_token")]),
            ]
        );
    }

    #[test]
    fn a_broken_challenge_ends_and_does_not_panic() {
        for header in ["", "=", ",,,", "Bearer realm=\"", "Bearer realm=\"a\\", "a=b", "Bearer =, = x", "é=\"ü"] {
            Challenge::parse(header);
        }
    }
}
