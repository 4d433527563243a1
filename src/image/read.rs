//! This file reads images that exist, from any store: manifest, config and layers are read nowhere else.

use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::oci::{Descriptor, Digest, History, ImageConfig, ImageManifest, Platform, RootFs, from_json, media_type};
use crate::store::{DocumentBudget, Store, read_document};

/// An image for one platform as its documents say, normalised: every layer has its entry in the history, the platform
/// names a system and an architecture, and null stands for nothing any more. What is written on top of it is whole.
#[derive(Debug, Clone)]
pub struct Existing {
    /// The digest of its manifest.
    pub digest: Digest,
    /// As it was read.
    pub manifest: ImageManifest,
    /// Normalised.
    pub config: ImageConfig,
}

/// Reads images from a store. All documents that one reader reads count against one budget.
pub struct Reader<'s> {
    store: &'s dyn Store,
    budget: DocumentBudget,
}

impl<'s> Reader<'s> {
    /// Returns a reader of the images in `store`, with a budget of its own.
    pub fn new(store: &'s dyn Store) -> Self {
        Reader { store, budget: DocumentBudget::default() }
    }

    /// Reads the image whose manifest `descriptor` points to; returns none for an artifact.
    pub fn image(&mut self, descriptor: &Descriptor) -> Result<Option<Existing>> {
        match self.manifest(descriptor)? {
            Some(manifest) => self.image_of(descriptor, manifest).map(Some),
            None => Ok(None),
        }
    }

    /// Returns the same where the bytes of the manifest are there already.
    pub fn image_in(&mut self, descriptor: &Descriptor, bytes: &[u8]) -> Result<Option<Existing>> {
        match manifest(descriptor, bytes)? {
            Some(manifest) => self.image_of(descriptor, manifest).map(Some),
            None => Ok(None),
        }
    }

    /// Reads the manifest of an image, and no more; returns none for that of an artifact.
    pub fn manifest(&mut self, descriptor: &Descriptor) -> Result<Option<ImageManifest>> {
        media_type::check_manifest(&descriptor.digest.to_string(), &descriptor.media_type)?;
        let bytes = self.document(descriptor)?;
        manifest(descriptor, &bytes)
    }

    /// Reads the config of the image whose manifest, to which `descriptor` points, has been read.
    pub fn image_of(&mut self, descriptor: &Descriptor, manifest: ImageManifest) -> Result<Existing> {
        let bytes = self.document(&manifest.config)?;
        let title = format!("config {}", manifest.config.digest);
        let config = config(&title, &bytes, descriptor.platform.as_ref(), manifest.layers.len())?;
        Ok(Existing { digest: descriptor.digest, manifest, config })
    }

    /// Reads a manifest, index or config, verified.
    pub fn document(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.budget.take(descriptor)?;
        read_document(self.store, descriptor)
    }
}

impl Existing {
    /// Returns the layers, the lowest first. An image whose manifest lists more or fewer of them than its config has
    /// diff_ids is refused.
    pub fn layers(&self) -> Result<Vec<Layer>> {
        Layer::all(self.digest, self.manifest.layers.clone(), self.config.rootfs.diff_ids.clone())
    }
}

/// Reads the manifest of an image; returns none for that of an artifact. One that is an index too is refused.
pub fn manifest(descriptor: &Descriptor, bytes: &[u8]) -> Result<Option<ImageManifest>> {
    media_type::check_manifest(&descriptor.digest.to_string(), &descriptor.media_type)?;
    let manifest: ImageManifest = from_json(&format!("manifest {}", descriptor.digest), bytes)?;
    Ok(Some(manifest).filter(ImageManifest::is_image))
}

/// Reads the config of an image that has so many `layers`, normalised. `listed` is the platform that an index gives it, and
/// `title` what errors call it.
pub(super) fn config(title: &str, bytes: &[u8], listed: Option<&Platform>, layers: usize) -> Result<ImageConfig> {
    let config: ImageConfig = from_json(title, bytes)?;
    let platform = config.platform.completed(listed);
    let history = complete_history(config.history, layers);
    let rootfs = RootFs::new(config.rootfs.diff_ids);
    Ok(ImageConfig { platform, history, rootfs, ..config })
}

/// Returns the error for an artifact where an image is needed.
pub fn no_image(descriptor: &Descriptor) -> Error {
    Error::input(format!("{} is an artifact, not an image", descriptor.digest))
}

/// Returns `history` with as many entries that stand for a layer as there are `layers`, as BuildKit has it: those that
/// are missing come last, and what is too much stands for none.
fn complete_history(mut history: Vec<History>, layers: usize) -> Vec<History> {
    let mut found = 0;
    for entry in history.iter_mut().filter(|entry| !entry.empty_layer) {
        entry.empty_layer = found == layers;
        found += usize::from(!entry.empty_layer);
    }
    history.extend((found..layers).map(|_| History::default()));
    history
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_one_entry_in_the_history() {
        let entry =
            |name: &str, empty_layer| History { created_by: Some(name.into()), empty_layer, ..History::default() };
        let shown = |history: Vec<History>| {
            let show = |it: &History| {
                format!("{}{}", it.created_by.as_deref().unwrap_or("?"), if it.empty_layer { "-" } else { "+" })
            };
            history.iter().map(show).collect::<Vec<_>>().join(" ")
        };
        let history = vec![entry("a", false), entry("b", true), entry("c", false)];
        assert_eq!(shown(complete_history(vec![], 2)), "?+ ?+");
        assert_eq!(shown(complete_history(vec![], 0)), "");
        assert_eq!(shown(complete_history(history.clone(), 2)), "a+ b- c+");
        assert_eq!(shown(complete_history(history.clone(), 4)), "a+ b- c+ ?+ ?+");
        assert_eq!(shown(complete_history(history.clone(), 1)), "a+ b- c-");
        assert_eq!(shown(complete_history(history, 0)), "a- b- c-");
    }
}
