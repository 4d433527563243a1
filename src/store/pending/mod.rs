//! This module makes files and directories: in the making, they stand beside their final place under a passing name, and
//! they vanish unless they are kept.
//!
//! The directory that they stand in may be another user's, who may exchange what is in it at any time for a link or for
//! something else. It is opened once, and whatever is made, moved or removed is named from there: no path is looked up
//! a second time.

mod directory;
mod file;
mod merge;

pub use directory::PendingDirectory;
pub use file::PendingFile;
pub use merge::Arrival;

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::fs::{
    Access, AtFlags, CWD, Dir, Mode, OFlags, access, chmodat, fchmod, fstat, mkdirat, openat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::error::{Error, Result};
use crate::kernel::PLACE;
use crate::sync::locked;

/// Passing names start with this.
pub const PREFIX: &str = ".ocibake-";

/// So often the removal of a directory is tried that others are still at work in.
const DISCARD_TRIES: usize = 50;

/// So many passing names are tried where one after the other is taken.
const NAME_TRIES: usize = 100;

/// All that exists now and must not outlive this process.
static LIVE: Mutex<BTreeMap<usize, Arc<PassingPath>>> = Mutex::new(BTreeMap::new());

/// The next number in that list. None comes twice: what was kept still asks for its own when it is dropped.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Removes every pending file and directory of this process and lets no new one begin, nor one be kept, for a process
/// that is about to end. Returns a guard, which must be held until it does.
pub fn discard_all() -> impl Sized {
    let live = live();
    for passing in live.values() {
        // Nobody is left to be told of a failure; what stays is cleared away by the next run. Other threads may still put
        // files into a directory, until it is gone from under them.
        let _ = (0..DISCARD_TRIES).find(|_| passing.discard().is_ok());
    }
    live
}

/// Returns a guard: as long as it is held nothing that is pending is [discarded](discard_all). This does not come back once that
/// has begun, since the process is about to end: what was made until then of something pending may be a part of it.
pub fn hold_all() -> impl Sized {
    live()
}

/// Opens the directory at `path`, links followed, once those on the way to it are made that are missing.
pub fn open_or_make(path: &Path) -> io::Result<OwnedFd> {
    let mut missing = Vec::new();
    let mut present = here(path);
    let mut directory = loop {
        match openat(CWD, present, PLACE | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(opened) => break opened,
            Err(errno) => match (present.file_name(), present.parent()) {
                (Some(name), Some(parent)) if errno == Errno::NOENT => {
                    missing.push(name);
                    present = here(parent);
                }
                _ => return Err(errno.into()),
            },
        }
    };
    for name in missing.into_iter().rev() {
        directory = enter_or_make(&directory, name)?;
    }
    Ok(directory)
}

/// Opens the directory `name` in `parent`, which is not a link, and makes it if it is missing.
pub fn enter_or_make(parent: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    match mkdirat(parent, name, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
        Ok(()) | Err(Errno::EXIST) => Ok(open_directory(parent, name)?),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes a file, or a directory with all that is in it: what was unpacked may have directories that even their owner
/// may not change. No link is followed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    empty(&enter(CWD, path)?)?;
    fs::remove_dir(path)
}

/// Moves what is at `path` into `directory`, on the same file system, under a passing name, and returns where it is now.
pub(super) fn set_aside(path: &Path, directory: &Path) -> io::Result<PathBuf> {
    let (name, ()) = named(|name| renameat(CWD, path, CWD, directory.join(name)))?;
    Ok(directory.join(name))
}

/// Something under a passing name.
#[derive(Debug)]
struct PassingPath {
    /// The directory that it is in. Those in one directory share it, so that few files are open.
    parent: Arc<OwnedFd>,
    name: String,
    /// The directory itself; none if it is a file.
    directory: Option<OwnedFd>,
}

impl PassingPath {
    /// Begins to exist, unless [`discard_all`] has put an end to all of it: then this does not return.
    fn register(make: impl FnOnce() -> io::Result<PassingPath>) -> io::Result<(usize, Arc<PassingPath>)> {
        let mut live = live();
        let passing = Arc::new(make()?);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        live.insert(number, passing.clone());
        Ok((number, passing))
    }

    /// Removes it, if it is still there. A directory is emptied wherever it is by now.
    fn discard(&self) -> Result<(), Errno> {
        let flags = match &self.directory {
            Some(directory) => {
                empty(directory)?;
                AtFlags::REMOVEDIR
            }
            None => AtFlags::empty(),
        };
        match unlinkat(&self.parent, &self.name, flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Fails unless what is under the passing name is `object`.
    fn check_is(&self, object: impl AsFd) -> io::Result<()> {
        let (ours, present) = (fstat(object)?, statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW)?);
        match (ours.st_dev, ours.st_ino) == (present.st_dev, present.st_ino) {
            true => Ok(()),
            false => Err(exchanged()),
        }
    }
}

fn exchanged() -> io::Error {
    io::Error::other("something else has taken the place of what was being written")
}

/// Calls `make` with one passing name after the other until one is not taken.
fn named<T>(mut make: impl FnMut(&str) -> Result<T, Errno>) -> Result<(String, T), Errno> {
    for _ in 0..NAME_TRIES {
        // Each state has keys of its own, which nobody can foretell.
        let name = format!("{PREFIX}{:016x}", RandomState::new().build_hasher().finish());
        match make(&name) {
            Err(Errno::EXIST) => {}
            made => return made.map(|made| (name, made)),
        }
    }
    Err(Errno::EXIST)
}

/// Removes all that is in `directory`, which nobody else may look into. Few directories are open at a time, however deep
/// they lie.
fn empty(directory: &OwnedFd) -> Result<(), Errno> {
    fchmod(directory, Mode::RWXU)?;
    let again = || open_directory(directory, c".");
    let mut at = again()?;
    let mut path: Vec<CString> = Vec::new();
    // Of `directory` and of each in `path`: what is left there, which is directories.
    let mut left = vec![thinned(&at)?];
    while let Some(names) = left.last_mut() {
        if let Some(name) = names.pop() {
            at = enter(&at, &name)?;
            left.push(thinned(&at)?);
            path.push(name);
            continue;
        }
        left.pop();
        let Some(name) = path.pop() else { break };
        at = if path.is_empty() { again()? } else { open_directory(&at, c"..")? };
        unlinkat(&at, &name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

/// Removes all from `directory` but those directories that have something in them, and returns these.
fn thinned(directory: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut left = Vec::new();
    for name in names(directory)? {
        let removed = unlinkat(directory, &name, AtFlags::empty()).or_else(|errno| match errno {
            Errno::ISDIR | Errno::PERM => unlinkat(directory, &name, AtFlags::REMOVEDIR),
            other => Err(other),
        });
        match removed {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => left.push(name),
            Err(errno) => return Err(errno),
        }
    }
    Ok(left)
}

/// Opens a directory that is to be emptied; it may be one that even its owner may not look into.
fn enter(at: impl AsFd + Copy, name: impl Arg + Copy) -> Result<OwnedFd, Errno> {
    let opened = open_directory(at, name).or_else(|errno| match errno {
        Errno::ACCESS => {
            chmodat(at, name, Mode::RWXU, AtFlags::empty())?;
            open_directory(at, name)
        }
        other => Err(other),
    })?;
    if fstat(&opened)?.st_mode & Mode::RWXU.bits() != Mode::RWXU.bits() {
        fchmod(&opened, Mode::RWXU)?;
    }
    Ok(opened)
}

/// Returns the names in `directory`, sorted.
fn names(directory: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for item in Dir::read_from(directory)? {
        let name = item?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn open_directory(at: impl AsFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn live() -> MutexGuard<'static, BTreeMap<usize, Arc<PassingPath>>> {
    locked(&LIVE)
}

fn may_write_in(directory: &Path, destination: &Path) -> Result<()> {
    access(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| Error::io("write", destination, errno.into()))
}

fn parent(path: &Path) -> &Path {
    path.parent().map_or(Path::new("."), here)
}

/// Returns `path`, or `.` for the empty one: a relative path of one name has a parent without any.
fn here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
