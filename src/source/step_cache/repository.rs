//! Entries in a registry's repository: each under the tag `step-HEX`, or `TAG-step-HEX` to keep those of `TAG` apart.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

use super::entry::{ENTRY_LIMIT, EntryForm, Lookup, StepEntry, as_wrong, tag_of};
use super::sweep::RegistrySteps;
use crate::error::{Error, Result};
use crate::net::Stop;
use crate::oci::{Descriptor, Digest, Reference, media_type};
use crate::progress::{Progress, silent};
use crate::registry::{OnDemand, Repository};
use crate::store::{Gathered, Store};

pub struct StepRepository<'a> {
    reference: Reference,
    client: &'a OnDemand,
    repository: Repository<'a>,
    /// The registry takes images alone.
    takes_images: AtomicBool,
}

impl<'a> StepRepository<'a> {
    pub fn open(reference: Reference, client: &'a OnDemand, progress: Progress<'a>) -> Result<Self> {
        let repository = client.client()?.repository(&reference, progress);
        Ok(StepRepository { reference, client, repository, takes_images: AtomicBool::new(false) })
    }

    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    pub fn find(&self, key: &Digest, is_trusted: &dyn Fn(&StepEntry) -> bool, stop: &Stop) -> Result<Lookup> {
        let repository = self.quietly()?.until(stop);
        let Some(manifest) = repository.manifest_of(&self.tag(key), ENTRY_LIMIT)? else { return Ok(Lookup::Missing) };
        let entry = StepEntry::read(&manifest, key).map_err(as_wrong)?;
        if !is_trusted(&entry) {
            return Ok(Lookup::Useless);
        }
        if let Some(layer) = &entry.layer {
            let Descriptor { digest, size, .. } = &layer.descriptor;
            match repository.size_of_blob(*digest)? {
                // Somebody has tidied up.
                None => return Ok(Lookup::Useless),
                Some(actual) if actual == *size => {}
                Some(actual) => {
                    let message = format!("the layer {digest} has {actual} bytes, and {size} by its entry");
                    return Err(Error::integrity(message));
                }
            }
        }
        Ok(Lookup::Entry(Box::new(entry)))
    }

    pub fn has(&self, key: &Digest) -> Result<bool> {
        Ok(self.quietly()?.find(&self.tag(key))?.is_some())
    }

    pub fn layer(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.repository.open(descriptor)
    }

    pub fn put(&self, entry: &StepEntry, store: &dyn Store) -> Result<()> {
        let put = |form| {
            let (manifest, config) = entry.manifest(form);
            let kind = match form {
                EntryForm::Artifact => media_type::EMPTY,
                EntryForm::Image => media_type::IMAGE_CONFIG,
            };
            let named = Descriptor::of(kind, &config);
            let mut made = Gathered::default();
            made.put(named.digest, config);
            let document = (Descriptor::of(media_type::IMAGE_MANIFEST, &manifest), manifest);
            self.repository.put_artifact(&self.tag(&entry.key), &document, &[named], &made)
        };
        if let Some(layer) = &entry.layer {
            self.repository.put_blob(&layer.descriptor, store)?;
        }
        if self.takes_images.load(Ordering::Relaxed) {
            return put(EntryForm::Image);
        }
        put(EntryForm::Artifact).or_else(|error| {
            put(EntryForm::Image).map_err(|_| error)?;
            self.takes_images.store(true, Ordering::Relaxed);
            Ok(())
        })
    }

    pub fn note_uses(&self, keys: &[Digest], now: i64) -> Result<()> {
        RegistrySteps::new(self.reference.clone(), self.client)?.note_uses(keys, now)
    }

    /// The same repository, for what is not told of.
    fn quietly(&self) -> Result<Repository<'a>> {
        Ok(self.client.client()?.repository(&self.reference, &silent))
    }

    fn tag(&self, key: &Digest) -> String {
        tag_of(&self.reference, &format!("step-{}", key.hex()))
    }
}
