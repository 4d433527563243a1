//! The cache mounts that a repository has, and the removal of old ones.

use std::collections::HashMap;

use super::entry::MountEntry;
use super::repository::TAGS;
use crate::error::Result;
use crate::oci::{Digest, Reference};
use crate::progress::silent;
use crate::registry::{Client, OnDemand, Repository};
use crate::source::artifact::{ListedArtifact, listed, tag_of};

/// The cache mounts that a registry keeps.
pub struct RegistryMounts<'a> {
    reference: Reference,
    client: &'a Client,
    repository: Repository<'a>,
}

impl<'a> RegistryMounts<'a> {
    /// Returns the cache mounts that are kept under `reference`. Nothing is asked yet.
    pub fn new(reference: Reference, client: &'a OnDemand) -> Result<Self> {
        let client = client.client()?;
        let repository = client.repository(&reference, &silent);
        Ok(RegistryMounts { reference, client, repository })
    }

    /// Returns all of them, in the order of their tags. What is under such a tag and is not a cache mount is left out.
    pub fn entries(&self) -> Result<Vec<ListedArtifact<MountEntry>>> {
        let prefix = tag_of(&self.reference, TAGS);
        let tags = self.repository.tags()?;
        // What was written last has a tag without a key, too.
        let tags = tags.iter().filter(|tag| tag.strip_prefix(&prefix).is_some_and(|rest| rest.contains('-')));
        listed(self.client, &self.repository, tags, |_, manifest| MountEntry::read(manifest).ok())
    }

    /// Returns those that were written before `since`, in seconds since 1970, and are not the newest of their mount; and the
    /// number of all others.
    pub fn old(&self, since: i64) -> Result<(Vec<ListedArtifact<MountEntry>>, usize)> {
        let all = self.entries()?;
        let mut newest: HashMap<Digest, &ListedArtifact<MountEntry>> = HashMap::new();
        for listed in &all {
            let known = newest.entry(listed.entry.of).or_insert(listed);
            if listed.entry.written > known.entry.written {
                *known = listed;
            }
        }
        let kept: Vec<Digest> = newest.values().map(|listed| listed.manifest).collect();
        let is_old = |listed: &&ListedArtifact<MountEntry>| {
            !kept.contains(&listed.manifest) && listed.entry.written.is_none_or(|written| written < since)
        };
        let old: Vec<ListedArtifact<MountEntry>> = all.iter().filter(is_old).cloned().collect();
        let stay = all.len() - old.len();
        Ok((old, stay))
    }

    /// Removes `mounts`. The first failure ends it.
    pub fn remove(&self, mounts: &[ListedArtifact<MountEntry>]) -> Result<()> {
        self.client.each(mounts, |listed| self.repository.delete_manifest(listed.manifest))
    }
}
