//! Bearer tokens, and the servers that give them out (distribution's token and oauth2 documents).

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde_json::Value;

use super::access::{Access, Grant, Renewal};
use super::challenge::Challenge;
use super::connection::Connection;
use super::credential::Credential;
use super::foreign::{first_value, member, text};
use super::hint::Shown;
use crate::error::{Error, ErrorKind, Result};
use crate::net::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use crate::net::{
    Authorization, Body, Failure, Method, Request, Secrets, StatusCode, Url, basic, http_date, rfc3339, secret_header,
};

/// The most that is read of a token server's answer, in bytes.
const ANSWER_LIMIT: u64 = 1 << 20;
/// How long a token is good for that does not say so.
const USUAL_LIFETIME: Duration = Duration::from_secs(60);
/// The most by which a token is renewed before it ends.
const MARGIN: Duration = Duration::from_secs(30);
/// In the answer to a request that a token server does not know, there are all of these.
const OTHER_WAY: [StatusCode; 4] =
    [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];

impl Connection {
    /// Returns a token for what `access` wants and what `challenge` asks for.
    ///
    /// A password is shown by GET, and where that is not known by POST; an identity token the other way round.
    pub(super) fn token(
        &self,
        access: &Access,
        challenge: &Challenge,
        credential: Option<&Credential>,
    ) -> Result<Grant, Failure> {
        let realm = realm(access, challenge)?;
        let scopes = scopes(access, challenge);
        let service = challenge.get("service");
        let (first, other) = match credential {
            None | Some(Credential::RegistryToken { .. }) => (by_get(&realm, service, &scopes), None),
            Some(Credential::Basic { .. }) => {
                (by_get(&realm, service, &scopes), credential.map(|known| by_post(&realm, service, &scopes, known)))
            }
            Some(known) => (by_post(&realm, service, &scopes, known), Some(by_get(&realm, service, &scopes))),
        };
        let password = match credential {
            None | Some(Credential::RegistryToken { .. }) => None,
            Some(Credential::Basic { user, password }) => Some(basic(user, password)?),
            Some(Credential::IdentityToken { token, .. }) => Some(basic(access.user().unwrap_or_default(), token)?),
        };
        let ask = |request: &Request<'_>| {
            let password = password.clone().filter(|_| request.method == Method::GET);
            let authorization = password.map(|header| Authorization { header, owner: realm.clone() });
            self.http.send(&access.place.server, request, authorization.as_ref(), &access.stop)
        };

        let mut answer = ask(&first)?;
        if OTHER_WAY.contains(&answer.status())
            && let Some(other) = other
        {
            let second = ask(&other)?;
            let unknown = |status| matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
            if second.status().is_success() || (unknown(answer.status()) && !unknown(second.status())) {
                answer = second;
            }
        }
        if !answer.status().is_success() {
            answer.secrets = Secrets::in_header(password.as_ref());
            let shown = if credential.is_some() { Shown::Credential } else { Shown::Nothing };
            let mut failure = self.refusal_of(access, answer, shown);
            if failure.error.kind == ErrorKind::NotFound {
                // What was not found is not what was looked for.
                failure.error.kind = ErrorKind::Registry;
                failure.error.hint = Some(format!("{} names a token server that does not exist", access.registry()));
            }
            return Err(failure);
        }
        let fetched = Instant::now();
        let now = answer.headers().get(DATE).and_then(|date| http_date(date.to_str().ok()?));
        let request = answer.label();
        let body = answer.read(ANSWER_LIMIT)?;
        let document = first_value(&body).unwrap_or_default();
        let token = ["token", "access_token"].iter().find_map(|key| text(&document, key));
        let token =
            token.ok_or_else(|| Error::new(ErrorKind::Registry, format!("{request}: the answer holds no token")))?;
        let lifetime = lifetime(&document, now.unwrap_or_else(SystemTime::now));
        let at = fetched + lifetime - MARGIN.min(lifetime / 4);
        let renewal = Some(Renewal { challenge: challenge.clone(), at });
        Ok(Grant { header: secret_header(&format!("Bearer {token}"))?, renewal })
    }
}

/// Where tokens are had, unless the way there is less safe than that to the registry.
fn realm(access: &Access, challenge: &Challenge) -> Result<Url> {
    let registry = access.registry();
    let refuse = |what: String| Error::new(ErrorKind::Registry, format!("{registry} refers to a token server {what}"));
    let url = Url::parse(challenge.get("realm").unwrap_or_default())
        .map_err(|_| refuse("without saying where it is".to_owned()))?;
    let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
    let plain_registry = access.place.base.get().is_some_and(|base| base.scheme() == "http");
    match url.scheme() {
        "https" => Ok(url),
        "http" if plain_registry => Ok(url),
        "http" => {
            Err(refuse(format!("in plain HTTP, {place}, but speaks HTTPS itself: no credentials are sent there")))
        }
        _ => Err(refuse("that does not speak HTTP".to_owned())),
    }
}

/// Returns the scopes to ask for. The one that the registry asks for stands first: some servers look at that alone.
/// Then what is wanted beyond it.
fn scopes(access: &Access, challenge: &Challenge) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    let asked = challenge.get("scope").unwrap_or_default().split_whitespace().map(str::to_owned);
    for scope in asked.chain(access.scopes()) {
        if !scopes.iter().any(|known| covers(known, &scope)) {
            scopes.push(scope);
        }
    }
    scopes
}

/// Returns whether `scope`, `type:name:action,…` (distribution's scope document), is all in `other`.
fn covers(other: &str, scope: &str) -> bool {
    match (other.rsplit_once(':'), scope.rsplit_once(':')) {
        (Some((resource, actions)), Some((wanted_resource, wanted))) if resource == wanted_resource => {
            wanted.split(',').all(|wanted| actions.split(',').any(|action| action == wanted))
        }
        _ => other == scope,
    }
}

/// A query names the scopes one by one, a form all at once.
fn by_get(realm: &Url, service: Option<&str>, scopes: &[String]) -> Request<'static> {
    let mut url = realm.clone();
    if service.is_some() || !scopes.is_empty() {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(service.map(|service| ("service", service)));
        query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
    }
    Request::new(Method::GET, url)
}

fn by_post(realm: &Url, service: Option<&str>, scopes: &[String], credential: &Credential) -> Request<'static> {
    // A query and a form are written alike.
    let mut form = realm.clone();
    form.set_query(None);
    {
        let mut form = form.query_pairs_mut();
        form.extend_pairs(service.map(|service| ("service", service)));
        if !scopes.is_empty() {
            form.append_pair("scope", &scopes.join(" "));
        }
        form.append_pair("client_id", "ocibake");
        match credential {
            Credential::Basic { user, password } => {
                form.extend_pairs([("grant_type", "password"), ("username", user), ("password", password)])
            }
            // It is for the registry itself.
            Credential::RegistryToken { .. } => &mut form,
            Credential::IdentityToken { token, .. } => {
                form.extend_pairs([("grant_type", "refresh_token"), ("refresh_token", token)])
            }
        };
    }
    let body = Body::Secret(Bytes::from(form.query().unwrap_or_default().to_owned()));
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    Request { headers: HeaderMap::from_iter([(CONTENT_TYPE, form)]), body, ..Request::new(Method::POST, realm.clone()) }
}

/// How long the token in an answer that was given at `now` is good for.
fn lifetime(answer: &Value, now: SystemTime) -> Duration {
    let Some(lifetime) = member(answer, "expires_in").and_then(Value::as_u64).filter(|seconds| *seconds > 0) else {
        return USUAL_LIFETIME;
    };
    let lifetime = Duration::from_secs(lifetime.min(u64::from(u32::MAX)));
    // A server may give out a token that it has had for a while. One that claims more has a clock that is wrong.
    let issued = text(answer, "issued_at").and_then(rfc3339);
    let age = issued.and_then(|issued| now.duration_since(issued).ok()).filter(|age| *age < lifetime);
    lifetime - age.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scope_covers_those_with_fewer_actions_on_the_same_thing() {
        assert!(covers("repository:a/b:pull,push", "repository:a/b:push,pull"));
        assert!(covers("repository:a/b:pull,push", "repository:a/b:pull"));
        assert!(!covers("repository:a/b:pull", "repository:a/b:pull,push"));
        assert!(!covers("repository:a/b:pull", "repository:a/bc:pull"));
        assert!(!covers("aws", "repository:a/b:pull"));
        assert!(covers("aws", "aws"));
    }

    #[test]
    fn a_token_lives_from_its_issue_or_a_minute() {
        // `date -u -d 1994-11-06T08:49:37Z +%s`.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let lifetime = |answer| lifetime(&answer, now).as_secs();
        assert_eq!(lifetime(json!({})), 60);
        assert_eq!(lifetime(json!({"expires_in": 0})), 60);
        assert_eq!(lifetime(json!({"expires_in": 300})), 300);
        assert_eq!(lifetime(json!({"expires_in": 300, "issued_at": "1994-11-06T08:49:27.5Z"})), 290);
        assert_eq!(lifetime(json!({"expires_in": 300, "issued_at": "1994-11-06T08:50:37Z"})), 300);
        assert_eq!(lifetime(json!({"expires_in": 300, "issued_at": "1994-11-05T08:49:37Z"})), 300);
        assert_eq!(lifetime(json!({"expires_in": 300, "issued_at": "yesterday"})), 300);
    }
}
