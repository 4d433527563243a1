use std::path::Path;

use super::{Image, oci_archive};
use crate::error::{Error, Result};
use crate::oci::{ImageManifest, from_json, to_json};
use crate::progress::Progress;
use crate::store::Graph;
use crate::store::archive::{DOCKER_MANIFEST, DockerImage};
use crate::store::layout::blob_path;

/// Writes what `docker load` reads, with all names: docker's `manifest.json` over the blobs of an OCI archive, as
/// `docker save` itself has written it since version 25. It holds one platform, the only one of `graph`.
pub fn write(file: &Path, image: Image<'_>, graph: &Graph, progress: Progress<'_>) -> Result<()> {
    let (descriptor, bytes) =
        graph.images().next().ok_or_else(|| Error::input(format!("{} would hold no image", file.display())))?;
    let manifest: ImageManifest = from_json(&format!("manifest {}", descriptor.digest), bytes)?;
    let images = [DockerImage {
        config: blob_path(&manifest.config.digest),
        repo_tags: Some(image.names.iter().map(|name| name.familiar()).collect()),
        layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
    }];
    oci_archive::write_with(file, image, graph, &[(DOCKER_MANIFEST, to_json(&images))], progress)
}
