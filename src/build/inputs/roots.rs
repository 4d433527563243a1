//! The root file systems of commands: directories one over the other, as overlayfs takes them.

use std::ffi::OsStr;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::bases::Bases;
use crate::build::cache::Key;
use crate::build::options::Options;
use crate::error::Result;
use crate::layer;
use crate::oci::{Digest, KeyBuilder};
use crate::plan::BaseImage;
use crate::store::pending::PendingDirectory;
use crate::sync::{Memo, locked};
use crate::tree::{Change, Content, Entry, Files, Kind, Time, diff};

/// With more directories than this a file system is written out anew: each takes a while to look into.
const MOST_LOWERS: usize = 64;

/// The file systems that commands run on, as far as they lie on disk.
pub struct Roots<'a> {
    options: &'a Options<'a>,
    /// By the digest of the manifest.
    images: Memo<Digest, Arc<DiskRoot>>,
    /// The directories that commands have changed, which go with the build.
    changed: Mutex<Vec<PendingDirectory>>,
}

/// A file system that lies on disk.
pub struct DiskRoot {
    pub files: Files,
    /// The directories that make it up, the topmost first; none for an empty one.
    pub lowers: Vec<PathBuf>,
    key: Digest,
}

impl<'a> Roots<'a> {
    pub fn new(options: &'a Options<'a>) -> Self {
        Roots { options, images: Memo::default(), changed: Mutex::default() }
    }

    /// Returns the file system of `image`. Where its layers are read for the first time, that is the only one.
    pub fn image(&self, image: &BaseImage, bases: &Bases<'_>) -> Result<Arc<DiskRoot>> {
        self.images.get(image.manifest, || {
            let (files, unpacked) = bases.unpacked(image)?;
            let empty = DiskRoot::empty();
            let Some(unpacked) = unpacked else { return self.root(&files, &empty, bases) };
            let (entries, removed) = sorted(diff(&empty.files, &files));
            let key = self.key(&empty.key, &entries, &removed);
            let made = self.options.store.keep_unpacked(&key, unpacked)?;
            Ok(Arc::new(empty.under(made, files, key)))
        })
    }

    /// Brings `files` to disk: what differs from `near` becomes one more directory. What was brought there earlier, by
    /// another build, too, is taken as it is.
    pub fn root(&self, files: &Files, near: &Arc<DiskRoot>, bases: &Bases<'_>) -> Result<Arc<DiskRoot>> {
        let near = if near.lowers.len() < MOST_LOWERS { near } else { &DiskRoot::empty() };
        let changes = diff(&near.files, files);
        if changes.is_empty() && !near.lowers.is_empty() {
            return Ok(near.clone());
        }
        let (entries, removed) = sorted(changes);
        let key = self.key(&near.key, &entries, &removed);
        let made = self.options.store.unpacked(&key, |directory, shown| {
            let mut lower = match near.lowers.is_empty() {
                true => layer::lowest(files),
                false => layer::lower(&entries, &removed, files),
            };
            let whiteouts = match removed.is_empty() || layer::can_make_whiteouts(shown)? {
                true => Vec::new(),
                false => layer::take_whiteouts(&mut lower),
            };
            bases.unpack(&lower, (directory, shown))?;
            whiteouts.iter().try_for_each(|path| layer::hide(&shown.join(OsStr::from_bytes(path))))
        })?;
        Ok(Arc::new(near.under(made, files.clone(), key)))
    }

    /// Brings `files` to disk as one directory that stands alone, and returns its path.
    pub fn directory(&self, files: &Files, bases: &Bases<'_>) -> Result<PathBuf> {
        let root = self.root(files, &DiskRoot::empty(), bases)?;
        Ok(root.lowers[0].clone())
    }

    /// Keeps the directory `place`, in `upper` of which a command has changed `below` to `files`, until the build ends.
    pub fn changed(
        &self,
        place: PendingDirectory,
        upper: &Path,
        below: &DiskRoot,
        files: Files,
        (entries, removed): (&[Entry], &[Vec<u8>]),
    ) -> Arc<DiskRoot> {
        locked(&self.changed).push(place);
        let key = self.key(&below.key, entries, removed);
        Arc::new(below.under(upper.to_owned(), files, key))
    }

    /// What a directory is known by that makes of what is known by `below` what the change says.
    fn key(&self, below: &Digest, entries: &[Entry], removed: &[Vec<u8>]) -> Digest {
        let entries = Key::of(entries, true, self.options.compression).digest();
        KeyBuilder::new("lower 1").part("below", below).part("entries", &entries).part("removed", removed).finish()
    }
}

impl DiskRoot {
    /// Returns a root without anything in it.
    pub fn empty() -> Arc<DiskRoot> {
        Arc::new(DiskRoot { files: Files::new(), lowers: Vec::new(), key: Digest::of(b"") })
    }

    /// What it is with the directory `top` over it.
    fn under(&self, top: PathBuf, files: Files, key: Digest) -> DiskRoot {
        DiskRoot { files, lowers: iter::once(top).chain(self.lowers.iter().cloned()).collect(), key }
    }
}

/// The entries of `changes`, and the paths that they remove. Files have the times that they have on disk: in a sandbox, make
/// and its like go by them.
fn sorted(changes: Vec<Change>) -> (Vec<Entry>, Vec<Vec<u8>>) {
    let (mut entries, mut removed) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Put(mut entry) => {
                if let Kind::File(Content::Disk(file)) = &entry.kind {
                    let (seconds, nanoseconds) = file.identity.modified;
                    let nanoseconds = u32::try_from(nanoseconds).unwrap_or_default();
                    entry.attributes.modified = Time { seconds, nanoseconds };
                }
                entries.push(entry);
            }
            Change::Remove(path) => removed.push(path),
        }
    }
    (entries, removed)
}
