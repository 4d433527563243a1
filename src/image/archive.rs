//! This file reads the images of archives: of the tar of an OCI layout, and of what `docker save` writes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::read::config;
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::oci::{
    Descriptor, ImageConfig, ImageIndex, ImageManifest, Keyed, Keys, Map, from_json, media_type, null_as_empty, to_json,
};
use crate::store::CONTAINERD_NAME;
use crate::store::archive::{Archive, DAMAGED, KnownLayers};
use crate::store::layout::{INDEX, MARKER};

/// The list of images at the top of a docker archive.
pub const DOCKER_MANIFEST: &str = "manifest.json";

/// An image in [`DOCKER_MANIFEST`], and where its parts lie in the archive.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DockerImage {
    /// The path of its config.
    pub config: String,
    /// Its names; `null` where there is none.
    pub repo_tags: Option<Vec<String>>,
    /// The paths of its layers, the lowest first. Some write `null` where there is none.
    #[serde(deserialize_with = "null_as_empty")]
    pub layers: Vec<String>,
}

impl Keyed for Vec<DockerImage> {
    const KEYS: Keys = Keys::Each(&Keys::Own(&[
        ("Config", &Keys::Any),
        ("RepoTags", &Keys::Any),
        ("Layers", &Keys::Any),
        ("Parent", &Keys::Any),
        ("LayerSources", &Keys::Free(&Descriptor::KEYS)),
    ]));
}

/// Opens an archive of either kind. What holds both, as newer `docker save` writes, is read as an OCI layout.
pub fn open(path: impl Into<PathBuf>) -> Result<Archive> {
    let mut archive = Archive::scan(path.into())?;
    if archive.contains(MARKER) && archive.contains(INDEX) {
        let bytes = archive.document(INDEX)?;
        let index = from_json(&title(INDEX, &archive), &bytes)?;
        archive.list("oci-archive", index);
        return Ok(archive);
    }
    read_docker(archive)
}

/// Opens a docker archive, even if it is an OCI archive too.
pub fn open_docker(path: impl Into<PathBuf>) -> Result<Archive> {
    read_docker(Archive::scan(path.into())?)
}

/// Reads what a docker archive lists. It has no manifests: each image gets one made of its config and its layers as they
/// lie there. Nothing but the config promises what the layers are, so each is held against it here: all are unpacked, to
/// 100 times the size of the archive together, or 2 GiB if that is more.
fn read_docker(mut archive: Archive) -> Result<Archive> {
    if !archive.contains(DOCKER_MANIFEST) {
        return Err(Error::input(format!("{} is not an image archive", archive.path().display())).with_hint(format!(
            "an OCI archive has `{MARKER}` and `{INDEX}` in it, a docker archive `{DOCKER_MANIFEST}`"
        )));
    }
    let bytes = archive.document(DOCKER_MANIFEST)?;
    let images: Vec<DockerImage> = from_json(&title(DOCKER_MANIFEST, &archive), &bytes)?;
    let mut known = KnownLayers::none(&archive)?;
    let mut index = ImageIndex::new(Vec::new(), Map::new());
    for image in images {
        let bytes = archive.document(&image.config)?;
        let config = config(&title(&image.config, &archive), &bytes, None, image.layers.len())?;
        let layers = layers(&mut archive, &image, &config, &mut known)?;
        let config_descriptor = Descriptor::of(media_type::IMAGE_CONFIG, &bytes);
        archive.put(&config_descriptor, bytes);
        let layers = layers.into_iter().map(|layer| layer.descriptor).collect();
        let manifest = to_json(&ImageManifest::new(config_descriptor, layers, Map::new()));
        let descriptor = Descriptor::of(media_type::IMAGE_MANIFEST, &manifest).with_platform(config.platform);
        archive.put(&descriptor, manifest);
        let names = image.repo_tags.unwrap_or_default();
        for name in &names {
            let mut named = descriptor.clone();
            named.annotations.insert(CONTAINERD_NAME.to_owned(), name.clone());
            index.manifests.push(named);
        }
        if names.is_empty() {
            index.manifests.push(descriptor);
        }
    }
    archive.list("docker-archive", index);
    Ok(archive)
}

/// Returns the layers of `image`, which are those that `config` promises: as many, and each with its diff_id.
fn layers(
    archive: &mut Archive,
    image: &DockerImage,
    config: &ImageConfig,
    known: &mut KnownLayers,
) -> Result<Vec<Layer>> {
    let diff_ids = &config.rootfs.diff_ids;
    if image.layers.len() != diff_ids.len() {
        return Err(Error::integrity(format!(
            "{} has {} layers, but its config {} has {} diff_ids",
            archive.path().display(),
            image.layers.len(),
            image.config,
            diff_ids.len()
        ))
        .with_hint(DAMAGED));
    }
    let mut layers = Vec::with_capacity(image.layers.len());
    for (name, diff_id) in image.layers.iter().zip(diff_ids) {
        let layer = archive.layer(name, known)?;
        if layer.diff_id != *diff_id {
            return Err(Error::integrity(format!(
                "the layer {name} in {} unpacks to {}, not to the {diff_id} of its config",
                archive.path().display(),
                layer.diff_id
            ))
            .with_hint(DAMAGED));
        }
        layers.push(layer);
    }
    Ok(layers)
}

/// Returns what errors call the document `name`.
fn title(name: &str, archive: &Archive) -> String {
    format!("{name} in {}", archive.path().display())
}
