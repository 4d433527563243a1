//! Pruning keeps the local store small: what was used least recently goes first.
//!
//! Whoever removes something has the store for himself. Builds share it from when they open it until their outputs are
//! written, so nothing vanishes that one of them relies on. Files that the store does not know by their names stay.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::statvfs;

use super::contents::{Contents, Item, total};
use super::local::LocalStore;
use super::pending;
use crate::error::{Error, Result};
use crate::oci::Digest;

/// The size up to which the store may grow before something is removed by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// 20 GiB, or a tenth of the file system if that is less.
    Usual,
    /// It may grow without end.
    None,
    /// So many bytes.
    Bytes(u64),
}

/// The bound that decides what may go. Blobs, records and directories go in the order of their last use, and each blob takes the
/// records along that are of it. What named images reach stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Nothing more goes once no more bytes than this are left.
    pub keep: u64,
    /// Nothing goes that was used more recently.
    pub unused_for: Option<Duration>,
}

/// All that was removed, or would be: besides what the bound says, records of blobs that are gone, and what killed builds
/// have left.
#[derive(Debug)]
pub struct Pruned {
    /// The blobs, those used least recently first.
    pub blobs: Vec<Item>,
    /// The records, in no order.
    pub records: Vec<Item>,
    /// What was unpacked, that used least recently first.
    pub unpacked: Vec<Item>,
    /// What commands had kept, that used least recently first.
    pub caches: Vec<Item>,
    /// What builds have noted for who asks, that used least recently first, and how many bytes each has. It goes last.
    pub notes: Vec<(PathBuf, u64)>,
    /// Files and directories in the making, and how many bytes each has.
    pub pending: Vec<(PathBuf, u64)>,
}

/// The local store while nobody else uses it.
#[derive(Debug)]
pub struct IdleStore(LocalStore);

impl Limit {
    /// Returns it in bytes, for a store at `root`; none if there is no limit.
    pub fn bytes(self, root: &Path) -> Result<Option<u64>> {
        match self {
            Limit::None => Ok(None),
            Limit::Bytes(bytes) => Ok(Some(bytes)),
            Limit::Usual => {
                let system = statvfs(root).map_err(|errno| Error::io("look at", root, errno.into()))?;
                Ok(Some(USUAL_LIMIT.min(system.f_blocks.saturating_mul(system.f_frsize) / SHARE)))
            }
        }
    }
}

/// Returns how many bytes are free where a store at `root` is, for those who are not root.
pub fn free_space(root: &Path) -> Result<u64> {
    let system = statvfs(root).map_err(|errno| Error::io("look at", root, errno.into()))?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

impl Pruned {
    /// Returns the size of all of it, in bytes.
    pub fn size(&self) -> u64 {
        let items = total(&self.blobs) + total(&self.records) + total(&self.unpacked) + total(&self.caches);
        items + self.notes.iter().chain(&self.pending).map(|(_, size)| size).sum::<u64>()
    }
}

impl LocalStore {
    /// Ends the use of the store; and brings it under `limit`, if it has grown over it and nobody else uses it. Whatever
    /// was used through this value stays.
    pub fn trim(self, limit: Limit) -> Result<()> {
        if !self.has_grown() {
            return Ok(());
        }
        let Some(keep) = limit.bytes(self.root())? else { return Ok(()) };
        if self.contents()?.size() <= keep {
            return Ok(());
        }
        match self.idle()? {
            Some(idle) => idle.remove(&Bound { keep, unused_for: None }, Refused::Stays).map(drop),
            None => Ok(()),
        }
    }

    /// Returns the store for oneself alone; none if others use it now.
    pub fn idle(self) -> Result<Option<IdleStore>> {
        match self.lock.exclusive(false) {
            Ok(()) => Ok(Some(IdleStore(self))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(self.cannot_be_locked(error)),
        }
    }

    /// Waits until no others use the store, and returns it for oneself alone.
    pub fn wait_until_idle(self) -> Result<IdleStore> {
        self.lock.exclusive(true).map_err(|error| self.cannot_be_locked(error))?;
        Ok(IdleStore(self))
    }

    /// Returns what [`IdleStore::prune`] would remove. Removes nothing.
    pub fn prunable(&self, bound: &Bound) -> Result<Pruned> {
        let contents = self.contents()?;
        let named = self.kept_by_names()?;
        let (chosen, left) = Choice::new(self, &contents, &named).choose(bound);
        let Contents { mut blobs, mut records, mut unpacked, mut caches, notes, pending } = contents;
        for items in [&mut blobs, &mut records, &mut unpacked, &mut caches] {
            items.retain(|item| chosen.contains(&item.digest));
        }
        [&mut blobs, &mut unpacked, &mut caches].into_iter().for_each(|items| items.sort_by_key(order));
        let notes = self.old_notes(notes.saturating_sub(left.saturating_sub(bound.keep)), bound.unused_for)?;
        Ok(Pruned { blobs, records, unpacked, caches, notes, pending })
    }

    fn cannot_be_locked(&self, source: io::Error) -> Error {
        Error::io("lock the local store", self.root(), source)
            .with_hint("a store on a file system without locks is not pruned: delete it when no build runs")
    }
}

impl IdleStore {
    /// Removes what `bound` says, and returns it. A process that is killed meanwhile leaves a store with the rest of it.
    pub fn prune(&self, bound: &Bound) -> Result<Pruned> {
        self.remove(bound, Refused::Fails)
    }

    fn remove(&self, bound: &Bound, refused: Refused) -> Result<Pruned> {
        let IdleStore(store) = self;
        let pruned = store.prunable(bound)?;
        pruned.records.iter().try_for_each(|record| remove(&store.record_path(&record.digest)))?;
        pruned.blobs.iter().try_for_each(|blob| remove(&store.path(&blob.digest)))?;
        let unpacked = pruned.unpacked.iter().map(|item| store.unpacked_path(&item.digest));
        let caches = pruned.caches.iter().map(|item| store.cache_path(&item.digest));
        for place in unpacked.chain(caches) {
            match store.discard(&place) {
                Err(source) if source.kind() == io::ErrorKind::PermissionDenied && refused == Refused::Stays => {}
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", place, source));
                }
                _ => {}
            }
        }
        for (path, _) in &pruned.pending {
            match pending::remove(path) {
                Err(source) if source.kind() == io::ErrorKind::PermissionDenied && refused == Refused::Stays => {}
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", path, source));
                }
                _ => {}
            }
        }
        pruned.notes.iter().try_for_each(|(path, _)| remove(path))?;
        Ok(pruned)
    }
}

/// What becomes of what this process may not remove, for it belongs to users of images, who are others than its own outside of
/// a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// It is an error.
    Fails,
    /// It waits in `tmp/` until somebody who may opens the store.
    Stays,
}

const USUAL_LIMIT: u64 = 20 << 30;

/// One part in so many of the file system.
const SHARE: u64 = 10;

/// Chooses among all that is in the store.
struct Choice<'a> {
    /// By their last use, with the blob that each is, or is of, or its own name; what was used through the store, or is named, is not among them.
    candidates: Vec<(&'a Item, Digest)>,
    /// By their blob.
    records: BTreeMap<Digest, Vec<&'a Item>>,
    chosen: BTreeSet<Digest>,
    /// The size of all that is not chosen, in bytes.
    left: u64,
}

impl<'a> Choice<'a> {
    /// What is `named` stays.
    fn new(store: &LocalStore, contents: &'a Contents, named: &BTreeSet<Digest>) -> Self {
        let Contents { blobs, records, unpacked, caches, .. } = contents;
        let mut choice = Choice {
            candidates: blobs.iter().chain(unpacked).chain(caches).map(|item| (item, item.digest)).collect(),
            records: BTreeMap::new(),
            chosen: BTreeSet::new(),
            left: contents.size(),
        };
        let present: BTreeSet<Digest> = blobs.iter().map(|blob| blob.digest).collect();
        for record in records {
            match store.blob_of(&record.digest).filter(|blob| present.contains(blob)) {
                Some(blob) => {
                    choice.candidates.push((record, blob));
                    choice.records.entry(blob).or_default().push(record);
                }
                None => choice.add(record),
            }
        }
        choice.candidates.retain(|(item, _)| !store.has_used(&item.digest) && !named.contains(&item.digest));
        choice.candidates.sort_by_key(|(item, _)| order(item));
        choice
    }

    /// Returns what goes, and the size of all that is left then.
    fn choose(mut self, bound: &Bound) -> (BTreeSet<Digest>, u64) {
        let now = SystemTime::now();
        let is_old = |item: &Item| match bound.unused_for {
            Some(time) => now.duration_since(item.used).is_ok_and(|age| age >= time),
            None => true,
        };
        for (item, blob) in std::mem::take(&mut self.candidates) {
            if self.left <= bound.keep || !is_old(item) {
                break;
            }
            self.add(item);
            if item.digest == blob {
                self.records.remove(&blob).into_iter().flatten().for_each(|record| self.add(record));
            }
        }
        (self.chosen, self.left)
    }

    fn add(&mut self, item: &Item) {
        if self.chosen.insert(item.digest) {
            self.left -= item.size;
        }
    }
}

/// Returns the key by which items are sorted. Of two that were used at the same time, it does not matter which goes first,
/// as long as it is always the same.
fn order(item: &Item) -> (SystemTime, Digest) {
    (item.used, item.digest)
}

/// Removes what is at `path`. That it is gone already is not an error.
pub(super) fn remove(path: &Path) -> Result<()> {
    match pending::remove(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, source)),
        _ => Ok(()),
    }
}
