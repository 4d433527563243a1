use std::path::Path;

use super::{Image, oci_archive};
use crate::error::{Error, Result};
use crate::oci::{ImageManifest, from_json, media_type, to_json};
use crate::progress::Progress;
use crate::store::Graph;
use crate::store::archive::{DOCKER_MANIFEST, DockerImage};
use crate::store::layout::blob_path;

/// Writes what `docker load` reads, with all names: docker's `manifest.json` over the blobs of an OCI archive, as
/// `docker save` itself has written it since version 25. It can hold one platform only.
pub fn write(file: &Path, image: Image<'_>, graph: &Graph, progress: Progress<'_>) -> Result<()> {
    let mut manifests =
        graph.manifests.iter().filter(|(descriptor, _)| media_type::is_manifest(&descriptor.media_type));
    let (Some((descriptor, bytes)), None) = (manifests.next(), manifests.next()) else {
        return Err(Error::input(format!("{} would hold several platforms", file.display()))
            .with_hint("a docker archive holds one: choose it with --platform, or write an OCI archive"));
    };
    let manifest: ImageManifest = from_json(&format!("manifest {}", descriptor.digest), bytes)?;
    let images = [DockerImage {
        config: blob_path(&manifest.config.digest),
        repo_tags: Some(image.names.iter().map(|name| name.familiar()).collect()),
        layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
    }];
    oci_archive::write_with(file, image, graph, &[(DOCKER_MANIFEST, to_json(&images))], progress)
}
