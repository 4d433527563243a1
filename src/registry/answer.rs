//! What the answers of registries say beside their bodies.

use crate::error::{Error, Result};
use crate::net::header::LOCATION;
use crate::net::{Response, StatusCode, Url};
use crate::oci::Digest;

/// Answers to HEAD that settle nothing: the registry may not know the method, or take what is missing for forbidden
/// (Artifactory), and without a body nobody learns why. The request that comes next, with a body of words, tells.
pub(super) const UNSETTLED: &[StatusCode] = &[
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_ACCEPTABLE,
    StatusCode::NOT_IMPLEMENTED,
];

/// Returns where the answer of a registry points to.
pub(super) fn location(answer: &Response) -> Result<Url> {
    answer.location().map_err(|error| match answer.headers().contains_key(LOCATION) {
        true => error,
        false => error.with_hint("is there a registry, and not some other server, at this address?"),
    })
}

/// Checks the digest that an answer gives, if it gives one that can be read (distribution-spec, `Docker-Content-Digest`).
pub(super) fn check_digest(answer: &Response, expected: Digest) -> Result<()> {
    match content_digest(answer) {
        Some(actual) if actual != expected => Err(Error::integrity(format!(
            "{}: the registry has the digest {actual}, but {expected} was expected",
            answer.label()
        ))),
        _ => Ok(()),
    }
}

pub(super) fn content_digest(answer: &Response) -> Option<Digest> {
    answer.headers().get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

/// Returns the URL of `path` below `base`.
pub(super) fn join(base: &Url, path: &str) -> Result<Url> {
    base.join(path).map_err(|_| Error::input(format!("`{path}` is not a path in a registry")))
}
