//! The names of images in a local store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::contents::DocumentFields;
use super::layout::read_limited;
use super::{LocalStore, children, read_document, regular};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Keyed, MANIFEST_LIMIT, Reference, from_json, media_type, to_json};

/// An image under a name of the local store. What it reaches is not pruned as long as the name is there, but for what a
/// registry got right after it was built.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedImage {
    /// The name in full, with a tag and without a digest.
    pub name: Reference,
    /// The manifest or index.
    pub root: Descriptor,
    /// The time at which it got the name, in seconds since 1970.
    pub since: u64,
    /// The way in which it came here.
    pub arrival: ImageArrival,
    /// The repository that has what of the image is not in the store; none where no registry is known to.
    pub elsewhere: Option<Reference>,
}

/// The ways in which images come into a local store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageArrival {
    /// It was built here, loaded from a file, or given the name by its owner: a registry need not know of it.
    Made,
    /// It was built here and went to a registry at once, which has all of it: its layers may be pruned.
    Pushed,
    /// It is what a registry had under the name.
    Pulled,
}

impl LocalStore {
    /// Gives `image` its name, in place of what had it before. The store has its manifest or index.
    pub fn put_name(&self, image: &NamedImage) -> Result<()> {
        let name = key(&image.name);
        let path = self.name_path(&Digest::of(name.as_bytes()));
        let NamedImage { root, since, arrival, elsewhere, .. } = image.clone();
        let elsewhere = elsewhere.map(|repository| repository.to_string());
        let noted = to_json(&NameDocument { name, root, since, arrival, elsewhere });
        let mut file = self.begin_private()?;
        file.write_all(&noted).map_err(|source| Error::io("write", &path, source))?;
        file.keep(&path)
    }

    /// Returns the image of a name; none if nothing has it. Without a tag, `latest` is meant.
    pub fn named(&self, name: &Reference) -> Option<NamedImage> {
        self.read_name(&Digest::of(key(name).as_bytes()))
            .filter(|image| name.digest().is_none_or(|it| it == image.root.digest))
    }

    /// Takes a name away, and returns the image that had it; none if nothing had.
    pub fn remove_name(&self, name: &Reference) -> Result<Option<NamedImage>> {
        let Some(image) = self.named(name) else { return Ok(None) };
        let path = self.name_path(&Digest::of(key(name).as_bytes()));
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, source)),
            _ => Ok(Some(image)),
        }
    }

    /// Returns all images with their names, by name.
    pub fn names(&self) -> Result<Vec<NamedImage>> {
        let directory = self.all_names();
        let failed = |source| Error::io("list", &directory, source);
        let mut images = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let key = format!("sha256:{}", name.to_string_lossy()).parse::<Digest>();
            images.extend(key.ok().and_then(|key| self.read_name(&key)));
        }
        images.sort_by_cached_key(|image| image.name.to_string());
        Ok(images)
    }

    /// Returns the image that `text` means: a name, or an ID, which is the digest of its manifest, index or config, or the
    /// beginning of one, with or without `sha256:`. An image that has no name is known by that of its manifest or index,
    /// or twelve digits of it at least. None if there is no such image; fails if there are several.
    pub fn find(&self, text: &str) -> Result<Option<FoundImage>> {
        if let Ok(name) = text.parse::<Reference>() {
            if let Some(image) = self.named(&name) {
                return Ok(Some(FoundImage::named(image)));
            }
            if let Some(digest) = name.digest() {
                return Ok(self.as_root(&digest).map(FoundImage::unnamed));
            }
        }
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let is_digit = |c| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        if !(SHORTEST_ID..=LONGEST_ID).contains(&hex.len()) || !hex.bytes().all(is_digit) {
            return Ok(None);
        }
        let mut found: BTreeMap<Digest, FoundImage> = BTreeMap::new();
        for image in self.names()? {
            let mut is_meant = false;
            self.walk(vec![image.root.clone()], |each| {
                is_meant |= !media_type::is_layer(&each.media_type) && each.digest.hex().starts_with(hex);
            });
            if is_meant {
                found.entry(image.root.digest).or_insert(FoundImage::named(image));
            }
        }
        // A name in a registry may look like the beginning of one of so many blobs.
        if found.is_empty() && hex.len() >= SHOWN_ID {
            let roots = self.blobs_like(hex)?.into_iter().filter_map(|digest| self.as_root(&digest));
            found.extend(roots.map(|root| (root.digest, FoundImage::unnamed(root))));
        }
        let count = found.len();
        match found.into_values().next() {
            Some(_) if count > 1 => Err(Error::usage(format!("{count} images have an ID that begins with {hex}"))
                .with_hint("give more of it, or a name")),
            only => Ok(only),
        }
    }

    /// Returns the error for a name or an ID that no image has.
    pub fn lacks(name: &str) -> Error {
        Error::not_found(format!("the local store has no image {name}")).with_hint("`ocibake images` lists what it has")
    }

    /// Returns the digests of the blobs that names keep here, as far as the documents of their images can be read.
    pub fn kept_by_names(&self) -> Result<BTreeSet<Digest>> {
        let (pushed, others): (Vec<_>, Vec<_>) =
            self.names()?.into_iter().partition(|image| image.arrival == ImageArrival::Pushed);
        let mut kept = BTreeSet::new();
        for (images, keep_layers) in [(others, true), (pushed, false)] {
            self.walk(images.into_iter().map(|image| image.root).collect(), |each| {
                if keep_layers || !media_type::is_layer(&each.media_type) {
                    kept.insert(each.digest);
                }
            });
        }
        Ok(kept)
    }

    /// Returns the names that reach each blob, in their order, as far as the documents of their images can be read.
    pub fn names_of_blobs(&self) -> Result<BTreeMap<Digest, Vec<Reference>>> {
        let mut names: BTreeMap<Digest, Vec<Reference>> = BTreeMap::new();
        for image in self.names()? {
            self.walk(vec![image.root], |each| names.entry(each.digest).or_default().push(image.name.clone()));
        }
        Ok(names)
    }

    /// Calls `each` once with every descriptor that `left` and what is in it reach. What is damaged or missing reaches nothing
    /// any more.
    fn walk(&self, mut left: Vec<Descriptor>, mut each: impl FnMut(&Descriptor)) {
        let mut seen = BTreeSet::new();
        while let Some(at) = left.pop() {
            if !seen.insert(at.digest) {
                continue;
            }
            each(&at);
            if media_type::is_manifest_or_index(&at.media_type) {
                left.extend(read_document(self, &at).and_then(|bytes| children(&at, &bytes)).unwrap_or_default());
            }
        }
    }

    fn read_name(&self, key: &Digest) -> Option<NamedImage> {
        let file = regular::open_no_link(&self.name_path(key)).ok()?;
        let bytes = read_limited(file, MANIFEST_LIMIT).ok()?;
        let noted: NameDocument = from_json("a name", &bytes).ok()?;
        let name: Reference = noted.name.parse().ok()?;
        let elsewhere = noted.elsewhere.map(|repository| repository.parse()).transpose().ok()?;
        (Digest::of(noted.name.as_bytes()) == *key).then_some(NamedImage {
            name,
            root: noted.root,
            since: noted.since,
            arrival: noted.arrival,
            elsewhere,
        })
    }

    /// Returns the descriptor of a blob, if that is a manifest or an index.
    fn as_root(&self, digest: &Digest) -> Option<Descriptor> {
        let mut bytes = Vec::new();
        self.blob(digest)?.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes).ok()?;
        let media_type = DocumentFields::of(&bytes)?.root_type()?;
        Some(Descriptor::new(media_type, *digest, bytes.len() as u64))
    }

    fn blobs_like(&self, hex: &str) -> Result<Vec<Digest>> {
        if let Ok(digest) = format!("sha256:{hex}").parse() {
            return Ok(vec![digest]);
        }
        let digests = self.all_blobs()?.into_iter().map(|blob| blob.digest);
        Ok(digests.filter(|digest| digest.hex().starts_with(hex)).collect())
    }
}

/// What is under a name, or an ID, in a local store.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundImage {
    /// The manifest or index.
    pub root: Descriptor,
    /// The name that it was found by, or one that it has; none if it has none.
    pub named: Option<NamedImage>,
}

impl FoundImage {
    fn named(image: NamedImage) -> Self {
        FoundImage { root: image.root.clone(), named: Some(image) }
    }

    fn unnamed(root: Descriptor) -> Self {
        FoundImage { root, named: None }
    }
}

impl NamedImage {
    /// Returns whether that is its name, whatever the digest; without a tag, `latest` is meant.
    pub fn has(&self, name: &Reference) -> bool {
        key(&self.name) == key(name)
    }

    /// Returns `root` under `name` from now on, all of it in the store.
    pub fn now(name: &Reference, root: &Descriptor, arrival: ImageArrival) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut root = root.clone();
        root.annotations.clear();
        NamedImage { name: tagged(name), root, since, arrival, elsewhere: None }
    }
}

/// The numbers of digits that an ID has at least, where it is shown, as with docker, and at most: fewer than four are easily a
/// name.
const SHORTEST_ID: usize = 4;
const SHOWN_ID: usize = 12;
const LONGEST_ID: usize = 64;

/// What lies under a name.
#[derive(Serialize, Deserialize)]
struct NameDocument {
    name: String,
    root: Descriptor,
    since: u64,
    arrival: ImageArrival,
    #[serde(skip_serializing_if = "Option::is_none")]
    elsewhere: Option<String>,
}

impl Keyed for NameDocument {}

/// Returns the text of a name, by which it is known.
fn key(name: &Reference) -> String {
    tagged(name).to_string()
}

fn tagged(name: &Reference) -> Reference {
    name.with_tag(name.tag().unwrap_or("latest"))
}
