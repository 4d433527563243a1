//! What layers unpack to, kept for the next build.
//!
//! `unpacked/<hex>` is a directory with two things in it: `files`, which is what was unpacked, and `whole`, which is written
//! when all of that is there. It is filled in `tmp/`, takes its name in one step, and is moved back there before it is
//! removed, so that nobody ever sees a part of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;

use super::LocalStore;
use super::contents::Item;
use super::pending::{self, PendingDirectory};
use super::private;
use super::regular;
use super::usage::usage;
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::tree::IdMap;

const FILES: &str = "files";
const WHOLE: &str = "whole";

/// The length of a digest and the size in [`WHOLE`], in bytes; what the boot is called follows.
const NOTED: usize = 32 + 32 + 8;

/// The longest that is read of [`WHOLE`], in bytes.
const LONGEST: u64 = 256;

impl LocalStore {
    /// Returns the directory that was unpacked under `key`. If there is none yet, `make` fills one, empty and nobody else's,
    /// which it gets with the path that errors call it by. It is there until the store is pruned, which no build that goes on
    /// will see, and nothing may be changed in it.
    ///
    /// Two that make the same at a time both make it, and both get that of the first. One that is damaged is made anew, and so
    /// is one that was made before the machine was started the last time: nothing that was unpacked is checked again, and
    /// whether all of it came to the disk before a crash, nobody knows.
    pub fn unpacked(&self, key: &Digest, make: impl FnOnce(BorrowedFd<'_>, &Path) -> Result<()>) -> Result<PathBuf> {
        let name = name_of(key);
        let place = self.unpacked_path(&name);
        if size_of_whole(&place, &name).is_none() {
            let pending = self.begin_unpacked()?;
            make(pending.files.as_fd(), &pending.shown)?;
            return self.keep_unpacked(key, pending);
        }
        self.touch(name, &place.join(WHOLE));
        Ok(place.join(FILES))
    }

    /// Begins a directory whose key is not known before it is filled.
    pub fn begin_unpacked(&self) -> Result<PendingUnpacked> {
        let making = self.directory()?;
        let (shown, files) = (making.path().join(FILES), making.create(FILES)?);
        Ok(PendingUnpacked { making, files, shown })
    }

    /// Keeps what was unpacked under `key`, and returns where it is from now on, as [`unpacked`](Self::unpacked) does. It is
    /// whole.
    pub fn keep_unpacked(&self, key: &Digest, pending: PendingUnpacked) -> Result<PathBuf> {
        let name = name_of(key);
        let place = self.unpacked_path(&name);
        if size_of_whole(&place, &name).is_none() {
            let PendingUnpacked { making, files, shown } = pending;
            drop(files);
            let size = usage(&making).map_err(|errno| Error::io("look at", &shown, errno.into()))?;
            note(&making.path().join(WHOLE), &name, size)?;
            self.take_in(&making, &place, &name)?;
        }
        self.touch(name, &place.join(WHOLE));
        Ok(place.join(FILES))
    }

    pub(super) fn unpacked_path(&self, name: &Digest) -> PathBuf {
        self.all_unpacked().join(name.hex())
    }

    /// Returns what is known of the directory of this name; one that is not whole was never used.
    pub(super) fn unpacked_item(&self, name: Digest) -> io::Result<Item> {
        let place = self.unpacked_path(&name);
        match size_of_whole(&place, &name) {
            Some(size) => Ok(Item { digest: name, size, used: fs::symlink_metadata(place.join(WHOLE))?.modified()? }),
            None => {
                Ok(Item { digest: name, size: usage(private::open_no_link(&place)?)?, used: SystemTime::UNIX_EPOCH })
            }
        }
    }

    /// Removes what is at `place` in the store, whatever it is. Who is killed meanwhile leaves it in `tmp/`.
    pub(super) fn discard(&self, place: &Path) -> io::Result<()> {
        pending::remove(&pending::set_aside(place, &self.pending())?)
    }

    /// Moves what was made to its place, unless somebody else has done so first.
    fn take_in(&self, making: &PendingDirectory, place: &Path, name: &Digest) -> Result<()> {
        // One at a time: what one finds damaged, another may have replaced by then.
        let lock = private::open_directory(&self.all_unpacked())?;
        // Where the file system has no locks, there is hardly a second one.
        let _ = retry_on_intr(|| flock(&lock, FlockOperation::LockExclusive));
        if size_of_whole(place, name).is_some() {
            return Ok(());
        }
        let failed = |source| Error::io("create", place, source);
        if fs::symlink_metadata(place).is_ok() {
            let aside = pending::set_aside(place, &self.pending()).map_err(failed)?;
            // What will not go now goes when the store is pruned.
            let _ = pending::remove(&aside);
        }
        making.move_to(place).map_err(failed)?;
        self.note_growth();
        Ok(())
    }
}

/// A directory that is being filled with what layers unpack to, which nobody else can look into. It goes with the value unless
/// it is [kept](LocalStore::keep_unpacked).
pub struct PendingUnpacked {
    making: PendingDirectory,
    files: OwnedFd,
    shown: PathBuf,
}

impl PendingUnpacked {
    /// Returns the directory that the files go into, and the path that errors call it by.
    pub fn files(&self) -> (BorrowedFd<'_>, &Path) {
        (self.files.as_fd(), &self.shown)
    }
}

/// Returns the name of what is kept under `key`. It is no other's, though a layer that is not compressed has one digest for its
/// blob and for its tar; another form of all this would have other names; and so has what was made where other users are.
fn name_of(key: &Digest) -> Digest {
    Digest::of(format!("ocibake unpacked 1\n{key}\n{}", owners_here()).as_bytes())
}

/// Returns by which owners files have here, in words: what was made where they are others is not used.
pub(super) fn owners_here() -> String {
    // Without /proc nothing is run, and nothing that was unpacked is used.
    IdMap::of_this_process().map(|map| map.words()).unwrap_or_default()
}

/// Returns the bytes that the directory at `place` takes; none if it is not whole, or not that of `name`.
fn size_of_whole(place: &Path, name: &Digest) -> Option<u64> {
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|there| there.is_dir());
    if !is_directory(place) || !is_directory(&place.join(FILES)) {
        return None;
    }
    let mut noted = Vec::new();
    regular::open_no_link(&place.join(WHOLE)).ok()?.take(LONGEST).read_to_end(&mut noted).ok()?;
    let size = u64::from_le_bytes(noted.get(64..NOTED)?.try_into().ok()?);
    (noted == words(name, size)).then_some(size)
}

/// Writes that the directory is whole.
fn note(path: &Path, name: &Digest, size: u64) -> Result<()> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(&words(name, size)));
    written.map_err(|source| Error::io("write", path, source))
}

/// Returns what says that the directory of `name` is whole and takes `size` bytes: the SHA-256 of the rest, the name, the size
/// and the boot of this machine.
fn words(name: &Digest, size: u64) -> Vec<u8> {
    let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = boot.trim_ascii();
    let rest = [name.as_bytes(), &size.to_le_bytes()[..], boot].concat();
    [Digest::of(&rest).as_bytes(), &rest[..]].concat()
}
