//! This file writes docker archives: what `docker load` reads.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::bundle::ReadEntry;
use super::docker_manifest;
use super::oci_archive::{self, Documents};
use super::sink::Sink;
use crate::error::{Error, Result};
use crate::image::archive::{DOCKER_MANIFEST, DockerImage};
use crate::image::{self, Reader};
use crate::layer::Layer;
use crate::oci::{Descriptor, Digest, Reference, to_json};
use crate::progress::Progress;
use crate::store::Store;

/// Writes what `docker load` reads, with all names: docker's `manifest.json` over the blobs of an OCI archive, as
/// `docker save` itself has written it since version 25. Of each image it holds one platform, the only one of its graph.
///
/// Docker goes by the config, and fetches no layer from elsewhere: every layer is there, once, with the diff_id that
/// the config gives it, or nothing is written.
pub fn write(file: &Path, items: &[ReadEntry<'_>], progress: Progress<'_>) -> Result<()> {
    write_with(|| Sink::open(file), file, items, &Reference::familiar, None, progress)
}

/// Writes the same into what leads to an engine, which errors call `title` and which has the layers that are `left_out`. Names
/// are in full: podman takes short ones for its own.
pub(super) fn write_into(
    engine: Sink,
    title: &Path,
    items: &[ReadEntry<'_>],
    left_out: &HashSet<Digest>,
    progress: Progress<'_>,
) -> Result<()> {
    let left_out = Some(left_out).filter(|left_out| !left_out.is_empty());
    write_with(|| Ok(engine), title, items, &Reference::to_string, left_out, progress)
}

fn write_with(
    open: impl FnOnce() -> Result<Sink>,
    file: &Path,
    items: &[ReadEntry<'_>],
    name: &dyn Fn(&Reference) -> String,
    left_out: Option<&HashSet<Digest>>,
    progress: Progress<'_>,
) -> Result<()> {
    let mut layers = HashMap::new();
    let images = items.iter().map(|item| image(file, item, name, &mut layers)).collect::<Result<Vec<_>>>()?;
    let mut foreign: Vec<(Descriptor, &dyn Store)> = Vec::new();
    for item in items {
        foreign.extend(item.graph.foreign()?.into_iter().map(|layer| (layer, item.entry.image.store)));
    }
    let documents = Documents { tops: vec![(DOCKER_MANIFEST, to_json(&images))], layers };
    oci_archive::write_with(open()?, file, items, &foreign, left_out, &documents, progress)
}

/// Returns what docker's manifest says of an image, and adds its layers to `known`.
fn image(
    file: &Path,
    item: &ReadEntry<'_>,
    name: &dyn Fn(&Reference) -> String,
    known: &mut HashMap<Digest, Layer>,
) -> Result<DockerImage> {
    let (descriptor, bytes) =
        item.graph.images().next().ok_or_else(|| Error::input(format!("{} would hold no image", file.display())))?;
    let image = Reader::new(item.entry.image.store).image_in(descriptor, bytes)?.ok_or_else(|| {
        image::no_image(descriptor)
            .with_hint("docker takes only images: write anything else to an OCI archive or layout")
    })?;
    for layer in image.layers()? {
        // Images share layers, and agree on what they are.
        layer.check_diff_id(known.entry(layer.descriptor.digest).or_insert_with(|| layer.clone()).diff_id)?;
    }
    let names = item.entry.image.names.iter().map(name).collect();
    Ok(docker_manifest::of(&image.manifest, names))
}
