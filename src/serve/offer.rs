//! An [`Offer`] is what a stock has under which names at one moment, and what a name of a request means in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::oci::{Descriptor, Reference, is_valid_tag};
use crate::store::{Listed, NamedImage};

/// The images of a stock, by repository. A repository is known by its path (`org/api`), and by its registry's name and its path
/// (`registry.example/org/api`), where it has a registry's name.
#[derive(Debug, Default)]
pub struct Offer {
    repositories: BTreeMap<RepositoryName, Vec<OfferedImage>>,
    /// The repositories that each path and each full name may mean.
    meanings: HashMap<String, Vec<RepositoryName>>,
}

/// The name of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RepositoryName {
    path: String,
    /// None for what has no more than a tag in its layout.
    registry: Option<String>,
}

/// An image in a repository.
#[derive(Debug, Clone)]
pub struct OfferedImage {
    /// Its manifest or index.
    pub root: Descriptor,
    /// None where it is had by digest alone.
    pub tag: Option<String>,
    /// The name in the local store, if it is from there.
    pub local_name: Option<String>,
}

/// What the name of a repository in a request means: the images of all repositories that it may mean.
pub(super) struct MeantImages<'a> {
    images: Vec<(&'a RepositoryName, &'a OfferedImage)>,
}

/// What a tag means there.
pub(super) enum TagMeaning<'a> {
    /// Nothing.
    None,
    /// An image.
    One(&'a OfferedImage),
    /// Different images, in repositories of these names.
    Several(Vec<String>),
}

impl Offer {
    /// Returns what is offered of a layout or an archive at `place`, which has `images`. What says not which repository it is of
    /// is offered under the name of the file, and what has no name at all as `latest`, if it is the only one.
    pub fn of_listed(place: &Path, images: &[Listed]) -> Offer {
        let own = RepositoryName { path: path_of(place), registry: None };
        let mut offer = Offer::default();
        let mut unnamed: Vec<&Descriptor> = Vec::new();
        for image in images {
            for name in &image.names {
                offer.add_named(name, &image.root, None);
            }
            for name in &image.short_names {
                match name.parse::<Reference>() {
                    _ if is_valid_tag(name) => offer.add(own.clone(), &image.root, Some(name), None),
                    Ok(name) if name.tag().is_some() => offer.add_named(&name, &image.root, None),
                    _ => offer.add(own.clone(), &image.root, None, None),
                }
            }
            if image.names.is_empty() && image.short_names.is_empty() {
                unnamed.push(&image.root);
            }
        }
        let is_taken = offer.repositories.get(&own).is_some_and(|images| images.iter().any(|it| it.has_tag(LATEST)));
        let tag = (unnamed.len() == 1 && !is_taken).then_some(LATEST);
        unnamed.into_iter().for_each(|root| offer.add(own.clone(), root, tag, None));
        offer.completed()
    }

    /// Returns what is offered of a local store that has `images`.
    pub fn of_local(images: &[NamedImage]) -> Offer {
        let mut offer = Offer::default();
        for image in images {
            offer.add_named(&image.name, &image.root, Some(image.name.to_string()));
        }
        offer.completed()
    }

    /// Returns all images, each as often as it has tags.
    pub fn images(&self) -> impl Iterator<Item = &OfferedImage> {
        self.repositories.values().flatten()
    }

    /// Returns what to ask for to get each of the images, as `org/api:v1` or `org/api@sha256:…`.
    pub fn names(&self) -> Vec<String> {
        let name = |(repository, image): (&RepositoryName, &OfferedImage)| match &image.tag {
            None => format!("{}@{}", repository.path, image.root.digest),
            Some(tag) => match self.meant(&repository.path, None).map(|meant| meant.tag(tag)) {
                Some(TagMeaning::One(_)) => format!("{}:{tag}", repository.path),
                _ => format!("{}:{tag}", repository.full()),
            },
        };
        let all = self.repositories.iter();
        all.flat_map(|(repository, images)| images.iter().map(move |image| name((repository, image)))).collect()
    }

    /// Returns the paths and tags that mean different images of several registries, each with their full names.
    pub fn ambiguous(&self) -> Vec<(String, Vec<String>)> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (repository, images) in &self.repositories {
            let Some(meant) = self.meant(&repository.path, None) else { continue };
            for tag in images.iter().filter_map(|image| image.tag.as_ref()) {
                if let TagMeaning::Several(names) = meant.tag(tag) {
                    all.insert(format!("{}:{tag}", repository.path), names);
                }
            }
        }
        all.into_iter().collect()
    }

    /// Returns the names that stand for repositories: their paths, and full names where a path alone does not tell all.
    pub(super) fn repositories(&self) -> BTreeSet<String> {
        let name = |name: &RepositoryName| match self.meanings.get(&name.path).map(Vec::len) {
            Some(0 | 1) | None => vec![name.path.clone()],
            _ => vec![name.path.clone(), name.full()],
        };
        self.repositories.keys().flat_map(name).collect()
    }

    /// Returns what `name` means, where `registry`, if it is given, is the one that the image is of; none if nothing has it.
    pub(super) fn meant(&self, name: &str, registry: Option<&str>) -> Option<MeantImages<'_>> {
        let is_of = |known: &&RepositoryName| match registry {
            Some(registry) => known.registry.as_deref() == Some(registry) && known.path == name,
            None => true,
        };
        let names = self.meanings.get(name)?.iter().filter(is_of);
        let images: Vec<_> = names
            .filter_map(|name| self.repositories.get_key_value(name))
            .flat_map(|(name, images)| images.iter().map(move |image| (name, image)))
            .collect();
        (!images.is_empty()).then_some(MeantImages { images })
    }

    fn add_named(&mut self, name: &Reference, root: &Descriptor, local_name: Option<String>) {
        let repository =
            RepositoryName { path: name.repository().to_owned(), registry: Some(name.registry().to_owned()) };
        self.add(repository, root, name.tag(), local_name);
    }

    fn add(&mut self, repository: RepositoryName, root: &Descriptor, tag: Option<&str>, local_name: Option<String>) {
        let images = self.repositories.entry(repository).or_default();
        let is_known = |known: &OfferedImage| known.root.digest == root.digest && known.tag.as_deref() == tag;
        if !images.iter().any(is_known) {
            images.push(OfferedImage { root: root.clone(), tag: tag.map(str::to_owned), local_name });
        }
    }

    /// Finds out what names mean, once all images are there.
    fn completed(mut self) -> Offer {
        for repository in self.repositories.keys() {
            for name in BTreeSet::from([repository.path.clone(), repository.full()]) {
                self.meanings.entry(name).or_default().push(repository.clone());
            }
        }
        self
    }
}

impl OfferedImage {
    fn has_tag(&self, tag: &str) -> bool {
        self.tag.as_deref() == Some(tag)
    }
}

impl RepositoryName {
    fn full(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.path),
            None => self.path.clone(),
        }
    }
}

impl<'a> MeantImages<'a> {
    /// Returns all images that are meant.
    pub fn images(&self) -> impl Iterator<Item = &'a OfferedImage> {
        self.images.iter().map(|(_, image)| *image)
    }

    /// Returns the tags that mean one image, sorted.
    pub fn tags(&self) -> BTreeSet<&'a str> {
        let tags: BTreeSet<&'a str> = self.images.iter().filter_map(|(_, image)| image.tag.as_deref()).collect();
        tags.into_iter().filter(|tag| matches!(self.tag(tag), TagMeaning::One(_))).collect()
    }

    /// Returns what `tag` means.
    pub fn tag(&self, tag: &str) -> TagMeaning<'a> {
        let with_tag = || self.images.iter().filter(|(_, image)| image.has_tag(tag));
        let Some((_, first)) = with_tag().next() else { return TagMeaning::None };
        match with_tag().all(|(_, image)| image.root.digest == first.root.digest) {
            true => TagMeaning::One(first),
            false => TagMeaning::Several(with_tag().map(|(name, _)| format!("{}:{tag}", name.full())).collect()),
        }
    }
}

const LATEST: &str = "latest";

/// The endings of the names of archives.
const ENDINGS: [&str; 4] = [".tar.gz", ".tgz", ".tar", ".oci"];

/// Returns the path of the repository of what is at `place` and says not which it is of: the name of the file, as far as the
/// distribution specification has its letters for it.
fn path_of(place: &Path) -> String {
    let place = place.canonicalize().unwrap_or_else(|_| place.to_owned());
    let name = place.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    let words = stem.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit()).filter(|word| !word.is_empty());
    let path = words.collect::<Vec<_>>().join("-");
    if path.is_empty() { "image".to_owned() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_called_like_its_file() {
        for (place, path) in [
            ("/nowhere/bundle.tar", "bundle"),
            ("/nowhere/My Images (2).tar.gz", "my-images-2"),
            ("/nowhere/.tar", "image"),
            ("/nowhere/api_v1.2", "api-v1-2"),
            ("/nowhere/Ünïcode", "n-code"),
            ("/", "image"),
        ] {
            assert_eq!(path_of(Path::new(place)), path);
        }
    }
}
