//! What a registry has of a cache mount: an artifact of its layers, the lowest first, whose annotations say the rest.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::net::date;
use crate::oci::{Digest, ImageManifest, KeyBuilder, Keyed, Map, from_json, media_type, to_json};
use crate::plan::label::rfc3339;
use crate::source::artifact::Artifact;

/// The type of the artifact.
const ARTIFACT: &str = "application/vnd.dev.ocibake.cache-mount.v1";

const OF: &str = "dev.ocibake.cache-mount.of";
const KEY: &str = "dev.ocibake.cache-mount.key";
const LAYERS: &str = "dev.ocibake.cache-mount.layers";
const SIGNATURE: &str = "dev.ocibake.cache-mount.signature";
const TITLE: &str = "org.opencontainers.image.title";
const WRITTEN: &str = "org.opencontainers.image.created";

/// Of a longer ID an entry keeps the beginning.
const ID_LIMIT: usize = 1000;

/// A cache mount as it was left somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct MountEntry {
    /// What stands for the mount on all machines: its ID, what it begins with, and whose it is.
    pub of: Digest,
    /// What stands for the lock files that it was filled by.
    pub key: Digest,
    /// The ID, for people.
    pub id: String,
    /// What makes it up, the lowest first; at least one.
    pub layers: Vec<MountLayer>,
    /// When it was written, in seconds since 1970, as it says.
    pub written: Option<i64>,
    /// Who has written it, as [`VerifyingKey`](crate::source::signature::VerifyingKey) reads it; none if nobody says.
    pub signature: Option<String>,
}

/// A layer of a cache mount.
#[derive(Debug, Clone, PartialEq)]
pub struct MountLayer {
    /// The layer.
    pub layer: Layer,
    /// The size of its tar in bytes.
    pub size: u64,
}

/// What an annotation says of a layer.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SaidOfLayer {
    diff_id: Digest,
    size: u64,
}

impl Keyed for Vec<SaidOfLayer> {}

impl MountEntry {
    /// Returns the layers alone.
    pub fn plain_layers(&self) -> Vec<Layer> {
        self.layers.iter().map(|MountLayer { layer, .. }| layer.clone()).collect()
    }

    /// Returns it as it is written; `layers` are its own.
    pub fn artifact<'a>(&self, layers: &'a [Layer]) -> Artifact<'a> {
        let said: Vec<SaidOfLayer> = self
            .layers
            .iter()
            .map(|MountLayer { layer, size }| SaidOfLayer { diff_id: layer.diff_id, size: *size })
            .collect();
        let mut annotations = Map::new();
        let mut say = |name: &str, value: String| annotations.insert(name.to_owned(), value);
        say(OF, self.of.to_string());
        say(KEY, self.key.to_string());
        say(TITLE, self.id.chars().take(ID_LIMIT).collect());
        say(LAYERS, String::from_utf8_lossy(&to_json(&said)).into_owned());
        if let Some(written) = self.written.and_then(|seconds| rfc3339(seconds).ok()) {
            say(WRITTEN, written);
        }
        if let Some(signature) = &self.signature {
            say(SIGNATURE, signature.clone());
        }
        Artifact { kind: ARTIFACT, layers, annotations }
    }

    /// Reads an entry from its manifest. Fails if it does not say what it is to say; whether it is the one that is meant is for
    /// whoever reads it to see, and whether the layers are what it says shows when they are read.
    pub fn read(manifest: &[u8]) -> Result<MountEntry> {
        let wrong = |what: &str| Error::integrity(format!("the manifest of a cache mount {what}"));
        let manifest: ImageManifest = from_json("the manifest of a cache mount", manifest)?;
        let said = |name: &str| manifest.annotations.get(name).map(String::as_str);
        let of = said(OF).ok_or_else(|| wrong("does not say which it is"))?.parse()?;
        let key = said(KEY).ok_or_else(|| wrong("does not say its key"))?.parse()?;
        let layers = said(LAYERS).ok_or_else(|| wrong("does not say what its layers are"))?;
        let layers: Vec<SaidOfLayer> = from_json("what is said of the layers of a cache mount", layers.as_bytes())?;
        if layers.is_empty() || layers.len() != manifest.layers.len() {
            return Err(wrong("does not say what each of its layers is"));
        }
        let layer = |(descriptor, said): (_, SaidOfLayer)| {
            let layer = Layer { descriptor, diff_id: said.diff_id };
            if !media_type::is_layer(&layer.descriptor.media_type) || layer.descriptor.is_foreign() {
                return Err(wrong("has something that is not a layer"));
            }
            Ok(MountLayer { layer, size: said.size })
        };
        Ok(MountEntry {
            of,
            key,
            id: said(TITLE).unwrap_or_default().to_owned(),
            written: said(WRITTEN).and_then(date::seconds),
            signature: said(SIGNATURE).map(str::to_owned),
            layers: manifest.layers.iter().cloned().zip(layers).map(layer).collect::<Result<_>>()?,
        })
    }

    /// Returns the digest of all of it that a build goes by.
    pub fn statement(&self) -> Digest {
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|MountLayer { layer, size }| {
                let descriptor = &layer.descriptor;
                (descriptor.media_type.clone(), descriptor.digest, descriptor.size, layer.diff_id, *size)
            })
            .collect();
        KeyBuilder::new("cache mount signature 1")
            .part("of", &self.of)
            .part("key", &self.key)
            .part("layers", &layers)
            .finish()
    }

    /// Returns the size of all its tars in bytes.
    pub fn size(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
    }

    /// Returns the size of all its blobs in bytes.
    pub fn packed_size(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.layer.descriptor.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Descriptor;
    use crate::source::artifact::ArtifactForm;

    fn entry() -> MountEntry {
        let layer = |blob: &[u8], size| MountLayer {
            layer: Layer { descriptor: Descriptor::of(media_type::LAYER_ZSTD, blob), diff_id: Digest::of(blob) },
            size,
        };
        MountEntry {
            of: Digest::of(b"of"),
            key: Digest::of(b"key"),
            id: "cargo".to_owned(),
            layers: vec![layer(b"base", 10), layer(b"delta", 20)],
            written: Some(1_700_000_000),
            signature: Some("signed".to_owned()),
        }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_in_either_form() {
        let entry = entry();
        for form in [ArtifactForm::Artifact, ArtifactForm::Image] {
            let (manifest, _) = entry.artifact(&entry.plain_layers()).manifest(form);
            assert_eq!(MountEntry::read(&manifest).unwrap(), entry);
        }
        assert_eq!((entry.size(), entry.packed_size()), (30, 9));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let entry = entry();
        let (manifest, _) = entry.artifact(&entry.plain_layers()).manifest(ArtifactForm::Artifact);
        let text = String::from_utf8(manifest).unwrap();
        let said = |from: &str, to: &str| MountEntry::read(text.replacen(from, to, 1).as_bytes());
        said("nothing", "nothing").unwrap();
        for (from, to) in [
            (OF, "other"),
            (KEY, "other"),
            (LAYERS, "other"),
            (&*Digest::of(b"key").to_string(), "no digest"),
            (media_type::LAYER_ZSTD, media_type::EMPTY),
            (media_type::LAYER_ZSTD, "application/octet-stream"),
            ("\"layers\":[", "\"layers\":[],\"layer\":["),
            ("{", ""),
        ] {
            said(from, to).unwrap_err();
        }
    }

    #[test]
    fn all_that_a_build_goes_by_is_signed() {
        let (entry, other) = (entry(), Digest::of(b"other"));
        let mut changed = vec![entry.clone(); 6];
        changed[0].of = other;
        changed[1].key = other;
        changed[2].layers.pop();
        changed[3].layers[1].layer.diff_id = other;
        changed[4].layers[1].layer.descriptor.digest = other;
        changed[5].layers[1].size += 1;
        assert!(changed.iter().all(|changed| changed.statement() != entry.statement()));
    }
}
