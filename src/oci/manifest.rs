//! Image manifests and indexes (image-spec, manifest.md and image-index.md), and what they refer to.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Descriptor, Keyed, Keys, Map, map, media_type, null_as_empty, optional_text};

/// The keys of manifests and indexes of all kinds, for no document may be two of them: those of the image-spec,
/// docker's, its old ones ("schema 1") and artifact manifests.
const MANIFEST_OR_INDEX: Keys = Keys::Own(&[
    ("schemaVersion", &Keys::Any),
    ("mediaType", &Keys::Any),
    ("artifactType", &Keys::Any),
    ("config", &Descriptor::KEYS),
    (LAYERS, &Keys::Each(&Descriptor::KEYS)),
    (MANIFESTS, &Keys::Each(&Descriptor::KEYS)),
    (BLOBS, &Keys::Each(&Descriptor::KEYS)),
    ("subject", &Descriptor::KEYS),
    ("annotations", &Keys::Free(&Keys::Any)),
    (SCHEMA_1_LAYERS, &Keys::Any),
    ("history", &Keys::Any),
    ("signatures", &Keys::Any),
]);

const LAYERS: &str = "layers";
const MANIFESTS: &str = "manifests";
const BLOBS: &str = "blobs";
const SCHEMA_1_LAYERS: &str = "fsLayers";

/// The field of a descriptor that tells what kind of artifact it leads to.
const ARTIFACT_TYPE: &str = "artifactType";

/// An image for one platform (image-spec, manifest.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// The version of the format, which is always 2.
    #[serde(default = "version", deserialize_with = "version_or_null")]
    pub schema_version: u32,
    /// The media type of the document itself, which some leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The image's configuration, or what an artifact has in its place.
    pub config: Descriptor,
    /// The compressed layers, the lowest first: as many as the configuration has diff_ids.
    #[serde(deserialize_with = "null_as_empty")]
    pub layers: Vec<Descriptor>,
    /// The annotations of the manifest itself, not of a descriptor.
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "map")]
    pub annotations: Map<String>,
    /// Fields that this type does not name, kept as they came.
    #[serde(flatten)]
    pub other: Map<Value>,
}

/// Images side by side, one for each platform (image-spec, image-index.md); also the `index.json` of a layout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// The version of the format, which is always 2.
    #[serde(default = "version", deserialize_with = "version_or_null")]
    pub schema_version: u32,
    /// The media type of the document itself, which some leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests, or further indexes. Readers take the first one that fits a platform.
    #[serde(deserialize_with = "null_as_empty")]
    pub manifests: Vec<Descriptor>,
    /// The annotations of the index itself, not of a descriptor.
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "map")]
    pub annotations: Map<String>,
    /// Fields that this type does not name, kept as they came.
    #[serde(flatten)]
    pub other: Map<Value>,
}

/// The subject of a manifest or index of any type, if it refers to anything (image-spec 1.1, manifest.md and
/// image-index.md, `subject`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// The document that this one is about; none if it refers to nothing.
    pub subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "optional_text")]
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "map")]
    annotations: Map<String>,
}

impl Keyed for ImageManifest {
    const KEYS: Keys = MANIFEST_OR_INDEX;

    fn check(&self) -> Result<(), String> {
        check_alone("a manifest", &self.other, &[MANIFESTS, BLOBS, SCHEMA_1_LAYERS])?;
        check_type("a manifest", self.media_type.as_deref(), media_type::is_manifest)
    }
}

impl Keyed for ImageIndex {
    const KEYS: Keys = MANIFEST_OR_INDEX;

    fn check(&self) -> Result<(), String> {
        check_alone("an index", &self.other, &[LAYERS, "config", BLOBS, SCHEMA_1_LAYERS])?;
        check_type("an index", self.media_type.as_deref(), media_type::is_index)
    }
}

impl Keyed for Referrer {
    const KEYS: Keys = MANIFEST_OR_INDEX;
}

impl Referrer {
    /// Returns `descriptor`, which is its own, as lists of referrers have it: with its annotations and the type of the artifact,
    /// which is that of the config where none is given (distribution-spec 1.1, "Listing Referrers").
    pub fn listed(self, descriptor: &Descriptor) -> Descriptor {
        let kind = self.artifact_type.or(self.config.map(|config| config.media_type));
        let mut listed = Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size);
        listed.annotations = self.annotations;
        listed.other.extend(kind.map(|kind| (ARTIFACT_TYPE.to_owned(), kind.into())));
        listed
    }
}

impl ImageManifest {
    /// Returns a manifest of the image-spec's type; `layers` begin with the lowest.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>, annotations: Map<String>) -> Self {
        ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
            config,
            layers,
            annotations,
            other: Map::new(),
        }
    }

    /// Returns whether it is an image's, and not that of an artifact. Registries have changed the type of some configs
    /// to one that says nothing (docker's `ImageTypes`): with layers of files and of nothing else it is an image.
    pub fn is_image(&self) -> bool {
        let config = self.config.media_type.as_str();
        let has_files = || !self.layers.is_empty() && self.layers.iter().all(|it| media_type::is_layer(&it.media_type));
        media_type::is_image_config(config) || (media_type::is_of_no_kind(config) && has_files())
    }
}

/// Reads the version, which is 2 where nothing is said.
fn version_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Option::deserialize(deserializer).map(|version| version.unwrap_or_else(self::version))
}

fn version() -> u32 {
    2
}

impl ImageIndex {
    /// Returns an index of the image-spec's type that lists `manifests` in this order.
    pub fn new(manifests: Vec<Descriptor>, annotations: Map<String>) -> Self {
        ImageIndex {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_INDEX.to_owned()),
            manifests,
            annotations,
            other: Map::new(),
        }
    }
}

/// Refuses a document that has any of `aliens` among its other members. One that is null says nothing.
fn check_alone(what: &str, other: &Map<Value>, aliens: &[&str]) -> Result<(), String> {
    match aliens.iter().find(|key| other.get(**key).is_some_and(|value| !value.is_null())) {
        Some(key) => Err(format!("is two things at once: {what}, and what has `{key}`")),
        None => Ok(()),
    }
}

fn check_type(what: &str, named: Option<&str>, is_right: fn(&str) -> bool) -> Result<(), String> {
    match named.filter(|name| !name.is_empty() && !is_right(name)) {
        Some(name) => Err(format!("is two things at once: {what}, and of the type `{name}` by its own `mediaType`")),
        None => Ok(()),
    }
}
