//! An image of a local store, wherever the rest of it is.

use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::store::{BlobFile, FoundImage, LocalStore, Store};

/// The store of one image that a local store has under a name or an ID. What of it is not there is read in the repository that
/// has it, and kept.
pub struct NamedStore<'a> {
    near: LocalStore,
    found: FoundImage,
    far: Option<Box<dyn Store + 'a>>,
}

impl<'a> NamedStore<'a> {
    /// Opens the local store at `root` and finds what `name` means there. No registry is asked yet.
    pub fn open(root: &Path, name: &str, client: &'a OnDemand, progress: Progress<'a>) -> Result<Self> {
        let near = LocalStore::open(root)?;
        let found = near.find(name)?.ok_or_else(|| LocalStore::lacks(name))?;
        let elsewhere = found.named.as_ref().and_then(|image| image.elsewhere.as_ref());
        let far = elsewhere.map(|repository| far(repository, client, progress)).transpose()?;
        Ok(NamedStore { near, found, far })
    }

    /// Returns what was found.
    pub fn found(&self) -> &FoundImage {
        &self.found
    }
}

/// Returns the repository that has the rest of a named image, as the store that it is read from. Nothing is asked yet.
pub(super) fn far<'a>(
    repository: &Reference,
    client: &'a OnDemand,
    progress: Progress<'a>,
) -> Result<Box<dyn Store + 'a>> {
    Ok(Box::new(client.client()?.mirrored(repository, progress)?))
}

impl Store for NamedStore<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.near.open_or_take(descriptor, || match &self.far {
            Some(far) => far.open(descriptor),
            None => Err(Error::not_found(format!("the local store no longer has {}", descriptor.digest))
                .with_hint("build or pull the image again")),
        })
    }

    fn open_file(&self, descriptor: &Descriptor) -> Option<BlobFile> {
        self.near.open_file(descriptor)
    }

    /// Returns the image, whatever the name.
    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Ok(self.found.root.clone())
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        match (self.near.has(descriptor)?, &self.far) {
            (false, Some(far)) => far.has(descriptor),
            (has, _) => Ok(has),
        }
    }

    fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        match &self.far {
            Some(far) => far.referrers(subject),
            None => Ok(Vec::new()),
        }
    }

    fn diff_id(&self, layer: &Descriptor) -> Option<Digest> {
        self.near.diff_id(layer)
    }

    fn note_diff_id(&self, layer: &Layer) -> Result<()> {
        self.near.note_diff_id(layer)
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        self.far.as_ref()?.origin(descriptor)
    }

    fn repositories(&self, descriptor: &Descriptor, registry: &str) -> Vec<Reference> {
        let far = self.far.as_ref().map(|far| far.repositories(descriptor, registry)).unwrap_or_default();
        [far, self.near.repositories(descriptor, registry)].concat()
    }

    fn note_repository(&self, descriptor: &Descriptor, name: &Reference) {
        self.near.note_repository(descriptor, name);
    }
}
