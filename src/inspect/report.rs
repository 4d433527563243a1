use serde::Serialize;

use crate::error::Result;
use crate::oci::{Descriptor, Digest, ImageConfig, ImageIndex, ImageManifest, Map, Settings, from_json, media_type};
use crate::store::{Store, read_document};

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
    if !media_type::is_index(&root.media_type) {
        let image = image(store, root)?;
        report.annotations.clone_from(&image.annotations);
        report.images.push(image);
        return Ok(report);
    }
    let index: ImageIndex = from_json(&format!("index {}", root.digest), &read_document(store, root)?)?;
    report.annotations = index.annotations;
    for descriptor in index.manifests {
        if media_type::is_manifest(&descriptor.media_type) && !is_attestation(&descriptor) {
            report.images.push(image(store, &descriptor)?);
        } else {
            report.others.push(descriptor);
        }
    }
    Ok(report)
}

fn image(store: &dyn Store, descriptor: &Descriptor) -> Result<ImageReport> {
    let manifest: ImageManifest =
        from_json(&format!("manifest {}", descriptor.digest), &read_document(store, descriptor)?)?;
    let config: ImageConfig =
        from_json(&format!("config {}", manifest.config.digest), &read_document(store, &manifest.config)?)?;
    let sizes = manifest.layers.iter().map(|layer| layer.size);
    let mut history = config.history.into_iter().filter(|step| !step.empty_layer);
    let mut diff_ids = config.rootfs.diff_ids.into_iter();
    Ok(ImageReport {
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
    })
}

/// BuildKit stores attestations as manifests of an unknown platform beside the images.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
}
