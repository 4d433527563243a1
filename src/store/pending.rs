//! Files and directories in the making: they stand beside their final place under a passing name, and vanish unless
//! they are kept.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{NamedTempFile, TempDir};

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
    directory: Option<TempDir>,
    name: PathBuf,
}

/// Removes every pending file and directory of this process and lets no new one begin, for a process that is about to
/// end: the guard must be held until it does.
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

    /// Begins a file beside `destination`, which it will replace: that must not be a device, pipe or socket.
    pub fn beside(destination: &Path) -> Result<Self> {
        if destination.metadata().is_ok_and(|present| !present.is_file() && !present.is_dir()) {
            return Err(Error::input(format!("{} is not a regular file", destination.display()))
                .with_hint("what is there would be replaced: name a file"));
        }
        let pending = Self::in_directory(parent(destination));
        pending.map_err(|error| Error { message: format!("cannot write {}", destination.display()), ..error })
    }

    /// Gives it its final name, in one step, in place of what may stand there.
    pub fn keep(mut self, destination: &Path) -> Result<()> {
        if let Some(file) = self.file.take() {
            file.persist(destination).map_err(|failure| Error::io("write", destination, failure.error))?;
        }
        Ok(())
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
    /// Begins a directory beside `destination`.
    pub fn beside(destination: &Path) -> Result<Self> {
        Self::begin(parent(destination), destination)
    }

    /// Begins a directory within `destination`, for those who move its content there piece by piece.
    pub fn inside(destination: &Path) -> Result<Self> {
        Self::begin(destination, destination)
    }

    fn begin(place: &Path, destination: &Path) -> Result<Self> {
        let mut live = live();
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o777)) // less the umask
            .tempdir_in(place)
            .map_err(|source| Error::io("create", destination, source))?;
        let name = directory.path().to_owned();
        live.insert(name.clone());
        Ok(PendingDirectory { directory: Some(directory), name })
    }

    pub fn path(&self) -> &Path {
        &self.name
    }

    /// Gives it its final name.
    pub fn keep(mut self, destination: &Path) -> Result<()> {
        std::fs::rename(&self.name, destination).map_err(|source| Error::io("create", destination, source))?;
        if let Some(directory) = self.directory.take() {
            let _moved_away = directory.keep();
        }
        Ok(())
    }
}

impl Drop for PendingDirectory {
    fn drop(&mut self) {
        drop(self.directory.take());
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
