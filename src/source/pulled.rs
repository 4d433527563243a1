//! Images of registries, archives and layouts that come into the local store as they are.

use super::base;
use crate::error::Result;
use crate::oci::{Descriptor, Platform, Reference};
use crate::progress::{Event, Progress};
use crate::registry::OnDemand;
use crate::store::{
    self, Graph, ImageArrival, Layered, Listed, LocalStore, NamedImage, Store, children, read_document,
};

/// Has what `name` stands for in its registry in the local store, under that name: all its documents, and the content of the
/// image for `platform`; the rest is had from the registry when it is read. So many blobs move at a time; 0 is the usual
/// number. A name with a digest and no tag is left to its ID. Fails if the registry has no such image.
pub fn pull(
    name: &Reference,
    platform: &Platform,
    store: &LocalStore,
    client: &OnDemand,
    jobs: usize,
    progress: Progress<'_>,
) -> Result<NamedImage> {
    let far = client.client()?.mirrored(name, progress)?;
    let root = far.resolve(None)?;
    let near = Layered::new(store, &far);
    let manifests = Graph::of(&near, &root)?.manifests;
    let chosen = base::choose_image(&near, &name.to_string(), &root, platform)?.manifest;
    for (at, bytes) in manifests.iter().filter(|(at, _)| at.digest == chosen) {
        let blobs = children(at, bytes)?;
        let there = || blobs.iter().filter(|blob| !blob.is_foreign());
        let missing: Vec<&Descriptor> = there().filter(|blob| !store.claim(blob)).collect();
        progress(Event::PullPlanned { blobs: &missing });
        store::fetch(&near, &missing, jobs)?;
        there().for_each(|blob| store.note_repository(blob, name));
    }
    let image = NamedImage {
        elsewhere: Some(name.with_digest(root.digest)),
        ..NamedImage::now(name, &root, ImageArrival::Pulled)
    };
    if name.tag().is_some() || name.digest().is_none() {
        store.put_name(&image)?;
    }
    Ok(image)
}

/// Has all content of `image`, which `from` has, in the local store, and it under its full names.
pub fn take(image: &Listed, from: &dyn Store, store: &LocalStore, jobs: usize) -> Result<()> {
    let near = Layered::new(store, from);
    let blobs = Graph::of(&near, &image.root)?.blobs;
    let missing: Vec<&Descriptor> = blobs.iter().filter(|blob| !store.claim(blob)).collect();
    store::fetch(&near, &missing, jobs)?;
    read_document(store, &image.root)?;
    let mut names = image.names.iter().filter(|name| name.tag().is_some());
    names.try_for_each(|name| store.put_name(&NamedImage::now(name, &image.root, ImageArrival::Made)))
}
