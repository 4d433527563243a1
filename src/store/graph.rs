//! A [`Graph`] is all that a manifest or an index reaches; this file reads it.

use std::collections::HashSet;
use std::io::Read;

use super::Store;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, ImageIndex, ImageManifest, MANIFEST_LIMIT, from_json, media_type};

/// Indexes may stand in one another so deep, and all documents of an image may have so many bytes together: far more than
/// any image needs, and little enough that a hostile one takes neither the stack nor the memory.
const DEPTH_LIMIT: usize = 32;
const DOCUMENTS_LIMIT: u64 = 64 << 20;

/// All that a root descriptor reaches. Push, save and copy are walks over this.
#[derive(Debug)]
pub struct Graph {
    /// Configs and layers, each once, in the order in which they are met; without the [foreign](Graph::foreign) ones.
    pub blobs: Vec<Descriptor>,
    /// Manifests and indexes with their bytes, children before parents; the root is the last.
    pub manifests: Vec<(Descriptor, Vec<u8>)>,
}

impl Graph {
    /// Reads the manifests below `root`, itself a manifest or an index, from `store`; blobs are not opened.
    pub fn of(store: &dyn Store, root: &Descriptor) -> Result<Graph> {
        Self::read(store, root, &mut DocumentBudget::default())
    }

    /// Reads the same, where what is read counts against a budget that others may share.
    pub fn read(store: &dyn Store, root: &Descriptor, budget: &mut DocumentBudget) -> Result<Graph> {
        media_type::check_schema(&root.digest.to_string(), &root.media_type)?;
        if !media_type::is_manifest_or_index(&root.media_type) {
            return Err(Error::input(format!("{} has the type `{}`", root.digest, root.media_type.escape_debug()))
                .with_hint("an image is a manifest or an index, of OCI's types or docker's"));
        }
        let mut walk = GraphWalk { store, seen: HashSet::new(), budget };
        let mut graph = Graph { blobs: Vec::new(), manifests: Vec::new() };
        graph.visit(&mut walk, root, 0)?;
        Ok(graph)
    }

    /// Returns the manifests of images, without the attestations that BuildKit puts beside them under an unknown platform.
    pub fn images(&self) -> impl Iterator<Item = &(Descriptor, Vec<u8>)> {
        self.manifests.iter().filter(|(at, _)| media_type::is_manifest(&at.media_type) && !at.is_attestation())
    }

    /// Returns the layers that are not given on, but had from elsewhere ([`Descriptor::is_foreign`]).
    pub fn foreign(&self) -> Result<Vec<Descriptor>> {
        let mut all: Vec<Descriptor> = Vec::new();
        for (at, bytes) in &self.manifests {
            for child in children(at, bytes)?.into_iter().filter(Descriptor::is_foreign) {
                if all.iter().all(|known| known.digest != child.digest) {
                    all.push(child);
                }
            }
        }
        Ok(all)
    }

    fn visit(&mut self, walk: &mut GraphWalk<'_>, at: &Descriptor, depth: usize) -> Result<()> {
        if at.is_foreign() || !walk.seen.insert(at.digest) {
            return Ok(());
        }
        if !media_type::is_manifest_or_index(&at.media_type) {
            self.blobs.push(at.clone());
            return Ok(());
        }
        if depth > DEPTH_LIMIT {
            return Err(Error::input(format!(
                "indexes are nested more than {DEPTH_LIMIT} deep, down to {}",
                at.digest
            )));
        }
        let bytes = walk.read(at)?;
        for child in children(at, &bytes)? {
            self.visit(walk, &child, depth + 1)?;
        }
        self.manifests.push((at.clone(), bytes));
        Ok(())
    }
}

/// Returns what a manifest or index points to: its config and layers, or the manifests below it. One that could be read as
/// either is refused.
pub fn children(at: &Descriptor, bytes: &[u8]) -> Result<Vec<Descriptor>> {
    if media_type::is_index(&at.media_type) {
        return Ok(from_json::<ImageIndex>(&format!("index {}", at.digest), bytes)?.manifests);
    }
    let manifest: ImageManifest = from_json(&format!("manifest {}", at.digest), bytes)?;
    Ok(std::iter::once(manifest.config).chain(manifest.layers).collect())
}

struct GraphWalk<'a> {
    store: &'a dyn Store,
    seen: HashSet<Digest>,
    budget: &'a mut DocumentBudget,
}

impl GraphWalk<'_> {
    fn read(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.budget.take(descriptor)?;
        read_document(self.store, descriptor)
    }
}

/// The number of bytes of documents that may still be read of an image, or of several together: 64 MiB at first.
#[derive(Debug)]
pub struct DocumentBudget(u64);

impl Default for DocumentBudget {
    fn default() -> Self {
        DocumentBudget(DOCUMENTS_LIMIT)
    }
}

impl DocumentBudget {
    /// Accounts for a document that is about to be read.
    pub fn take(&mut self, descriptor: &Descriptor) -> Result<()> {
        let too_large = || {
            Error::input(format!(
                "the documents of the image, or of all together, have more than {DOCUMENTS_LIMIT} bytes"
            ))
        };
        self.0 = self.0.checked_sub(descriptor.size).ok_or_else(too_large)?;
        Ok(())
    }
}

/// Reads a manifest, index or config into memory, verified; one over [`MANIFEST_LIMIT`] is refused unread.
pub fn read_document(store: &dyn Store, descriptor: &Descriptor) -> Result<Vec<u8>> {
    if descriptor.size > MANIFEST_LIMIT {
        return Err(Error::input(format!(
            "{} {} has {} bytes, more than the {MANIFEST_LIMIT} that registries take",
            descriptor.media_type, descriptor.digest, descriptor.size
        )));
    }
    let mut bytes = Vec::with_capacity(descriptor.size as usize);
    store
        .open(descriptor)?
        .read_to_end(&mut bytes)
        .map_err(|source| Error::from_read("read", descriptor.digest.to_string(), source))?;
    Ok(bytes)
}
