//! A graph into a repository, and the tags that stand for it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::super::access::Access;
use super::super::parallel::each;
use super::super::repository::Repository;
use super::document::ManifestBytes;
use crate::error::{Error, Result};
use crate::net::Stop;
use crate::oci::{Digest, MANIFEST_LIMIT, is_valid_tag};
use crate::progress::{BlobOutcome, Event};
use crate::store::{Graph, Store, children};
use crate::sync::locked;

impl Repository<'_> {
    /// Brings `graph`, whose blobs are in `store`, to this repository: first the blobs that it does not have, several
    /// at once; then the manifests by digest, children before parents. No tag is touched. What a manifest names that the
    /// repository has is taken to be there. Of a blob that is there, progress hears no more than
    /// [`Event::BlobFinished`].
    ///
    /// The first failure ends it and is the one returned; what has arrived stays. A failure of `store` is returned as
    /// it is, and damaged content never becomes a blob of the registry.
    pub fn upload(&self, graph: &Graph, store: &dyn Store) -> Result<()> {
        check(graph)?;
        let levels = levels(graph)?;
        let access = self.access.push().until(&Stop::default());
        thread::scope(|scope| {
            let present = self.present(&access, graph)?;
            let vouched = vouched(graph, &present)?;
            let mut seen = HashSet::new();
            let blobs = graph.blobs.iter().filter(|blob| seen.insert(blob.digest));
            let (there, missing): (Vec<_>, Vec<_>) = blobs.partition(|blob| vouched.contains(&blob.digest));
            let output = self.reference.name();
            (self.progress)(Event::OutputStarted { output: &output, blobs: there.len() + missing.len() });
            for blob in there {
                // For other repositories of the registry to take it from.
                let places = access.place.known.places(blob.digest);
                locked(&places).push(self.reference.repository().to_owned());
                store.note_repository(blob, &self.reference);
                (self.progress)(Event::BlobFinished { digest: blob.digest, outcome: BlobOutcome::Present });
            }
            each(missing, self.client.parallel, &access.stop, |blob| self.push_blob(&access, scope, store, blob))?;
            self.push_manifests(&access, levels, &present)
        })
    }

    /// Lets each of `tags`, in their order, stand for the root of `graph`, which has been [uploaded](Self::upload): a tag
    /// never stands for something that is not all there. The first failure ends it. A tag that may not move is no
    /// failure if it stands for that root already.
    pub fn tag(&self, graph: &Graph, tags: &[String]) -> Result<()> {
        if let Some(tag) = tags.iter().find(|tag| !is_valid_tag(tag)) {
            return Err(Error::input(format!("`{tag}` is not a tag")));
        }
        let Some(root) = graph.manifests.last() else { return Ok(()) };
        let access = self.access.push();
        let confirmed = self.put_tags_together(&access, root, tags);
        // Told first: a failure of the others must not hide what is set.
        let (together, alone): (Vec<_>, Vec<_>) = tags.iter().partition(|tag| confirmed.contains(*tag));
        let (repository, digest) = (&self.reference, root.0.digest);
        let told = |tag: &String| (self.progress)(Event::ManifestPushed { repository, name: tag, digest });
        together.into_iter().for_each(told);
        for tag in alone {
            self.put_tag(&access, root, tag)?;
            told(tag);
        }
        Ok(())
    }

    /// The manifests of `graph` that are in the repository.
    fn present(&self, access: &Access, graph: &Graph) -> Result<HashSet<Digest>> {
        let present = Mutex::new(HashSet::new());
        each(&graph.manifests, self.client.parallel, &access.stop, |document| {
            if self.has_manifest(access, document)? {
                locked(&present).insert(document.0.digest);
            }
            Ok(())
        })?;
        Ok(present.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn push_manifests(
        &self,
        access: &Access,
        levels: Vec<Vec<&ManifestBytes>>,
        present: &HashSet<Digest>,
    ) -> Result<()> {
        for level in levels {
            let missing = level.into_iter().filter(|(descriptor, _)| !present.contains(&descriptor.digest));
            each(missing, self.client.parallel, &access.stop, |manifest| self.push_manifest(access, manifest))?;
        }
        Ok(())
    }
}

/// Refuses what can be refused before anything is sent.
fn check(graph: &Graph) -> Result<()> {
    match graph.manifests.iter().find(|(_, bytes)| bytes.len() as u64 > MANIFEST_LIMIT) {
        Some((descriptor, bytes)) => Err(Error::input(format!(
            "{} {} has {} bytes, more than the {MANIFEST_LIMIT} that registries take",
            descriptor.media_type,
            descriptor.digest,
            bytes.len()
        ))),
        None => Ok(()),
    }
}

/// The manifests of `graph`: those that name no other, then those that name only these, and so on.
fn levels(graph: &Graph) -> Result<Vec<Vec<&ManifestBytes>>> {
    let mut level_of = HashMap::new();
    let mut levels: Vec<Vec<&ManifestBytes>> = Vec::new();
    for document in &graph.manifests {
        let (descriptor, bytes) = document;
        let below = children(descriptor, bytes)?;
        let level = below.iter().filter_map(|child| level_of.get(&child.digest)).map(|level| level + 1).max();
        let level = level.unwrap_or(0);
        level_of.insert(descriptor.digest, level);
        levels.resize_with(levels.len().max(level + 1), Vec::new);
        levels[level].push(document);
    }
    Ok(levels)
}

/// Returns what the manifests that are `present` name.
fn vouched(graph: &Graph, present: &HashSet<Digest>) -> Result<HashSet<Digest>> {
    let mut vouched = HashSet::new();
    for (descriptor, bytes) in graph.manifests.iter().filter(|(at, _)| present.contains(&at.digest)) {
        vouched.extend(children(descriptor, bytes)?.into_iter().map(|child| child.digest));
    }
    Ok(vouched)
}
