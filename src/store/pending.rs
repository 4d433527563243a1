//! Files and directories in the making: they stand beside their final place under a passing name, and vanish unless
//! they are kept.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Access, access};
use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Passing names start with this.
pub const PREFIX: &str = ".ocibake-";

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
        // Nobody is left to be told of a failure; what stays is cleared away by the next run.
        let _ = if name.is_dir() { std::fs::remove_dir_all(name) } else { std::fs::remove_file(name) };
    }
    live
}

impl PendingFile {
    /// Begins a file in `directory`, which must be on the file system of its final place.
    pub fn in_directory(directory: &Path) -> Result<Self> {
        let mut live = live();
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o666)) // less the umask
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
        access(parent(destination), Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|errno| Error::io("write", destination, errno.into()))
    }

    /// Begins a file beside `destination`, which has to pass [`check`](Self::check).
    pub fn beside(destination: &Path) -> Result<Self> {
        Self::check(destination)?;
        let pending = Self::in_directory(parent(destination));
        pending.map_err(|error| Error { message: format!("cannot write {}", destination.display()), ..error })
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

    /// Gives it its final name, in one step. If the destination was there, its content goes there instead, sorted by
    /// name: what makes the others valid should come last.
    pub fn keep(self, destination: &Path) -> Result<()> {
        let failed = |source| Error::io("create", destination, source);
        let _live = live();
        if !self.inside {
            return std::fs::rename(&self.name, destination).map_err(failed);
        }
        let listing = std::fs::read_dir(&self.name).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut names: Vec<_> = listing.map_err(failed)?.into_iter().map(|item| item.file_name()).collect();
        names.sort();
        names.iter().try_for_each(|name| std::fs::rename(self.name.join(name), destination.join(name))).map_err(failed)
    }
}

impl Drop for PendingDirectory {
    fn drop(&mut self) {
        // It may be gone: renamed by `keep`. The list forgets it afterwards, so that a signal in between removes it.
        let _ = std::fs::remove_dir_all(&self.name);
        live().remove(&self.name);
    }
}

fn live() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
