//! This file makes images of settings and layers, and an index of images. It makes documents only, and does no I/O.

use super::inline::{InlineStep, with_steps};
use crate::layer::Layer;
use crate::oci::{
    Descriptor, History, ImageConfig, ImageIndex, ImageManifest, MANIFEST_LIMIT, Map, Platform, RootFs, Settings,
    media_type, to_json,
};
use crate::plan::BaseImage;

/// An image for one platform: its documents, and what they are called.
#[derive(Debug, Clone)]
pub struct Image {
    /// As the config has it.
    pub platform: Platform,
    /// Its config.
    pub config: Document,
    /// Its manifest, whose descriptor names the platform.
    pub manifest: Document,
}

/// The bytes of a config, manifest or index, and their descriptor.
#[derive(Debug, Clone)]
pub struct Document {
    /// Points to the bytes.
    pub descriptor: Descriptor,
    /// As they are stored.
    pub bytes: Vec<u8>,
}

/// The parts that an image is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The platform that was asked for; what it leaves open is as the image below has it ([`Platform::standing_on`]).
    pub platform: &'a Platform,
    /// All settings: those of the image below are not added.
    pub settings: &'a Settings,
    /// In place of the author of the image below.
    pub author: Option<&'a str>,
    /// The image below: its layers, its history and whatever else its config says come first.
    pub below: Option<&'a BaseImage>,
    /// The lowest first.
    pub steps: &'a [HistoryStep<'a>],
    /// What it says of them to builds elsewhere; the image below says nothing any more.
    pub inline_steps: &'a [InlineStep],
    /// RFC 3339.
    pub created: &'a str,
    /// The annotations of the manifest.
    pub annotations: &'a Map<String>,
}

/// A step of the history, and the layer that it made, if it changed anything.
#[derive(Debug, Clone, Copy)]
pub struct HistoryStep<'a> {
    /// The layer that it made; none for a step that changed nothing.
    pub layer: Option<&'a Layer>,
    /// As the history tells it.
    pub created_by: &'a str,
}

impl Image {
    /// Makes an image of `parts`.
    pub fn new(parts: &Parts<'_>) -> Image {
        let Parts { platform, settings, author, below, steps, inline_steps, created, annotations } = *parts;
        let below_config = below.map(|below| &below.config);
        let platform = &below_config.map_or_else(|| platform.clone(), |config| platform.standing_on(&config.platform));
        let history = |step: &HistoryStep<'_>| History {
            created: Some(created.to_owned()),
            created_by: Some(step.created_by.to_owned()),
            empty_layer: step.layer.is_none(),
            ..History::default()
        };
        let made = || steps.iter().filter_map(|step| step.layer);
        let mut diff_ids = below_config.map(|config| config.rootfs.diff_ids.clone()).unwrap_or_default();
        diff_ids.extend(made().map(|layer| layer.diff_id));
        let mut all_history = below_config.map(|config| config.history.clone()).unwrap_or_default();
        all_history.extend(steps.iter().map(history));
        let config = Document::new(
            media_type::IMAGE_CONFIG,
            to_json(&ImageConfig {
                created: Some(created.to_owned()),
                author: author.map(str::to_owned).or_else(|| below_config.and_then(|config| config.author.clone())),
                platform: platform.clone(),
                config: settings.clone(),
                rootfs: RootFs::new(diff_ids),
                history: all_history,
                other: with_steps(below_config.map(|config| config.other.clone()).unwrap_or_default(), inline_steps),
            }),
        );
        let mut layers = below.map(|below| below.layers.clone()).unwrap_or_default();
        layers.extend(made().map(|layer| layer.descriptor.clone()));
        let manifest = ImageManifest::new(config.descriptor.clone(), layers, annotations.clone());
        let mut manifest = Document::new(media_type::IMAGE_MANIFEST, to_json(&manifest));
        manifest.descriptor.platform = Some(platform.clone());
        Image { platform: platform.clone(), config, manifest }
    }
}

impl Document {
    /// Returns `bytes` with the descriptor that points to them.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Document { descriptor: Descriptor::of(media_type, &bytes), bytes }
    }

    /// Returns whether it is larger than registries take.
    pub fn is_too_large(&self) -> bool {
        self.bytes.len() as u64 > MANIFEST_LIMIT
    }
}

/// Returns an index of images, those of `manifests`, in their order.
pub fn index(manifests: Vec<Descriptor>, annotations: Map<String>) -> Document {
    Document::new(media_type::IMAGE_INDEX, to_json(&ImageIndex::new(manifests, annotations)))
}
