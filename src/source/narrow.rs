//! An index, narrowed to some of its platforms.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::image::Reader;
use crate::oci::{Descriptor, ImageIndex, Platform, from_json, media_type, to_json};
use crate::store::{Graph, Store};

/// The part of an image that is for some platforms only.
pub(super) struct Narrowed {
    pub root: Descriptor,
    /// The root's, if it is an index that there was not before.
    pub document: Option<Vec<u8>>,
}

/// Returns what of `graph`, which errors call `title`, is for `platforms`: the manifest itself where that is one image,
/// else an index that differs from the root only in what it lists: these images, and the attestations that are about
/// them. None if that is all there is. Fails for a platform that it does not have.
pub(super) fn narrowed(
    store: &dyn Store,
    title: &str,
    graph: &Graph,
    platforms: &[Platform],
) -> Result<Option<Narrowed>> {
    let mut images = Vec::new();
    for (descriptor, bytes) in graph.images() {
        if let Some(platform) = platform(store, descriptor, bytes)? {
            images.push((descriptor, platform.normalised().to_string()));
        }
    }
    let wanted: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    if let Some(missing) = wanted.iter().find(|wanted| images.iter().all(|(_, platform)| platform != *wanted)) {
        let known: Vec<&str> = images.iter().map(|(_, platform)| platform.as_str()).collect();
        return Err(Error::not_found(format!("{title} has no image for {missing}")).with_hint(format!(
            "it has {}",
            if known.is_empty() { "none at all".to_owned() } else { known.join(", ") }
        )));
    }
    let kept: Vec<&Descriptor> =
        images.iter().filter(|(_, platform)| wanted.contains(platform)).map(|(descriptor, _)| *descriptor).collect();
    let Some((root, bytes)) = graph.manifests.last() else { return Ok(None) };
    if !media_type::is_index(&root.media_type) || kept.len() == graph.images().count() {
        return Ok(None);
    }
    if let [only] = kept[..] {
        let mut root = only.clone();
        root.annotations.clear();
        return Ok(Some(Narrowed { root, document: None }));
    }
    let mut index: ImageIndex = from_json(&format!("index {}", root.digest), bytes)?;
    let attestations = attestations(graph.manifests.iter().map(|(descriptor, _)| descriptor), &kept);
    index.manifests = kept.iter().copied().chain(attestations).cloned().collect();
    let document = to_json(&index);
    Ok(Some(Narrowed { root: Descriptor::of(&root.media_type, &document), document: Some(document) }))
}

/// Returns those of `manifests` that are attestations of `images`.
pub(super) fn attestations<'m>(
    manifests: impl IntoIterator<Item = &'m Descriptor>,
    images: &[&Descriptor],
) -> impl Iterator<Item = &'m Descriptor> {
    let digests: HashSet<String> = images.iter().map(|image| image.digest.to_string()).collect();
    manifests.into_iter().filter(move |manifest| manifest.attested().is_some_and(|about| digests.contains(about)))
}

/// Returns the platform as the index says, else as the image's config does; none for what is not an image.
fn platform(store: &dyn Store, descriptor: &Descriptor, bytes: &[u8]) -> Result<Option<Platform>> {
    if descriptor.platform.is_some() {
        return Ok(descriptor.platform.clone());
    }
    Ok(Reader::new(store).image_in(descriptor, bytes)?.map(|image| image.config.platform))
}
