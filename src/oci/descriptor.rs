//! Descriptors, which point to content (image-spec, descriptor.md).

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Digest, Keyed, Keys, Map, Platform, map, media_type};

/// The annotation by which BuildKit tells which image of an index an attestation is about.
const ATTESTED: &str = "vnd.docker.reference.digest";

/// A pointer to content: its type, digest and size (image-spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content, which decides how it is read.
    pub media_type: String,
    /// The digest of the content as stored. Whoever reads the content verifies it.
    pub digest: Digest,
    /// In bytes, as stored (that is, compressed).
    #[serde(deserialize_with = "size")]
    pub size: u64,
    /// The annotations of this pointer; the content may have others of its own.
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "map")]
    pub annotations: Map<String>,
    /// None where it says nothing about the processor.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "Platform::deserialize_stated")]
    pub platform: Option<Platform>,
    /// Fields that this type does not name, kept as they came.
    #[serde(flatten)]
    pub other: Map<Value>,
}

impl Keyed for Descriptor {
    const KEYS: Keys = Keys::Own(&[
        ("mediaType", &Keys::Any),
        ("digest", &Keys::Any),
        ("size", &Keys::Any),
        ("urls", &Keys::Any),
        ("annotations", &Keys::Free(&Keys::Any)),
        ("data", &Keys::Any),
        ("platform", &Platform::KEYS),
        ("artifactType", &Keys::Any),
    ]);
}

impl Descriptor {
    /// Returns a descriptor without annotations and platform; `size` is in bytes.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            annotations: Map::new(),
            platform: None,
            other: Map::new(),
        }
    }

    /// Returns the descriptor of content at hand.
    pub fn of(media_type: impl Into<String>, content: &[u8]) -> Self {
        Self::new(media_type, Digest::of(content), content.len() as u64)
    }

    /// Returns whether an index lists it for no platform, as BuildKit lists attestations beside images.
    pub fn is_attestation(&self) -> bool {
        self.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
    }

    /// Returns the digest of the image that it attests to, as BuildKit has it in an index; none if it is not an attestation.
    pub fn attested(&self) -> Option<&str> {
        self.annotations.get(ATTESTED).map(String::as_str).filter(|_| self.is_attestation())
    }

    /// Returns whether it is listed as an artifact that refers to something else, and not as an image.
    pub fn is_artifact(&self) -> bool {
        self.other.get("artifactType").and_then(Value::as_str).is_some_and(|kind| !kind.is_empty())
    }

    /// Returns whether it is a layer that is not given on, but had from the addresses that its descriptor names.
    pub fn is_foreign(&self) -> bool {
        media_type::is_nondistributable(&self.media_type) && self.urls().next().is_some()
    }

    /// Returns the addresses that its content can be had from, too (image-spec, descriptor.md, `urls`).
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.other.get("urls").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// Returns the same descriptor with this platform, in place of any other.
    pub fn with_platform(mut self, platform: Platform) -> Self {
        self.platform = Some(platform);
        self
    }
}

/// An int64 that is not negative (image-spec, descriptor.md, `size`).
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = u64::deserialize(deserializer)?;
    match i64::try_from(size) {
        Ok(_) => Ok(size),
        Err(_) => Err(D::Error::custom(format!("{size} is too large for a size"))),
    }
}
