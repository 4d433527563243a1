//! Cache mounts in a registry's repository: each under the tag `mount-OF-KEY`, and the one that was written last under
//! `mount-OF`, too; behind `TAG-` to keep those of `TAG` apart.

use super::entry::{MountEntry, MountLayer};
use crate::error::Result;
use crate::net::Stop;
use crate::oci::{Digest, Reference};
use crate::progress::{Progress, silent};
use crate::registry::{OnDemand, Repository};
use crate::source::artifact::{ARTIFACT_LIMIT, ArtifactWriter, as_wrong, is_there, tag_of, title_of};
use crate::source::cached::CACHE_DEADLINE;
use crate::store::Store;

/// So much of a digest is in a tag, in characters: the whole of it is in the manifest.
const SHORT: usize = 24;

/// What the tags of cache mounts begin with, behind the one that keeps them apart.
pub const TAGS: &str = "mount-";

/// The cache mounts of a repository.
pub struct MountRepository<'a> {
    reference: Reference,
    client: &'a OnDemand,
    repository: Repository<'a>,
    progress: Progress<'a>,
    writer: ArtifactWriter,
}

impl<'a> MountRepository<'a> {
    /// Returns a repository of which nothing is asked yet.
    pub fn open(reference: Reference, client: &'a OnDemand, progress: Progress<'a>) -> Result<Self> {
        let repository = client.client()?.repository(&reference, progress);
        Ok(MountRepository { reference, client, repository, progress, writer: ArtifactWriter::default() })
    }

    /// Returns the name of the place.
    pub fn title(&self) -> String {
        title_of(&self.reference)
    }

    /// Returns the tag of what was filled for `key`.
    pub fn exact_tag(&self, of: &Digest, key: &Digest) -> String {
        tag_of(&self.reference, &format!("{TAGS}{}-{}", &of.hex()[..SHORT], &key.hex()[..SHORT]))
    }

    /// Returns the tag of what was written last.
    pub fn last_tag(&self, of: &Digest) -> String {
        tag_of(&self.reference, &format!("{TAGS}{}", &of.hex()[..SHORT]))
    }

    /// Returns the entry under `tag`, all layers of which are there, and as large as it says; none if there is none. Waits no
    /// longer than a deadline.
    pub fn find(&self, tag: &str) -> Result<Option<MountEntry>> {
        let repository = self.quietly()?;
        Stop::within(CACHE_DEADLINE, |stop| {
            let repository = repository.until(stop);
            let Some(manifest) = repository.manifest_of(tag, ARTIFACT_LIMIT)? else { return Ok(None) };
            let entry = MountEntry::read(&manifest).map_err(as_wrong)?;
            Ok(has_all(&repository, &entry.layers)?.then_some(entry))
        })
    }

    /// Returns whether there is such a tag. Waits no longer than a deadline.
    pub fn has(&self, tag: &str) -> Result<bool> {
        let repository = self.quietly()?;
        Stop::within(CACHE_DEADLINE, |stop| Ok(repository.until(stop).find(tag)?.is_some()))
    }

    /// Returns whether all of `layers` are there. Waits no longer than a deadline.
    pub fn has_layers(&self, layers: &[MountLayer]) -> Result<bool> {
        let repository = self.quietly()?;
        Stop::within(CACHE_DEADLINE, |stop| has_all(&repository.until(stop), layers))
    }

    /// Returns the repository to read layers from, until `stop` is ended.
    pub fn until(&self, stop: &Stop) -> Result<Repository<'a>> {
        Ok(self.client.client()?.repository(&self.reference, self.progress).until(stop))
    }

    /// Puts `entry` under both its tags, behind those of its layers, which are in `store`, that are not there.
    pub fn put(&self, entry: &MountEntry, added: Option<&MountLayer>, store: &dyn Store) -> Result<()> {
        if let Some(MountLayer { layer, .. }) = added {
            self.repository.put_blob(&layer.descriptor, store)?;
        }
        let layers = entry.plain_layers();
        let tags = [self.exact_tag(&entry.of, &entry.key), self.last_tag(&entry.of)];
        self.writer.put(&self.repository, &tags, &entry.artifact(&layers))
    }

    /// The same repository, for what is not told of.
    fn quietly(&self) -> Result<Repository<'a>> {
        Ok(self.client.client()?.repository(&self.reference, &silent))
    }
}

fn has_all(repository: &Repository<'_>, layers: &[MountLayer]) -> Result<bool> {
    for MountLayer { layer, .. } in layers {
        if !is_there(&layer.descriptor, repository.size_of_blob(layer.descriptor.digest)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}
