use std::collections::HashMap;
use std::path::Path;

use super::bundle::Item;
use super::oci_archive::{self, Documents};
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::oci::{Digest, ImageConfig, ImageManifest, Reference, from_json, media_type, to_json};
use crate::progress::Progress;
use crate::store::archive::{DOCKER_MANIFEST, DockerImage};
use crate::store::layout::blob_path;
use crate::store::read_document;

/// Writes what `docker load` reads, with all names: docker's `manifest.json` over the blobs of an OCI archive, as
/// `docker save` itself has written it since version 25. Of each image it holds one platform, the only one of its graph.
///
/// Docker goes by the config: every layer is there, once, with the diff_id that the config gives it, or nothing is written.
pub fn write(file: &Path, items: &[Item<'_>], progress: Progress<'_>) -> Result<()> {
    let mut layers = HashMap::new();
    let images = items.iter().map(|item| image(file, item, &mut layers)).collect::<Result<Vec<_>>>()?;
    let documents = Documents { tops: vec![(DOCKER_MANIFEST, to_json(&images))], layers };
    oci_archive::write_with(file, items, None, &documents, progress)
}

/// What docker's manifest says of an image, whose layers are added to `known`.
fn image(file: &Path, item: &Item<'_>, known: &mut HashMap<Digest, Layer>) -> Result<DockerImage> {
    let (descriptor, bytes) =
        item.graph.images().next().ok_or_else(|| Error::input(format!("{} would hold no image", file.display())))?;
    let manifest: ImageManifest = from_json(&format!("manifest {}", descriptor.digest), bytes)?;
    if !media_type::is_image_config(&manifest.config.media_type) {
        return Err(Error::input(format!("{} is no image but an artifact", descriptor.digest))
            .with_hint("docker takes images alone: what is none goes into an OCI archive or layout"));
    }
    let config = read_document(item.entry.image.store, &manifest.config)?;
    let config: ImageConfig = from_json(&format!("config {}", manifest.config.digest), &config)?;
    for layer in Layer::all(descriptor.digest, manifest.layers.clone(), config.rootfs.diff_ids)? {
        // Images share layers, and agree on what they are.
        layer.check_diff_id(known.entry(layer.descriptor.digest).or_insert_with(|| layer.clone()).diff_id)?;
    }
    Ok(DockerImage {
        config: blob_path(&manifest.config.digest),
        repo_tags: Some(item.entry.image.names.iter().map(Reference::familiar).collect()),
        layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
    })
}
