//! Annotations that are meant for a part of what is built, as `docker buildx build --annotation` has them.

use super::setting;
use crate::error::{Error, Result};
use crate::oci::{Map, Platform};

/// The documents that annotations can be set on.
const PLACES: [&str; 4] = ["index", "manifest", "index-descriptor", "manifest-descriptor"];

/// Annotations that are not for the index and all manifests alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlacedAnnotations {
    /// The annotations of the index alone.
    pub index: Map<String>,
    /// The annotations of manifests, each with the platform whose manifest it is for; none is for all of them.
    pub manifests: Vec<(Option<Platform>, Map<String>)>,
}

/// Sets `[PLACE[,PLACE]:]KEY=VALUE`, where a place is `index`, `manifest` or `manifest[PLATFORM]`: in `all` without a place.
pub fn set(all: &mut Map<String>, placed: &mut PlacedAnnotations, text: &str) -> Result<()> {
    let Some((places, pair)) = split(text) else { return setting::set_pair(all, text) };
    for place in places.split(',') {
        let (name, platform) = match place.split_once('[') {
            Some((name, platform)) => (name, Some(platform.trim_end_matches(']').parse::<Platform>()?)),
            None => (place, None),
        };
        match (name, platform) {
            ("index", None) => setting::set_pair(&mut placed.index, pair)?,
            ("manifest", platform) => {
                let mut annotation = Map::new();
                setting::set_pair(&mut annotation, pair)?;
                placed.manifests.push((platform, annotation));
            }
            ("index", Some(_)) => {
                return Err(Error::input(format!("`{place}` in the annotation `{text}`: an index is for no platform")));
            }
            _ => {
                return Err(Error::input(format!("annotations are not set on a descriptor, as in `{text}`"))
                    .with_hint("`index:` and `manifest:` set them on the documents themselves"));
            }
        }
    }
    Ok(())
}

impl PlacedAnnotations {
    /// Returns those for the manifest of the image for `platform`.
    pub fn of_manifest(&self, platform: &Platform) -> Map<String> {
        let is_meant =
            |wanted: &Option<Platform>| wanted.as_ref().is_none_or(|wanted| *wanted == platform.normalised());
        let meant = self.manifests.iter().filter(|(wanted, _)| is_meant(wanted));
        meant.flat_map(|(_, annotations)| annotations.clone()).collect()
    }

    /// Refuses annotations for which there is no place in an image for `platforms`, with an index or without.
    pub fn check(&self, platforms: &[&Platform], has_index: bool) -> Result<()> {
        if let Some(key) = self.index.keys().next().filter(|_| !has_index) {
            return Err(Error::input(format!("the annotation `{key}` is for an index, and none is made"))
                .with_hint("an image for one platform has an index with --index"));
        }
        let is_missing = |wanted: &&Platform| platforms.iter().all(|platform| platform.normalised() != **wanted);
        match self.manifests.iter().filter_map(|(wanted, _)| wanted.as_ref()).find(is_missing) {
            Some(wanted) => {
                Err(Error::input(format!("an annotation is for the manifest of {wanted}, which is not built")))
            }
            None => Ok(()),
        }
    }
}

/// The places and the pair, if it begins with places: a key may have a colon, too.
fn split(text: &str) -> Option<(&str, &str)> {
    let (places, pair) = text.split_once(':')?;
    let is_place = |place: &str| PLACES.contains(&place.split_once('[').map_or(place, |(name, _)| name));
    places.split(',').all(is_place).then_some((places, pair))
}
