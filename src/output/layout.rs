//! This file writes OCI layouts: images in a directory (image-spec, image-layout.md).

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::blob::copy_blob;
use super::bundle::{BundleEntry, ReadEntry};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, ImageIndex, Map, Reference, to_json};
use crate::progress::{BlobOutcome, Event, Progress};
use crate::store::archive::LEFT_OUT;
use crate::store::layout::{BLOBS, INDEX, MARKER, MARKER_CONTENT, blob_path};
use crate::store::pending::{self, PendingDirectory, PendingFile};
use crate::store::{CONTAINERD_NAME, Layout, REF_NAME, Store};

/// Writes a layout. A new one appears in one step, unless its directory is there already: then `index.json` and the
/// marker come last. In a layout that exists, `index.json` is replaced in one step after all blobs are there, and what
/// else it names stays. Builds that write to one layout at once wait for each other.
pub fn write(directory: &Path, items: &[ReadEntry<'_>], progress: Progress<'_>) -> Result<()> {
    if !Layout::is_at(directory) && create(directory, items, progress)? {
        return Ok(());
    }
    let opened = |source| Error::io("open", directory, source);
    let root = File::open(directory).map(OwnedFd::from).map_err(opened)?;
    let blobs = root
        .try_clone()
        .and_then(|root| BLOBS.split('/').try_fold(root, |at, name| pending::enter_or_make(&at, name.as_ref())));
    let blobs = blobs.map_err(|source| Error::io("create", directory.join(BLOBS), source))?;
    fill(&Arc::new(blobs), directory, items, Some(&Layout::open(directory)?), progress)?;
    let _lock = lock(directory);
    let mut index = Layout::open(directory)?.index().clone();
    enter(&mut index, items);
    put(&Arc::new(root), directory, INDEX, &to_json(&index))
}

/// Fails where [`write`] is sure to.
pub fn check(directory: &Path) -> Result<()> {
    PendingDirectory::check(directory)?;
    if !Layout::is_at(directory) && fs::read_dir(directory).is_ok_and(|mut listing| listing.next().is_some()) {
        return Err(Error::input(format!("{} is neither empty nor an OCI layout", directory.display()))
            .with_hint("name a new directory, or one that a layout is in"));
    }
    Ok(())
}

/// Makes a new layout. Returns false if another build has made one there in the meantime.
fn create(directory: &Path, items: &[ReadEntry<'_>], progress: Progress<'_>) -> Result<bool> {
    check(directory)?;
    let pending = PendingDirectory::begin(directory)?;
    fill(&Arc::new(pending.create(BLOBS)?), directory, items, None, progress)?;
    let root = Arc::new(pending.create("")?);
    put(&root, directory, INDEX, &index(items, None))?;
    put(&root, directory, MARKER, MARKER_CONTENT.as_bytes())?;
    pending.open_up()?;
    let _lock = lock(directory);
    if Layout::is_at(directory) {
        return Ok(false);
    }
    match pending.keep(directory) {
        Ok(()) => Ok(true),
        Err(_) if Layout::is_at(directory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Keeps other builds from changing the layout's `index.json` as long as what it returns is held. Returns none if there is
/// no directory yet, or on a file system that has no locks.
fn lock(directory: &Path) -> Option<File> {
    let file = File::open(directory).ok()?;
    flock(&file, FlockOperation::LockExclusive).ok()?;
    Some(file)
}

/// Returns the `index.json` of a layout that holds these images; if it is a delta, without so many of their blobs.
pub fn index(items: &[ReadEntry<'_>], left_out: Option<usize>) -> Vec<u8> {
    let mut index = ImageIndex::new(Vec::new(), Map::new());
    enter(&mut index, items);
    if let Some(left_out) = left_out {
        index.annotations.insert(LEFT_OUT.to_owned(), left_out.to_string());
    }
    to_json(&index)
}

/// Returns `name` in full, with its tag.
pub fn full_name(name: &Reference) -> String {
    format!("{}:{}", name.name(), tag(name))
}

/// Enters images, each under each of its names, in place of what had that name; without a name, once. What refers to them has
/// no name.
fn enter(index: &mut ImageIndex, items: &[ReadEntry<'_>]) {
    let shared = shared_tags(items);
    for BundleEntry { image, short_names, referrers } in items.iter().map(|item| item.entry) {
        let full = image.names.iter().map(|name| EnteredName {
            short: tag(name),
            // A tag that several images have does not say which is meant.
            shown: if shared.contains(&tag(name)) { full_name(name) } else { tag(name) },
            full: Some(full_name(name)),
        });
        let short = short_names.iter().map(|name| EnteredName { short: name.clone(), shown: name.clone(), full: None });
        for name in full.chain(short) {
            // The image itself is no longer without a name.
            let is_unnamed = |present: &Descriptor| {
                present.digest == image.root.digest && !present.annotations.contains_key(REF_NAME)
            };
            index.manifests.retain(|present| !name.is_of(present) && !is_unnamed(present));
            index.manifests.push(name.of(image.root));
        }
        let unnamed = Some(image.root).filter(|_| image.names.is_empty() && short_names.is_empty());
        for root in unnamed.into_iter().chain(referrers) {
            if !index.manifests.iter().any(|present| present.digest == root.digest) {
                index.manifests.push(root.clone());
            }
        }
    }
}

/// A name in an `index.json`.
struct EnteredName {
    /// The tag, or all of a name that does not say in which repository.
    short: String,
    /// What tools other than containerd know.
    shown: String,
    full: Option<String>,
}

impl EnteredName {
    /// Returns whether `present` has this name. An entry that another tool wrote may know only the short one.
    fn is_of(&self, present: &Descriptor) -> bool {
        let of = |key: &str| present.annotations.get(key);
        match (&self.full, of(CONTAINERD_NAME)) {
            (Some(full), Some(present)) => full == present,
            _ => of(REF_NAME).is_some_and(|present| [&self.short, &self.shown].contains(&present)),
        }
    }

    /// Returns `root` under this name.
    fn of(self, root: &Descriptor) -> Descriptor {
        let mut named = root.clone();
        named.annotations.insert(REF_NAME.to_owned(), self.shown);
        named.annotations.extend(self.full.map(|full| (CONTAINERD_NAME.to_owned(), full)));
        named
    }
}

/// Returns the tags that several of these images have, each in a repository of its own.
fn shared_tags(items: &[ReadEntry<'_>]) -> HashSet<String> {
    let mut first: HashMap<String, Digest> = HashMap::new();
    let mut shared = HashSet::new();
    for image in items.iter().map(|item| item.entry.image) {
        for tag in image.names.iter().map(tag) {
            if *first.entry(tag.clone()).or_insert(image.root.digest) != image.root.digest {
                shared.insert(tag);
            }
        }
    }
    shared
}

fn tag(name: &Reference) -> String {
    name.tag().unwrap_or("latest").to_owned()
}

/// Brings all content of `items` into `blobs`, which is that of the layout at `shown`; what `present` has, whole, is
/// left as it is.
fn fill(
    blobs: &Arc<OwnedFd>,
    shown: &Path,
    items: &[ReadEntry<'_>],
    present: Option<&Layout>,
    progress: Progress<'_>,
) -> Result<()> {
    let mut done = HashSet::new();
    let content = items.iter().flat_map(|item| item.content().map(|descriptor| (descriptor, item.entry.image.store)));
    for (descriptor, store) in content {
        if !done.insert(descriptor.digest) {
            continue;
        }
        if present.is_some_and(|layout| is_whole(layout, descriptor)) {
            progress(Event::BlobFinished { digest: descriptor.digest, outcome: BlobOutcome::Present });
            continue;
        }
        let mut blob = PendingFile::within(blobs, &shown.join(BLOBS))?;
        copy_blob(store, descriptor, &mut blob, shown, progress)?;
        blob.keep(&shown.join(blob_path(&descriptor.digest)))?;
    }
    Ok(())
}

fn is_whole(layout: &Layout, descriptor: &Descriptor) -> bool {
    layout.open(descriptor).is_ok_and(|mut blob| io::copy(&mut blob, &mut io::sink()).is_ok())
}

/// Writes the document `name` of the layout whose directory is `root`, and which errors call `shown`.
fn put(root: &Arc<OwnedFd>, shown: &Path, name: &str, content: &[u8]) -> Result<()> {
    let written = PendingFile::within(root, shown).and_then(|mut file| {
        let path = shown.join(name);
        file.write_all(content).map_err(|source| Error::io("write", &path, source))?;
        file.keep(&path)
    });
    written.map_err(|error| Error { message: format!("cannot write {}", shown.display()), ..error })
}
