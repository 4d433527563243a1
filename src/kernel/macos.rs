//! macOS.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat, XattrFlags, fsetxattr, fstat, openat, renameat_with,
    statat,
};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::path::Arg;
use rustix::pty::{OpenptFlags, openpt};

use super::ObjectMark;

/// Opens a directory for the names in it alone. It has to be one that may be read, for nothing opens it for less.
pub const PLACE: OFlags = OFlags::DIRECTORY;

/// Opens a link itself (`O_SYMLINK`, sys/fcntl.h).
const LINK: OFlags = OFlags::from_bits_retain(0x0020_0000);

/// Fails with `ENOSYS`: there is no call that opens a path of several names and follows no link among them.
pub fn open_at_once(_path: &Path, _flags: OFlags) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// Fails with `ENOSYS`: nothing is opened for its path alone.
pub fn open_by_path(_directory: impl AsFd, _name: impl Arg, _flags: OFlags) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// An object that was looked for, of whatever kind, and is not opened. It is known by the directory that it is in, which was.
#[derive(Debug)]
pub struct Found {
    directory: OwnedFd,
    name: OsString,
    status: Stat,
}

impl Found {
    /// Finds what is at `path`, whose directory is opened by `open`, which follows no link. A link is found itself.
    pub fn find(path: &Path, open: impl Fn(&Path, OFlags) -> Result<OwnedFd, Errno>) -> Result<Found, Errno> {
        let here = OsStr::new(".");
        let (directory, name) = match (path.parent(), path.file_name()) {
            (Some(directory), Some(name)) if directory.as_os_str().is_empty() => (Path::new(here), name),
            (Some(directory), Some(name)) => (directory, name),
            _ => (path, here),
        };
        let directory = open(directory, PLACE)?;
        let status = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Found { directory, name: name.to_owned(), status })
    }

    /// Returns what it was when it was found.
    pub fn status(&self) -> Result<Stat, Errno> {
        Ok(self.status)
    }

    /// Returns a directory and the name by which a link is read from there.
    pub fn place(&self) -> (BorrowedFd<'_>, &OsStr) {
        (self.directory.as_fd(), &self.name)
    }
}

impl ObjectMark {
    /// Returns that of `name` in `directory`. A link is looked at itself.
    pub fn at(directory: impl AsFd, name: impl Arg) -> Result<ObjectMark, Errno> {
        statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map(|status| Self::of(&status))
    }

    /// Returns that of an open object.
    pub fn of_open(object: impl AsFd) -> Result<ObjectMark, Errno> {
        fstat(object).map(|status| Self::of(&status))
    }

    fn of(status: &Stat) -> ObjectMark {
        let time = |seconds, nanoseconds: i64| (seconds, u32::try_from(nanoseconds).unwrap_or_default());
        ObjectMark {
            kind: FileType::from_raw_mode(status.st_mode),
            inode: status.st_ino,
            links: status.st_nlink.into(),
            size: status.st_size.cast_unsigned(),
            // As widened as a device's number is elsewhere.
            device: i64::from(status.st_rdev).cast_unsigned(),
            born: time(status.st_birthtime, status.st_birthtime_nsec),
            changed: time(status.st_ctime, status.st_ctime_nsec),
            modified: time(status.st_mtime, status.st_mtime_nsec),
        }
    }
}

/// Calls `each` with every name in the open `directory` but `.` and `..`, until it fails. What fails in reading the directory
/// becomes an error by `failed`.
pub fn for_each_name<E>(
    directory: impl AsFd,
    failed: impl Fn(Errno) -> E,
    mut each: impl FnMut(&CStr) -> Result<(), E>,
) -> Result<(), E> {
    for entry in Dir::read_from(directory).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            each(name)?;
        }
    }
    Ok(())
}

/// Makes no node: the only calls for that take a path, whose directories may be exchanged for links meanwhile. Of a device that
/// is `EPERM`, as for who may not make it.
pub fn make_node(
    _directory: impl AsFd,
    _name: impl Arg,
    kind: FileType,
    _mode: Mode,
    _device: u64,
) -> Result<(), Errno> {
    match kind {
        FileType::BlockDevice | FileType::CharacterDevice => Err(Errno::PERM),
        _ => Err(Errno::NOTSUP),
    }
}

/// Gives what is at `from` the name `to`, where nothing may stand. `ENOSYS` where the file system cannot do that in one step.
pub fn rename_new(from: (impl AsFd, impl Arg), to: (impl AsFd, impl Arg)) -> Result<(), Errno> {
    match renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE) {
        Err(Errno::NOTSUP) => Err(Errno::NOSYS),
        renamed => renamed,
    }
}

/// Fails: blocks are shared with a file that is new, not with one that is there.
pub fn share_blocks(_source: &File, _target: &File) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

/// Fails with `ENOSYS`: the system copies no part of a file.
pub fn copy_range(_source: (&File, &mut u64), _target: (&File, &mut u64), _length: usize) -> Result<usize, Errno> {
    Err(Errno::NOSYS)
}

/// Sets an extended attribute of the link `name` in `directory`, which is not followed. Nothing else that is not opened for being
/// read or written is made here.
pub fn set_xattr_of_other(directory: BorrowedFd<'_>, name: &[u8], attribute: &[u8], value: &[u8]) -> Result<(), Errno> {
    let link = openat(directory, name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | LINK, Mode::empty())?;
    fsetxattr(link, attribute, value, XattrFlags::empty())
}

/// Returns an empty file that has no name any more.
pub fn spare_file(_purpose: &str) -> io::Result<File> {
    tempfile::tempfile()
}

/// Opens the near end of a new terminal.
pub fn open_terminal() -> Result<OwnedFd, Errno> {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    fcntl_setfd(&near, FdFlags::CLOEXEC)?;
    Ok(near)
}

/// Returns what the users and the groups of this process are outside of a user namespace, in lines as Linux writes them: all are
/// what they are, for there is no such thing.
pub fn id_maps() -> io::Result<[String; 2]> {
    let all = format!("0 0 {}\n", u32::MAX);
    Ok([all.clone(), all])
}

/// Returns what the program is that this process runs.
pub fn own_program() -> io::Result<Metadata> {
    fs::metadata(std::env::current_exe()?)
}

/// Returns whether a link to `target` leads to a file that this process has open, as `/dev/stdout` does.
pub fn is_open_file(target: &Path) -> bool {
    target.starts_with("fd") || target.starts_with("/dev/fd")
}
