//! A [`PendingFile`] is written beside its place, and takes it in one step.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, linkat, openat, renameat};
use rustix::io::Errno;

use super::{PassingPath, here, live, may_write_in, named, parent};
use crate::error::{Error, Result};
use crate::kernel::{PLACE, is_open_file, rename_new};

/// A file that is being written.
#[derive(Debug)]
pub struct PendingFile {
    file: File,
    /// The path of the directory that it is in.
    directory: PathBuf,
    passing: Arc<PassingPath>,
    number: usize,
}

impl PendingFile {
    /// Begins a file in `directory`, which must be on the file system of its final place.
    pub fn in_directory(directory: &Path) -> Result<Self> {
        let opened = open(directory).map_err(|source| Error::io("create a file in", directory, source))?;
        Self::within(&Arc::new(opened), directory)
    }

    /// Begins a file in the open directory `parent`, whose path is `directory`.
    pub fn within(parent: &Arc<OwnedFd>, directory: &Path) -> Result<Self> {
        Self::begin(parent, directory, Mode::from_raw_mode(0o666)) // less the umask
    }

    /// Returns the same for a file that only its owner may read and write, whatever the umask.
    pub fn private_within(parent: &Arc<OwnedFd>, directory: &Path) -> Result<Self> {
        let mode = Mode::RUSR | Mode::WUSR;
        let private = Self::begin(parent, directory, mode)?;
        fchmod(&private.file, mode).map_err(|errno| Error::io("set the mode of a file in", directory, errno.into()))?;
        Ok(private)
    }

    fn begin(parent: &Arc<OwnedFd>, directory: &Path, mode: Mode) -> Result<Self> {
        let mut file = None;
        let registered = PassingPath::register(|| {
            let parent = parent.clone();
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let (name, made) = named(|name| openat(&parent, name, flags, mode))?;
            file = Some(File::from(made));
            Ok(PassingPath { parent, name, directory: None })
        });
        let failed = |source| Error::io("create a file in", directory, source);
        let (number, passing) = registered.map_err(failed)?;
        let file = file.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        Ok(PendingFile { file, directory: directory.to_owned(), passing, number })
    }

    /// Fails where no file can be begun beside `destination`, which it finds out without touching anything: there must be a
    /// directory that may be written to, and a file or nothing at the destination. A device or a pipe would be replaced,
    /// not written to.
    pub fn check(destination: &Path) -> Result<()> {
        if std::fs::metadata(destination).is_ok_and(|present| !present.is_file()) {
            return Err(Error::input(format!("{} is there and is not a regular file", destination.display()))
                .with_hint("name a file, or a path where there is nothing yet"));
        }
        // `/dev/stdout` and its like: nobody who names one wants it replaced by a file.
        if std::fs::read_link(destination).is_ok_and(|target| is_open_file(&target)) {
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
            return Err(Error::not_found(format!("cannot write {destination}: {directory} is not a directory"))
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

    /// Gives it its final name, in one step, in place of the file, or link, that may stand there. In the directory that it
    /// was begun in it stays, wherever that is by now.
    pub fn keep(self, destination: &Path) -> Result<()> {
        self.moved(destination, true).map_err(|source| Error::io("write", destination, source))
    }

    /// Does the same where nothing may be replaced. Returns whether it has its name: not if anything stands there.
    pub fn keep_new(self, destination: &Path) -> Result<bool> {
        match self.moved(destination, false) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(Error::io("write", destination, source)),
        }
    }

    fn moved(&self, destination: &Path, replaces: bool) -> io::Result<()> {
        let name = destination.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let other = match parent(destination) == here(&self.directory) {
            true => None,
            false => Some(open(parent(destination))?),
        };
        // Not while `discard_all` is at it: what moves within a pending directory could escape it.
        let mut live = live();
        self.passing.check_is(&self.file)?;
        let (from, passing) = (&self.passing.parent, &self.passing.name);
        let to = other.as_ref().unwrap_or(from);
        match replaces {
            true => renameat(from, passing, to, name)?,
            false => match rename_new((from, passing), (to, name)) {
                // Some file systems cannot do that, and can link.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    linkat(from, passing, to, name, AtFlags::empty())?;
                    self.passing.discard()?;
                }
                moved => moved?,
            },
        }
        live.remove(&self.number);
        Ok(())
    }

    /// Returns the file, for reading back what was written.
    pub fn as_file(&self) -> &File {
        &self.file
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        let mut live = live();
        if live.remove(&self.number).is_some() {
            // Nobody is left to be told of a failure.
            let _ = self.passing.discard();
        }
    }
}

fn open(directory: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, here(directory), PLACE | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}
