//! Cache mounts that travel: what commands keep in a directory from one build to the next, kept in a registry for machines that begin
//! empty.
//!
//! An [entry] is a few layers, the lowest first. It is pulled when a command is about to be run and nothing is in the directory;
//! and pushed once the build has come to its end, as far as its content has changed: as one more layer, or anew.

pub mod entry;
mod lock_files;
mod pack;
mod repository;
mod state;
mod sweep;
mod unpack;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rayon::ThreadPool;

use self::entry::{MountEntry, MountLayer};
pub use self::lock_files::lock_key;
use self::pack::pack;
use self::repository::MountRepository;
use self::state::{MountListing, MountState};
pub use self::sweep::RegistryMounts;
use self::unpack::unpack;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::{kept_tree, outlast};
use crate::net::{Stop, date};
use crate::oci::{Digest, Reference};
use crate::progress::{Event, Progress, WarningKind};
use crate::registry::OnDemand;
use crate::source::signature::CacheKeys;
use crate::store::{CacheMount, LocalStore};
use crate::sync::{Memo, locked};
use crate::tree::{Content, Entry, Kind, Limits};

/// No more layers are put over the lowest one.
const MOST_CHANGES: usize = 8;

/// So long a mount that is to be pushed may be in use by others.
const PUSH_WAIT: Duration = Duration::from_secs(10);

/// Where cache mounts travel to and from, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPlace {
    /// The repository. A tag keeps its entries apart from those of other tags.
    pub reference: Reference,
    /// The patterns of the files by whose content it is told for what a mount was filled.
    pub lock_files: Vec<String>,
    /// The most that a mount may have, as a tar, in bytes.
    pub most: u64,
    /// Mounts are taken from there.
    pub pulls: bool,
    /// Mounts are put there.
    pub pushes: bool,
}

/// A cache mount as a build names it.
#[derive(Debug, Clone)]
pub struct NamedMount {
    /// What stands for it on all machines: its ID, what it begins with, and whose it is.
    pub of: Digest,
    /// The ID, for people.
    pub id: String,
    /// What stands for the lock files of the build.
    pub key: Digest,
}

/// The cache mounts of a build, and the place that they travel to and from.
///
/// A place that fails, or takes too long to answer, is a warning and not asked again.
pub struct MountCache<'a> {
    place: MountPlace,
    repository: MountRepository<'a>,
    keys: Arc<CacheKeys>,
    /// Steps are taken from others, so that what a command leaves may come of that.
    takes_steps: bool,
    progress: Progress<'a>,
    /// Each mount is asked for once; whether it comes from others whom nobody has verified.
    asked: Memo<Digest, bool>,
    /// Those that commands have used.
    used: Mutex<BTreeMap<Digest, NamedMount>>,
    /// Nothing is pulled any more.
    refuses: AtomicBool,
    /// The registry does not answer.
    is_away: AtomicBool,
    /// The tags whose entries are not to be used.
    refused: Mutex<HashSet<String>>,
    has_unvouched: AtomicBool,
}

/// What is to be pushed.
struct MountPush {
    layers: Vec<MountLayer>,
    /// The last of the layers is new.
    is_changed: bool,
}

impl<'a> MountCache<'a> {
    /// Returns what brings mounts from `place` and there. Nobody is asked yet. `takes_steps` says whether the build takes
    /// steps from others.
    pub fn new(
        place: MountPlace,
        keys: Arc<CacheKeys>,
        takes_steps: bool,
        client: &'a OnDemand,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let repository = MountRepository::open(place.reference.clone(), client, progress)?;
        Ok(MountCache {
            place,
            repository,
            keys,
            takes_steps,
            progress,
            asked: Memo::default(),
            used: Mutex::default(),
            refuses: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
            refused: Mutex::default(),
            has_unvouched: AtomicBool::new(false),
        })
    }

    /// Has the directory of `mount` filled from elsewhere if nothing is in it, for a command that is about to be run. What cannot
    /// be had is a warning, and it stays empty; a part of it is never there.
    pub fn prepare(&self, mount: &NamedMount, store: &LocalStore, pool: &ThreadPool, stop: &Stop) -> Result<()> {
        locked(&self.used).entry(mount.of).or_insert_with(|| mount.clone());
        let is_unvouched = self.asked.get(mount.of, || {
            if self.place.pulls && store.has_empty_cache_mount(&mount.of)? {
                self.pull(mount, store, pool, stop);
            }
            let state = store.cache_mount_note(&mount.of).and_then(|note| MountState::decoded(&note));
            Ok(state.is_some_and(|state| !state.is_vouched))
        })?;
        self.has_unvouched.fetch_or(is_unvouched, Ordering::Relaxed);
        Ok(())
    }

    /// Returns whether a command was given what comes from others whom nobody has verified.
    pub fn has_unvouched(&self) -> bool {
        self.has_unvouched.load(Ordering::Relaxed)
    }

    /// Pushes the mounts that commands have used, as far as their content has changed. What cannot be pushed is a warning. `jobs` is
    /// the number of threads, as for a build.
    pub fn push(&self, store: &LocalStore, jobs: usize) {
        if !self.place.pushes {
            return;
        }
        let used = std::mem::take(&mut *locked(&self.used));
        for mount in used.values() {
            if self.is_away.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = self.push_one(mount, store, jobs) {
                self.is_away.fetch_or(error.kind == ErrorKind::Registry, Ordering::Relaxed);
                let place = self.repository.title();
                let message = format!("the cache mount `{}` is not pushed to {place}: {}", mount.id, error.message);
                (self.progress)(Event::Warning { kind: WarningKind::CacheNotWritten, message: &message });
            }
        }
    }

    /// Fills the directory of `mount` with what was filled for the same lock files, or else with what was written last.
    fn pull(&self, mount: &NamedMount, store: &LocalStore, pool: &ThreadPool, stop: &Stop) {
        let tags = [self.repository.exact_tag(&mount.of, &mount.key), self.repository.last_tag(&mount.of)];
        let (mut before, mut told) = (None, String::new());
        for (tag, is_exact) in tags.iter().zip([true, false]) {
            if self.refuses.load(Ordering::Relaxed) {
                return;
            }
            let filled = self.entry(mount, tag, is_exact).and_then(|entry| match entry {
                // What was refused under the other tag is not tried again.
                Some(entry) if before.as_ref() != Some(&entry) => {
                    self.fill(before.insert(entry), mount, store, pool, stop).map(|()| true)
                }
                _ => Ok(false),
            });
            match filled {
                Ok(true) => return,
                Ok(false) => {}
                Err(_) if stop.is_ended() => return,
                Err(error) => {
                    // Under both tags there may be the same.
                    let is_told = error.message == told;
                    told.clone_from(&error.message);
                    self.refuse(mount, tag, &error, is_told);
                }
            }
        }
    }

    /// Returns what is under `tag`, if that may be used for `mount`.
    fn entry(&self, mount: &NamedMount, tag: &str, is_exact: bool) -> Result<Option<MountEntry>> {
        let Some(entry) = self.repository.find(tag)? else { return Ok(None) };
        if entry.of != mount.of || is_exact && entry.key != mount.key {
            return Err(Error::integrity("what is there belongs to another mount, or to other lock files"));
        }
        if !self.keys.are_content_with(&entry.statement(), entry.signature.as_deref()) {
            return Err(Error::integrity("what is there is not signed with a key that is trusted"));
        }
        let (size, most) = (entry.size().max(entry.packed_size()), self.place.most);
        if size > most {
            return Err(Error::integrity(format!("it has {size} bytes, more than the limit of {most}")));
        }
        Ok(Some(entry))
    }

    /// Fills the directory of `mount` with `entry`.
    fn fill(
        &self,
        entry: &MountEntry,
        mount: &NamedMount,
        store: &LocalStore,
        pool: &ThreadPool,
        stop: &Stop,
    ) -> Result<()> {
        let layers = entry.plain_layers();
        let blobs: Vec<_> = layers.iter().map(|layer| &layer.descriptor).collect();
        let is_filled = store.seed_cache_mount(&mount.of, |directory, shown| {
            (self.progress)(Event::PullPlanned { blobs: &blobs });
            let limits = Limits::of(&layers, Some(self.place.most));
            let repository = self.repository.until(stop)?;
            unpack(&layers, limits, (&repository, store), (directory, shown), pool)?;
            let entries = pool.install(|| kept_tree(shown))?;
            outlast(store.root(), newest_change(&entries))?;
            let listing = pool.install(|| MountListing::of(&entries, None))?;
            let is_vouched = !self.keys.verifying.is_empty();
            let state = MountState { layers: entry.layers.clone(), is_vouched, listing };
            Ok(state.encoded())
        })?;
        if is_filled {
            let from = &self.repository.title();
            let (size, layers) = (entry.packed_size(), layers.len());
            (self.progress)(Event::CacheMountPulled { id: &mount.id, from, size, layers });
        }
        Ok(())
    }

    /// Tells of the failure of the place, or of the entry under `tag`, unless it `is_told`.
    fn refuse(&self, mount: &NamedMount, tag: &str, error: &Error, is_told: bool) {
        let is_entry = !matches!(error.kind, ErrorKind::Registry | ErrorKind::Denied);
        let (id, place) = (&mount.id, self.repository.title());
        if is_entry {
            locked(&self.refused).insert(tag.to_owned());
        } else {
            self.refuses.store(true, Ordering::Relaxed);
            // Where nothing was pushed yet, there may be nothing that anybody may pull.
            self.is_away.fetch_or(error.kind == ErrorKind::Registry, Ordering::Relaxed);
        }
        if is_told {
            return;
        }
        let message = match is_entry {
            true => format!("the cache mount `{id}` is not taken from {place}: {}", error.message),
            false => format!("no cache mounts are taken from {place}: {}", error.message),
        };
        (self.progress)(Event::Warning { kind: WarningKind::CacheNotUsed, message: &message });
    }

    fn push_one(&self, mount: &NamedMount, store: &LocalStore, jobs: usize) -> Result<()> {
        let Some(held) = store.cache_mount_alone(&mount.of, PUSH_WAIT)? else {
            return Err(Error::input("another build uses it"));
        };
        let entries = kept_tree(held.path())?;
        // Itself alone.
        if entries.len() < 2 {
            return Ok(());
        }
        let state = store.cache_mount_note(&mount.of).and_then(|note| MountState::decoded(&note));
        // What comes of steps that nobody has verified is not vouched for, and what stands on such a mount is not, either.
        let is_sound = !self.takes_steps || !self.keys.verifying.is_empty();
        let is_vouched = is_sound && state.as_ref().is_none_or(|state| state.is_vouched);
        let listing = MountListing::of(&entries, state.as_ref().map(|state| &state.listing))?;
        let changes = state.as_ref().map(|state| state.listing.changes(&listing, &entries));
        let known = state.map(|state| state.layers).zip(changes);
        let Some(push) = self.pack(mount, &held, entries, known, (store, jobs))? else { return Ok(()) };
        drop(held);
        let written = Some(date::now());
        let MountPush { layers, is_changed } = push;
        let NamedMount { of, id, key } = mount.clone();
        let mut entry = MountEntry { of, key, id, layers, written, signature: None };
        entry.signature = is_vouched.then(|| self.keys.signature(&entry.statement(), self.takes_steps)).flatten();
        let added = entry.layers.last().filter(|_| is_changed);
        self.repository.put(&entry, added, store)?;
        let size = added.map_or(0, |added| added.layer.descriptor.size);
        let (to, layers) = (&self.repository.title(), entry.layers.len());
        (self.progress)(Event::CacheMountPushed { id: &mount.id, to, size, layers });
        store.note_cache_mount(&mount.of, &MountState { layers: entry.layers, is_vouched, listing }.encoded())
    }

    /// Returns what is to be pushed of `held`, which has `entries`; none if nothing is. The layers that are `known`, and the changes over
    /// them, make just these, if the registry has them still.
    fn pack(
        &self,
        mount: &NamedMount,
        held: &CacheMount,
        entries: Vec<Entry>,
        known: Option<(Vec<MountLayer>, Arc<Vec<Entry>>)>,
        (store, jobs): (&LocalStore, usize),
    ) -> Result<Option<MountPush>> {
        let tag = self.repository.exact_tag(&mount.of, &mount.key);
        let is_refused = locked(&self.refused).contains(&tag);
        let is_unchanged = known.as_ref().is_some_and(|(_, changes)| changes.is_empty());
        if is_unchanged && !is_refused && self.repository.has(&tag)? {
            return Ok(None);
        }
        let known = match known {
            Some((layers, changes)) if self.repository.has_layers(&layers)? => Some((layers, changes)),
            _ => None,
        };
        outlast(held.path().parent().unwrap_or(held.path()), newest_change(&entries))?;
        if let Some((mut layers, changes)) = known {
            if changes.is_empty() {
                return Ok(Some(MountPush { layers, is_changed: false }));
            }
            if goes_over(&layers, &changes) {
                let added = pack(changes, &mount.id, store, jobs)?;
                layers.push(added);
                if size_of(&layers) <= self.place.most {
                    return Ok(Some(MountPush { layers, is_changed: true }));
                }
            }
        }
        self.check_size(content_size(&entries))?;
        let whole = pack(Arc::new(entries), &mount.id, store, jobs)?;
        self.check_size(whole.size)?;
        Ok(Some(MountPush { layers: vec![whole], is_changed: true }))
    }

    fn check_size(&self, size: u64) -> Result<()> {
        match self.place.most {
            most if size > most => Err(Error::input(format!("it has {size} bytes, more than the limit of {most}"))),
            _ => Ok(()),
        }
    }
}

/// Returns whether `changes` go over `layers`, or all of it is better written anew.
fn goes_over(layers: &[MountLayer], changes: &[Entry]) -> bool {
    let Some((lowest, others)) = layers.split_first() else { return false };
    others.len() < MOST_CHANGES && size_of(others).saturating_add(content_size(changes)) <= lowest.size
}

fn size_of(layers: &[MountLayer]) -> u64 {
    layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
}

fn content_size(entries: &[Entry]) -> u64 {
    entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.content_size()))
}

/// Returns when something among `entries` was last changed.
fn newest_change(entries: &[Entry]) -> (i64, u32) {
    let changed = entries.iter().filter_map(|entry| match &entry.kind {
        Kind::File(Content::Disk(file)) => Some(file.identity.changed),
        _ => None,
    });
    let (seconds, nanoseconds) = changed.max().unwrap_or_default();
    (seconds, u32::try_from(nanoseconds).unwrap_or_default())
}
