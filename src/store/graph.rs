use std::collections::HashSet;
use std::io::Read;

use super::Store;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, ImageIndex, ImageManifest, MANIFEST_LIMIT, from_json, media_type};

/// How deep indexes may stand in one another. Nobody nests more than two or three; the bound keeps a hostile chain of
/// them from using up the stack.
const DEEPEST: usize = 32;

/// All that a root descriptor reaches. Push, save and copy are walks over this.
#[derive(Debug)]
pub struct Graph {
    /// Configs and layers, each once, in the order in which they are met; without the layers that are not to be given
    /// on ([`media_type::is_nondistributable`]).
    pub blobs: Vec<Descriptor>,
    /// Manifests and indexes with their bytes, children before parents; the root is the last.
    pub manifests: Vec<(Descriptor, Vec<u8>)>,
}

impl Graph {
    /// Reads the manifests below `root`, itself a manifest or an index, from `store`; blobs are not opened.
    pub fn of(store: &dyn Store, root: &Descriptor) -> Result<Graph> {
        if !media_type::is_manifest_or_index(&root.media_type) {
            return Err(Error::input(format!("{} is of the type `{}`", root.digest, root.media_type.escape_debug()))
                .with_hint("an image is a manifest or an index, of OCI's types or docker's"));
        }
        let mut graph = Graph { blobs: Vec::new(), manifests: Vec::new() };
        graph.visit(store, root, 0, &mut HashSet::new())?;
        Ok(graph)
    }

    fn visit(&mut self, store: &dyn Store, at: &Descriptor, depth: usize, seen: &mut HashSet<Digest>) -> Result<()> {
        if media_type::is_nondistributable(&at.media_type) || !seen.insert(at.digest) {
            return Ok(());
        }
        if !media_type::is_manifest_or_index(&at.media_type) {
            self.blobs.push(at.clone());
            return Ok(());
        }
        if depth > DEEPEST {
            return Err(Error::input(format!("{} stands below more than {DEEPEST} indexes", at.digest)));
        }
        let bytes = read_document(store, at)?;
        for child in children(at, &bytes)? {
            self.visit(store, &child, depth + 1, seen)?;
        }
        self.manifests.push((at.clone(), bytes));
        Ok(())
    }
}

/// What a manifest or index points to. One that could be read as either is refused: another program might see another
/// image in it than this one does.
fn children(at: &Descriptor, bytes: &[u8]) -> Result<Vec<Descriptor>> {
    let ambiguous = || Err(Error::input(format!("{} is an index and a manifest at once", at.digest)));
    if media_type::is_index(&at.media_type) {
        let index: ImageIndex = from_json(&format!("index {}", at.digest), bytes)?;
        if index.other.contains_key("layers") || index.other.contains_key("config") {
            return ambiguous();
        }
        return Ok(index.manifests);
    }
    let manifest: ImageManifest = from_json(&format!("manifest {}", at.digest), bytes)?;
    if manifest.other.contains_key("manifests") {
        return ambiguous();
    }
    Ok(std::iter::once(manifest.config).chain(manifest.layers).collect())
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
