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
    pub media_type: String,
    pub digest: Digest,
    /// Of the root document itself, in bytes.
    pub size: u64,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String>,
    pub images: Vec<ImageReport>,
    /// What else an index points to (attestations, artifacts), which is not looked into.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Descriptor>,
}

/// One image: its manifest and its config.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// `os/arch[/variant]`.
    pub platform: String,
    pub digest: Digest,
    /// Of manifest, config and layers together: what a first pull moves, in bytes.
    pub total_size: u64,
    pub created: Option<String>,
    pub config_digest: Digest,
    pub config: Settings,
    pub layers: Vec<LayerReport>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    pub diff_id: Option<Digest>,
    /// What the history says of it.
    pub created_by: Option<String>,
}

/// Reads what `root` is made of. Layers are not opened.
pub fn report(store: &dyn Store, root: &Descriptor) -> Result<Report> {
    let mut report = Report {
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
