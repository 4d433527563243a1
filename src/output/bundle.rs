//! A [`Bundle`] holds the images that are written together; this file reads their documents.

use std::collections::{HashMap, HashSet};

use super::kind::Output;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Reference};
use crate::store::{DocumentBudget, Graph, Store};

/// An image to be written: its root, its names, and the store that has its content.
#[derive(Clone, Copy)]
pub struct OutputImage<'a> {
    /// The store that has all below `root`.
    pub store: &'a dyn Store,
    /// Its manifest or index.
    pub root: &'a Descriptor,
    /// The names that are to stand for it.
    pub names: &'a [Reference],
}

/// Images that are written together.
pub struct Bundle<'a> {
    /// The images, in their order.
    pub entries: Vec<BundleEntry<'a>>,
    /// Blobs that an OCI archive goes without, because whoever gets it has them: it is a delta then, and says so, even if
    /// its images have none of them. Nothing is left out of anything else.
    pub left_out: Option<&'a HashSet<Digest>>,
}

/// An image of a bundle, and what goes along with it.
#[derive(Clone, Copy)]
pub struct BundleEntry<'a> {
    /// The image itself.
    pub image: OutputImage<'a>,
    /// Names that say not in which repository, for layouts and archives alone.
    pub short_names: &'a [String],
    /// Manifests that refer to the image, or to what does, and go where it goes. Their content is in its store.
    pub referrers: &'a [Descriptor],
}

/// An entry whose documents are read.
pub(super) struct ReadEntry<'a> {
    pub entry: BundleEntry<'a>,
    pub graph: Graph,
    /// A graph for each referrer.
    pub referrers: Vec<Graph>,
}

impl<'a> Bundle<'a> {
    /// Reads the documents of all entries, which have one budget together.
    pub(super) fn items(&self) -> Result<Vec<ReadEntry<'a>>> {
        let mut budget = DocumentBudget::default();
        let item = |entry: &BundleEntry<'a>| {
            let store = entry.image.store;
            let graph = Graph::read(store, entry.image.root, &mut budget)?;
            let referrers = entry.referrers.iter().map(|root| Graph::read(store, root, &mut budget));
            Ok(ReadEntry { entry: *entry, graph, referrers: referrers.collect::<Result<_>>()? })
        };
        self.entries.iter().map(item).collect()
    }

    /// Refuses one name for two images, and outputs that have no place for what goes along with the images.
    pub(super) fn check(&self, outputs: &[Output]) -> Result<()> {
        self.check_names()?;
        let has_referrers = self.entries.iter().any(|entry| !entry.referrers.is_empty());
        match outputs.iter().find(|output| matches!(output, Output::DockerArchive(_))) {
            Some(output) if has_referrers => Err(Error::usage(format!("{output} has no place for referrers"))
                .with_hint("leave out --referrers, or write an OCI archive")),
            _ => Ok(()),
        }
    }

    fn check_names(&self) -> Result<()> {
        let mut known: HashMap<String, Digest> = HashMap::new();
        for entry in &self.entries {
            let digest = entry.image.root.digest;
            let full = entry.image.names.iter().filter(|name| name.tag().is_some()).map(ToString::to_string);
            for name in full.chain(entry.short_names.iter().cloned()) {
                match known.insert(name.clone(), digest) {
                    Some(other) if other != digest => {
                        return Err(Error::input(format!("`{name}` would name two images, {other} and {digest}"))
                            .with_hint("copy one of them by itself, under another name"));
                    }
                    _ => {}
                }
            }
        }
        // In a layout a short name is the tag of whatever has that tag.
        for entry in &self.entries {
            let digest = entry.image.root.digest;
            let clashes = |tag: &str| known.get(tag).is_some_and(|other| *other != digest);
            if let Some(tag) = entry.image.names.iter().filter_map(|name| name.tag()).find(|tag| clashes(tag)) {
                return Err(Error::input(format!("`{tag}` would name an image that has no other name, and {digest}"))
                    .with_hint("copy the former by itself, under a name with a repository"));
            }
        }
        Ok(())
    }
}

impl ReadEntry<'_> {
    /// Returns the names that are to stand for the image in registries: one with a digest alone stands for it as it is.
    pub fn tags(&self) -> Vec<Reference> {
        let is_tag = |name: &&Reference| name.tag().is_some() || name.digest().is_none();
        self.entry.image.names.iter().filter(is_tag).cloned().collect()
    }

    /// Returns all content: blobs and manifests of the image, then those of what refers to it. Some may come twice.
    pub fn content(&self) -> impl Iterator<Item = &Descriptor> {
        let graphs = std::iter::once(&self.graph).chain(&self.referrers);
        graphs.flat_map(|graph| graph.blobs.iter().chain(graph.manifests.iter().map(|(descriptor, _)| descriptor)))
    }
}
