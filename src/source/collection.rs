//! Images that are to be copied or joined, from as many places as there are.

use std::collections::HashSet;

use super::image::{FoundImages, Location};
use super::narrow::narrowed;
use super::referrers::{FoundReferrer, referrers, subject};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Platform};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::store::{DocumentBudget, Gathered, Graph, Listed};

/// The number of missing blobs that an error names.
const NAMED_BLOBS: usize = 3;

/// The part of an image that is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImageChoice<'a> {
    /// All, if there are none.
    pub platforms: &'a [Platform],
    /// Its referrers are wanted, too, and theirs.
    pub referrers: bool,
}

/// Images whose documents have been read, and the store of all their content. No layer is opened for it.
pub struct Collection<'a> {
    /// All content of all images, wherever it lies; layers are read when they are asked for.
    pub content: Gathered<'a>,
    /// The images, in the order in which they were added.
    pub images: Vec<Collected>,
    client: &'a OnDemand,
    progress: Progress<'a>,
    budget: DocumentBudget,
    is_delta: bool,
}

/// One of the images.
pub struct Collected {
    /// The place that it was found in.
    pub location: Location,
    /// The name in errors.
    pub title: String,
    /// The descriptor and the names that it has there.
    pub image: Listed,
    /// The documents that refer to it.
    pub referrers: Vec<Descriptor>,
    /// The blobs of the image and of its referrers.
    pub blobs: Vec<Descriptor>,
    /// Manifests and indexes, children before parents; the root is the last.
    pub manifests: Vec<Descriptor>,
}

impl<'a> Collection<'a> {
    /// Returns a collection of nothing.
    pub fn new(client: &'a OnDemand, progress: Progress<'a>) -> Self {
        let budget = DocumentBudget::default();
        Collection { content: Gathered::default(), images: Vec::new(), client, progress, budget, is_delta: false }
    }

    /// Adds what is at `location`, which errors call `title`: one image, or all of a layout or archive.
    pub fn add(&mut self, title: &str, location: &Location, choice: ImageChoice<'_>) -> Result<()> {
        let FoundImages { store, images, is_delta } = location.find(self.client, self.progress)?;
        self.is_delta |= is_delta;
        let number = self.content.join(store);
        let count = self.images.len();
        let is_only = images.len() == 1;
        for image in images {
            let is_named = is_only || !image.names.is_empty() || !image.short_names.is_empty();
            let title = if is_only { title.to_owned() } else { titled(title, &image) };
            let graph = Graph::read(self.content.store(number), &image.root, &mut self.budget)?;
            // What stands in a layout beside what it refers to is not an image of its own.
            if is_named || subject(&graph)?.is_none() {
                let collected = self.collect(number, location.clone(), title, image, graph, choice)?;
                self.images.push(collected);
            }
        }
        if self.images.len() == count {
            return Err(Error::not_found(format!("{title} holds no image")));
        }
        Ok(())
    }

    /// Returns whether one of the places is an archive that blobs were left out of.
    pub fn is_delta(&self) -> bool {
        self.is_delta
    }

    /// Returns all blobs of all images.
    pub fn blobs(&self) -> HashSet<Digest> {
        self.images.iter().flat_map(|image| &image.blobs).map(|blob| blob.digest).collect()
    }

    /// Sees to it that what the images lack is read from what is at `location`. Fails if that cannot be opened.
    pub fn complete_from(&mut self, location: &Location) -> Result<()> {
        let found = location.find(self.client, self.progress)?;
        self.content.join(found.store);
        Ok(())
    }

    /// Fails unless every blob of every image is in one of the places, or `is_present` where it goes. A registry is taken
    /// at its word for its own images.
    pub fn check_complete(&mut self, is_present: impl Fn(usize, &Descriptor) -> Result<bool>) -> Result<()> {
        let mut first: Option<(&str, Vec<Digest>)> = None;
        let mut others = 0;
        for (number, image) in self.images.iter().enumerate() {
            if matches!(image.location, Location::Registry(_)) {
                continue;
            }
            let mut missing = Vec::new();
            for blob in &image.blobs {
                if !missing.contains(&blob.digest) && !self.content.find(blob)? && !is_present(number, blob)? {
                    missing.push(blob.digest);
                }
            }
            match (&first, missing.is_empty()) {
                (_, true) => {}
                (None, false) => first = Some((&image.title, missing)),
                (Some(_), false) => others += 1,
            }
        }
        match first {
            None => Ok(()),
            Some((title, missing)) => Err(incomplete(title, &missing, others, self.is_delta)),
        }
    }

    fn collect(
        &mut self,
        number: usize,
        location: Location,
        title: String,
        mut image: Listed,
        mut graph: Graph,
        choice: ImageChoice<'_>,
    ) -> Result<Collected> {
        self.content.add(number, &graph);
        if !choice.platforms.is_empty()
            && let Some(narrow) = narrowed(self.content.store(number), &title, &graph, choice.platforms)?
        {
            if let Some(document) = narrow.document {
                self.content.put(narrow.root.digest, document);
            }
            graph = Graph::read(&self.content, &narrow.root, &mut self.budget)?;
            image.root = narrow.root;
        }
        let found = match choice.referrers {
            true => referrers(self.content.store(number), &graph, &mut self.budget, self.progress)?,
            false => Vec::new(),
        };
        let mut collected =
            Collected { location, title, image, referrers: Vec::new(), blobs: Vec::new(), manifests: Vec::new() };
        collected.blobs.extend(graph.blobs);
        collected.manifests.extend(graph.manifests.into_iter().map(|(descriptor, _)| descriptor));
        for FoundReferrer { descriptor, graph, .. } in found {
            self.content.add(number, &graph);
            collected.referrers.push(descriptor);
            collected.blobs.extend(graph.blobs);
        }
        Ok(collected)
    }
}

/// One of several images at a place.
fn titled(place: &str, image: &Listed) -> String {
    let full = image.names.first().map(ToString::to_string);
    let name = full.or_else(|| image.short_names.first().cloned()).unwrap_or_else(|| image.root.digest.to_string());
    format!("{name} in {place}")
}

fn incomplete(title: &str, missing: &[Digest], others: usize, is_delta: bool) -> Error {
    let named: Vec<String> = missing.iter().take(NAMED_BLOBS).map(ToString::to_string).collect();
    let more = if missing.len() > named.len() { ", …" } else { "" };
    let others = match others {
        0 => String::new(),
        1 => "; another image lacks some, too".to_owned(),
        others => format!("; {others} other images lack some, too"),
    };
    let blobs = if missing.len() == 1 { "1 blob".to_owned() } else { format!("{} blobs", missing.len()) };
    let error = Error::not_found(format!("{title} lacks {blobs}: {}{more}{others}", named.join(", ")));
    error.with_hint(if is_delta {
        "it is a delta: name what it was made for with --since, or copy it to where that is; nothing has been written"
    } else {
        "it is not whole: fetch or make it again; nothing has been written"
    })
}
