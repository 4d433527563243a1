//! Directories that commands keep from one build to the next, as `RUN --mount=type=cache` asks for them.

use std::fs::{self, DirBuilder};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::contents::Item;
use super::local::{LocalStore, mark_as_used};
use super::lock::Lock;
use super::pending::{PendingDirectory, PendingFile};
use super::private;
use super::regular;
use super::unpacked::owners_here;
use super::usage::usage;
use crate::error::{Error, Result};
use crate::kernel::PLACE;
use crate::oci::{Digest, KeyBuilder};
use crate::plan::CacheSharing;

/// A directory that is kept, as long as a command has it.
#[derive(Debug)]
pub struct CacheMount {
    directory: OwnedFd,
    path: PathBuf,
    /// The file of the lock, whose time says when it was used.
    used: PathBuf,
    /// The lock goes with it.
    _lock: Lock,
}

/// So often it is looked whether a directory that another has is free.
const PAUSE: Duration = Duration::from_millis(20);

/// More commands than this at one time do not have a directory of their own each.
const MOST_PRIVATE: usize = 1000;

const CONTENT: &str = "content";
const LOCK: &str = "lock";
const FILLING: &str = "filling";
const SIZE: &str = "size";
const NOTE: &str = "note";

/// A larger note is none.
const NOTE_LIMIT: u64 = 1 << 30;

impl LocalStore {
    /// Returns the directory of `key` for the users that there are here. If there is none, `fill` is called with one to come,
    /// and its path for errors: it is there for others once that has returned. Where another command has it and it is not to be shared, this waits for as
    /// long as `may_wait`; then it fails.
    pub fn cache_mount(
        &self,
        key: &Digest,
        sharing: CacheSharing,
        may_wait: &dyn Fn() -> bool,
        fill: impl Fn(BorrowedFd<'_>, &Path) -> Result<()>,
    ) -> Result<CacheMount> {
        let key = name_of(key);
        let choices = if sharing == CacheSharing::Private { MOST_PRIVATE } else { 1 };
        loop {
            for number in 0..choices {
                let name = match number {
                    0 => key,
                    _ => KeyBuilder::new("cache mount beside").part("key", &key).part("number", &number).finish(),
                };
                let place = self.cache_path(&name);
                if let Some(lock) = held(&place, sharing).map_err(|source| Error::io("lock", &place, source))? {
                    self.touch(name, &place.join(LOCK));
                    return self.filled(&place, lock, &fill);
                }
            }
            if !may_wait() {
                return Err(Error::input("the build has ended"));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Returns whether nothing is in the directory of `key` that all commands share, as when there is none.
    pub fn has_empty_cache_mount(&self, key: &Digest) -> Result<bool> {
        is_empty(&self.cache_path(&name_of(key)).join(CONTENT))
    }

    /// Has the directory of `key` that all commands share filled, unless something is in it, or somebody uses it: `fill` is called with
    /// one to come, and its path for errors, and returns what is to be noted of it. It is there once that has returned, and whole;
    /// until then, whoever wants it waits. Returns whether it was filled.
    pub fn seed_cache_mount(
        &self,
        key: &Digest,
        fill: impl FnOnce(BorrowedFd<'_>, &Path) -> Result<Vec<u8>>,
    ) -> Result<bool> {
        let place = self.cache_path(&name_of(key));
        let lock = held(&place, CacheSharing::Locked).map_err(|source| Error::io("lock", &place, source))?;
        let path = place.join(CONTENT);
        if lock.is_none() || !is_empty(&path)? {
            return Ok(false);
        }
        let made = self.directory()?;
        let note = fill(made.as_fd(), made.path())?;
        // Of what is there no note may be missing; a note of what is not there is one of nothing.
        PendingFile::replace(&place.join(NOTE), &note)?;
        made.move_to(&path).map_err(|source| Error::io("create", &path, source))?;
        self.note_growth();
        Ok(true)
    }

    /// Returns the directory of `key` that all commands share, for one who has it alone and changes nothing in it. Waits no longer than `wait` for
    /// those that use it; none if they still do, or there is none.
    pub fn cache_mount_alone(&self, key: &Digest, wait: Duration) -> Result<Option<CacheMount>> {
        let place = self.cache_path(&name_of(key));
        let begin = Instant::now();
        loop {
            let lock = held(&place, CacheSharing::Locked).map_err(|source| Error::io("lock", &place, source))?;
            if let Some(lock) = lock {
                return opened(&place, lock);
            }
            if begin.elapsed() >= wait {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Returns what was last noted of the directory of `key` that all commands share.
    pub fn cache_mount_note(&self, key: &Digest) -> Option<Vec<u8>> {
        let path = self.cache_path(&name_of(key)).join(NOTE);
        let mut note = Vec::new();
        regular::open_no_link(&path).ok()?.take(NOTE_LIMIT).read_to_end(&mut note).ok()?;
        Some(note)
    }

    /// Notes something of the directory of `key` that all commands share, in place of what was noted before.
    pub fn note_cache_mount(&self, key: &Digest, note: &[u8]) -> Result<()> {
        PendingFile::replace(&self.cache_path(&name_of(key)).join(NOTE), note)
    }

    pub(super) fn cache_path(&self, name: &Digest) -> PathBuf {
        self.caches().join(name.hex())
    }

    /// Returns what is known of the directory of this name. It is looked through if it was used since that was last done.
    pub(super) fn cache_item(&self, name: Digest) -> io::Result<Item> {
        let place = self.cache_path(&name);
        let used = match fs::symlink_metadata(place.join(LOCK)) {
            Ok(lock) => lock.modified()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => SystemTime::UNIX_EPOCH,
            Err(error) => return Err(error),
        };
        let size = match noted_size(&place.join(SIZE), used) {
            Some(size) => size,
            None => {
                let size = usage(private::open_no_link(&place)?)?;
                // Without a note it is looked through again.
                let _ = PendingFile::replace(&place.join(SIZE), &size.to_le_bytes());
                size
            }
        };
        Ok(Item { digest: name, size, used })
    }

    fn filled(
        &self,
        place: &Path,
        lock: Lock,
        fill: impl Fn(BorrowedFd<'_>, &Path) -> Result<()>,
    ) -> Result<CacheMount> {
        let path = place.join(CONTENT);
        let directory = match open(&path) {
            Err(Errno::NOENT) => {
                // Of those that share it, the first one fills it.
                let filling = place.join(FILLING);
                let _alone = Lock::alone(&filling).map_err(|source| Error::io("lock", &filling, source))?;
                match open(&path) {
                    Err(Errno::NOENT) => {
                        let made = PendingDirectory::begin(&path)?;
                        fill(made.as_fd(), made.path())?;
                        made.keep(&path)?;
                        open(&path)
                    }
                    opened => opened,
                }
            }
            opened => opened,
        };
        let directory = directory.map_err(|errno| Error::io("open", &path, errno.into()))?;
        self.note_growth();
        Ok(CacheMount { directory, path, used: place.join(LOCK), _lock: lock })
    }
}

impl CacheMount {
    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for CacheMount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Drop for CacheMount {
    fn drop(&mut self) {
        // What was noted of its size may no longer be right.
        mark_as_used(&self.used);
    }
}

/// The name of the directory of `key` for the users that there are here.
fn name_of(key: &Digest) -> Digest {
    KeyBuilder::new("cache mount directory 1").part("key", key).part("owners", &owners_here()).finish()
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, path, PLACE | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// What is in `place`, of which there is the `lock`; none if it was never filled.
fn opened(place: &Path, lock: Lock) -> Result<Option<CacheMount>> {
    let path = place.join(CONTENT);
    match open(&path) {
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::io("open", &path, errno.into())),
        Ok(directory) => Ok(Some(CacheMount { directory, path, used: place.join(LOCK), _lock: lock })),
    }
}

fn is_empty(directory: &Path) -> Result<bool> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(Error::io("list", directory, source)),
        Ok(mut names) => Ok(names.next().is_none()),
    }
}

/// The size in bytes that was noted at `path` after `used`.
fn noted_size(path: &Path, used: SystemTime) -> Option<u64> {
    let mut file = regular::open_no_link(path).ok()?;
    if file.metadata().ok()?.modified().ok()? <= used {
        return None;
    }
    let mut size = [0; 8];
    file.read_exact(&mut size).ok()?;
    Some(u64::from_le_bytes(size))
}

/// The lock of the directory at `place`, which is made if it is missing; none if another has it.
fn held(place: &Path, sharing: CacheSharing) -> io::Result<Option<Lock>> {
    match DirBuilder::new().mode(0o700).create(place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    Lock::at_once(&place.join(LOCK), sharing != CacheSharing::Shared)
}
