use std::path::Path;

use super::bundle::Item;
use super::oci_archive;
use crate::error::{Error, Result};
use crate::image::{self, Reader};
use crate::oci::{Descriptor, Reference, to_json};
use crate::progress::Progress;
use crate::store::Store;
use crate::store::archive::{DOCKER_MANIFEST, DockerImage};
use crate::store::layout::blob_path;

/// Writes what `docker load` reads, with all names: docker's `manifest.json` over the blobs of an OCI archive, as
/// `docker save` itself has written it since version 25. Of each image it holds one platform, the only one of its graph; and all layers, for docker fetches none from elsewhere.
pub fn write(file: &Path, items: &[Item<'_>], progress: Progress<'_>) -> Result<()> {
    let images = items.iter().map(|item| image(file, item)).collect::<Result<Vec<_>>>()?;
    let mut foreign: Vec<(Descriptor, &dyn Store)> = Vec::new();
    for item in items {
        foreign.extend(item.graph.foreign()?.into_iter().map(|layer| (layer, item.entry.image.store)));
    }
    oci_archive::write_with(file, items, &foreign, None, &[(DOCKER_MANIFEST, to_json(&images))], progress)
}

fn image(file: &Path, item: &Item<'_>) -> Result<DockerImage> {
    let (descriptor, bytes) =
        item.graph.images().next().ok_or_else(|| Error::input(format!("{} would hold no image", file.display())))?;
    let image = Reader::new(item.entry.image.store).image_in(descriptor, bytes)?.ok_or_else(|| {
        image::no_image(descriptor)
            .with_hint("docker takes images alone: what is none goes into an OCI archive or layout")
    })?;
    image.layers()?;
    let manifest = image.manifest;
    Ok(DockerImage {
        config: blob_path(&manifest.config.digest),
        repo_tags: Some(item.entry.image.names.iter().map(Reference::familiar).collect()),
        layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
    })
}
