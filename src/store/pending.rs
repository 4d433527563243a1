//! Files and directories in the making: they stand beside their final place under a passing name, and vanish unless
//! they are kept.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr};
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{
    Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, access, accessat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;
use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Passing names start with this.
pub const PREFIX: &str = ".ocibake-";

/// How often the removal of a directory is tried that others are still at work in.
const DISCARD_TRIES: usize = 50;

/// What exists now and must not outlive this process.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A file that is being written.
#[derive(Debug)]
pub struct PendingFile {
    // An option only so that `keep` can take it out from under `drop`.
    file: Option<NamedTempFile>,
    name: PathBuf,
}

/// A directory that is being filled.
#[derive(Debug)]
pub struct PendingDirectory {
    name: PathBuf,
    /// It stands in its destination and not beside it.
    inside: bool,
}

/// Removes every pending file and directory of this process and lets no new one begin, nor one be kept, for a process
/// that is about to end: the guard must be held until it does.
pub fn discard_all() -> impl Sized {
    let live = live();
    for name in live.iter() {
        // Nobody is left to be told of a failure; what stays is cleared away by the next run. Other threads may still put
        // files into a directory, until it is gone from under them.
        let _ = (0..DISCARD_TRIES).find(|_| remove(name).is_ok() || !name.exists());
    }
    live
}

/// Removes a file, or a directory with all that is in it: what was unpacked may have directories that even their owner
/// may not change. No link is followed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    if !std::fs::symlink_metadata(path)?.is_dir() {
        return std::fs::remove_file(path);
    }
    std::fs::remove_dir_all(path).or_else(|_| {
        open_up(path)?;
        std::fs::remove_dir_all(path)
    })
}

/// Lets the owner change `directory` and those in it.
fn open_up(directory: &Path) -> io::Result<()> {
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        std::fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for item in std::fs::read_dir(&directory)? {
            let item = item?;
            if item.file_type()?.is_dir() {
                left.push(item.path());
            }
        }
    }
    Ok(())
}

impl PendingFile {
    /// Begins a file in `directory`, which must be on the file system of its final place.
    pub fn in_directory(directory: &Path) -> Result<Self> {
        Self::begin(directory, 0o666) // less the umask
    }

    /// The same for a file that only its owner may read and write, whatever the umask.
    pub fn private_in(directory: &Path) -> Result<Self> {
        let private = Self::begin(directory, 0o600)?;
        let set = private.as_file().set_permissions(Permissions::from_mode(0o600));
        set.map_err(|source| Error::io("set the mode of", &private.name, source))?;
        Ok(private)
    }

    fn begin(directory: &Path, mode: u32) -> Result<Self> {
        let mut live = live();
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(directory)
            .map_err(|source| Error::io("create a file in", directory, source))?;
        let name = file.path().to_owned();
        live.insert(name.clone());
        Ok(PendingFile { file: Some(file), name })
    }

    /// Whether a file can be begun beside `destination`, found out without touching anything: there must be a directory
    /// that may be written to, and a file or nothing at the destination. A device or a pipe would be replaced, not
    /// written to.
    pub fn check(destination: &Path) -> Result<()> {
        if std::fs::metadata(destination).is_ok_and(|present| !present.is_file()) {
            return Err(Error::input(format!("{} is there and is not a regular file", destination.display()))
                .with_hint("name a file, or a path where there is nothing yet"));
        }
        // `/dev/stdout` and its like: nobody who names one wants it replaced by a file.
        if std::fs::read_link(destination).is_ok_and(|target| target.starts_with("/proc")) {
            return Err(Error::input(format!("{} leads to an open file", destination.display()))
                .with_hint("name a file, or a path where there is nothing yet"));
        }
        let directory = parent(destination);
        let is_missing = match std::fs::metadata(directory) {
            Ok(present) => !present.is_dir(),
            Err(error) => error.kind() != io::ErrorKind::PermissionDenied,
        };
        if is_missing {
            let (destination, directory) = (destination.display(), directory.display());
            return Err(Error::not_found(format!("cannot write {destination}: {directory} is no directory"))
                .with_hint("create it, or write elsewhere"));
        }
        may_write_in(directory, destination)
    }

    /// Begins a file beside `destination`, which has to pass [`check`](Self::check).
    pub fn beside(destination: &Path) -> Result<Self> {
        Self::check(destination)?;
        let pending = Self::in_directory(parent(destination));
        pending.map_err(|error| Error { message: format!("cannot write {}", destination.display()), ..error })
    }

    /// Puts `bytes` at `destination` in one step, in place of what may be there.
    pub fn replace(destination: &Path, bytes: &[u8]) -> Result<()> {
        let mut file = Self::beside(destination)?;
        file.write_all(bytes).map_err(|source| Error::io("write", destination, source))?;
        file.keep(destination)
    }

    /// Gives it its final name, in one step, in place of the file, or link, that may stand there.
    pub fn keep(mut self, destination: &Path) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        // Not while `discard_all` is at it: what moves within a pending directory could escape it.
        let moved = {
            let _live = live();
            file.persist(destination)
        };
        moved.map(drop).map_err(|failure| Error::io("write", destination, failure.error))
    }

    /// For reading back what was written.
    pub fn as_file(&self) -> &File {
        self.inner().as_file()
    }

    fn inner(&self) -> &NamedTempFile {
        self.file.as_ref().expect("taken only by keep, which consumes self")
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.as_file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.as_file().flush()
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        // Removed from the list after the file is gone or renamed, whichever it was.
        drop(self.file.take());
        live().remove(&self.name);
    }
}

impl PendingDirectory {
    /// Whether a directory can be begun for `destination` once the parents that it lacks are there, found out without
    /// touching anything: of the path, what is there must be a directory that may be written to.
    pub fn check(destination: &Path) -> Result<()> {
        let present = destination.ancestors().find(|path| std::fs::symlink_metadata(here(path)).is_ok());
        let present = here(present.unwrap_or(destination));
        if !present.is_dir() {
            return Err(Error::input(format!("{} is no directory", present.display()))
                .with_hint("name a directory, or a path where there is nothing yet"));
        }
        may_write_in(present, destination)
    }

    /// Begins a directory for `destination`: beside it or, if that is a directory, in it. For a directory that exists
    /// may be a link, the root of a file system or where somebody stands, and is not to be replaced.
    pub fn begin(destination: &Path) -> Result<Self> {
        let inside = destination.is_dir();
        let mut live = live();
        let name = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o777)) // less the umask
            .tempdir_in(if inside { destination } else { parent(destination) })
            .map_err(|source| Error::io("create", destination, source))?
            .keep();
        live.insert(name.clone());
        Ok(PendingDirectory { name, inside })
    }

    pub fn path(&self) -> &Path {
        &self.name
    }

    /// Creates a directory, `path` within it, and those between them.
    pub fn create(&self, path: &str) -> Result<()> {
        let path = self.name.join(path);
        let _live = live();
        std::fs::create_dir_all(&path).map_err(|source| Error::io("create", path, source))
    }

    /// Whether it stands in its destination, which was there before.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// Gives it its final name, in one step. If the destination was there, its content goes there instead, sorted by
    /// name: what makes the others valid should come last. Directories that are on both sides keep what else they have,
    /// all else is replaced. Where that would take a directory with something in it, nothing is touched.
    pub fn keep(self, destination: &Path) -> Result<()> {
        let failed = |source| Error::io("create", destination, source);
        let _live = live();
        if !self.inside {
            return std::fs::rename(&self.name, destination).map_err(failed);
        }
        let from = open_directory(CWD, &self.name).map_err(failed)?;
        // The destination itself may be a link.
        let to = File::open(destination).map(OwnedFd::from).map_err(failed)?;
        merge(&from, &to, destination, Merge::Check)?;
        merge(&from, &to, destination, Merge::Move)
    }
}

impl Drop for PendingDirectory {
    fn drop(&mut self) {
        // It may be gone: renamed by `keep`. The list forgets it afterwards, so that a signal in between removes it.
        let _ = remove(&self.name);
        live().remove(&self.name);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Merge {
    /// Fails if something stands in the way.
    Check,
    Move,
}

/// Brings what is in `from` to `to`, which errors call `shown`. No link is followed, neither here nor there.
fn merge(from: &OwnedFd, to: &OwnedFd, shown: &Path, merge_step: Merge) -> Result<()> {
    let failed = |shown: &Path, errno: Errno| Error::io("create", shown, errno.into());
    for name in names(from).map_err(|errno| failed(shown, errno))? {
        let shown = shown.join(OsStr::from_bytes(name.to_bytes()));
        let failed = |errno| failed(&shown, errno);
        let (ours, theirs) = (kind(from, &name).map_err(failed)?, kind(to, &name).map_err(failed)?);
        if (ours, theirs) == (Some(FileType::Directory), Some(FileType::Directory)) {
            let ours = open_directory(from, &name).map_err(|error| Error::io("open", &shown, error))?;
            let theirs = open_directory(to, &name).map_err(|error| Error::io("open", &shown, error))?;
            merge(&ours, &theirs, &shown, merge_step)?;
        } else if merge_step == Merge::Check {
            accessat(to, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty()).map_err(failed)?;
            if theirs == Some(FileType::Directory)
                && open_directory(to, &name).is_ok_and(|it| names(&it).is_ok_and(|names| !names.is_empty()))
            {
                return Err(Error::input(format!("{} is a directory with something in it", shown.display()))
                    .with_hint("something else is to be there: remove it, or write to another directory"));
            }
        } else {
            match theirs {
                Some(FileType::Directory) => unlinkat(to, &name, AtFlags::REMOVEDIR).map_err(failed)?,
                Some(_) if ours == Some(FileType::Directory) => {
                    unlinkat(to, &name, AtFlags::empty()).map_err(failed)?;
                }
                _ => {}
            }
            renameat(from, &name, to, &name).map_err(failed)?;
        }
    }
    Ok(())
}

/// Sorted.
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

/// None if there is no such name.
fn kind(directory: &OwnedFd, name: &CStr) -> Result<Option<FileType>, Errno> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn open_directory(at: impl AsFd, name: impl Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(at, name, flags, Mode::empty())?)
}

fn live() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn may_write_in(directory: &Path, destination: &Path) -> Result<()> {
    access(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| Error::io("write", destination, errno.into()))
}

fn parent(path: &Path) -> &Path {
    path.parent().map_or(Path::new("."), here)
}

/// A relative path of one name has a parent without any.
fn here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
