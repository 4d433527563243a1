//! What lies on this machine, as entries: directories are walked side by side, and no link is followed.

mod change_time;
mod names;
pub(super) mod real_path;
mod xattrs;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::Scope;
use rayon::prelude::*;
use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat, fstat, major, minor, readlinkat, statat};
use rustix::io::Errno;
use rustix::path::Arg;

use super::content::{Content, DiskFile, Identity, changed};
use super::entry::{Attributes, Entry, Kind};
use super::ignore::{Above, Ignore};
use super::path::{joined, parent};
use super::time::Time;
use crate::error::{Error, Result};
use crate::kernel::{PLACE, device_of, mode_of};
use crate::sync::locked;

use change_time::ChangeTimes;
use real_path::{find_real, name_of, open_real};
use xattrs::xattrs;

pub use names::link_names;
pub use xattrs::{belongs_to_content, find_xattrs, read_xattr, read_xattrs};

/// Names that one task looks at.
const BATCH: usize = 256;

/// Returns everything below `root`, a directory, that `ignore` leaves; sorted by path, paths relative to `root`. `root` is a
/// real path, and links are not followed, even if they take the place of a directory meanwhile: that is an error. Hard links
/// come as files of one [`Identity`]. A directory that is ignored comes along if something below it is not. Directories are
/// read in parallel on the current rayon pool.
///
/// The extended attributes of files are left to [`read_xattrs`].
///
/// Sockets, FIFOs and devices are errors that name them.
pub fn walk(root: &Path, ignore: &Ignore) -> Result<Vec<Entry>> {
    walk_with(root, ignore, Taking::Plain).map(|(entries, _)| entries)
}

/// Does as [`walk`] does, but FIFOs and devices come as entries, and whoever takes some of the files only need not be able to
/// read the rest: beside the entries comes what was passed over, sorted by path. Directories come without extended attributes.
pub fn walk_all(root: &Path, ignore: &Ignore) -> Result<(Vec<Entry>, Vec<LeftOut>)> {
    walk_with(root, ignore, Taking::All)
}

/// Does as [`walk`] does, but FIFOs and devices come as entries, and beside them come the sockets, which no tar can hold.
pub fn walk_special(root: &Path) -> Result<(Vec<Entry>, Vec<LeftOut>)> {
    walk_with(root, &Ignore::new([])?, Taking::Special)
}

fn walk_with(root: &Path, ignore: &Ignore, taking: Taking) -> Result<(Vec<Entry>, Vec<LeftOut>)> {
    let (found, left_out, times, failure) = Default::default();
    let walk = Walk { ignore, taking, found, left_out, times, failure };
    rayon::scope(|scope| walk.directory(scope, root.to_owned(), Vec::new(), Above::default(), false));
    if let Some(error) = unlocked(walk.failure) {
        return Err(error);
    }
    let mut found = unlocked(walk.found);
    found.par_sort_unstable_by(|a, b| a.entry.path.cmp(&b.entry.path));
    let mut left_out = unlocked(walk.left_out);
    left_out.sort_unstable();
    left_out.dedup();
    Ok((wanted(found), left_out))
}

/// Returns the object at `disk`, a real path, as an entry at `path`. The extended attributes of a file are left to
/// [`read_xattrs`].
pub fn inspect(disk: &Path, path: Vec<u8>) -> Result<Entry> {
    let failed = |errno| failed("read", disk, errno);
    let object = find_real(disk).map_err(failed)?;
    let status = object.status().map_err(failed)?;
    if let Some(kind) = special(&status) {
        return Err(not_for_a_layer(disk, kind));
    }
    if is_directory(&status) {
        let opened = open_real(disk, OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed)?;
        return directory_entry(&File::from(opened), disk, path, true).map(|(entry, _)| entry);
    }
    // A file of a file system that has no more than it is its own directory.
    let parent = disk.parent().unwrap_or(disk);
    let parent = open_real(parent, PLACE).map_err(failed)?;
    let times = ChangeTimes::of(&parent, &fstat(&parent).map_err(failed)?);
    let (directory, name) = (disk.parent().unwrap_or(disk), disk.file_name().unwrap_or_default());
    let (place, in_place) = object.place();
    entry(place, in_place, &status, times, (&directory.into(), name.as_bytes()), path)
}

/// Something that a walk of all has passed over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// The path in the tree that was walked.
    pub path: Vec<u8>,
    /// The reason why it was passed over.
    pub reason: Reason,
}

/// Why it was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No tar can hold it.
    Socket,
    /// A directory that the user may not read: what is in it is not known.
    Unreadable,
}

impl LeftOut {
    /// Returns the error for who cannot do without it, `disk` being its path on this machine.
    pub fn error(&self, disk: &Path) -> Error {
        match self.reason {
            Reason::Socket => not_for_a_layer(disk, FileType::Socket),
            Reason::Unreadable => failed("list", disk, Errno::ACCESS),
        }
    }
}

/// What a walk takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    /// Files, directories and links, and nothing else may be there.
    Plain,
    /// All that no tar refuses.
    Special,
    /// The same, as far as it may be read, and directories without extended attributes.
    All,
}

struct Walk<'a> {
    ignore: &'a Ignore,
    taking: Taking,
    found: Mutex<Vec<WalkedEntry>>,
    left_out: Mutex<Vec<LeftOut>>,
    /// By device.
    times: Mutex<HashMap<u64, ChangeTimes>>,
    /// The first one; it ends the walk.
    failure: Mutex<Option<Error>>,
}

struct WalkedEntry {
    entry: Entry,
    is_ignored: bool,
}

/// A directory that is open.
struct OpenDirectory<'a> {
    directory: BorrowedFd<'a>,
    times: ChangeTimes,
    /// Its path, which the files in it share.
    disk: Arc<Path>,
    path: &'a [u8],
    above: &'a Above,
}

impl<'a> Walk<'a> {
    /// Every directory is a task, and so is every batch of names in it: however deep the tree, the stack stays flat. No
    /// directory is kept open for a task to come.
    fn directory<'s>(&'s self, scope: &Scope<'s>, disk: PathBuf, path: Vec<u8>, above: Above, is_ignored: bool) {
        let opened = open_directory(&disk, path.is_empty()).map(File::from);
        let done =
            opened.inspect_err(|error| self.keep_closed(&disk, &path, is_ignored, error)).and_then(|directory| {
                let (entry, status) = directory_entry(&directory, &disk, path.clone(), self.taking != Taking::All)?;
                if !path.is_empty() {
                    locked(&self.found).push(WalkedEntry { entry, is_ignored });
                }
                let times = self.times(&directory, &status);
                let (listing, mut names) = list(directory.into(), &disk)?;
                while names.len() > BATCH {
                    let (disk, path, batch) = (disk.clone(), path.clone(), names.split_off(names.len() - BATCH));
                    let above = above.clone();
                    scope.spawn(move |scope| {
                        let done = open_directory(&disk, false).and_then(|directory| {
                            let place = OpenDirectory {
                                directory: directory.as_fd(),
                                times,
                                disk: disk.as_path().into(),
                                path: &path,
                                above: &above,
                            };
                            self.batch(scope, &place, &batch)
                        });
                        done.unwrap_or_else(|error| self.fail_in(&path, is_ignored, error));
                    });
                }
                let directory = listing.fd().map_err(|errno| failed("list", &disk, errno))?;
                let shared = disk.as_path().into();
                self.batch(scope, &OpenDirectory { directory, times, disk: shared, path: &path, above: &above }, &names)
            });
        done.unwrap_or_else(|error| self.fail_in(&path, is_ignored, error));
    }

    /// Each file system is asked once what it is.
    fn times(&self, directory: &File, status: &Stat) -> ChangeTimes {
        let mut times = locked(&self.times);
        *times.entry(device_of(status)).or_insert_with(|| ChangeTimes::of(directory, status))
    }

    fn batch<'s>(&'s self, scope: &Scope<'s>, place: &OpenDirectory<'_>, names: &[CString]) -> Result<()> {
        if locked(&self.failure).is_some() {
            return Ok(());
        }
        let OpenDirectory { directory, times, above, .. } = *place;
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let path = joined(place.path, name.to_bytes());
            let is_ignored = self.ignore.matches_in(above, &path);
            let disk = || below(&place.disk, name.to_bytes());
            if is_ignored
                && !(self.ignore.may_take_back_below(&path)
                    && status(directory, name, disk).is_ok_and(|it| is_directory(&it)))
            {
                continue;
            }
            let status = status(directory, name, disk)?;
            match special(&status) {
                Some(kind) if self.taking == Taking::Plain => return Err(not_for_a_layer(&disk(), kind)),
                Some(FileType::Socket) => {
                    locked(&self.left_out).push(LeftOut { path, reason: Reason::Socket });
                    continue;
                }
                _ => {}
            }
            if is_directory(&status) {
                let (above, disk) = (self.ignore.enter(above, &path), disk());
                scope.spawn(move |scope| self.directory(scope, disk, path, above, is_ignored));
                continue;
            }
            let entry = entry(directory, name, &status, times, (&place.disk, name.to_bytes()), path)?;
            found.push(WalkedEntry { entry, is_ignored });
        }
        locked(&self.found).append(&mut found);
        Ok(())
    }

    /// Keeps the directory at `disk`, which may not be opened because of `error`, for who takes all: it is there, whatever it
    /// holds.
    fn keep_closed(&self, disk: &Path, path: &[u8], is_ignored: bool, error: &Error) {
        if self.taking != Taking::All || path.is_empty() || !is_denied(error) {
            return;
        }
        let status = find_real(disk).and_then(|object| object.status());
        if let Some(status) = status.ok().filter(is_directory) {
            let attributes = attributes(&status);
            let entry = Entry { path: path.to_vec(), kind: Kind::Directory, attributes };
            locked(&self.found).push(WalkedEntry { entry, is_ignored });
        }
    }

    /// An object that may not be read is only left out by who takes all; and is nobody's loss where it is ignored.
    fn fail_in(&self, path: &[u8], is_ignored: bool, error: Error) {
        match is_denied(&error) && self.taking == Taking::All {
            true if is_ignored => {}
            true => locked(&self.left_out).push(LeftOut { path: path.to_vec(), reason: Reason::Unreadable }),
            false => drop(locked(&self.failure).get_or_insert(error)),
        }
    }
}

/// Returns what is not ignored, and the directories that lead there. `found` is sorted, so what is below a directory
/// comes after it.
fn wanted(found: Vec<WalkedEntry>) -> Vec<Entry> {
    if found.iter().all(|found| !found.is_ignored) {
        return found.into_iter().map(|found| found.entry).collect();
    }
    let mut leading = HashSet::new();
    let mut wanted: Vec<Entry> = Vec::new();
    for WalkedEntry { entry, is_ignored } in found.into_iter().rev() {
        if !is_ignored || leading.contains(&entry.path) {
            leading.extend(parent(&entry.path).filter(|directory| !directory.is_empty()).map(<[u8]>::to_vec));
            wanted.push(entry);
        }
    }
    wanted.reverse();
    wanted
}

fn unlocked<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// As `join`, which would reserve twice the room.
fn below(disk: &Path, name: &[u8]) -> PathBuf {
    let mut path = PathBuf::with_capacity(disk.as_os_str().len() + 1 + name.len());
    path.push(disk);
    path.push(OsStr::from_bytes(name));
    path
}

/// Returns the status of `name` in `directory`, which errors call `disk`.
fn status(directory: impl AsFd, name: impl Arg, disk: impl FnOnce() -> PathBuf) -> Result<Stat> {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| failed("read", &disk(), errno))
}

fn is_denied(error: &Error) -> bool {
    let source = error.source.as_ref().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::PermissionDenied)
}

/// Returns the object that has this `status`, which is neither a socket's nor a directory's, as an entry at `path`. It
/// lies under its name in the directory of that path.
fn entry(
    directory: impl AsFd,
    name: impl Arg,
    status: &Stat,
    times: ChangeTimes,
    (directory_path, file_name): (&Arc<Path>, &[u8]),
    path: Vec<u8>,
) -> Result<Entry> {
    let file_type = FileType::from_raw_mode(status.st_mode);
    let (major, minor) = (major(status.st_rdev), minor(status.st_rdev));
    let kind = match file_type {
        FileType::RegularFile => {
            let (identity, tells_changes) = (Identity::of(status), times.are_kept(status));
            let (directory, name) = (directory_path.clone(), file_name.into());
            Kind::File(Content::Disk(Arc::new(DiskFile { directory, name, identity, tells_changes })))
        }
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice => Kind::CharacterDevice { major, minor },
        FileType::BlockDevice => Kind::BlockDevice { major, minor },
        _ => {
            let target = readlinkat(directory, name, Vec::new());
            Kind::Symlink {
                target: target
                    .map_err(|errno| failed("read the link", &below(directory_path, file_name), errno))?
                    .into_bytes(),
            }
        }
    };
    // Links have no permissions of their own; what lstat shows for them differs between systems.
    let mode = if file_type == FileType::Symlink { 0o777 } else { mode_of(status) & 0o7777 };
    Ok(Entry { path, kind, attributes: Attributes { mode, ..attributes(status) } })
}

/// The directory that is open, as an entry at `path`, which has its extended attributes or none; and its status.
fn directory_entry(directory: &File, disk: &Path, path: Vec<u8>, has_xattrs: bool) -> Result<(Entry, Stat)> {
    let status = fstat(directory).map_err(|errno| failed("read", disk, errno))?;
    let xattrs = if has_xattrs { xattrs(directory, disk)? } else { BTreeMap::new() };
    Ok((Entry { path, kind: Kind::Directory, attributes: Attributes { xattrs, ..attributes(&status) } }, status))
}

/// Returns what `status` says of an object. Times are in whole seconds, as layers that are made here have them.
fn attributes(status: &Stat) -> Attributes {
    Attributes {
        mode: mode_of(status) & 0o7777,
        user: status.st_uid,
        group: status.st_gid,
        modified: Time::of_seconds(status.st_mtime),
        xattrs: BTreeMap::new(),
    }
}

fn is_directory(status: &Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::Directory
}

/// Returns the kind of a special file; none for what is not special.
fn special(status: &Stat) -> Option<FileType> {
    let kind = FileType::from_raw_mode(status.st_mode);
    let is_plain = matches!(kind, FileType::RegularFile | FileType::Directory | FileType::Symlink);
    (!is_plain).then_some(kind)
}

fn not_for_a_layer(disk: &Path, file_type: FileType) -> Error {
    Error::input(format!("{} is {}", disk.display(), name_of(file_type)))
        .with_hint("only files, directories and links go into a layer: exclude it or remove it")
}

/// `directory`, and the names in it.
fn list(directory: OwnedFd, disk: &Path) -> Result<(Dir, Vec<CString>)> {
    let failed = |errno| failed("list", disk, errno);
    let mut listing = Dir::new(directory).map_err(failed)?;
    let mut names = Vec::new();
    while let Some(item) = listing.read() {
        let name = item.map_err(failed)?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok((listing, names))
}

/// An object that was a directory just before, unless it `is_root`, is one that changed if it is none.
fn open_directory(disk: &Path, is_root: bool) -> Result<OwnedFd> {
    open_real(disk, OFlags::RDONLY | OFlags::DIRECTORY).map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP if !is_root => changed(disk).with_source(io::Error::from(errno)),
        errno => failed("list", disk, errno),
    })
}

fn failed(action: &str, disk: &Path, errno: Errno) -> Error {
    Error::io(action, disk, errno.into())
}
