//! What `imagetools create` makes an image of, as it is typed: a name, a digest, or a descriptor as JSON.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Keyed, Map, Platform, Reference, from_json};

/// A source as it was typed.
pub struct Origin {
    /// The text, which errors call it by.
    pub title: String,
    place: OriginPlace,
}

enum OriginPlace {
    Name(Reference),
    /// In the only repository that is named.
    Digest(Digest),
    Descriptor(WantedDescriptor),
}

/// What a descriptor says that somebody wrote or took from elsewhere: all but the digest may be missing, and what is there is
/// compared with what the registry has, or goes into the index.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedDescriptor {
    #[serde(default)]
    media_type: Option<String>,
    digest: Digest,
    #[serde(default)]
    size: Option<u64>,
    /// The annotations that the index gives it.
    #[serde(default, deserialize_with = "crate::oci::map")]
    pub annotations: Map<String>,
    /// The platform that the index gives it; what it leaves open is the config's.
    #[serde(default)]
    pub platform: Option<Platform>,
}

impl Keyed for WantedDescriptor {
    const KEYS: crate::oci::Keys = Descriptor::KEYS;
}

impl Origin {
    /// Reads a source, as buildx does.
    pub fn read(text: &str) -> Result<Self> {
        let text = text.trim();
        let wrong = |error: Error| {
            let shown = text.lines().next().unwrap_or_default();
            let message = format!(
                "failed to parse source \"{shown}\", valid sources are digests, references and descriptors: {}",
                error.message
            );
            Error { message, ..error.on_command_line() }
        };
        let place = match text.parse::<Digest>() {
            Ok(digest) => OriginPlace::Digest(digest),
            Err(error) if text.starts_with("sha256:") => return Err(wrong(error)),
            Err(_) if text.starts_with('{') => {
                OriginPlace::Descriptor(from_json("the descriptor", text.as_bytes()).map_err(wrong)?)
            }
            Err(_) => OriginPlace::Name(text.parse().map_err(wrong)?),
        };
        let title = match &place {
            OriginPlace::Descriptor(wanted) => wanted.digest.to_string(),
            _ => text.to_owned(),
        };
        Ok(Origin { title, place })
    }

    /// Returns what to ask a registry for. A digest alone is in the `only` repository that is named.
    pub fn reference(&self, only: Option<&Reference>) -> Result<Reference> {
        let digest = match &self.place {
            OriginPlace::Name(name) => return Ok(name.clone()),
            OriginPlace::Digest(digest) => digest,
            OriginPlace::Descriptor(wanted) => &wanted.digest,
        };
        let repository = only.ok_or_else(|| {
            let message = format!("multiple repositories specified, cannot infer repository for \"{}\"", self.title);
            Error::usage(message).with_hint("write REPOSITORY@sha256:…")
        })?;
        Ok(repository.with_digest(*digest))
    }

    /// Returns the descriptor that it is, if it is one.
    pub fn wanted(&self) -> Option<&WantedDescriptor> {
        match &self.place {
            OriginPlace::Descriptor(wanted) => Some(wanted),
            _ => None,
        }
    }

    fn name(&self) -> Option<&Reference> {
        match &self.place {
            OriginPlace::Name(name) => Some(name),
            _ => None,
        }
    }
}

impl WantedDescriptor {
    /// Refuses what the registry has under its digest, if that is something else than it says.
    pub fn check(&self, found: &Descriptor) -> Result<()> {
        let digest = self.digest;
        if let Some(size) = self.size.filter(|size| *size != 0 && *size != found.size) {
            return Err(Error::integrity(format!("invalid size mismatch for {digest}, {size} != {}", found.size)));
        }
        match &self.media_type {
            Some(kind) if !kind.is_empty() && *kind != found.media_type => {
                let message = format!("{digest} has the type `{}`, and its descriptor says `{kind}`", found.media_type);
                Err(Error::integrity(message))
            }
            _ => Ok(()),
        }
    }
}

/// Returns the only repository that `origins` and `tags` name; none if they name several. Fails if they name none.
pub fn only_repository(origins: &[Origin], tags: &[Reference]) -> Result<Option<Reference>> {
    let named: Vec<&Reference> = tags.iter().chain(origins.iter().filter_map(Origin::name)).collect();
    let repositories: BTreeSet<String> = named.iter().map(|name| name.name()).collect();
    match named.first() {
        None => Err(Error::usage("no repositories specified, please set a reference in tag or source")
            .with_hint("write REPOSITORY@sha256:…, or name the image with -t")),
        Some(first) => Ok(Some((*first).clone()).filter(|_| repositories.len() == 1)),
    }
}
