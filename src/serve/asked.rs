//! What is asked for: the paths of the distribution specification (1.1, "Endpoints"), read as strictly as that has them. No part
//! of a request ever becomes a path of this machine.

use crate::net::percent_decoded_text;
use crate::oci::{Digest, is_valid_tag};

use super::refusal::{RefusalCode, RequestRefusal};

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Whether somebody is there (end-1).
    Base,
    /// The names of the repositories: docker's, and in no specification.
    Catalog,
    /// The tags of a repository (end-8).
    Tags(String),
    /// A manifest of a repository (end-3).
    Manifest(String, ManifestKey),
    /// A blob of a repository (end-2).
    Blob(String, Digest),
    /// What refers to a manifest (end-12).
    Referrers(String, Digest),
}

/// By what a manifest is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ManifestKey {
    Tag(String),
    Digest(Digest),
}

/// The parameters of a query that mean something here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// The number of names or tags that are wanted.
    pub count: Option<String>,
    /// The name or tag behind which they begin.
    pub last: Option<String>,
    /// The type of the referrers that are wanted.
    pub artifact_type: Option<String>,
    /// The registry in whose stead containerd asks.
    pub registry: Option<String>,
}

/// In bytes: docker's for a path, and a host's name before it.
const LONGEST_NAME: usize = 512;

impl Endpoint {
    /// Reads a path. Escapes count as what they stand for, as everywhere else.
    pub fn of(path: &str) -> Result<Endpoint, RequestRefusal> {
        let path = percent_decoded_text(path);
        let path = match path.strip_prefix("/v2") {
            Some("" | "/") => return Ok(Endpoint::Base),
            Some(rest) if rest.starts_with('/') => &rest[1..],
            _ => return Err(RequestRefusal::not_found(RefusalCode::Unknown, "a registry has nothing but /v2/")),
        };
        if path == "_catalog" {
            return Ok(Endpoint::Catalog);
        }
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Ok(Endpoint::Tags(repository(name)?));
        }
        let nothing = || RequestRefusal::not_found(RefusalCode::Unknown, "there is nothing of that kind");
        let (rest, last) = path.rsplit_once('/').ok_or_else(nothing)?;
        let (name, kind) = rest.rsplit_once('/').ok_or_else(nothing)?;
        match kind {
            "manifests" => Ok(Endpoint::Manifest(repository(name)?, manifest(last)?)),
            "blobs" => Ok(Endpoint::Blob(repository(name)?, digest(last)?)),
            "referrers" => Ok(Endpoint::Referrers(repository(name)?, digest(last)?)),
            _ => Err(nothing()),
        }
    }
}

impl Query {
    /// Reads what stands behind the question mark. Of a parameter that is there twice the first counts.
    pub fn of(text: &str) -> Query {
        let mut query = Query::default();
        for (key, value) in text.split('&').filter_map(|part| part.split_once('=')) {
            let place = match key {
                "n" => &mut query.count,
                "last" => &mut query.last,
                "artifactType" => &mut query.artifact_type,
                "ns" => &mut query.registry,
                _ => continue,
            };
            place.get_or_insert_with(|| percent_decoded_text(value));
        }
        query
    }
}

fn repository(name: &str) -> Result<String, RequestRefusal> {
    let is_part = |part: &str| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '[' | ']');
        !part.is_empty() && part.chars().all(is_word) && part.chars().any(|c| c.is_ascii_alphanumeric())
    };
    match name.len() <= LONGEST_NAME && name.split('/').all(is_part) {
        true => Ok(name.to_owned()),
        false => Err(RequestRefusal::bad(RefusalCode::NameInvalid, "that is not the name of a repository")),
    }
}

fn manifest(text: &str) -> Result<ManifestKey, RequestRefusal> {
    if text.contains(':') {
        return digest(text).map(ManifestKey::Digest);
    }
    match is_valid_tag(text) {
        true => Ok(ManifestKey::Tag(text.to_owned())),
        false => Err(RequestRefusal::bad(RefusalCode::ManifestInvalid, "that is neither a tag nor a digest")),
    }
}

fn digest(text: &str) -> Result<Digest, RequestRefusal> {
    text.parse().map_err(|_| RequestRefusal::bad(RefusalCode::DigestInvalid, "that is not a sha256 digest"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn status(path: &str) -> u16 {
        Endpoint::of(path).map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
    }

    #[test]
    fn paths_of_the_specification_are_read() {
        let digest: Digest = DIGEST.parse().unwrap();
        let name = || "org/api".to_owned();
        for (path, route) in [
            ("/v2", Endpoint::Base),
            ("/v2/", Endpoint::Base),
            ("/v2/_catalog", Endpoint::Catalog),
            ("/v2/org/api/tags/list", Endpoint::Tags(name())),
            ("/v2/tags/list/tags/list", Endpoint::Tags("tags/list".to_owned())),
            ("/v2/org/api/manifests/v1", Endpoint::Manifest(name(), ManifestKey::Tag("v1".to_owned()))),
            (&format!("/v2/org/api/manifests/{DIGEST}"), Endpoint::Manifest(name(), ManifestKey::Digest(digest))),
            (&format!("/v2/org/api/blobs/{DIGEST}").replace(':', "%3A"), Endpoint::Blob(name(), digest)),
            (&format!("/v2/org%2Fapi/referrers/{DIGEST}"), Endpoint::Referrers(name(), digest)),
            ("/v2/host.example:5000/a/tags/list", Endpoint::Tags("host.example:5000/a".to_owned())),
        ] {
            assert_eq!(Endpoint::of(path).unwrap(), route, "{path}");
        }
    }

    #[test]
    fn odd_paths_are_refused() {
        let long = format!("/v2/{}/tags/list", "a".repeat(600));
        for (path, refused) in [
            ("/", 404),
            ("*", 404),
            ("/v1/", 404),
            ("/v2x/", 404),
            ("/v2/a", 404),
            ("/v2/a/b/c/d", 404),
            ("/v2//tags/list", 400),
            ("/v2/../../etc/passwd/tags/list", 400),
            ("/v2/%2e%2e/%2e%2e/tags/list", 400),
            ("/v2/a/../b/manifests/v1", 400),
            ("/v2/a%00b/manifests/v1", 400),
            ("/v2/a/manifests/..", 400),
            ("/v2/a/manifests/%2e%2e%2fetc", 404),
            ("/v2/a/blobs/sha256:..", 400),
            ("/v2/a/blobs/sha512:00", 400),
            ("/v2/a/blobs/uploads/", 404),
            ("/v2/\u{202e}/tags/list", 400),
            (&long, 400),
        ] {
            assert_eq!(status(path), refused, "{path}");
        }
    }

    #[test]
    fn queries_are_read() {
        let query = Query::of("n=2&last=a%2Fb&x&artifactType=application/vnd.x+json&ns=docker.io&n=3");
        assert_eq!(query.count.as_deref(), Some("2"));
        assert_eq!(query.last.as_deref(), Some("a/b"));
        assert_eq!(query.artifact_type.as_deref(), Some("application/vnd.x+json"));
        assert_eq!(query.registry.as_deref(), Some("docker.io"));
        assert_eq!(Query::of(""), Query::default());
    }

    proptest! {
        #[test]
        fn any_path_is_read_or_refused(path in "(/v2)?(/|%2e|%00|\\.\\.|[a-z:%]{0,4}|manifests|blobs|tags/list){0,8}", query in ".{0,20}") {
            if let Ok(Endpoint::Tags(name) | Endpoint::Manifest(name, _) | Endpoint::Blob(name, _)) = Endpoint::of(&path) {
                prop_assert!(!name.split('/').any(|part| matches!(part, "" | "." | "..")));
            }
            Query::of(&query);
        }
    }
}
