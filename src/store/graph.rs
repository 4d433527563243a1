use std::collections::HashSet;
use std::io::Read;

use super::Store;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, ImageIndex, ImageManifest, MANIFEST_LIMIT, from_json, media_type};

/// How deep indexes may lie in one another, and how many bytes all documents of an image may have together: far more
/// than any image needs, and little enough that a hostile one takes neither the stack nor the memory.
const DEPTH_LIMIT: usize = 16;
const DOCUMENTS_LIMIT: u64 = 64 << 20;

/// All that a root descriptor reaches. Push, save and copy are walks over this.
#[derive(Debug)]
pub struct Graph {
    /// Configs and layers, each once, in the order in which they are met.
    pub blobs: Vec<Descriptor>,
    /// Manifests and indexes with their bytes, children before parents; the root is the last.
    pub manifests: Vec<(Descriptor, Vec<u8>)>,
}

impl Graph {
    /// Reads the manifests below `root` from `store`; blobs are not opened.
    pub fn of(store: &dyn Store, root: &Descriptor) -> Result<Graph> {
        let mut walk = Walk { store, seen: HashSet::new(), budget: DocumentBudget::default() };
        let mut graph = Graph { blobs: Vec::new(), manifests: Vec::new() };
        graph.visit(&mut walk, root, 0)?;
        Ok(graph)
    }

    fn visit(&mut self, walk: &mut Walk<'_>, at: &Descriptor, depth: usize) -> Result<()> {
        if !walk.seen.insert(at.digest) {
            return Ok(());
        }
        if depth > DEPTH_LIMIT {
            return Err(Error::input(format!(
                "indexes lie in one another more than {DEPTH_LIMIT} deep, down to {}",
                at.digest
            )));
        }
        if media_type::is_index(&at.media_type) {
            let bytes = walk.read(at)?;
            let index: ImageIndex = from_json(&format!("index {}", at.digest), &bytes)?;
            for child in &index.manifests {
                self.visit(walk, child, depth + 1)?;
            }
            self.manifests.push((at.clone(), bytes));
        } else if media_type::is_manifest(&at.media_type) {
            let bytes = walk.read(at)?;
            let manifest: ImageManifest = from_json(&format!("manifest {}", at.digest), &bytes)?;
            for child in std::iter::once(&manifest.config).chain(&manifest.layers) {
                self.visit(walk, child, depth + 1)?;
            }
            self.manifests.push((at.clone(), bytes));
        } else {
            self.blobs.push(at.clone());
        }
        Ok(())
    }
}

struct Walk<'a> {
    store: &'a dyn Store,
    seen: HashSet<Digest>,
    budget: DocumentBudget,
}

impl Walk<'_> {
    fn read(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.budget.take(descriptor)?;
        read_document(self.store, descriptor)
    }
}

/// How many bytes of documents may still be read of one image: 64 MiB at first.
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
        let too_large = || Error::input(format!("the documents of the image have more than {DOCUMENTS_LIMIT} bytes"));
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
