//! Manifests, the tags that stand for them, and the lists of those that refer to another
//! (distribution-spec, "Pushing Manifests").

use std::collections::HashSet;

use bytes::Bytes;

use super::super::access::Access;
use super::super::answer::{UNSETTLED, check_digest, content_digest};
use super::super::repository::Repository;
use super::document::ManifestBytes;
use crate::error::{Error, Result};
use crate::net::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use crate::net::{Body, Failure, Method, Request, Response, StatusCode, label};
use crate::oci::{Descriptor, Digest, ImageIndex, MANIFEST_LIMIT, Map, Referrer, from_json, media_type, to_json};
use crate::progress::Event;
use crate::sync::locked;

/// How many tags go into one request: a URL must not get too long.
const TAGS_AT_ONCE: usize = 10;

/// Answers to the PUT of a tag that may not move: ECR's 400, Artifactory's 403, Harbor's 412, and what others chose.
const IMMOVABLE: &[StatusCode] = &[
    StatusCode::BAD_REQUEST,
    StatusCode::FORBIDDEN,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::CONFLICT,
    StatusCode::PRECONDITION_FAILED,
    StatusCode::UNPROCESSABLE_ENTITY,
];

impl Repository<'_> {
    /// Returns whether the repository has a manifest that needs nothing more. One with a subject does: whether it has
    /// got into the list of the subject's referrers shows only in the answer to its PUT.
    pub(super) fn has_manifest(&self, access: &Access, (descriptor, bytes): &ManifestBytes) -> Result<bool> {
        if subject(bytes).is_some() {
            return Ok(false);
        }
        self.retrying(access, || {
            let name = descriptor.digest.to_string();
            let mut head = Request { expected: UNSETTLED, ..self.manifest_request(access, Method::HEAD, &name)? };
            if let Ok(accept) = HeaderValue::from_str(&descriptor.media_type) {
                head.headers.insert(ACCEPT, accept);
            }
            let answer = self.client.connection.exchange(access, &head)?;
            let is_there = answer.status().is_success();
            Ok(is_there && content_digest(&answer) == Some(descriptor.digest))
        })
    }

    /// Puts a manifest under its digest, and into the list of its subject's referrers.
    pub(super) fn push_manifest(&self, access: &Access, document: &ManifestBytes) -> Result<()> {
        let (descriptor, bytes) = document;
        let name = descriptor.digest.to_string();
        let answer = self.retrying(access, || self.put(access, &name, document, &[]))?;
        (self.progress)(Event::ManifestPushed { repository: &self.reference, name: &name, digest: descriptor.digest });
        match subject(bytes).filter(|_| !answer.headers().contains_key("oci-subject")) {
            Some(subject) => self.list_referrer(access, subject, referrer(document)?),
            None => Ok(()),
        }
    }

    /// Puts the tags of `root` in as few requests as it takes, and returns those that the registry confirms
    /// (distribution-spec, "Pushing Manifests", the parameter `tag`).
    pub(super) fn put_tags_together(&self, access: &Access, root: &ManifestBytes, tags: &[String]) -> HashSet<String> {
        let ignores_tags = &access.place.known.ignores_tags;
        let mut confirmed = HashSet::new();
        for tags in tags.chunks(TAGS_AT_ONCE).filter(|tags| tags.len() > 1) {
            if ignores_tags.is_set() {
                break;
            }
            // What becomes of each tag, its own request will tell.
            let Ok(answer) = self.put(access, &root.0.digest.to_string(), root, tags) else { break };
            let values = answer.headers().get_all("oci-tag").iter().filter_map(|value| value.to_str().ok());
            let named: HashSet<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
            if named.is_empty() {
                ignores_tags.set();
            }
            let before = confirmed.len();
            confirmed.extend(tags.iter().filter(|tag| named.contains(tag.as_str())).cloned());
            // A tag does not go before those that stand in front of it.
            if confirmed.len() < before + tags.len() {
                break;
            }
        }
        confirmed
    }

    pub(in crate::registry) fn put_tag(&self, access: &Access, root: &ManifestBytes, tag: &str) -> Result<()> {
        self.retrying(access, || {
            let answer = self.put(access, tag, root, &[])?;
            if answer.status().is_success() {
                return Ok(());
            }
            let refusal = self.client.connection.refusal(access, answer);
            match self.standing_of(access, tag)? {
                Some(digest) if digest == root.0.digest => Ok(()),
                Some(digest) => Err(immutable(refusal, tag, digest)),
                None => Err(refusal),
            }
        })
    }

    /// PUT; the answer to that of a tag may be [one of those](IMMOVABLE) that refuse to move it.
    fn put(
        &self,
        access: &Access,
        name: &str,
        (descriptor, bytes): &ManifestBytes,
        tags: &[String],
    ) -> Result<Response, Failure> {
        let content_type = HeaderValue::from_str(&descriptor.media_type)
            .map_err(|_| Error::input(format!("manifest {} has a malformed media type", descriptor.digest)))?;
        let mut put = Request::new(Method::PUT, self.url(access, &format!("manifests/{name}"))?);
        if !tags.is_empty() {
            put.url.query_pairs_mut().extend_pairs(tags.iter().map(|tag| ("tag", tag)));
        }
        put.headers.insert(CONTENT_TYPE, content_type);
        put.body = Body::Bytes(Bytes::copy_from_slice(bytes));
        if name.parse::<Digest>().is_err() {
            put.expected = IMMOVABLE;
        }
        let answer = self.client.connection.exchange(access, &put)?;
        if answer.status().is_success() {
            check_digest(&answer, descriptor.digest)?;
        }
        Ok(answer)
    }

    /// Returns what `tag` stands for, as far as the registry says it.
    fn standing_of(&self, access: &Access, tag: &str) -> Result<Option<Digest>, Failure> {
        let head = Request { expected: UNSETTLED, ..self.manifest_request(access, Method::HEAD, tag)? };
        let answer = self.client.connection.exchange(access, &head)?;
        Ok(content_digest(&answer).filter(|_| answer.status().is_success()))
    }

    /// Adds to the list that stands in for a registry's own (distribution-spec, "Referrers Tag Schema").
    fn list_referrer(&self, access: &Access, subject: Digest, referrer: Descriptor) -> Result<()> {
        let tag = format!("sha256-{}", subject.hex());
        let _alone = locked(&access.place.known.referrers);
        self.retrying(access, || {
            let mut list = self.referrers(access, &tag)?;
            if list.manifests.iter().any(|listed| listed.digest == referrer.digest) {
                return Ok(());
            }
            list.manifests.push(referrer.clone());
            let bytes = to_json(&list);
            let document = (Descriptor::of(media_type::IMAGE_INDEX, &bytes), bytes);
            let answer = self.put(access, &tag, &document, &[])?;
            match answer.status().is_success() {
                true => Ok(()),
                false => Err(self.client.connection.refusal(access, answer)),
            }
        })
    }

    fn referrers(&self, access: &Access, tag: &str) -> Result<ImageIndex, Failure> {
        let get = Request { expected: &[StatusCode::NOT_FOUND], ..self.manifest_request(access, Method::GET, tag)? };
        let mut answer = self.client.connection.exchange(access, &get)?;
        if !answer.status().is_success() {
            return Ok(ImageIndex::new(Vec::new(), Map::new()));
        }
        let bytes = answer.read(MANIFEST_LIMIT)?;
        Ok(from_json(&format!("the list of referrers of {}", label(&get.method, &get.url)), &bytes)?)
    }

    fn retrying<T>(&self, access: &Access, step: impl FnMut() -> Result<T, Failure>) -> Result<T> {
        self.client.connection.http.options().backoff.run(self.progress, &access.stop, step)
    }
}

fn immutable(mut refusal: Failure, tag: &str, digest: Digest) -> Failure {
    refusal.error.message = format!("cannot move the tag {tag}, which stands for {digest}: {}", refusal.error.message);
    refusal.error.hint = Some(format!("the tags of this repository seem to be immutable: push {tag} under a new name"));
    refusal
}

/// Returns what a manifest or index refers to (image-spec, `subject`).
fn subject(bytes: &[u8]) -> Option<Digest> {
    Some(from_json::<Referrer>("a manifest", bytes).ok()?.subject?.digest)
}

/// How a manifest with a subject stands in the list of referrers.
fn referrer((descriptor, bytes): &ManifestBytes) -> Result<Descriptor> {
    Ok(from_json::<Referrer>(&format!("manifest {}", descriptor.digest), bytes)?.listed(descriptor))
}
