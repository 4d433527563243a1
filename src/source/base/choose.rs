//! From what a name stands for to the image for one platform.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::oci::{Descriptor, ImageConfig, ImageManifest, Platform, from_json, media_type};
use crate::plan::BaseImage;
use crate::store::{DocumentBudget, Store, children, read_document};

/// How deep indexes may stand in one another.
const DEPTH: usize = 8;

/// Docker's first form of a manifest, signed or not.
const FIRST_SCHEMA: &str = "application/vnd.docker.distribution.manifest.v1+";

/// The image for `platform` of what `root`, which `name` stands for, reaches. All documents on the way are read from
/// `store`, and no others.
pub(super) fn image(store: &dyn Store, name: &str, root: &Descriptor, platform: &Platform) -> Result<BaseImage> {
    let mut search = Search { store, name, platform, budget: DocumentBudget::default() };
    let found = if media_type::is_index(&root.media_type) { search.among(root)? } else { root.clone() };
    let Some(Image { manifest, config }) = search.image(&found)? else {
        return Err(Error::input(format!("{name} is no image but an artifact"))
            .with_hint("only an image with a config and layers can be built on"));
    };
    let layers = Layer::all(found.digest, manifest.layers, config.rootfs.diff_ids.clone())?;
    let layers = layers.into_iter().map(|layer| in_oci_terms(name, layer.descriptor)).collect::<Result<_>>()?;
    Ok(BaseImage { name: name.to_owned(), root: root.digest, manifest: found.digest, layers, config })
}

struct Search<'s> {
    store: &'s dyn Store,
    name: &'s str,
    platform: &'s Platform,
    budget: DocumentBudget,
}

struct Image {
    manifest: ImageManifest,
    config: ImageConfig,
}

/// What indexes list.
#[derive(Default)]
struct Listed {
    /// The best so far, and how well it fits.
    best: Option<(usize, Descriptor)>,
    platforms: BTreeSet<String>,
}

impl Search<'_> {
    /// The manifest that fits best in an index, or in those that it lists; the first of those that fit alike.
    fn among(&mut self, root: &Descriptor) -> Result<Descriptor> {
        let mut listed = Listed::default();
        self.visit(root, 0, &mut listed)?;
        let Listed { best, platforms } = listed;
        best.map(|(_, manifest)| manifest).ok_or_else(|| {
            let platforms: Vec<String> = platforms.into_iter().collect();
            let known = if platforms.is_empty() { "no images at all".to_owned() } else { platforms.join(", ") };
            Error::not_found(format!("{} has no image for {}", self.name, self.platform))
                .with_hint(format!("it has {known}"))
        })
    }

    fn visit(&mut self, index: &Descriptor, depth: usize, listed: &mut Listed) -> Result<()> {
        if depth > DEPTH {
            let message = format!("{}: indexes lie in one another more than {DEPTH} deep", self.name);
            return Err(Error::input(message));
        }
        let bytes = self.read(index)?;
        for each in children(index, &bytes)? {
            if each.is_attestation() || each.is_artifact() || !media_type::is_manifest_or_index(&each.media_type) {
                continue;
            }
            let fit = |platform: &Platform| self.platform.fit(platform);
            if media_type::is_index(&each.media_type) {
                if each.platform.as_ref().is_none_or(|platform| fit(platform).is_some()) {
                    self.visit(&each, depth + 1, listed)?;
                }
                continue;
            }
            let platform = match each.platform.clone() {
                Some(platform) => platform,
                None => match self.image(&each)? {
                    Some(image) => image.config.platform,
                    None => continue,
                },
            };
            listed.platforms.insert(platform.normalised().to_string());
            let best = listed.best.as_ref().map_or(usize::MAX, |(fit, _)| *fit);
            if let Some(fit) = self.platform.fit(&platform).filter(|fit| *fit < best) {
                listed.best = Some((fit, each));
            }
        }
        Ok(())
    }

    /// None for an artifact.
    fn image(&mut self, descriptor: &Descriptor) -> Result<Option<Image>> {
        let Search { name, .. } = *self;
        if descriptor.media_type.starts_with(FIRST_SCHEMA) {
            return Err(Error::input(format!("{name} is an image of docker's schema 1, which is not read"))
                .with_hint("push it again with docker 1.10 or later, or copy it with `skopeo copy --format oci`"));
        }
        if !media_type::is_manifest(&descriptor.media_type) {
            let kind = descriptor.media_type.escape_debug();
            return Err(Error::input(format!("{name} is of the type `{kind}`, and no image")));
        }
        let bytes = self.read(descriptor)?;
        // What could be read as something else is refused.
        children(descriptor, &bytes)?;
        let manifest: ImageManifest = from_json(&format!("manifest {} of {name}", descriptor.digest), &bytes)?;
        if !media_type::is_image_config(&manifest.config.media_type) {
            return Ok(None);
        }
        let bytes = self.read(&manifest.config)?;
        let config = from_json(&format!("config {} of {name}", manifest.config.digest), &bytes)?;
        Ok(Some(Image { manifest, config }))
    }

    fn read(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.budget.take(descriptor)?;
        read_document(self.store, descriptor)
    }
}

/// A layer under OCI's name of its type, as the manifests are that are made here; its bytes, and all else that its
/// descriptor says, stay.
fn in_oci_terms(name: &str, layer: Descriptor) -> Result<Descriptor> {
    if !media_type::is_layer(&layer.media_type) {
        let kind = layer.media_type.escape_debug();
        return Err(Error::input(format!("a layer of {name} is of the type `{kind}`, which is not read")));
    }
    Ok(Descriptor { media_type: media_type::oci_layer(&layer.media_type), ..layer })
}
