//! Where the digests of images come from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use crate::cli::environment::Environment;
use crate::cli::{image_refs, metadata};
use crate::error::{ErrorKind, Result};
use crate::oci::{Digest, Reference};
use crate::plan::mention::{ImageMention, KnownImages};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::store::{ImageArrival, LocalStore, Store};

/// The flags that say where digests come from.
#[derive(Debug, Args)]
pub struct DigestFlags {
    /// Take digests from FILE, which `build`, `bake` or `push` wrote as --metadata-file
    #[arg(long, value_name = "FILE")]
    metadata_file: Vec<PathBuf>,
    /// Take digests from FILE, which `build`, `bake` or `push` wrote as --image-refs: a line NAME@DIGEST for each image
    ///
    /// A line without a tag is meant by every tag of its repository.
    #[arg(long, value_name = "FILE")]
    image_refs: Vec<PathBuf>,
    /// Take the digests of images in the local store from there, and ask no registry for them
    #[arg(long)]
    local: bool,
    /// Also ask registries for the images that nothing else is known about
    #[arg(long)]
    all: bool,
}

/// The digests of images, each looked for once.
pub struct Digests<'a> {
    known: KnownImages,
    store: Option<LocalStore>,
    takes_local: bool,
    asks_all: bool,
    client: &'a OnDemand,
    progress: Progress<'a>,
    /// By the names in full, and whether their tags are open.
    found: BTreeMap<(String, bool), (String, ResolvedImage)>,
}

/// What came of an image.
#[derive(Debug, Clone)]
pub enum ResolvedImage {
    Digest(Digest),
    Left { told: String, was_asked: bool },
}

impl<'a> Digests<'a> {
    /// Reads the files that tell of images.
    pub fn new(
        flags: &DigestFlags,
        environment: &Environment,
        client: &'a OnDemand,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let mut known = KnownImages::default();
        for file in &flags.metadata_file {
            metadata::images(file)?.iter().for_each(|(name, digest)| known.add(name, *digest));
        }
        for file in &flags.image_refs {
            image_refs::read(file)?.iter().for_each(|(name, digest)| known.add(name, *digest));
        }
        let store = environment.present_store().map(LocalStore::open).transpose()?;
        let (takes_local, asks_all) = (flags.local, flags.all);
        Ok(Digests { known, store, takes_local, asks_all, client, progress, found: BTreeMap::new() })
    }

    /// Returns the digest that `mention` stands for, if that is to be found.
    pub fn look_up(&mut self, mention: &ImageMention) -> Result<ResolvedImage> {
        let key = (mention.name.to_string(), mention.is_open);
        if let Some((_, outcome)) = self.found.get(&key) {
            return Ok(outcome.clone());
        }
        let outcome = match (mention.is_open, self.known.only_of(&mention.name)) {
            (false, _) => self.find(&mention.name)?,
            (true, Some(digest)) => ResolvedImage::Digest(digest),
            // No registry knows which tag is meant.
            (true, None) => {
                ResolvedImage::Left { told: "it does not say which tag is meant".to_owned(), was_asked: false }
            }
        };
        self.found.insert(key, (mention.title(), outcome.clone()));
        Ok(outcome)
    }

    /// Returns the digest that was found for `mention`.
    pub fn found(&self, mention: &ImageMention) -> Option<Digest> {
        match self.found.get(&(mention.name.to_string(), mention.is_open))? {
            (_, ResolvedImage::Digest(digest)) => Some(*digest),
            (_, ResolvedImage::Left { .. }) => None,
        }
    }

    /// Returns all images that have a digest, by what they are called.
    pub fn all(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.found.values().filter_map(|(title, outcome)| match outcome {
            ResolvedImage::Digest(digest) => Some((title.as_str(), *digest)),
            ResolvedImage::Left { .. } => None,
        })
    }

    fn find(&self, name: &Reference) -> Result<ResolvedImage> {
        if let Some(digest) = self.known.digest_of(name)? {
            return Ok(ResolvedImage::Digest(digest));
        }
        let named = self.store.as_ref().and_then(|store| store.named(name));
        if let Some(image) = named.as_ref().filter(|_| self.takes_local) {
            return Ok(ResolvedImage::Digest(image.root.digest));
        }
        let is_ours = named.is_some_and(|image| image.arrival != ImageArrival::Pulled);
        if !is_ours && !self.asks_all {
            return Ok(ResolvedImage::Left { told: "nothing is known about it".to_owned(), was_asked: false });
        }
        match self.client.client()?.mirrored(name, self.progress)?.resolve(None) {
            Ok(root) => Ok(ResolvedImage::Digest(root.digest)),
            // Docker Hub denies what does not exist.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Denied) => {
                Ok(ResolvedImage::Left { told: error.to_string(), was_asked: true })
            }
            Err(error) => Err(error),
        }
    }
}
