//! The bases of several builds: what they look for in the same places, they find once.

use std::io::Read;
use std::path::PathBuf;

use crate::cli::build::lock;
use crate::cli::build::recipe::Recipe;
use crate::cli::build::request::{BuildMeans, BuildRequest};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Map, Reference};
use crate::plan::BaseLock;
use crate::progress::Progress;
use crate::source::base::{BaseReach, BaseStore, FoundName, Holding, Pins, Pull};
use crate::source::image::Location;
use crate::store::Store;

/// The bases of several builds, as one store of their layers.
pub struct BaseStores<'a> {
    stores: Vec<(BasePlaces<'a>, BaseStore<'a>)>,
    /// Of each build, the place of its store.
    of: Vec<usize>,
}

/// All that decides about what names of bases stand for.
#[derive(PartialEq)]
struct BasePlaces<'a> {
    pull: Pull,
    images: &'a Map<Location>,
    reach: BaseReach<'a>,
    /// The file that holds them to digests, and what becomes of it.
    lock: Option<(PathBuf, bool, bool)>,
}

impl<'a> BaseStores<'a> {
    /// Returns the stores for `builds`, which have found nothing yet; `images` are those of the contexts of each. What they are
    /// `held` to goes before their locks.
    pub fn new(
        builds: &[(&BuildRequest<'_>, &'a Recipe<'_>)],
        images: &'a [Map<Location>],
        held: Option<&BaseLock>,
        means: &'a BuildMeans,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let mut all = BaseStores { stores: Vec::new(), of: Vec::with_capacity(builds.len()) };
        for ((request, recipe), images) in builds.iter().zip(images) {
            let flags = &request.build.base;
            let options = request.base_options(recipe, means, images, progress);
            let is_locked = flags.lock || flags.update_lock || recipe.open_lock()?.is_some();
            let lock = is_locked.then(|| (recipe.lock(), flags.lock, flags.update_lock));
            let places = BasePlaces { pull: options.pull, images, reach: options.reach, lock };
            let known = all.stores.iter().position(|(known, _)| *known == places);
            let place = match known {
                Some(known) => known,
                None => {
                    let pins = match held {
                        Some(held) => Pins::new(Some(held.clone()), Holding::Obeyed),
                        None => lock::pins(flags, recipe)?,
                    };
                    all.stores.push((places, BaseStore::new(options, pins)));
                    all.stores.len() - 1
                }
            };
            all.of.push(place);
        }
        Ok(all)
    }

    /// Returns the store of the build of that place among all.
    pub fn of(&self, build: usize) -> Result<&BaseStore<'a>> {
        let store = self.of.get(build).and_then(|place| self.stores.get(*place));
        store.map(|(_, store)| store).ok_or_else(|| Error::input(format!("there is no build {build}")))
    }

    /// Returns what any of them has found, as [`BaseStore::found_names`].
    pub fn found_names(&self) -> Vec<FoundName> {
        self.stores.iter().flat_map(|(_, store)| store.found_names()).collect()
    }

    /// Fetches as [`BaseStore::fetch`] does, for what any of them has found.
    pub fn fetch(&self, blobs: &[Descriptor], parallel: usize) -> Result<()> {
        self.stores.iter().try_for_each(|(_, store)| store.fetch(blobs, parallel))
    }

    /// The first that has a layer.
    fn having(&self, descriptor: &Descriptor) -> Result<Option<&BaseStore<'a>>> {
        for (_, store) in &self.stores {
            if store.has(descriptor)? {
                return Ok(Some(store));
            }
        }
        Ok(None)
    }
}

impl Store for BaseStores<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        match self.having(descriptor)? {
            Some(store) => store.open(descriptor),
            None => Err(Error::not_found(format!("no base has the layer {}", descriptor.digest))),
        }
    }

    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Err(Error::not_found("layers have no names"))
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        Ok(self.having(descriptor)?.is_some())
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        self.having(descriptor).ok()??.origin(descriptor)
    }
}
