use std::collections::HashSet;
use std::io::Read;

use super::Store;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, ImageIndex, ImageManifest, MANIFEST_LIMIT, from_json, media_type};

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
        let mut graph = Graph { blobs: Vec::new(), manifests: Vec::new() };
        graph.visit(store, root, &mut HashSet::new())?;
        Ok(graph)
    }

    fn visit(&mut self, store: &dyn Store, at: &Descriptor, seen: &mut HashSet<Digest>) -> Result<()> {
        if !seen.insert(at.digest) {
            return Ok(());
        }
        if media_type::is_index(&at.media_type) {
            let bytes = read_document(store, at)?;
            let index: ImageIndex = from_json(&format!("index {}", at.digest), &bytes)?;
            for child in &index.manifests {
                self.visit(store, child, seen)?;
            }
            self.manifests.push((at.clone(), bytes));
        } else if media_type::is_manifest(&at.media_type) {
            let bytes = read_document(store, at)?;
            let manifest: ImageManifest = from_json(&format!("manifest {}", at.digest), &bytes)?;
            for child in std::iter::once(&manifest.config).chain(&manifest.layers) {
                self.visit(store, child, seen)?;
            }
            self.manifests.push((at.clone(), bytes));
        } else {
            self.blobs.push(at.clone());
        }
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
