//! Directories that commands keep from one build to the next, as `RUN --mount=type=cache` asks for them.

use std::fs::{self, DirBuilder};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

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
        let key = KeyBuilder::new("cache mount directory 1").part("key", key).part("owners", &owners_here()).finish();
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
        let open =
            || openat(CWD, &path, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let directory = match open() {
            Err(Errno::NOENT) => {
                // Of those that share it, the first one fills it.
                let filling = place.join(FILLING);
                let _alone = Lock::alone(&filling).map_err(|source| Error::io("lock", &filling, source))?;
                match open() {
                    Err(Errno::NOENT) => {
                        let made = PendingDirectory::begin(&path)?;
                        fill(made.as_fd(), made.path())?;
                        made.keep(&path)?;
                        open()
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
