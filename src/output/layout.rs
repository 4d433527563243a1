use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{Image, copy_blob};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, ImageIndex, Map, Reference, to_json};
use crate::progress::{BlobOutcome, Event, Progress};
use crate::store::layout::{BLOBS, CONTAINERD_NAME, INDEX, MARKER, MARKER_CONTENT, REF_NAME, blob_path};
use crate::store::pending::{PendingDirectory, PendingFile};
use crate::store::{Graph, Layout, Store};

/// Writes a layout. A new one appears in one step, unless its directory is there already: then `index.json` and the
/// marker come last. In a layout that exists, `index.json` is replaced in one step after all blobs are there, and what else it
/// names stays. Builds that write to one layout at once wait for each other.
pub fn write(directory: &Path, image: Image<'_>, graph: &Graph, progress: Progress<'_>) -> Result<()> {
    if !Layout::is_at(directory) && create(directory, image, graph, progress)? {
        return Ok(());
    }
    let present = Layout::open(directory)?;
    let blobs = directory.join(BLOBS);
    fs::create_dir_all(&blobs).map_err(|source| Error::io("create", &blobs, source))?;
    fill(directory, directory, image.store, graph, Some(&present), progress)?;
    let _lock = lock(directory);
    let mut index = Layout::open(directory)?.index().clone();
    enter(&mut index, image.root, image.names);
    put(&directory.join(INDEX), directory, &to_json(&index))
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

/// Makes a new layout. False: another build has made one there in the meantime.
fn create(directory: &Path, image: Image<'_>, graph: &Graph, progress: Progress<'_>) -> Result<bool> {
    check(directory)?;
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(|source| Error::io("create", parent, source))?;
    }
    let pending = PendingDirectory::begin(directory)?;
    pending.create(BLOBS)?;
    fill(pending.path(), directory, image.store, graph, None, progress)?;
    put(&pending.path().join(INDEX), directory, &index(image.root, image.names))?;
    put(&pending.path().join(MARKER), directory, MARKER_CONTENT.as_bytes())?;
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

/// Keeps other builds from changing the layout's `index.json` as long as it is held. None if there is no directory yet,
/// or on a file system that has no locks.
fn lock(directory: &Path) -> Option<File> {
    let file = File::open(directory).ok()?;
    flock(&file, FlockOperation::LockExclusive).ok()?;
    Some(file)
}

/// The `index.json` of a layout that holds one image.
pub fn index(root: &Descriptor, names: &[Reference]) -> Vec<u8> {
    let mut index = ImageIndex::new(Vec::new(), Map::new());
    enter(&mut index, root, names);
    to_json(&index)
}

/// Enters `root` under each of its names, in place of what had that name; without a name, once.
fn enter(index: &mut ImageIndex, root: &Descriptor, names: &[Reference]) {
    if names.is_empty() {
        if !index.manifests.iter().any(|present| present.digest == root.digest) {
            index.manifests.push(root.clone());
        }
        return;
    }
    for name in names {
        let mut named = root.clone();
        named.annotations.insert(REF_NAME.to_owned(), name.tag().unwrap_or("latest").to_owned());
        named.annotations.insert(CONTAINERD_NAME.to_owned(), full_name(name));
        let same_name = |present: &Descriptor| {
            [REF_NAME, CONTAINERD_NAME].iter().all(|key| {
                // An entry that another tool wrote may know only the short name.
                let present = present.annotations.get(*key);
                present == named.annotations.get(*key) || (*key == CONTAINERD_NAME && present.is_none())
            })
        };
        index.manifests.retain(|present| !same_name(present));
        // The image itself is no longer without a name.
        index.manifests.retain(|present| present.digest != root.digest || present.annotations.contains_key(REF_NAME));
        index.manifests.push(named);
    }
}

fn full_name(name: &Reference) -> String {
    format!("{}:{}", name.name(), name.tag().unwrap_or("latest"))
}

/// Brings all blobs of `graph` into the layout at `root`, which errors call `shown`; those that `present` has, whole,
/// are left as they are.
fn fill(
    root: &Path,
    shown: &Path,
    store: &dyn Store,
    graph: &Graph,
    present: Option<&Layout>,
    progress: Progress<'_>,
) -> Result<()> {
    let blobs = root.join(BLOBS);
    let mut done = HashSet::new();
    for descriptor in graph.blobs.iter().chain(graph.manifests.iter().map(|(descriptor, _)| descriptor)) {
        if !done.insert(descriptor.digest) {
            continue;
        }
        if present.is_some_and(|layout| is_whole(layout, descriptor)) {
            progress(Event::BlobFinished { digest: descriptor.digest, outcome: BlobOutcome::Present });
            continue;
        }
        let mut blob = PendingFile::in_directory(&blobs)?;
        copy_blob(store, descriptor, &mut blob, shown, progress)?;
        blob.keep(&root.join(blob_path(&descriptor.digest)))?;
    }
    Ok(())
}

fn is_whole(layout: &Layout, descriptor: &Descriptor) -> bool {
    layout.open(descriptor).is_ok_and(|mut blob| io::copy(&mut blob, &mut io::sink()).is_ok())
}

/// Writes a document of the layout that errors call `shown`.
fn put(path: &Path, shown: &Path, content: &[u8]) -> Result<()> {
    let written = PendingFile::beside(path).and_then(|mut file| {
        file.write_all(content).map_err(|source| Error::io("write", path, source))?;
        file.keep(path)
    });
    written.map_err(|error| Error { message: format!("cannot write {}", shown.display()), ..error })
}
