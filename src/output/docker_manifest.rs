//! This file makes the `manifest.json` by which docker knows the images of an archive.

use super::bundle::ReadEntry;
use super::layout;
use crate::image;
use crate::image::archive::DockerImage;
use crate::oci::{Descriptor, ImageManifest, Platform};
use crate::store::layout::blob_path;

/// Returns what docker is told of the image that has this manifest, whose parts lie in the archive as in a layout.
pub fn of(manifest: &ImageManifest, names: Vec<String>) -> DockerImage {
    DockerImage {
        config: blob_path(&manifest.config.digest),
        repo_tags: Some(names),
        layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
    }
}

/// Returns what docker is told of an OCI archive with these images, so that versions that know no layouts load it, and podman,
/// which takes but one image out of a layout, loads all. Docker gets one platform of each: linux/amd64 whichever machine this
/// is, or the first where there is no such. What is not an image, or goes without a layer that is available from elsewhere, is
/// not in it.
pub fn of_all(items: &[ReadEntry<'_>]) -> Vec<DockerImage> {
    let image = |item: &ReadEntry<'_>| Some(of(&chosen(item)?, item.tags().iter().map(layout::full_name).collect()));
    items.iter().filter_map(image).collect()
}

fn chosen(item: &ReadEntry<'_>) -> Option<ImageManifest> {
    let mut images = item.graph.images().filter_map(|(descriptor, bytes)| {
        let manifest = image::manifest(descriptor, bytes).ok().flatten()?;
        let is_whole = !manifest.layers.iter().any(Descriptor::is_foreign);
        is_whole.then_some((descriptor.platform.as_ref(), manifest))
    });
    let is_usual = |platform: Option<&Platform>| {
        platform.is_some_and(|platform| platform.os == "linux" && platform.architecture == "amd64")
    };
    let (platform, first) = images.next()?;
    match is_usual(platform) {
        true => Some(first),
        false => Some(images.find(|(platform, _)| is_usual(*platform)).map_or(first, |(_, usual)| usual)),
    }
}
