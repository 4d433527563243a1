//! What a cache puts into a registry: an artifact (image-spec, manifest.md, "Guidelines for Artifact Usage") of layers, whose
//! annotations say the rest.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::layer::Layer;
use crate::oci::{Descriptor, Digest, ImageManifest, Map, Reference, media_type, to_json};
use crate::registry::{Client, Repository};
use crate::store::Gathered;

/// A larger manifest is not one of a cache.
pub const ARTIFACT_LIMIT: u64 = 64 << 10;

/// What one manifest says.
pub struct Artifact<'a> {
    /// The type of the artifact.
    pub kind: &'static str,
    /// None for what changes nothing.
    pub layers: &'a [Layer],
    /// The rest.
    pub annotations: Map<String>,
}

/// The form of an artifact's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtifactForm {
    /// As the image-spec has it.
    Artifact,
    /// For registries that take images alone.
    Image,
}

/// An artifact of a repository.
#[derive(Debug, Clone)]
pub struct ListedArtifact<E> {
    /// What it says.
    pub entry: E,
    /// Its tag.
    pub tag: String,
    /// The digest of its manifest.
    pub manifest: Digest,
}

/// Puts artifacts into a repository, in the form that its registry takes.
#[derive(Default)]
pub struct ArtifactWriter {
    takes_images: AtomicBool,
}

impl Artifact<'_> {
    /// Returns the manifest in this form, and the configuration that it names.
    pub fn manifest(&self, form: ArtifactForm) -> (Vec<u8>, Vec<u8>) {
        let diff_ids: Vec<Digest> = self.layers.iter().map(|layer| layer.diff_id).collect();
        let (kind, config) = match form {
            ArtifactForm::Artifact => (media_type::EMPTY, b"{}".to_vec()),
            ArtifactForm::Image => {
                let config = json!({
                    "architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers", "diff_ids": diff_ids},
                });
                (media_type::IMAGE_CONFIG, to_json(&config))
            }
        };
        let mut other = Map::new();
        if form == ArtifactForm::Artifact {
            other.insert("artifactType".to_owned(), self.kind.into());
        }
        let layers = match self.layers {
            [] => vec![Descriptor::of(media_type::EMPTY, b"{}")],
            layers => layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        };
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
            config: Descriptor::of(kind, &config),
            layers,
            annotations: self.annotations.clone(),
            other,
        };
        (to_json(&manifest), config)
    }
}

impl ArtifactWriter {
    /// Puts `artifact`, whose layers `repository` has, under each of `tags`, in their order.
    pub fn put(&self, repository: &Repository<'_>, tags: &[String], artifact: &Artifact<'_>) -> Result<()> {
        let put = |form| {
            let (manifest, config) = artifact.manifest(form);
            let kind = match form {
                ArtifactForm::Artifact => media_type::EMPTY,
                ArtifactForm::Image => media_type::IMAGE_CONFIG,
            };
            let named = Descriptor::of(kind, &config);
            let mut made = Gathered::default();
            made.put(named.digest, config);
            let document = (Descriptor::of(media_type::IMAGE_MANIFEST, &manifest), manifest);
            tags.iter().try_for_each(|tag| repository.put_artifact(tag, &document, std::slice::from_ref(&named), &made))
        };
        if self.takes_images.load(Ordering::Relaxed) {
            return put(ArtifactForm::Image);
        }
        put(ArtifactForm::Artifact).or_else(|error| {
            put(ArtifactForm::Image).map_err(|_| error)?;
            self.takes_images.store(true, Ordering::Relaxed);
            Ok(())
        })
    }
}

/// Returns `error`, by which an artifact cannot be read, as one of that artifact alone.
pub fn as_wrong(error: Error) -> Error {
    Error { kind: ErrorKind::Integrity, ..error }
}

/// Returns whether `layer` is there, which has so many bytes where it is kept; none if somebody has tidied up. Fails if these are not
/// as many as its entry says.
pub fn is_there(layer: &Descriptor, actual: Option<u64>) -> Result<bool> {
    let Descriptor { digest, size, .. } = layer;
    match actual {
        Some(actual) if actual != *size => {
            Err(Error::integrity(format!("the layer {digest} has {actual} bytes, and {size} by its entry")))
        }
        actual => Ok(actual.is_some()),
    }
}

/// Returns all artifacts under `tags`, in their order, as `read` reads the manifest under each; those that it does not know are
/// left out.
pub fn listed<'t, E: Send>(
    client: &Client,
    repository: &Repository<'_>,
    tags: impl IntoIterator<Item = &'t String>,
    read: impl Fn(&str, &[u8]) -> Option<E> + Sync,
) -> Result<Vec<ListedArtifact<E>>> {
    let one = |tag: &String| -> Result<Option<ListedArtifact<E>>> {
        let Some(manifest) = repository.manifest_of(tag, ARTIFACT_LIMIT)? else { return Ok(None) };
        let entry = read(tag, &manifest);
        Ok(entry.map(|entry| ListedArtifact { entry, tag: tag.clone(), manifest: Digest::of(&manifest) }))
    };
    Ok(client.gather(tags, one)?.into_iter().flatten().collect())
}

/// Returns what the place that `reference` names is called: a tag is one only if it was given.
pub fn title_of(reference: &Reference) -> String {
    match reference.tag() {
        Some(tag) => format!("{}:{tag}", reference.name()),
        None => reference.name(),
    }
}

/// Returns the tag of a document, behind the one that keeps those of `reference` apart.
pub fn tag_of(reference: &Reference, rest: &str) -> String {
    reference.tag().map_or_else(|| rest.to_owned(), |tag| format!("{tag}-{rest}"))
}
