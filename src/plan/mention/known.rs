//! The digests that images are known to have.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::oci::{Digest, Reference};

/// Images by their names, as those who built or pushed them have noted them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownImages(BTreeMap<String, KnownTags>);

/// What is known of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct KnownTags {
    tagged: BTreeMap<String, Digest>,
    /// Those that were noted without a tag.
    untagged: Vec<Digest>,
}

impl KnownImages {
    /// Adds an image. Under a tag that is known the later one counts.
    pub fn add(&mut self, name: &Reference, digest: Digest) {
        let tags = self.0.entry(name.name()).or_default();
        match name.tag() {
            Some(tag) => drop(tags.tagged.insert(tag.to_owned(), digest)),
            None if !tags.untagged.contains(&digest) => tags.untagged.push(digest),
            None => {}
        }
    }

    /// Returns the digest that is meant by `name`: that of its tag (without one, `latest`); else that which was noted for the
    /// whole repository; else, of a name without a tag, the only one of the repository. None if nothing is known about it.
    /// Fails if it could be several.
    pub fn digest_of(&self, name: &Reference) -> Result<Option<Digest>> {
        let Some(known) = self.0.get(&name.name()) else { return Ok(None) };
        if let Some(digest) = known.tagged.get(name.tag().unwrap_or("latest")) {
            return Ok(Some(*digest));
        }
        let all = known.all();
        let meant = if known.untagged.is_empty() && name.tag().is_none() { &all } else { &known.untagged };
        match meant.as_slice() {
            [] => Ok(None),
            [digest] => Ok(Some(*digest)),
            several => Err(Error::input(format!("{name} could be any of {} images", several.len()))
                .with_details(several.iter().map(ToString::to_string).collect())
                .with_hint("write the tag of one, and have a metadata file say which tags they have")),
        }
    }

    /// Returns the digest of the only image that is known of a repository, whatever its tags; none if there are several.
    pub fn only_of(&self, name: &Reference) -> Option<Digest> {
        match self.0.get(&name.name())?.all().as_slice() {
            [digest] => Some(*digest),
            _ => None,
        }
    }
}

impl KnownTags {
    /// Returns all digests, each once.
    fn all(&self) -> Vec<Digest> {
        let mut all: Vec<Digest> = self.untagged.iter().chain(self.tagged.values()).copied().collect();
        all.sort_unstable_by_key(ToString::to_string);
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Reference {
        text.parse().unwrap()
    }

    fn known(images: &[(&str, &str)]) -> KnownImages {
        let mut known = KnownImages::default();
        images.iter().for_each(|(image, content)| known.add(&name(image), Digest::of(content.as_bytes())));
        known
    }

    #[test]
    fn a_tag_means_its_own_image_and_no_other() {
        let known = known(&[("r.example/api:1", "one"), ("r.example/api:2", "two"), ("r.example/api:latest", "two")]);
        let digest_of = |text: &str| known.digest_of(&name(text)).unwrap();
        assert_eq!(digest_of("r.example/api:1"), Some(Digest::of(b"one")));
        assert_eq!(digest_of("r.example/api"), Some(Digest::of(b"two")), "without a tag it is latest");
        assert_eq!(digest_of("r.example/api:3"), None);
        assert_eq!(digest_of("r.example/web:1"), None);
    }

    #[test]
    fn what_is_noted_without_a_tag_is_meant_by_every_tag_of_its_repository() {
        let one = known(&[("api", "one")]);
        assert_eq!(one.digest_of(&name("docker.io/library/api:7")).unwrap(), Some(Digest::of(b"one")));
        let two = known(&[("api", "one"), ("api", "two"), ("api:7", "seven")]);
        assert_eq!(two.digest_of(&name("api:7")).unwrap(), Some(Digest::of(b"seven")));
        let error = two.digest_of(&name("api:8")).unwrap_err();
        assert_eq!(error.message, "docker.io/library/api:8 could be any of 2 images");
        assert_eq!(error.details.len(), 2);
    }

    #[test]
    fn a_name_without_a_tag_means_the_only_image_of_its_repository() {
        let one = known(&[("r.example/api:1.0.0", "one"), ("r.example/api:1", "one")]);
        assert_eq!(one.digest_of(&name("r.example/api")).unwrap(), Some(Digest::of(b"one")));
        let two = known(&[("r.example/api:1", "one"), ("r.example/api:2", "two")]);
        assert!(two.digest_of(&name("r.example/api")).is_err());
        assert_eq!(
            (one.only_of(&name("r.example/api")), two.only_of(&name("r.example/api"))),
            (Some(Digest::of(b"one")), None)
        );
    }
}
