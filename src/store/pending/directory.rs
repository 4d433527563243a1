//! A [`PendingDirectory`] is filled beside its place or in it, and takes it once it is whole.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, fstat, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::merge::{Arrived, Merging};
use super::{
    PassingPath, enter_or_make, exchanged, here, live, may_write_in, named, names, open_directory, open_or_make, parent,
};
use crate::error::{Error, Result};
use crate::kernel::PLACE;

/// A directory that is being filled. Nobody else may look into it before it is kept, so that all that is in it is as it
/// was made.
#[derive(Debug)]
pub struct PendingDirectory {
    path: PathBuf,
    directory: OwnedFd,
    passing: Arc<PassingPath>,
    number: usize,
    /// True if it stands in its destination and not beside it.
    inside: bool,
}

impl PendingDirectory {
    /// Fails where no directory can be begun for `destination` once the parents that it lacks are there, which it finds out
    /// without touching anything: of the path, what is there must be a directory that may be written to.
    pub fn check(destination: &Path) -> Result<()> {
        let present = destination.ancestors().find(|path| std::fs::symlink_metadata(here(path)).is_ok());
        let present = here(present.unwrap_or(destination));
        if !present.is_dir() {
            return Err(Error::input(format!("{} is not a directory", present.display()))
                .with_hint("name a directory, or a path where there is nothing yet"));
        }
        may_write_in(present, destination)
    }

    /// Begins a directory for `destination`: beside it or, if that is a directory, in it. For a directory that exists
    /// may be a link, the root of a file system or where somebody stands, and is not to be replaced. Parents that the
    /// destination lacks are made.
    pub fn begin(destination: &Path) -> Result<Self> {
        let failed = |source| Error::io("create", destination, source);
        let flags = PLACE | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let (place, shown, inside) = match openat(CWD, here(destination), flags, Mode::empty()) {
            Ok(present) => (present, destination, true),
            Err(_) => (open_or_make(parent(destination)).map_err(failed)?, parent(destination), false),
        };
        let mut directory = None;
        let registered = PassingPath::register(|| {
            let (name, ()) = named(|name| mkdirat(&place, name, Mode::RWXU))?;
            let made = made(&place, &name)?;
            directory = Some(made.try_clone()?);
            Ok(PassingPath { parent: Arc::new(place), name, directory: Some(made) })
        });
        let (number, passing) = registered.map_err(failed)?;
        let directory = directory.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        Ok(PendingDirectory { path: shown.join(&passing.name), directory, passing, number, inside })
    }

    /// Returns where it is, as long as nobody else may change the directory that it is in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a directory, `path` within it, and those between them, and returns it.
    pub fn create(&self, path: &str) -> Result<OwnedFd> {
        let failed = |source: io::Error| Error::io("create", self.path.join(path), source);
        let _live = live();
        let root = self.directory.try_clone().map_err(failed)?;
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(root, |at, name| enter_or_make(&at, name.as_ref()).map_err(failed))
    }

    /// Returns whether it stands in its destination, which was there before.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// Lets others in as far as the umask does, once nobody can do any harm there any more.
    pub fn open_up(&self) -> Result<()> {
        self.opened_up().map_err(|errno| Error::io("set the mode of", &self.path, errno.into()))
    }

    fn opened_up(&self) -> Result<(), Errno> {
        // What the umask leaves of a mode, the system alone says, and only by doing it.
        let (name, ()) = named(|name| mkdirat(&self.directory, name, Mode::RWXU | Mode::RWXG | Mode::RWXO))?;
        let mode = statat(&self.directory, &name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode;
        unlinkat(&self.directory, &name, AtFlags::REMOVEDIR)?;
        fchmod(&self.directory, Mode::from_raw_mode(mode))
    }

    /// Moves it to `destination`, on the same file system, in one step and with all that is in it, wherever it was begun. Where
    /// something is already that is not an empty directory, this fails, and nothing has changed.
    pub fn move_to(&self, destination: &Path) -> io::Result<()> {
        let mut live = live();
        self.passing.check_is(&self.directory)?;
        renameat(&self.passing.parent, &self.passing.name, CWD, destination)?;
        live.remove(&self.number);
        Ok(())
    }

    /// Gives it its final name, in one step. If the destination was there, its content goes there instead, sorted by
    /// name: what makes the others valid should come last. Directories that are on both sides keep what else they have,
    /// all else is replaced. Where that would take a directory with something in it, nothing is touched.
    pub fn keep(self, destination: &Path) -> Result<()> {
        self.keep_and(destination, &mut |_, _, _| Ok(()))
    }

    /// Does what [`keep`](Self::keep) does. If the destination was there, `arrived` is told of each directory once it is there,
    /// by its path: one of a whole tree that was moved, or one that was there before, when all that goes into it has.
    pub fn keep_and(self, destination: &Path, arrived: &mut Arrived<'_>) -> Result<()> {
        let failed = |source| Error::io("create", destination, source);
        let mut live = live();
        let PassingPath { parent, name, .. } = &*self.passing;
        if self.inside {
            let mut merging = Merging { arrived, is_check: true };
            merging.merge(&self.directory, parent, (destination, b""), 0)?;
            merging.is_check = false;
            return merging.merge(&self.directory, parent, (destination, b""), 0);
        }
        let last = destination.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        self.passing.check_is(&self.directory).map_err(failed)?;
        renameat(parent, name, parent, last).map_err(|errno| failed(errno.into()))?;
        live.remove(&self.number);
        Ok(())
    }
}

impl AsFd for PendingDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Drop for PendingDirectory {
    fn drop(&mut self) {
        // The list forgets it afterwards, so that a signal in between removes it.
        let is_live = live().contains_key(&self.number);
        if is_live {
            let _ = self.passing.discard();
            live().remove(&self.number);
        }
    }
}

/// Opens the directory `name` that was made in `parent` just before. Another that was put there in the meantime is not
/// ours, or has something in it.
fn made(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let directory = open_directory(parent, name)?;
    let stat = fstat(&directory)?;
    if stat.st_uid != geteuid().as_raw() && stat.st_uid != owner_in(parent)? {
        return Err(exchanged());
    }
    if stat.st_mode & 0o777 != 0o700 {
        // There are file systems that have no modes; on others nobody could get in from now on.
        let _ = fchmod(&directory, Mode::RWXU);
    }
    if names(&directory)?.is_empty() { Ok(directory) } else { Err(exchanged()) }
}

/// Returns the owner that the file system gives to what is made in `parent`: one without owners, or one that takes root
/// for nobody, has an answer of its own.
fn owner_in(parent: &OwnedFd) -> Result<u32, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (name, file) = named(|name| openat(parent, name, flags, Mode::RUSR | Mode::WUSR))?;
    let owner = fstat(File::from(file))?.st_uid;
    unlinkat(parent, &name, AtFlags::empty())?;
    Ok(owner)
}
