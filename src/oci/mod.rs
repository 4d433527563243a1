//! The nouns of the OCI specifications as plain data: digests, descriptors, manifests, configs, platforms, references.
//!
//! The types are ours and not `oci-spec`'s because ours serialise to the same bytes every time (sorted maps) and keep
//! the fields that they do not know: an image that passes through must come out as it went in.

mod config;
mod descriptor;
mod digest;
mod document;
mod key;
mod manifest;
pub mod media_type;
mod platform;
mod reference;

pub use config::{Healthcheck, History, ImageConfig, RootFs, Settings};
pub use descriptor::Descriptor;
pub use digest::{Digest, Hasher, HashingWriter, VerifyingReader};
pub use document::{Keyed, Keys, from_json};
pub use key::{Encode, KeyBuilder, KeyPart};
pub use manifest::{ImageIndex, ImageManifest, Referrer};
pub use platform::Platform;
pub use reference::{Reference, is_valid_tag};

use serde::Serialize;
use serde::de::{Deserialize, Deserializer};

/// Maps in images are sorted, so that the same content is the same bytes.
pub type Map<V> = std::collections::BTreeMap<String, V>;

/// The largest manifest, index or config that is read into memory. The distribution spec asks registries to take
/// manifests of 4 MiB ("Pushing Manifests"); nothing larger is portable.
pub const MANIFEST_LIMIT: u64 = 4 << 20;

/// Returns the one JSON form of a document: compact, fields in the order of the type, maps sorted.
pub fn to_json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("the types of this module have string keys and no fallible serialiser")
}

/// Reads `null` as an empty value: so Go writes lists and maps that nothing was put into.
pub(crate) fn null_as_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads a list, and null as none; `null` in it is an empty element, as Go has it.
pub(crate) fn optional_list<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let list: Option<Vec<Option<T>>> = Option::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().map(Option::unwrap_or_default).collect()))
}

/// Reads a list in the same way, and null as an empty one.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    optional_list(deserializer).map(Option::unwrap_or_default)
}

/// Reads a map, and null as none; `null` in it is an empty value, as Go has it.
pub(crate) fn optional_map<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<Option<Map<T>>, D::Error> {
    let map: Option<Map<Option<T>>> = Option::deserialize(deserializer)?;
    Ok(map.map(|map| map.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()))
}

/// Reads a map in the same way, and null as an empty one.
pub(crate) fn map<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<Map<T>, D::Error> {
    optional_map(deserializer).map(Option::unwrap_or_default)
}

/// Reads a text, and null or an empty one as none.
pub(crate) fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}
