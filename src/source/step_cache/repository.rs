//! Entries in a registry's repository: each under the tag `step-HEX`, or `TAG-step-HEX` to keep those of `TAG` apart.

use std::io::Read;

use super::entry::{Lookup, StepEntry};
use super::sweep::RegistrySteps;
use crate::error::Result;
use crate::net::Stop;
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::{Progress, silent};
use crate::registry::{OnDemand, Repository};
use crate::source::artifact::{ARTIFACT_LIMIT, ArtifactWriter, as_wrong, is_there, tag_of};
use crate::store::Store;

pub struct StepRepository<'a> {
    reference: Reference,
    client: &'a OnDemand,
    repository: Repository<'a>,
    writer: ArtifactWriter,
}

impl<'a> StepRepository<'a> {
    pub fn open(reference: Reference, client: &'a OnDemand, progress: Progress<'a>) -> Result<Self> {
        let repository = client.client()?.repository(&reference, progress);
        Ok(StepRepository { reference, client, repository, writer: ArtifactWriter::default() })
    }

    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    pub fn find(&self, key: &Digest, is_trusted: &dyn Fn(&StepEntry) -> bool, stop: &Stop) -> Result<Lookup> {
        let repository = self.quietly()?.until(stop);
        let Some(manifest) = repository.manifest_of(&self.tag(key), ARTIFACT_LIMIT)? else {
            return Ok(Lookup::Missing);
        };
        let entry = StepEntry::read(&manifest, key).map_err(as_wrong)?;
        if !is_trusted(&entry) {
            return Ok(Lookup::Useless);
        }
        if let Some(layer) = &entry.layer
            && !is_there(&layer.descriptor, repository.size_of_blob(layer.descriptor.digest)?)?
        {
            return Ok(Lookup::Useless);
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
        if let Some(layer) = &entry.layer {
            self.repository.put_blob(&layer.descriptor, store)?;
        }
        self.writer.put(&self.repository, &[self.tag(&entry.key)], &entry.artifact())
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
