//! Registries as they are met with: how each lets its clients in, and where it goes its own way.

use std::sync::Mutex;

use ocibake::registry::Credential;

use super::fake_registry::{FakeRegistry, Reply, Request};

/// What Azure's registry wants back as it stands, in upper and lower case.
pub const ACR_STATE: &str = "_nouploadcache=false&_state=aZ09-_~.%2B%2f%3D!*(),:@";

/// base64 of `ada:s3cret`, by `printf ada:s3cret | base64`.
const ADA: &str = "Basic YWRhOnMzY3JldA==";

pub struct Profile {
    pub name: &'static str,
    pub registry: FakeRegistry,
    pub credential: Credential,
}

impl Profile {
    fn new(
        name: &'static str,
        door: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
        change: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let credential = Credential::Basic { user: "ada".to_owned(), password: "s3cret".to_owned() };
        Profile { name, registry: FakeRegistry::changed(door, change), credential }
    }
}

pub fn all() -> Vec<Profile> {
    vec![ghcr(), ecr(), gar(), acr(), quay(), artifactory(), gitlab(), harbor()]
}

/// Asks for no more than pulling, whatever the request; tokens do not say how long they last.
pub fn ghcr() -> Profile {
    let door = Door { service: "ghcr.io", scope: |_| "repository:user/image:pull".to_owned(), ..Door::new("/token") };
    Profile::new("ghcr", door.opened(), stored_elsewhere)
}

/// The password on each request, manifests without their digest, repositories that have to be there before.
pub fn ecr() -> Profile {
    let door = |request: &Request| {
        let basic = r#"Basic realm="https://ecr.test/",service="ecr.amazonaws.com""#;
        match request.header("authorization") {
            Some(_) if is_storage(request) => Some(only_one_authentication()),
            None if is_storage(request) => None,
            Some(ADA) if request.path.starts_with("/v2/org/unknown/") => {
                let words = "The repository with name 'org/unknown' does not exist in the registry with id '1'";
                Some(Reply::refusal(404, "NAME_UNKNOWN", words))
            }
            Some(ADA) => None,
            Some(_) => Some(Reply::refusal(403, "DENIED", "Your authorization token has expired.")),
            None => Some(Reply::status(401).with("www-authenticate", basic)),
        }
    };
    Profile::new("ecr", door, |request, reply| {
        let reply = stored_elsewhere(request, reply);
        if request.path.contains("/manifests/") { without(reply, "docker-content-digest") } else { reply }
    })
}

/// Tokens by GET alone, uploads at a full URL, downloads by way of another path.
pub fn gar() -> Profile {
    let door = Door { service: "docker.pkg.dev", other_method: 404, ..Door::new("/v2/token") };
    Profile::new("gar", door.opened(), |request, reply| match reply {
        Reply::Answer(202, headers, body) if request.method == "POST" => {
            let path = headers.iter().find(|(name, _)| name == "location").unwrap().1.clone();
            let location = format!("http://{}{path}", request.header("host").unwrap());
            without(Reply::Answer(202, headers, body), "location").with("location", location)
        }
        Reply::Answer(200, ..) if request.is("GET", "/blobs/") && request.query.is_empty() => {
            Reply::status(302).with("location", format!("{}?alt=media", request.path))
        }
        reply => reply,
    })
}

/// An identity token that is traded in by POST, an upload's state in its query, downloads from a storage that wants no
/// other credential.
pub fn acr() -> Profile {
    let door = Door { service: "acr.test", method: "POST", other_method: 401, ..Door::new("/oauth2/token") };
    let profile = Profile::new("acr", door.opened(), |request, reply| {
        let reply = stored_elsewhere(request, reply);
        match request.method.as_str() {
            "POST" => {
                let Reply::Answer(202, headers, body) = reply else { return reply };
                let location = headers.iter().find(|(name, _)| name == "location").unwrap().1.clone();
                let location = location.replacen('?', &format!("?{ACR_STATE}&"), 1);
                without(Reply::Answer(202, headers, body), "location").with("location", location)
            }
            "PUT" if request.path.contains("/uploads/") && !request.query.starts_with(ACR_STATE) => {
                Reply::refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
            }
            _ => reply,
        }
    });
    let (user, token) = (Some("00000000-0000-0000-0000-000000000000".to_owned()), "re+fresh".to_owned());
    Profile { credential: Credential::IdentityToken { user, token }, ..profile }
}

/// A mount wants to know where from.
pub fn quay() -> Profile {
    let door = Door { service: "quay.io", ..Door::new("/v2/auth") }.opened();
    let script = move |request: &Request| {
        let lacks_from = request.query.contains("mount=") && !request.query.contains("from=");
        door(request).or_else(|| lacks_from.then(|| Reply::refusal(400, "INVALID_REQUEST", "Invalid request")))
    };
    Profile::new("quay", script, stored_elsewhere)
}

/// What is not there is forbidden, mounts are refused, and both ways in are offered.
pub fn artifactory() -> Profile {
    let door = Door { other_method: 401, basic_too: true, ..Door::new("/artifactory/api/docker/v2/token") }.opened();
    let script = move |request: &Request| {
        let mounts = request.query.contains("mount=");
        door(request).or_else(|| mounts.then(|| Reply::refusal(403, "DENIED", "mount is forbidden")))
    };
    Profile::new("artifactory", script, |request, reply| match reply {
        Reply::Answer(404, ..) if matches!(request.method.as_str(), "GET" | "HEAD") => {
            Reply::refusal(403, "UNAUTHORIZED", "The client does not have permission for manifest")
        }
        reply => reply,
    })
}

/// A token that runs out all the time.
pub fn gitlab() -> Profile {
    let door = Door { service: "container_registry", uses: 3, other_method: 404, ..Door::new("/jwt/auth") };
    Profile::new("gitlab", door.opened(), |_, reply| reply)
}

/// Manifests only for those who accept their type by name.
pub fn harbor() -> Profile {
    let door = Door { service: "harbor-registry", other_method: 405, ..Door::new("/service/token") };
    Profile::new("harbor", door.opened(), |request, reply| match &reply {
        Reply::Answer(200, headers, _) if request.path.contains("/manifests/") => {
            let kind = &headers.iter().find(|(name, _)| name == "content-type").unwrap().1;
            let accepted = request.headers.iter().any(|(name, value)| name == "accept" && value.contains(kind));
            if accepted {
                reply
            } else {
                Reply::refusal(404, "MANIFEST_UNKNOWN", "OCI manifest found, but accept header")
            }
        }
        _ => reply,
    })
}

/// A registry that lets in who has a token, and the server that gives them out.
struct Door {
    path: &'static str,
    service: &'static str,
    /// By which a token is had, and the status for other methods.
    method: &'static str,
    other_method: u16,
    /// The requests that a token is good for.
    uses: usize,
    /// The scope that a request is said to need.
    scope: fn(&Request) -> String,
    basic_too: bool,
}

impl Door {
    fn new(path: &'static str) -> Self {
        let scope = |request: &Request| {
            let name = request.path.strip_prefix("/v2/").unwrap_or_default();
            let end = ["/blobs/", "/manifests/", "/tags/"].iter().find_map(|part| name.find(part)).unwrap_or(0);
            let actions = if matches!(request.method.as_str(), "GET" | "HEAD") { "pull" } else { "pull,push" };
            format!("repository:{}:{actions}", &name[..end])
        };
        Door { path, service: "here", method: "GET", other_method: 405, uses: usize::MAX, scope, basic_too: false }
    }

    fn opened(self) -> impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static {
        // How often each token may still be used.
        let tokens = Mutex::new(Vec::new());
        move |request| {
            if is_storage(request) {
                return request.header("authorization").map(|_| only_one_authentication());
            }
            let mut tokens = tokens.lock().unwrap();
            if request.path == self.path {
                if request.method != self.method {
                    return Some(Reply::status(self.other_method));
                }
                if request.method == "GET" && request.header("authorization") != Some(ADA) {
                    return Some(Reply::refusal(401, "UNAUTHORIZED", "wrong password"));
                }
                tokens.push(self.uses);
                let key = if self.method == "GET" { "token" } else { "access_token" };
                let body = format!(r#"{{"{key}":"token-{}"}}"#, tokens.len() - 1);
                return Some(Reply::Answer(200, Vec::new(), body.into_bytes()));
            }
            let number =
                request.header("authorization").and_then(|shown| shown.strip_prefix("Bearer token-")?.parse().ok());
            if let Some(uses) = number.and_then(|number: usize| tokens.get_mut(number)).filter(|uses| **uses > 0) {
                *uses -= 1;
                return None;
            }
            let (host, scope) = (request.header("host").unwrap(), (self.scope)(request));
            let bearer =
                format!(r#"Bearer realm="http://{host}{}",service="{}",scope="{scope}""#, self.path, self.service);
            let refusal =
                Reply::refusal(401, "UNAUTHORIZED", "authentication required").with("www-authenticate", bearer);
            Some(if self.basic_too { refusal.with("www-authenticate", r#"Basic realm="here""#) } else { refusal })
        }
    }
}

/// The registry by its other name is the storage that downloads are sent to.
fn is_storage(request: &Request) -> bool {
    request.header("host").is_some_and(|host| host.starts_with("0.0.0.0"))
}

/// As S3 and Azure's storage do it with an `Authorization` beside the signature in the URL.
fn only_one_authentication() -> Reply {
    Reply::Answer(400, Vec::new(), b"<Error><Code>InvalidArgument</Code></Error>".to_vec())
}

/// Sends who wants a blob to the storage.
fn stored_elsewhere(request: &Request, reply: Reply) -> Reply {
    match reply {
        Reply::Answer(200 | 206, ..) if request.is("GET", "/blobs/") && !is_storage(request) => {
            let (_, port) = request.header("host").unwrap().rsplit_once(':').unwrap();
            let location = format!("http://0.0.0.0:{port}{}?signature=s3cret%2B", request.path);
            Reply::status(307).with("location", location)
        }
        reply => reply,
    }
}

fn without(reply: Reply, header: &str) -> Reply {
    match reply {
        Reply::Answer(status, headers, body) => {
            Reply::Answer(status, headers.into_iter().filter(|(name, _)| name != header).collect(), body)
        }
        other => other,
    }
}
