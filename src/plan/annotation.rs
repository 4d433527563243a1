//! Annotations that are meant for a part of what is built, as `docker buildx build --annotation` and BuildKit's outputs have
//! them.

use super::setting;
use crate::error::{Error, Result};
use crate::oci::{Map, Platform};

/// The places that annotations can be set in.
const PLACES: [&str; 4] = ["index", "manifest", "index-descriptor", "manifest-descriptor"];

/// Annotations for images of some platforms; none is for all.
type ByPlatform = Vec<(Option<Platform>, Map<String>)>;

/// Annotations that are not for the index and all manifests alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlacedAnnotations {
    /// The annotations of the index alone.
    pub index: Map<String>,
    /// The annotations of manifests, each with the platform whose manifest it is for; none is for all of them.
    pub manifests: ByPlatform,
    /// The annotations of the descriptor that points to the index, such as that in the `index.json` of a layout.
    pub index_descriptor: Map<String>,
    /// The annotations of the descriptors that point to manifests: those in the index, where there is one.
    pub manifest_descriptors: ByPlatform,
}

/// Sets `[PLACE[,PLACE]:]KEY=VALUE`, where a place is `index`, `manifest`, `index-descriptor` or `manifest-descriptor`, those of
/// manifests with `[PLATFORM]` behind if need be: in `all` without a place.
pub fn set(all: &mut Map<String>, placed: &mut PlacedAnnotations, text: &str) -> Result<()> {
    let Some((places, pair)) = split(text) else { return setting::set_pair(all, text) };
    places.split(',').try_for_each(|place| placed.set(place, pair, text))
}

impl PlacedAnnotations {
    /// Sets what a field of one of BuildKit's outputs says: `annotation.KEY=VALUE` on manifests, and elsewhere with a place, as
    /// in `annotation-index.KEY=VALUE` and `annotation-manifest[linux/amd64].KEY=VALUE`. Returns false if it is no such field.
    pub fn set_field(&mut self, name: &str, value: &str) -> Result<bool> {
        let Some(rest) = name.strip_prefix("annotation").filter(|rest| rest.starts_with(['.', '-', '['])) else {
            return Ok(false);
        };
        let text = format!("{name}={value}");
        // A platform has no dot, and nothing before the key has one.
        let (place, key) = rest.split_once('.').ok_or_else(|| {
            Error::input(format!("`{text}` has no key")).with_hint("write it as annotation[-PLACE].KEY=VALUE")
        })?;
        let place = match place.strip_prefix('-') {
            Some(place) => place.to_owned(),
            None => format!("manifest{place}"),
        };
        self.set(&place, &format!("{key}={value}"), &text).map(|()| true)
    }

    /// Returns those for the manifest of the image for `platform`.
    pub fn of_manifest(&self, platform: &Platform) -> Map<String> {
        of(&self.manifests, platform)
    }

    /// Returns those for the descriptor that points to that manifest.
    pub fn of_manifest_descriptor(&self, platform: &Platform) -> Map<String> {
        of(&self.manifest_descriptors, platform)
    }

    /// Adds `others`, which count where both say something.
    pub fn extend(&mut self, others: PlacedAnnotations) {
        self.index.extend(others.index);
        self.manifests.extend(others.manifests);
        self.index_descriptor.extend(others.index_descriptor);
        self.manifest_descriptors.extend(others.manifest_descriptors);
    }

    /// Refuses annotations for which there is no place in an image for `platforms`, with an index or without.
    pub fn check(&self, platforms: &[&Platform], has_index: bool) -> Result<()> {
        let of_index = || self.index.keys().chain(self.index_descriptor.keys());
        if let Some(key) = of_index().next().filter(|_| !has_index) {
            return Err(Error::input(format!("the annotation `{key}` is for an index, but none is made"))
                .with_hint("an image for one platform has an index with --index"));
        }
        let is_missing = |wanted: &&Platform| platforms.iter().all(|platform| platform.normalised() != **wanted);
        let of_manifests = self.manifests.iter().chain(&self.manifest_descriptors);
        match of_manifests.filter_map(|(wanted, _)| wanted.as_ref()).find(is_missing) {
            Some(wanted) => {
                Err(Error::input(format!("an annotation is for the manifest of {wanted}, which is not built")))
            }
            None => Ok(()),
        }
    }

    /// Sets `pair` in one place; errors show `text`.
    fn set(&mut self, place: &str, pair: &str, text: &str) -> Result<()> {
        let (name, platform) = match place.split_once('[') {
            Some((name, platform)) => {
                let platform = platform.strip_suffix(']').ok_or_else(|| {
                    Error::input(format!("`{place}` in the annotation `{text}` does not close its platform"))
                })?;
                (name, Some(platform.parse::<Platform>()?))
            }
            None => (place, None),
        };
        let mut annotation = Map::new();
        setting::set_pair(&mut annotation, pair)?;
        match (name, platform) {
            ("index" | "index-descriptor", Some(_)) => {
                return Err(Error::input(format!("`{place}` in the annotation `{text}`: an index is for no platform")));
            }
            ("index", None) => self.index.extend(annotation),
            ("index-descriptor", None) => self.index_descriptor.extend(annotation),
            ("manifest", platform) => self.manifests.push((platform, annotation)),
            ("manifest-descriptor", platform) => self.manifest_descriptors.push((platform, annotation)),
            _ => {
                return Err(Error::input(format!("`{name}` in the annotation `{text}` is not a place for one"))
                    .with_hint(format!("known places are {}", PLACES.join(", "))));
            }
        }
        Ok(())
    }
}

fn of(annotations: &ByPlatform, platform: &Platform) -> Map<String> {
    let is_meant = |wanted: &Option<Platform>| wanted.as_ref().is_none_or(|wanted| *wanted == platform.normalised());
    let meant = annotations.iter().filter(|(wanted, _)| is_meant(wanted));
    meant.flat_map(|(_, annotations)| annotations.clone()).collect()
}

/// The places and the pair, if it begins with places: a key may have a colon, too.
fn split(text: &str) -> Option<(&str, &str)> {
    let (places, pair) = text.split_once(':')?;
    let is_place = |place: &str| PLACES.contains(&place.split_once('[').map_or(place, |(name, _)| name));
    places.split(',').all(is_place).then_some((places, pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(texts: &[&str]) -> (Map<String>, PlacedAnnotations) {
        let (mut all, mut placed) = (Map::new(), PlacedAnnotations::default());
        texts.iter().for_each(|text| set(&mut all, &mut placed, text).unwrap());
        (all, placed)
    }

    fn pairs(annotations: &Map<String>) -> String {
        annotations.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn places_have_platforms_and_stand_in_lists() {
        let (all, placed) = placed(&[
            "a=all",
            "org.example:b=colon",
            "index,manifest:c=both",
            "manifest[linux/arm64]:d=arm",
            "index-descriptor:e=points",
            "manifest-descriptor[linux/amd64],manifest-descriptor[arm64]:f=each",
        ]);
        assert_eq!(pairs(&all), "a=all org.example:b=colon");
        assert_eq!((pairs(&placed.index), pairs(&placed.index_descriptor)), ("c=both".into(), "e=points".into()));
        let platform = |name: &str| name.parse::<Platform>().unwrap();
        assert_eq!(pairs(&placed.of_manifest(&platform("linux/arm64"))), "c=both d=arm");
        assert_eq!(pairs(&placed.of_manifest(&platform("linux/amd64"))), "c=both");
        assert_eq!(pairs(&placed.of_manifest_descriptor(&platform("linux/arm64"))), "f=each");
        assert_eq!(pairs(&placed.of_manifest_descriptor(&platform("linux/arm/v7"))), "");
        for wrong in ["index[linux/amd64]:a=b", "manifest[linux/amd64:a=b", "manifest[no]:a=b", "manifest:a"] {
            assert!(set(&mut Map::new(), &mut PlacedAnnotations::default(), wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_of_outputs_are_those_of_buildkit() {
        let mut placed = PlacedAnnotations::default();
        for (name, value) in [
            ("annotation.org.a", "1"),
            ("annotation[linux/arm64].b", "2"),
            ("annotation-index.c", "3"),
            ("annotation-manifest-descriptor[linux/amd64].d", "4"),
            ("annotation-index-descriptor.e", "5"),
        ] {
            assert!(placed.set_field(name, value).unwrap(), "{name}");
        }
        let platform = |name: &str| name.parse::<Platform>().unwrap();
        assert_eq!(pairs(&placed.of_manifest(&platform("linux/arm64"))), "b=2 org.a=1");
        assert_eq!(pairs(&placed.of_manifest_descriptor(&platform("linux/amd64"))), "d=4");
        assert_eq!((pairs(&placed.index), pairs(&placed.index_descriptor)), ("c=3".into(), "e=5".into()));
        assert!(!placed.set_field("annotations", "x").unwrap() && !placed.set_field("name", "x").unwrap());
        for wrong in ["annotation-none.a", "annotation[linux/amd64]", "annotation-index[linux/amd64].a", "annotation."]
        {
            assert!(placed.set_field(wrong, "x").is_err(), "{wrong}");
        }
    }
}
