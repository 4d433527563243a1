//! What a command is to find, where nothing can be mounted: it is put into the root itself, in place of what is there, and
//! taken away when the command has ended.
//!
//! Nobody else changes the root at these times. What a command has made of it is only reached by what was opened before.

mod cache;
mod devices;

use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat, readlinkat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use self::cache::Cache;
use super::forward::Forward;
use super::place::{Made, PlaceKind, Stubs, find_or_make};
use super::prepared::{read_resolver, string};
use super::provided::hosts;
use super::system::open_within;
use crate::error::{Error, Result};
use crate::layer::{self, Devices, Provided};
use crate::run::process::{Mount, MountSource, Process, Root, Security};
use crate::tree::Identity;

/// As many things as are made at most on the way to one place.
const MOST_STUBS: usize = 4096;

/// A root in which everything is in its place. It is taken away again by [`Arranged::end`], or when this is dropped.
pub(super) struct Arranged {
    root: OwnedFd,
    /// The real path of the root.
    path: PathBuf,
    /// For what is in the way.
    aside: OwnedFd,
    placed: Vec<PlacedObject>,
    stubs: Stubs,
    provided: Vec<Provided>,
    /// Sockets, which end before all else is taken away.
    forwards: Vec<Forward>,
    /// Files that are to be gone as soon as the command is: the directory of each, and its name there.
    passing: Vec<(OwnedFd, CString)>,
}

/// Something that was put into the root.
struct PlacedObject {
    parent: OwnedFd,
    name: CString,
    /// Itself, wherever the command has moved it.
    object: OwnedFd,
    /// The name under which that is set aside which was in its place.
    aside: String,
    /// What is brought back there.
    cache: Option<Cache>,
}

/// Where something is put.
struct PlaceInRoot {
    parent: OwnedFd,
    name: CString,
    aside: String,
}

impl Arranged {
    /// Puts all that `process` is to find into `root`, which has no lower directories.
    pub(super) fn new(process: &Process, root: &Root, is_serving: bool) -> Result<Arranged> {
        if process.security == Security::Insecure {
            return Err(Error::input("a command without restrictions cannot be run in a chroot")
                .with_hint("`--security=insecure` needs a place in which file systems can be mounted"));
        }
        let mut arranged = Self::begin(root)?;
        if let Some(resolver) = read_resolver()? {
            arranged.provide(c"resolv.conf", &resolver)?;
        }
        arranged.provide(c"hosts", &hosts(&process.hosts))?;
        arranged.add_system(is_serving)?;
        for mount in &process.mounts {
            arranged.add(mount)?;
        }
        let directory = string(&process.directory)?;
        let user = Made::Kept(Uid::from_raw(process.user.id), Gid::from_raw(process.user.group));
        find_or_make(arranged.root.as_fd(), &directory, PlaceKind::Directory, user)
            .map_err(|errno| failed("make the working directory", &directory, errno))?;
        Ok(arranged)
    }

    /// Puts what every process finds into `root`, and tries it.
    pub(super) fn probe(root: &Root, is_serving: bool) -> Result<Arranged> {
        let mut arranged = Self::begin(root)?;
        arranged.add_system(is_serving)?;
        Ok(arranged)
    }

    /// Returns the root.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Returns the files that the first process is to remove when the command has ended, whether this program is there or not:
    /// the directory of each, and its name there.
    pub(super) fn passing(&mut self) -> Vec<(OwnedFd, CString)> {
        std::mem::take(&mut self.passing)
    }

    fn begin(root: &Root) -> Result<Arranged> {
        let open = |path: &Path| {
            let opened = openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
            opened.map_err(|errno| Error::io("open", path, errno.into()))
        };
        let (opened, aside) = (open(&root.upper)?, open(&root.work)?);
        let path = real(opened.as_fd()).map_err(|errno| Error::io("read", &root.upper, errno.into()))?;
        let mut stubs = Stubs::with_room(MOST_STUBS);
        stubs.begin(opened.as_fd()).map_err(|errno| Error::io("read", &root.upper, errno.into()))?;
        let (placed, provided, forwards, passing) = Default::default();
        Ok(Arranged { root: opened, path, aside, placed, stubs, provided, forwards, passing })
    }

    /// Takes all of it away, and returns the files that were provided, which stay.
    pub(super) fn end(mut self) -> Result<Vec<Provided>> {
        self.clear()?;
        Ok(std::mem::take(&mut self.provided))
    }

    fn clear(&mut self) -> Result<()> {
        // What a failure leaves is in nobody's way: the root goes with it.
        self.forwards.clear();
        let mut outcome = Ok(());
        while let Some(placed) = self.placed.pop() {
            outcome = outcome.and(self.take_away(placed));
        }
        self.stubs.remove_unmounted();
        outcome
    }

    /// Finds or makes what is at `target`, and sets it aside.
    fn place(&mut self, target: &CStr, kind: PlaceKind) -> Result<PlaceInRoot> {
        let failed = |errno| failed("make a place at", target, errno);
        let at = find_or_make(self.root.as_fd(), target, kind, Made::Stub(&mut self.stubs)).map_err(failed)?;
        let real = real(at.as_fd()).map_err(failed)?;
        let within = real.strip_prefix(&self.path).map_err(|_| failed(Errno::XDEV))?;
        let name = within.file_name().ok_or_else(|| failed(Errno::BUSY))?;
        let name = string(name.as_bytes())?;
        let parent = match within.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => open_within(&self.root, &string(parent.as_os_str().as_bytes())?, DIRECTORY, PLAIN),
            None => openat(&self.root, c".", DIRECTORY, Mode::empty()),
        };
        let parent = parent.map_err(failed)?;
        let aside = self.placed.len().to_string();
        renameat(&parent, &name, &self.aside, &aside).map_err(failed)?;
        Ok(PlaceInRoot { parent, name, aside })
    }

    /// Notes what was made at `place`.
    fn note(&mut self, place: PlaceInRoot, cache: Option<Cache>) -> Result<()> {
        let PlaceInRoot { parent, name, aside } = place;
        let object = openat(&parent, &name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| failed("open", &name, errno))?;
        self.placed.push(PlacedObject { parent, name, object, aside, cache });
        Ok(())
    }

    /// Makes a directory at `target`, which `fill` fills, in place of what is there.
    fn directory(
        &mut self,
        target: &CStr,
        mode: u32,
        fill: impl FnOnce(BorrowedFd<'_>, &Path) -> Result<Option<Cache>>,
    ) -> Result<()> {
        let place = self.place(target, PlaceKind::Directory)?;
        let failed = |errno| failed("make the directory", target, errno);
        let made = mkdirat(&place.parent, &place.name, Mode::RWXU)
            .and_then(|()| openat(&place.parent, &place.name, DIRECTORY & !OFlags::PATH, Mode::empty()))
            .and_then(|made| fchmod(&made, Mode::from_raw_mode(mode)).map(|()| made));
        // It is noted even where the rest fails: then it is taken away, and what was there is brought back.
        let made = match made {
            Ok(made) => made,
            Err(errno) => {
                self.note_lost(place);
                return Err(failed(errno));
            }
        };
        let path = real(made.as_fd()).map_err(failed)?;
        self.note(place, None)?;
        let cache = fill(made.as_fd(), &path)?;
        if let Some(placed) = self.placed.last_mut() {
            placed.cache = cache;
        }
        Ok(())
    }

    /// Brings back what was set aside for something that could not be made.
    fn note_lost(&self, place: PlaceInRoot) {
        // Its root is not used any more.
        let _ = renameat(&self.aside, &place.aside, &place.parent, &place.name);
    }

    /// Writes a file in `/etc`, in place of what is there, which it does not come back to.
    fn provide(&mut self, name: &CStr, content: &[u8]) -> Result<()> {
        let failed = |errno| {
            let error = failed("write for the command, in /etc,", name, errno);
            if errno == Errno::ISDIR { error.with_hint("the image has a directory there") } else { error }
        };
        let parent = find_or_make(self.root.as_fd(), c"/etc", PlaceKind::Directory, Made::Stub(&mut self.stubs));
        let parent = parent.map_err(failed)?;
        match unlinkat(&parent, name, AtFlags::empty()) {
            Err(Errno::NOENT) => {}
            removed => removed.map_err(failed)?,
        }
        let file = write(parent.as_fd(), name, content, 0o644).map_err(failed)?;
        let real = real(parent.as_fd()).map_err(failed)?;
        let within = real.strip_prefix(&self.path).map_err(|_| failed(Errno::XDEV))?;
        let path = within.join(OsStr::from_bytes(name.to_bytes())).into_os_string().into_encoded_bytes();
        self.provided.push(Provided { path, identity: Identity::of(&fstat(&file).map_err(failed)?) });
        Ok(())
    }

    /// Puts what is to be mounted into its place. A file or directory is copied; what is written to it is thrown away, but for
    /// what is to be kept.
    fn add(&mut self, mount: &Mount) -> Result<()> {
        let target = string(&mount.target)?;
        let failed = |errno| failed("put what the command is to find at", &target, errno);
        if is_within(&mount.target, b"proc") {
            return Err(failed(Errno::PERM).with_hint("nothing can be mounted within /proc"));
        }
        match &mount.source {
            MountSource::Tmpfs { .. } => self.directory(&target, 0o1777, |_, _| Ok(None)),
            MountSource::Discarding(source) => self.copy(&target, source, false),
            MountSource::Bind(source) => {
                let status = fstat(source).map_err(failed)?;
                match FileType::from_raw_mode(status.st_mode) {
                    FileType::Directory => self.copy(&target, source, !mount.read_only),
                    FileType::Socket => self.forward(&target, source),
                    _ => {
                        let from = real(source.as_fd()).map_err(failed)?;
                        let content = fs::read(&from).map_err(|error| Error::io("read", &from, error))?;
                        self.file(&target, &content, status.st_mode, (status.st_uid, status.st_gid))
                    }
                }
            }
            MountSource::File { content, mode, user, group } => {
                self.file(&target, content, *mode, (*user, *group))?;
                if let Some(PlacedObject { parent, name, .. }) = self.placed.last() {
                    let parent = parent.try_clone().map_err(|error| failed(errno_of(error)))?;
                    self.passing.push((parent, name.clone()));
                }
                Ok(())
            }
        }
    }

    fn copy(&mut self, target: &CStr, source: &OwnedFd, is_kept: bool) -> Result<()> {
        let from = real(source.as_fd()).map_err(|errno| failed("find what is to be at", target, errno))?;
        self.directory(target, 0o700, |made, path| {
            if is_kept {
                return Cache::bring(&from, made, path).map(Some);
            }
            layer::copy(&from, path, Devices::Dead).map(|()| None)
        })
    }

    fn file(&mut self, target: &CStr, content: &[u8], mode: u32, (user, group): (u32, u32)) -> Result<()> {
        let place = self.place(target, PlaceKind::File)?;
        let made = write(place.parent.as_fd(), &place.name, content, 0).and_then(|file| {
            fchown(&file, Some(user), Some(group)).map_err(errno_of)?;
            file.set_permissions(fs::Permissions::from_mode(mode & 0o7777)).map_err(errno_of)
        });
        if let Err(errno) = made {
            let _ = unlinkat(&place.parent, &place.name, AtFlags::empty());
            self.note_lost(place);
            return Err(failed("write", target, errno));
        }
        self.note(place, None)
    }

    fn forward(&mut self, target: &CStr, socket: &OwnedFd) -> Result<()> {
        let place = self.place(target, PlaceKind::File)?;
        let name = place.name.to_string_lossy().into_owned();
        match Forward::new(place.parent.as_fd(), &name, socket.as_fd()) {
            Ok(forward) => self.forwards.push(forward),
            Err(error) => {
                self.note_lost(place);
                return Err(failed("make the socket", target, errno_of(error)));
            }
        }
        self.note(place, None)
    }

    /// Takes away what was placed, wherever in the root it is by now, and brings back what was in its place.
    fn take_away(&self, placed: PlacedObject) -> Result<()> {
        let PlacedObject { parent, name, object, aside, cache } = placed;
        let is_there = real(object.as_fd()).ok().filter(|path| path.starts_with(&self.path) && is_it(path, &object));
        if let Some(cache) = cache {
            cache.bring_back(is_there.as_deref())?;
        }
        if let Some(path) = is_there {
            remove(&path).map_err(|error| Error::io("remove", &path, error))?;
        }
        // What the command has put in its place, which a mount would have kept it from.
        if let Ok(directory) = real(parent.as_fd())
            && directory.starts_with(&self.path)
        {
            let path = directory.join(OsStr::from_bytes(name.to_bytes()));
            remove(&path).map_err(|error| Error::io("remove", &path, error))?;
        }
        match renameat(&self.aside, &aside, &parent, &name) {
            // The command has removed the directory that it was in.
            Err(Errno::NOENT) => Ok(()),
            renamed => renamed.map_err(|errno| failed("bring back what was at", &name, errno)),
        }
    }
}

impl Drop for Arranged {
    fn drop(&mut self) {
        let _ = self.clear();
    }
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const PLAIN: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

fn failed(action: &str, what: &CStr, errno: Errno) -> Error {
    let error = Error::io(action, what.to_string_lossy().into_owned(), errno.into());
    match errno {
        Errno::NOTDIR => error.with_hint("the image has something there that is not a directory"),
        Errno::LOOP => error.with_hint("the image has links there that lead nowhere"),
        _ => error,
    }
}

fn errno_of(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// Returns the path of what was opened.
fn real(opened: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
    let path = readlinkat(CWD, link, Vec::new())?;
    Ok(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}

/// Returns whether `object` is at `path`: what is gone has a path that says so, and something may have that name.
fn is_it(path: &Path, object: &OwnedFd) -> bool {
    let (Ok(there), Ok(it)) = (statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW), fstat(object)) else { return false };
    (there.st_dev, there.st_ino) == (it.st_dev, it.st_ino)
}

fn is_within(target: &[u8], directory: &[u8]) -> bool {
    crate::tree::path::names(target).next() == Some(directory)
}

fn write(directory: BorrowedFd<'_>, name: &CStr, content: &[u8], mode: u32) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(content).map_err(errno_of)?;
    fchmod(&file, Mode::from_raw_mode(mode))?;
    Ok(file)
}

/// Removes what is at `path`, if something is.
fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
