//! A [`Report`] tells what an image is made of, for people and programs.

use std::collections::HashSet;

use serde::Serialize;

use crate::error::Result;
use crate::image::{Existing, Reader, no_image};
use crate::oci::{Descriptor, Digest, ImageIndex, Map, Settings, from_json, media_type};
use crate::store::Store;

/// A root and the images below it. Serialises to what `ocibake inspect --json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The names of the image where it lies, if that place holds several images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The media type of the root.
    pub media_type: String,
    /// The digest of the root.
    pub digest: Digest,
    /// The size of the root document itself, in bytes.
    pub size: u64,
    #[serde(skip_serializing_if = "Map::is_empty")]
    /// The annotations of the root.
    pub annotations: Map<String>,
    /// The images for one platform each, in the order in which the index lists them.
    pub images: Vec<ImageReport>,
    /// The other documents that an index points to (attestations, artifacts), which are not looked into.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Descriptor>,
}

/// One image: its manifest and its config.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// `os/arch[/variant]`.
    pub platform: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The size of manifest, config and layers together, in bytes: a first pull moves as many.
    pub total_size: u64,
    /// As its config says it.
    pub created: Option<String>,
    /// The digest of its config.
    pub config_digest: Digest,
    /// The settings in its config.
    pub config: Settings,
    /// The lowest first.
    pub layers: Vec<LayerReport>,
    /// The annotations of its manifest.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String>,
}

/// One layer: its descriptor, and what the config says of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    /// The media type of its blob.
    pub media_type: String,
    /// The digest of its blob.
    pub digest: Digest,
    /// The size of its blob, in bytes.
    pub size: u64,
    /// The digest of its tar; none if the config has fewer than there are layers.
    pub diff_id: Option<Digest>,
    /// The command or step that made it, as the history says.
    pub created_by: Option<String>,
}

/// Reads what `root` is made of, and returns it. Layers are not opened.
pub fn report(store: &dyn Store, root: &Descriptor) -> Result<Report> {
    let mut report = Report {
        names: Vec::new(),
        media_type: root.media_type.clone(),
        digest: root.digest,
        size: root.size,
        annotations: Map::new(),
        images: Vec::new(),
        others: Vec::new(),
    };
    let mut reader = Reader::new(store);
    if !media_type::is_index(&root.media_type) {
        let found = reader.image(root)?.ok_or_else(|| no_image(root).with_hint("--raw shows its manifest"))?;
        report.annotations.clone_from(&found.manifest.annotations);
        report.images.push(image(root, found));
        return Ok(report);
    }
    let index: ImageIndex = from_json(&format!("index {}", root.digest), &reader.document(root)?)?;
    report.annotations = index.annotations;
    let mut seen = HashSet::new();
    for descriptor in index.manifests {
        if !seen.insert(descriptor.digest) {
            continue;
        }
        if !media_type::is_manifest(&descriptor.media_type) || descriptor.is_attestation() {
            report.others.push(descriptor);
            continue;
        }
        match reader.image(&descriptor)? {
            Some(found) => report.images.push(image(&descriptor, found)),
            None => report.others.push(descriptor),
        }
    }
    Ok(report)
}

fn image(descriptor: &Descriptor, image: Existing) -> ImageReport {
    let Existing { manifest, config, .. } = image;
    let sizes = manifest.layers.iter().map(|layer| layer.size);
    let mut history = config.history.into_iter().filter(|step| !step.empty_layer);
    let mut diff_ids = config.rootfs.diff_ids.into_iter();
    ImageReport {
        platform: config.platform.to_string(),
        digest: descriptor.digest,
        total_size: sizes.fold(descriptor.size.saturating_add(manifest.config.size), u64::saturating_add),
        created: config.created,
        config_digest: manifest.config.digest,
        config: config.config,
        layers: manifest
            .layers
            .into_iter()
            .map(|layer| LayerReport {
                media_type: layer.media_type,
                digest: layer.digest,
                size: layer.size,
                diff_id: diff_ids.next(),
                created_by: history.next().and_then(|step| step.created_by),
            })
            .collect(),
        annotations: manifest.annotations,
    }
}
