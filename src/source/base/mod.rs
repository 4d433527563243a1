//! Images to build on: found by name for a platform, their layers had when something reads them.

mod choose;
mod pins;
mod places;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

pub use pins::{Holding, Pins};
use places::GrowingList;

use super::image::{self, Location};
use super::named::far;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Descriptor, Digest, KeyBuilder, Map, Platform, Reference, from_json, to_json};
use crate::plan::{BaseImage, BaseLock, context_name};
use crate::progress::{Event, Progress, WarningKind};
use crate::registry::OnDemand;
use crate::store::{self, ImageArrival, LocalStore, NamedImage, Store, read_document};
use crate::sync::locked;
pub(in crate::source) use choose::image as choose_image;

/// Finds the images that builds stand on, and is the [`Store`] of their layers. A name stands for one thing for all its
/// platforms and as long as this is there. What comes from a registry is verified, and kept in the local store; what lies
/// in a layout or an archive is read there.
pub struct BaseStore<'a> {
    options: BaseOptions<'a>,
    pins: Mutex<Pins>,
    places: GrowingList<BasePlace<'a>>,
    /// Held while a place is looked for and added.
    adding: Mutex<()>,
}

/// The places that bases come from.
#[derive(Clone, Copy)]
pub struct BaseOptions<'a> {
    /// The store that keeps what is pulled.
    pub store: &'a LocalStore,
    /// The client for registries.
    pub client: &'a OnDemand,
    /// The rule by which registries are asked for what names stand for.
    pub pull: Pull,
    /// The images that stand in the place of names, by these names as [`context_name`] has them.
    pub contexts: &'a Map<Location>,
    /// The images that may be taken beside those in registries.
    pub reach: BaseReach<'a>,
    /// Told of warnings, and of blobs that are pulled.
    pub progress: Progress<'a>,
}

/// What a name in a registry stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundName {
    /// The name, with a tag.
    pub name: Reference,
    /// The digest that it stands for.
    pub root: Digest,
    /// The digest of the manifest for each platform that was asked for.
    pub manifests: Vec<(Platform, Digest)>,
}

/// The images that a base may be beside those in registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseReach<'a> {
    /// None: whoever wrote the name may not look at this machine.
    None,
    /// Any of this machine: relative paths are relative to the directory.
    Machine(&'a Path),
    /// Images that lie in the directory, which somebody else made.
    Within(&'a Path),
}

/// The occasions on which a registry is asked what a tag stands for now. What stands under a digest is never asked for
/// twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pull {
    /// The registry is asked; where it cannot be reached, what it said before counts, with a warning.
    #[default]
    Usual,
    /// The registry is asked, and has to answer.
    Always,
    /// The registry is asked only if it never was, or what it said is not kept any more.
    Missing,
    /// No registry is asked for anything.
    Never,
}

/// A place where bases were looked for, and what was found.
struct BasePlace<'a> {
    location: Location,
    /// The name in full, if it is a registry's.
    name: String,
    found: OnceLock<FoundBase<'a>>,
    /// Held while the place is searched, so that it is once.
    images: Mutex<HashMap<Platform, Arc<BaseImage>>>,
}

struct FoundBase<'a> {
    root: Descriptor,
    /// The store of its blobs; none for what may be in the local store only.
    store: Option<Box<dyn Store + 'a>>,
    is_kept: bool,
}

impl<'a> BaseStore<'a> {
    /// Returns a store that has found nothing yet.
    pub fn new(options: BaseOptions<'a>, pins: Pins) -> Self {
        BaseStore { options, pins: Mutex::new(pins), places: GrowingList::default(), adding: Mutex::default() }
    }

    /// Returns the image that `name` stands for, for `platform`: a name in a registry, or what a [`Location`] is
    /// written like. One for another platform that is all the name has is taken, as docker takes it:
    /// [`BaseImage::mismatch`] tells. Fails if there is no such image, and if it cannot be read or is out of reach.
    pub fn find(&self, name: &str, platform: &Platform) -> Result<Arc<BaseImage>> {
        let place = self.place(name)?;
        let mut images = locked(&place.images);
        if let Some(image) = images.get(platform) {
            return Ok(image.clone());
        }
        let found = match place.found.get() {
            Some(found) => found,
            None => {
                let found = self.search(place)?;
                place.found.get_or_init(|| found)
            }
        };
        let reader = BaseReader { bases: self, found };
        let image = choose::image(&reader, &place.name, &found.root, platform)?;
        let image = Arc::new(image);
        images.insert(platform.clone(), image.clone());
        Ok(image)
    }

    /// Returns what was found in registries under names without a digest, and for which platforms.
    pub fn found_names(&self) -> Vec<FoundName> {
        let of_place = |place: &BasePlace<'a>| {
            let Location::Registry(name) = &place.location else { return None };
            let root = place.found.get()?.root.digest;
            let mut manifests: Vec<(Platform, Digest)> =
                locked(&place.images).iter().map(|(platform, image)| (platform.clone(), image.manifest)).collect();
            manifests.sort();
            name.digest().is_none().then(|| FoundName { name: name.clone(), root, manifests })
        };
        self.places.iter().filter_map(of_place).collect()
    }

    /// Returns the lock as it is to be written, with all that was found; none if it is to stay as it is.
    pub fn lock(&self) -> Option<BaseLock> {
        locked(&self.pins).changed()
    }

    /// Sees to it that those of `blobs` that are layers of a registry's bases are in the local store, and pulls what is
    /// not there, so many at a time; 0 is the usual number. Fails if one of them cannot be had.
    pub fn fetch(&self, blobs: &[Descriptor], parallel: usize) -> Result<()> {
        let is_missing =
            |blob: &&Descriptor| self.found(blob).is_some_and(|found| found.is_kept) && !self.options.store.claim(blob);
        let missing: Vec<&Descriptor> = blobs.iter().filter(is_missing).collect();
        (self.options.progress)(Event::PullPlanned { blobs: &missing });
        store::fetch(self, &missing, parallel)
    }

    fn place(&self, name: &str) -> Result<&BasePlace<'a>> {
        let (location, name) = self.location(name)?;
        let _adding = locked(&self.adding);
        if let Some(place) = self.places.iter().find(|place| place.location == location) {
            return Ok(place);
        }
        Ok(self.places.push(BasePlace { location, name, found: OnceLock::new(), images: Mutex::default() }))
    }

    /// Returns where it is, and what it is called.
    fn location(&self, name: &str) -> Result<(Location, String)> {
        let context = context_name(name).and_then(|name| self.options.contexts.get(&name));
        let (location, name) = match (context, self.options.reach) {
            (Some(location), _) => (location.clone(), location.to_string()),
            (None, BaseReach::Machine(directory)) => {
                (Location::below(directory, name).map_err(in_a_file)?, name.to_owned())
            }
            (None, BaseReach::Within(root)) => (Location::within(root, name)?, name.to_owned()),
            (None, BaseReach::None) if image::is_path(name) || image::kind(name).is_some() => {
                return Err(Error::input(format!("`{name}` is not a name in a registry"))
                    .with_hint("this build may not use images that lie on this machine"));
            }
            (None, BaseReach::None) => (Location::Registry(name.parse()?), name.to_owned()),
        };
        Ok(match location {
            Location::Registry(name) => {
                let is_bare = name.tag().is_none() && name.digest().is_none();
                let name = if is_bare { name.with_tag("latest") } else { name };
                (Location::Registry(name.clone()), name.to_string())
            }
            elsewhere => (elsewhere, name),
        })
    }

    fn search(&self, place: &BasePlace<'a>) -> Result<FoundBase<'a>> {
        let BaseOptions { client, progress, .. } = self.options;
        let Location::Registry(name) = &place.location else {
            let (store, root) = place.location.open(client, progress)?;
            return Ok(FoundBase { root, store: Some(store), is_kept: false });
        };
        let pinned = if name.digest().is_none() { locked(&self.pins).get(name) } else { Ok(None) };
        // A lock is about registries: what was made here need not be in it.
        if let Some(found) = self.local(name, pinned.as_ref().ok().copied().flatten())? {
            return Ok(found);
        }
        let pinned = pinned?;
        // The tag says nothing beside a digest, and a registry need not have it any more.
        let asked = match name.digest().or(pinned) {
            Some(digest) => name.with_digest(digest),
            None => name.clone(),
        };
        let found = self.pull(&asked).map_err(|error| match pinned {
            Some(digest) if error.kind == ErrorKind::NotFound && self.options.pull != Pull::Never => {
                Error::not_found(format!("{name} is locked to {}, which is gone", name.with_digest(digest)))
                    .with_source(error)
                    .with_hint("--update-lock takes what the name stands for now")
            }
            _ => error,
        })?;
        if name.digest().is_none() {
            locked(&self.pins).put(name, found.root.digest);
        }
        Ok(found)
    }

    /// Returns the image of the local store that has the name; none if there is none, if it is not what the name is
    /// `pinned` to, and if a registry is to be asked: for what came from one, if it may have changed, for the rest, if that is
    /// asked in any case.
    fn local(&self, name: &Reference, pinned: Option<Digest>) -> Result<Option<FoundBase<'a>>> {
        let BaseOptions { store, client, pull, progress, .. } = self.options;
        let is_asked = pull == Pull::Always || locked(&self.pins).is_refreshing();
        let is_meant = |image: &NamedImage| {
            let may_be_old = matches!(pull, Pull::Missing | Pull::Never);
            (image.arrival != ImageArrival::Pulled || may_be_old)
                && pinned.is_none_or(|digest| digest == image.root.digest)
        };
        let Some(image) = store.named(name).filter(|image| !is_asked && is_meant(image)) else { return Ok(None) };
        let far = image.elsewhere.as_ref().map(|repository| far(repository, client, progress)).transpose()?;
        let NamedImage { root, since, .. } = image;
        progress(Event::LocalImageTaken { name: &name.to_string(), digest: root.digest, since: Some(since) });
        Ok(Some(FoundBase { root, store: far, is_kept: true }))
    }

    /// Returns what a registry's name stands for: as it says now, or as it said before.
    fn pull(&self, name: &Reference) -> Result<FoundBase<'a>> {
        let BaseOptions { store, client, pull, progress, .. } = self.options;
        let record = record(name);
        let known = || -> Option<Descriptor> {
            let (blob, content) = store.record(&record)?;
            let root: Descriptor = from_json("a base's record", &content).ok()?;
            let is_meant = root.digest == blob && name.digest().is_none_or(|digest| digest == blob);
            (is_meant && store.claim(&root)).then_some(root)
        };
        let pull = if locked(&self.pins).is_refreshing() { Pull::Always } else { pull };
        if pull == Pull::Never {
            let root = known().ok_or_else(|| {
                Error::not_found(format!("{name} is not in the local store"))
                    .with_hint("--pull=missing asks the registry for it")
            })?;
            return Ok(FoundBase { root, store: None, is_kept: true });
        }
        let far = client.client()?.mirrored(name, progress)?;
        let is_settled = name.digest().is_some() || pull == Pull::Missing;
        let root = match known().filter(|_| is_settled) {
            Some(root) => root,
            None => match (far.resolve(None), pull) {
                (Err(error), Pull::Usual) if error.kind == ErrorKind::Registry => match known() {
                    Some(root) => {
                        let message = format!("{name} is taken as it was when it was last pulled: {}", error.message);
                        progress(Event::Warning { kind: WarningKind::BaseNotChecked, message: &message });
                        root
                    }
                    None => return Err(error),
                },
                (Err(error), _) if error.kind == ErrorKind::Registry && known().is_some() => {
                    return Err(error.with_hint("--pull=never takes it as it was when it was last pulled"));
                }
                (resolved, _) => resolved?,
            },
        };
        let found = FoundBase { root, store: Some(Box::new(far)), is_kept: true };
        self.remember(name, &found)?;
        Ok(found)
    }

    /// Has the root in the local store, under the name that was asked for and its digest.
    fn remember(&self, name: &Reference, found: &FoundBase<'a>) -> Result<()> {
        let root = &found.root;
        read_document(&BaseReader { bases: self, found }, root)?;
        for name in [name.clone(), name.with_digest(root.digest)] {
            self.options.store.put_record(&record(&name), &root.digest, &to_json(root))?;
        }
        Ok(())
    }

    /// Returns where a layer of what was found is; none if it is no such layer.
    fn found(&self, descriptor: &Descriptor) -> Option<&FoundBase<'a>> {
        let has = |image: &Arc<BaseImage>| image.layers.iter().any(|layer| layer.digest == descriptor.digest);
        let place = self.places.iter().find(|place| locked(&place.images).values().any(has))?;
        place.found.get()
    }
}

impl Store for BaseStore<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        match self.found(descriptor) {
            Some(found) => BaseReader { bases: self, found }.read(descriptor),
            None => Err(Error::not_found(format!("no base has the layer {}", descriptor.digest))),
        }
    }

    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Err(Error::not_found("layers have no names"))
    }

    /// Returns whether it is a layer of a base. Those who have the bases are taken at their word.
    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        Ok(self.found(descriptor).is_some())
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        self.found(descriptor)?.store.as_ref()?.origin(descriptor)
    }
}

/// All content of what was found.
#[derive(Clone, Copy)]
struct BaseReader<'r, 'a> {
    bases: &'r BaseStore<'a>,
    found: &'r FoundBase<'a>,
}

impl<'r> BaseReader<'r, '_> {
    fn read(self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + 'r>> {
        let near = self.bases.options.store;
        let FoundBase { store: far, is_kept, .. } = self.found;
        let far = || match far {
            Some(far) => far.open(descriptor),
            None => Err(Error::not_found(format!("{} is not in the local store", descriptor.digest))
                .with_hint("--pull=missing asks the registry for it")),
        };
        if *is_kept { near.open_or_take(descriptor, far) } else { far() }
    }
}

impl Store for BaseReader<'_, '_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.read(descriptor)
    }

    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Ok(self.found.root.clone())
    }
}

/// Returns the same error about a name that does not stand on the command line.
fn in_a_file(error: Error) -> Error {
    let kind = if error.kind == ErrorKind::Usage { ErrorKind::Input } else { error.kind };
    Error { kind, ..error }
}

/// Returns the key under which the root that a registry's name stands for is noted.
fn record(name: &Reference) -> Digest {
    KeyBuilder::new("base 2").part("name", &name.to_string()).finish()
}
