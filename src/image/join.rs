//! This file joins images that were built apart to one index.

use super::Document;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, ImageIndex, Map, Platform, media_type, to_json};

/// An image for one platform that an index is to list.
#[derive(Debug, Clone)]
pub struct IndexMember {
    /// The name by which errors call it.
    pub title: String,
    /// Its manifest.
    pub manifest: Descriptor,
    /// As its config says.
    pub platform: Platform,
    /// The annotations of its manifest.
    pub annotations: Map<String>,
    /// The attestations that were listed beside it.
    pub attestations: Vec<Descriptor>,
}

/// Returns an index of images that were built apart, sorted by platform, their attestations behind them: the same
/// images give the same index in whatever order they come. It has the annotations that all of them have in common, as
/// one that was built in one go does, and `annotations`. Two images for one platform are refused; one that is there
/// twice is listed once.
pub fn join(members: &[IndexMember], annotations: &Map<String>) -> Result<Document> {
    let mut sorted: Vec<&IndexMember> = Vec::with_capacity(members.len());
    for member in members {
        match sorted.iter().find(|other| is_for_same(&other.platform, &member.platform)) {
            None => sorted.push(member),
            Some(other) if other.manifest.digest == member.manifest.digest => {}
            Some(other) => {
                let message = format!("{} and {} are both images for {}", other.title, member.title, member.platform);
                return Err(
                    Error::input(message).with_hint("an index lists one image for each platform: leave one out")
                );
            }
        }
    }
    sorted.sort_by(|one, other| one.platform.cmp(&other.platform));
    let images = sorted.iter().map(|member| member.manifest.clone().with_platform(member.platform.clone()));
    let attestations = sorted.iter().flat_map(|member| member.attestations.iter().cloned());
    let mut all = sorted.first().map(|first| first.annotations.clone()).unwrap_or_default();
    all.retain(|key, value| sorted.iter().all(|member| member.annotations.get(key) == Some(value)));
    all.extend(annotations.clone());
    let index = ImageIndex::new(images.chain(attestations).collect(), all);
    Ok(Document::new(media_type::IMAGE_INDEX, to_json(&index)))
}

/// Returns an index that lists `manifests` in this order: docker's own list where all of them are of docker's types and there
/// is nothing that it has no place for, else the image-spec's.
pub fn list(manifests: Vec<Descriptor>, annotations: Map<String>) -> Document {
    let is_dockers = |manifest: &Descriptor| {
        let kind = manifest.media_type.as_str();
        matches!(kind, media_type::DOCKER_MANIFEST | media_type::DOCKER_MANIFEST_LIST)
            && manifest.annotations.is_empty()
    };
    let kind = match annotations.is_empty() && manifests.iter().all(is_dockers) {
        true => media_type::DOCKER_MANIFEST_LIST,
        false => media_type::IMAGE_INDEX,
    };
    let index = ImageIndex { media_type: Some(kind.to_owned()), ..ImageIndex::new(manifests, annotations) };
    Document::new(kind, to_json(&index))
}

/// Images of one platform may still be for several versions of its system, as those for Windows are.
fn is_for_same(one: &Platform, other: &Platform) -> bool {
    one.normalised() == other.normalised()
}
