//! Manifests under tags of their own, each of which is asked for alone.

use std::thread;

use super::answer::{UNSETTLED, check_digest};
use super::repository::Repository;
use crate::error::Result;
use crate::net::header::CONTENT_LENGTH;
use crate::net::{Failure, Method, Request, StatusCode, Stop};
use crate::oci::{Descriptor, Digest};
use crate::store::Store;

impl Repository<'_> {
    /// Returns the same, until `stop` is ended.
    pub fn until(mut self, stop: &Stop) -> Self {
        self.access = self.access.until(stop);
        self
    }

    /// Returns the manifest that `tag` stands for, as it is; none if there is no such tag, or no such repository. One that
    /// has more than `limit` bytes is [`ErrorKind::Integrity`](crate::error::ErrorKind::Integrity).
    pub fn manifest_of(&self, tag: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.attempt(|| {
            let get = self.manifest_request(&self.access, Method::GET, tag)?;
            let get = Request { expected: &[StatusCode::NOT_FOUND], ..get };
            let mut answer = self.client.connection.exchange(&self.access, &get)?;
            if !answer.status().is_success() {
                return Ok(None);
            }
            let bytes = answer.read(limit).map_err(Failure::in_content)?;
            check_digest(&answer, Digest::of(&bytes))?;
            Ok(Some(bytes))
        })
    }

    /// Removes a manifest, and with it all tags that stand for it (distribution-spec, "Deleting Manifests"). One that is
    /// not there is removed.
    pub fn delete_manifest(&self, digest: Digest) -> Result<()> {
        let access = self.access.delete();
        let removed = self.attempt(|| {
            let request = self.manifest_request(&access, Method::DELETE, &digest.to_string())?;
            let request = Request { expected: &[StatusCode::NOT_FOUND], ..request };
            self.client.connection.exchange(&access, &request).map(drop)
        });
        removed.map_err(|error| {
            error.with_hint(
                "the registry must allow manifests to be deleted, and you must be \
                allowed to delete them",
            )
        })
    }

    /// Returns the size in bytes of the blob with this digest, as the registry says it; none if the repository has no such blob,
    /// or the registry does not say.
    pub fn size_of_blob(&self, digest: Digest) -> Result<Option<u64>> {
        self.attempt(|| {
            let url = self.url(&self.access, &format!("blobs/{digest}"))?;
            let request = Request { expected: UNSETTLED, ..Request::new(Method::HEAD, url) };
            let answer = self.client.connection.exchange(&self.access, &request)?;
            if !answer.status().is_success() {
                return Ok(None);
            }
            check_digest(&answer, digest)?;
            Ok(answer.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()))
        })
    }

    /// Puts `manifest` under `tag`, behind those of its `blobs`, which are in `store`, that the repository does not have.
    pub fn put_artifact(
        &self,
        tag: &str,
        manifest: &(Descriptor, Vec<u8>),
        blobs: &[Descriptor],
        store: &dyn Store,
    ) -> Result<()> {
        blobs.iter().try_for_each(|blob| self.put_blob(blob, store))?;
        self.put_tag(&self.access.push(), manifest, tag)
    }

    /// Puts a blob, which is in `store`, unless the repository has it.
    pub fn put_blob(&self, blob: &Descriptor, store: &dyn Store) -> Result<()> {
        thread::scope(|scope| self.push_blob(&self.access.push(), scope, store, blob))
    }
}
