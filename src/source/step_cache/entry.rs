//! What is kept of a step that was done: an artifact whose only layer is that of the step, and whose annotations say the rest.

use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::net::date;
use crate::oci::{Digest, ImageManifest, KeyBuilder, KeyPart, Keyed, Map, from_json, media_type, to_json};
use crate::plan::label::rfc3339;
use crate::source::artifact::Artifact;

/// The type of the artifact.
const ARTIFACT: &str = "application/vnd.dev.ocibake.step.v1";

const KEY: &str = "dev.ocibake.step.key";
const ON: &str = "dev.ocibake.step.on";
const DIFF_ID: &str = "dev.ocibake.step.diff-id";
const PARTS: &str = "dev.ocibake.step.key-parts";
const TITLE: &str = "org.opencontainers.image.title";
const PRINTED: &str = "dev.ocibake.step.printed";
const SIGNATURE: &str = "dev.ocibake.step.signature";
const WRITTEN: &str = "org.opencontainers.image.created";

/// Of a longer title, and of more that was printed, an entry keeps the beginning and the end.
const TITLE_LIMIT: usize = 1000;
const PRINTED_LIMIT: usize = 4000;

/// A step that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct StepEntry {
    /// What it is known by on all machines.
    pub key: Digest,
    /// What stands for the file system that it was done on, as that came about.
    pub on: Digest,
    /// The parts of its key, in their order.
    pub parts: Vec<KeyPart>,
    /// The name of the step.
    pub title: String,
    /// None if it changed nothing.
    pub layer: Option<Layer>,
    /// The last lines that its command has written.
    pub printed: Vec<String>,
    /// When it was written, in seconds since 1970, as it says.
    pub written: Option<i64>,
    /// Who has written it, as [`VerifyingKey`](crate::source::signature::VerifyingKey) reads it; none if nobody says.
    pub signature: Option<String>,
}

/// What a place has under a key.
pub enum Lookup {
    /// Nothing.
    Missing,
    /// An entry that is not to be used, and may be replaced: another's, or one whose layer is gone.
    Useless,
    /// One whose layer is there, and as large as it says.
    Entry(Box<StepEntry>),
}

impl StepEntry {
    /// Returns it as it is written.
    pub fn artifact(&self) -> Artifact<'_> {
        let mut annotations = Map::new();
        let mut say = |name: &str, value: String| annotations.insert(name.to_owned(), value);
        say(KEY, self.key.to_string());
        say(ON, self.on.to_string());
        say(TITLE, beginning(&self.title));
        say(PARTS, String::from_utf8_lossy(&to_json(&self.parts)).into_owned());
        if let Some(layer) = &self.layer {
            say(DIFF_ID, layer.diff_id.to_string());
        }
        if !self.printed.is_empty() {
            say(PRINTED, end(&self.printed));
        }
        if let Some(written) = self.written.and_then(|seconds| rfc3339(seconds).ok()) {
            say(WRITTEN, written);
        }
        if let Some(signature) = &self.signature {
            say(SIGNATURE, signature.clone());
        }
        Artifact { kind: ARTIFACT, layers: self.layer.as_slice(), annotations }
    }

    /// Returns the digest of all of it that a build goes by.
    pub fn statement(&self) -> Digest {
        statement(&self.key, &self.on, self.layer.as_ref())
    }

    /// Reads the entry of `key` from its manifest. Fails if it is that of another key, or does not say what it is to say; whether
    /// the layer is what it says shows when that is read.
    pub fn read(manifest: &[u8], key: &Digest) -> Result<StepEntry> {
        let wrong = |what: &str| Error::integrity(format!("the entry of the key {key} {what}"));
        let manifest: ImageManifest = from_json(&format!("the entry of the key {key}"), manifest)?;
        let said = |name: &str| manifest.annotations.get(name).map(String::as_str);
        if said(KEY) != Some(&*key.to_string()) {
            return Err(wrong("is that of another key"));
        }
        let on = said(ON).ok_or_else(|| wrong("does not say what it was done on"))?.parse()?;
        let [layer] = &manifest.layers[..] else { return Err(wrong("does not have one layer")) };
        let diff_id = said(DIFF_ID).map(str::parse::<Digest>).transpose()?;
        let layer = match diff_id {
            None if layer.media_type == media_type::EMPTY => None,
            Some(diff_id) if media_type::is_layer(&layer.media_type) && !layer.is_foreign() => {
                Some(Layer { descriptor: layer.clone(), diff_id })
            }
            _ => return Err(wrong("does not say what its layer is")),
        };
        let parts = match said(PARTS) {
            Some(parts) => from_json("the parts of a key", parts.as_bytes())?,
            None => Vec::new(),
        };
        Ok(StepEntry {
            key: *key,
            on,
            parts,
            title: said(TITLE).unwrap_or_default().to_owned(),
            layer,
            printed: said(PRINTED).map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default(),
            written: said(WRITTEN).and_then(date::seconds),
            signature: said(SIGNATURE).map(str::to_owned),
        })
    }
}

impl Keyed for Vec<KeyPart> {}

/// Returns the digest of all of an entry that a build goes by: the step of this `key`, done `on` that, came to `layer`.
pub fn statement(key: &Digest, on: &Digest, layer: Option<&Layer>) -> Digest {
    let kind = layer.map(|layer| layer.descriptor.media_type.as_str());
    let layer = layer.map(|layer| (layer.descriptor.digest, layer.descriptor.size, layer.diff_id));
    KeyBuilder::new("step signature 1")
        .part("key", key)
        .part("on", on)
        .part("layer", &layer)
        .part("media type", &kind)
        .finish()
}

/// As much of `text` from its beginning as is kept.
fn beginning(text: &str) -> String {
    text.chars().take(TITLE_LIMIT).collect()
}

/// As many of `lines`, without those at the beginning, as are kept.
fn end(lines: &[String]) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut room = PRINTED_LIMIT;
    for line in lines.iter().rev() {
        let Some(left) = room.checked_sub(line.len() + 1) else { break };
        room = left;
        kept.push(line);
    }
    kept.reverse();
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Descriptor;
    use crate::source::artifact::{ARTIFACT_LIMIT, ArtifactForm};

    fn entry(layer: Option<Layer>) -> StepEntry {
        let part = |name: &str| KeyPart { name: name.to_owned(), digest: Digest::of(name.as_bytes()) };
        StepEntry {
            key: Digest::of(b"key"),
            on: Digest::of(b"on"),
            parts: vec![part("below"), part("arguments")],
            title: "RUN make".to_owned(),
            layer,
            printed: vec!["made".to_owned(), "it".to_owned()],
            written: Some(1_700_000_000),
            signature: Some("signed".to_owned()),
        }
    }

    fn layer() -> Layer {
        Layer { descriptor: Descriptor::of(media_type::LAYER_GZIP, b"blob"), diff_id: Digest::of(b"tar") }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_in_either_form() {
        for entry in [entry(Some(layer())), entry(None)] {
            for form in [ArtifactForm::Artifact, ArtifactForm::Image] {
                let (manifest, config) = entry.artifact().manifest(form);
                assert_eq!(StepEntry::read(&manifest, &entry.key).unwrap(), entry);
                let manifest: ImageManifest = from_json("it", &manifest).unwrap();
                assert_eq!(manifest.config.digest, Digest::of(&config));
                assert_eq!(manifest.other.contains_key("artifactType"), form == ArtifactForm::Artifact);
            }
        }
    }

    #[test]
    fn what_is_no_entry_of_the_key_is_refused() {
        let entry = entry(Some(layer()));
        let (manifest, _) = entry.artifact().manifest(ArtifactForm::Artifact);
        let text = String::from_utf8(manifest).unwrap();
        let said = |from: &str, to: &str| StepEntry::read(text.replace(from, to).as_bytes(), &entry.key);
        said("nothing", "nothing").unwrap();
        for (from, to) in [
            (KEY, "other"),
            (ON, "other"),
            (DIFF_ID, "other"),
            (&*entry.key.hex(), &*Digest::of(b"other").hex()),
            (&*layer().diff_id.hex(), "no digest"),
            (media_type::LAYER_GZIP, media_type::EMPTY),
            (media_type::LAYER_GZIP, "application/octet-stream"),
            ("\"layers\":[", "\"layers\":[],\"layer\":["),
            ("{", ""),
        ] {
            said(from, to).unwrap_err();
        }
        StepEntry::read(text.as_bytes(), &Digest::of(b"another key")).unwrap_err();
    }

    #[test]
    fn what_a_command_has_printed_is_kept_from_its_end_and_a_title_from_its_beginning() {
        let long = StepEntry {
            title: "é".repeat(5000),
            printed: (0..2000).map(|number| format!("line {number}")).collect(),
            ..entry(None)
        };
        let (manifest, _) = long.artifact().manifest(ArtifactForm::Artifact);
        assert!((manifest.len() as u64) < ARTIFACT_LIMIT);
        let read = StepEntry::read(&manifest, &long.key).unwrap();
        assert_eq!(read.title, "é".repeat(TITLE_LIMIT));
        assert_eq!(read.printed.last().unwrap(), "line 1999");
        assert!(read.printed.len() > 300 && long.printed.ends_with(&read.printed));
    }
}
