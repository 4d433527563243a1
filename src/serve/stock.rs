//! A [`Stock`] is a place that images are given out of: what it has is looked at anew whenever it may have changed.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::offer::{Offer, OfferedImage};
use super::pieces::KnownPieces;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, media_type};
use crate::progress::silent;
use crate::registry::OnDemand;
use crate::source::image::{FoundImages, Location};
use crate::source::referrers::{referrers, subject};
use crate::store::layout::INDEX;
use crate::store::{DocumentBudget, Graph, LocalStore, Store};
use crate::sync::locked;

/// A place that images are given out of: a layout, an archive, or a local store.
pub struct Stock {
    location: StockLocation,
    /// For what images of a local store have in registries alone.
    client: OnDemand,
    last: Mutex<Option<(Stamp, Arc<Snapshot>)>>,
    /// What each root reaches: that never changes.
    reached: Mutex<HashMap<Digest, Arc<ImageContent>>>,
    /// Of blobs that a part was asked of.
    pub(super) pieces: Mutex<KnownPieces>,
}

enum StockLocation {
    Layout(Location, PathBuf),
    /// It stays open: another file in its place is another archive.
    Archive(Arc<Snapshot>),
    /// One image of it, or all.
    Local(PathBuf, Option<String>),
}

/// What a stock has at one moment.
pub struct Snapshot {
    /// The names.
    pub offer: Offer,
    /// None for a local store, which is opened for each answer: as long as it is open nothing is pruned.
    store: Option<Box<dyn Store>>,
}

/// All that an image reaches, with what refers to it.
#[derive(Default)]
pub(super) struct ImageContent {
    content: HashMap<Digest, Descriptor>,
    referrers: HashMap<Digest, Vec<Descriptor>>,
    /// Why what refers to it could not be read.
    unread: Option<String>,
}

/// What tells one state of a file or a directory from another.
#[derive(PartialEq, Eq)]
struct Stamp {
    file: (u64, u64, u64),
    changed: SystemTime,
}

/// What changed less than this before it was read may have changed once more at the same time of the file system's clock.
const SETTLED: Duration = Duration::from_secs(1);

impl Stock {
    /// Opens what is at `location`; one in a registry is refused. `client` is asked for what images of a local store have in
    /// registries alone.
    pub fn open(location: &Location, client: OnDemand) -> Result<Stock> {
        let location = match location {
            Location::Layout(path, _) => StockLocation::Layout(location.clone(), path.join(INDEX)),
            Location::OciArchive(..) | Location::DockerArchive(..) => {
                StockLocation::Archive(Arc::new(Snapshot::in_file(location)?))
            }
            Location::Local(root, name) => StockLocation::Local(root.clone(), Some(name.clone())),
            Location::Registry(name) => {
                return Err(Error::usage(format!("{name} is in a registry, or nowhere")).with_hint(
                    "a layout, an archive or a local store is served; `ocibake pull` brings an image into it",
                ));
            }
        };
        Stock::of(location, client)
    }

    /// Opens the local store at `root`, with all its images. It is made if need be.
    pub fn open_local(root: &Path, client: OnDemand) -> Result<Stock> {
        LocalStore::open(root)?;
        Stock::of(StockLocation::Local(root.to_owned(), None), client)
    }

    /// Returns what it has now.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let changing = match &self.location {
            StockLocation::Archive(snapshot) => return Ok(snapshot.clone()),
            StockLocation::Layout(_, index) => index.clone(),
            StockLocation::Local(root, _) => LocalStore::names_at(root),
        };
        let stamp = Stamp::of(&changing).filter(Stamp::is_settled);
        if let Some((known, snapshot)) = &*locked(&self.last)
            && stamp.as_ref() == Some(known)
        {
            return Ok(snapshot.clone());
        }
        let snapshot = Arc::new(match &self.location {
            StockLocation::Archive(snapshot) => return Ok(snapshot.clone()),
            StockLocation::Layout(location, _) => Snapshot::in_file(location)?,
            StockLocation::Local(root, name) => Snapshot::of_local(root, name.as_deref())?,
        });
        let roots: HashSet<Digest> = snapshot.offer.images().map(|image| image.root.digest).collect();
        locked(&self.reached).retain(|root, _| roots.contains(root));
        *locked(&self.last) = stamp.map(|stamp| (stamp, snapshot.clone()));
        Ok(snapshot)
    }

    /// Returns what cannot be had of the images it has now: a line for each that is not whole. No registry is asked.
    pub fn faults(&self) -> Result<Vec<String>> {
        let snapshot = self.snapshot()?;
        let mut seen = HashSet::new();
        let mut faults = Vec::new();
        for (image, name) in snapshot.offer.images().zip(snapshot.offer.names()) {
            if seen.insert(image.root.digest) {
                faults.extend(self.fault(&snapshot, image).map(|fault| format!("{name}: {fault}")));
            }
        }
        Ok(faults)
    }

    /// Returns what `image` reaches.
    pub(super) fn reached(&self, snapshot: &Snapshot, image: &OfferedImage) -> Result<Arc<ImageContent>> {
        if let Some(known) = locked(&self.reached).get(&image.root.digest) {
            return Ok(known.clone());
        }
        let reached = self.with_store(snapshot, image, |store| ImageContent::of(store, &image.root))?;
        let reached = Arc::new(reached);
        locked(&self.reached).insert(image.root.digest, reached.clone());
        Ok(reached)
    }

    /// Does `work` with the store that has the content of `image`.
    pub(super) fn with_store<T>(
        &self,
        snapshot: &Snapshot,
        image: &OfferedImage,
        work: impl FnOnce(&dyn Store) -> Result<T>,
    ) -> Result<T> {
        match (&snapshot.store, &self.location, &image.local_name) {
            (Some(store), ..) => work(store.as_ref()),
            (None, StockLocation::Local(root, _), Some(name)) => {
                let (store, _) = Location::Local(root.clone(), name.clone()).store(&self.client, &silent)?;
                work(store.as_ref())
            }
            (None, ..) => Err(Error::not_found(format!("nothing has {}", image.root.digest))),
        }
    }

    fn of(location: StockLocation, client: OnDemand) -> Result<Stock> {
        let stock =
            Stock { location, client, last: Mutex::default(), reached: Mutex::default(), pieces: Mutex::default() };
        stock.snapshot()?;
        Ok(stock)
    }

    fn fault(&self, snapshot: &Snapshot, image: &OfferedImage) -> Option<String> {
        let reached = match self.reached(snapshot, image) {
            Ok(reached) => reached,
            Err(error) => return Some(error.message),
        };
        // What a local store lacks a registry has.
        let has = |blob: &Descriptor| snapshot.store.as_ref().is_none_or(|store| store.has(blob).unwrap_or(false));
        match reached.content.values().filter(|blob| !has(blob)).count() {
            0 => reached.unread.as_ref().map(|why| format!("what refers to it cannot be read: {why}")),
            1 => Some("1 blob is missing, it cannot be pulled".to_owned()),
            missing => Some(format!("{missing} blobs are missing, it cannot be pulled")),
        }
    }
}

impl Snapshot {
    fn in_file(location: &Location) -> Result<Snapshot> {
        let FoundImages { store, mut images, .. } = location.find_in_file()?;
        // What stands in a layout beside what it refers to is no image of its own.
        images.retain(|image| {
            let is_named = !image.names.is_empty() || !image.short_names.is_empty();
            let refers = || Graph::of(store.as_ref(), &image.root).and_then(|graph| subject(&graph));
            is_named || !matches!(refers(), Ok(Some(_)))
        });
        let offer = Offer::of_listed(location.path().unwrap_or(Path::new("image")), &images);
        Ok(Snapshot { offer, store: Some(store) })
    }

    fn of_local(root: &Path, name: Option<&str>) -> Result<Snapshot> {
        let store = LocalStore::open(root)?;
        let images = match name {
            None => store.names()?,
            Some(name) => {
                let found = store.find(name)?.ok_or_else(|| LocalStore::lacks(name))?;
                let unnamed = || Error::usage(format!("{name} has no name")).with_hint("give it one: ocibake tag");
                vec![found.named.ok_or_else(unnamed)?]
            }
        };
        Ok(Snapshot { offer: Offer::of_local(&images), store: None })
    }
}

impl ImageContent {
    fn of(store: &dyn Store, root: &Descriptor) -> Result<ImageContent> {
        let mut budget = DocumentBudget::default();
        let graph = Graph::read(store, root, &mut budget)?;
        let mut reached = ImageContent::default();
        match referrers(store, &graph, &mut budget, &silent) {
            Ok(found) => found.into_iter().for_each(|found| {
                reached.add(&found.graph);
                reached.referrers.entry(found.subject).or_default().push(found.descriptor);
            }),
            // That keeps nobody from the image itself.
            Err(error) => reached.unread = Some(error.message),
        }
        reached.add(&graph);
        Ok(reached)
    }

    /// Returns the manifest, index or blob of this digest.
    pub fn content(&self, digest: &Digest) -> Option<&Descriptor> {
        self.content.get(digest)
    }

    /// Returns the manifest or index of this digest.
    pub fn manifest(&self, digest: &Digest) -> Option<&Descriptor> {
        self.content(digest).filter(|found| media_type::is_manifest_or_index(&found.media_type))
    }

    /// Returns what refers to the manifest or index of this digest.
    pub fn referrers(&self, subject: &Digest) -> &[Descriptor] {
        self.referrers.get(subject).map(Vec::as_slice).unwrap_or_default()
    }

    fn add(&mut self, graph: &Graph) {
        let manifests = graph.manifests.iter().map(|(descriptor, _)| descriptor);
        for each in graph.blobs.iter().chain(manifests) {
            let plain = Descriptor::new(&each.media_type, each.digest, each.size);
            self.content.entry(each.digest).or_insert(plain);
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let metadata: Metadata = fs::metadata(path).ok()?;
        let file = (metadata.dev(), metadata.ino(), metadata.len());
        Some(Stamp { file, changed: metadata.modified().ok()? })
    }

    fn is_settled(&self) -> bool {
        SystemTime::now().duration_since(self.changed).is_ok_and(|age| age > SETTLED)
    }
}
