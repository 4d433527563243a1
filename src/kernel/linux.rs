//! Linux.

use std::ffi::{CStr, OsStr};
use std::fs::{self, File, Metadata};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, MemfdFlags, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, Stat, StatxFlags,
    StatxTimestamp, XattrFlags, copy_file_range, fstat, ioctl_ficlone, lsetxattr, memfd_create, mknodat, openat,
    openat2, renameat_with, statx,
};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::pty::{OpenptFlags, openpt};

use super::ObjectMark;

/// Opens a directory for the names in it alone, which takes no right to read it.
pub const PLACE: OFlags = OFlags::PATH;

/// In bytes: as much of a directory is read at a time.
const NAMES_AT_ONCE: usize = 16 << 10;

/// Opens what is at `path`, none of whose names may be a link, in one call. `ENOSYS`, or `EPERM`, where there is no such call.
pub fn open_at_once(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// Opens `name` in `directory`, of whatever kind it is, for its path alone: that takes no right to read it, and nothing waits
/// for it.
pub fn open_by_path(directory: impl AsFd, name: impl Arg, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(directory, name, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty())
}

/// An object that was looked for, of whatever kind, and is not opened for being read.
#[derive(Debug)]
pub struct Found(OwnedFd);

impl Found {
    /// Finds what is at `path` by `open`, which follows no link. A link is found itself.
    pub fn find(path: &Path, open: impl Fn(&Path, OFlags) -> Result<OwnedFd, Errno>) -> Result<Found, Errno> {
        open(path, OFlags::PATH).map(Found)
    }

    /// Returns what it is.
    pub fn status(&self) -> Result<Stat, Errno> {
        fstat(&self.0)
    }

    /// Returns a directory and the name by which a link is read from there.
    pub fn place(&self) -> (BorrowedFd<'_>, &OsStr) {
        (self.0.as_fd(), OsStr::new(""))
    }
}

impl ObjectMark {
    /// Returns that of `name` in `directory`. A link is looked at itself.
    pub fn at(directory: impl AsFd, name: impl Arg) -> Result<ObjectMark, Errno> {
        Self::of(directory, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Returns that of an open object.
    pub fn of_open(object: impl AsFd) -> Result<ObjectMark, Errno> {
        Self::of(object, c"", AtFlags::EMPTY_PATH)
    }

    fn of(directory: impl AsFd, name: impl Arg, flags: AtFlags) -> Result<ObjectMark, Errno> {
        let status = statx(directory, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        let time = |time: StatxTimestamp| (time.tv_sec, time.tv_nsec);
        Ok(ObjectMark {
            kind: FileType::from_raw_mode(status.stx_mode.into()),
            inode: status.stx_ino,
            links: status.stx_nlink,
            size: status.stx_size,
            device: super::device(status.stx_rdev_major, status.stx_rdev_minor),
            born: time(status.stx_btime),
            changed: time(status.stx_ctime),
            modified: time(status.stx_mtime),
        })
    }
}

/// Calls `each` with every name in the open `directory` but `.` and `..`, until it fails. What fails in reading the directory
/// becomes an error by `failed`.
pub fn for_each_name<E>(
    directory: impl AsFd,
    failed: impl Fn(Errno) -> E,
    mut each: impl FnMut(&CStr) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = [MaybeUninit::uninit(); NAMES_AT_ONCE];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(&failed)?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            each(name)?;
        }
    }
    Ok(())
}

/// Makes a node of this `kind` where nothing is: a FIFO, a socket, or that of the device of this number. `EPERM` where a device
/// may not be made.
pub fn make_node(directory: impl AsFd, name: impl Arg, kind: FileType, mode: Mode, device: u64) -> Result<(), Errno> {
    mknodat(directory, name, kind, mode, device)
}

/// Gives what is at `from` the name `to`, where nothing may stand. `EINVAL` or `ENOSYS` where the file system cannot do that in
/// one step.
pub fn rename_new(from: (impl AsFd, impl Arg), to: (impl AsFd, impl Arg)) -> Result<(), Errno> {
    renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE)
}

/// Makes the blocks of `source` those of `target`, too, which is empty. Fails where the file system cannot share them.
pub fn share_blocks(source: &File, target: &File) -> Result<(), Errno> {
    ioctl_ficlone(target, source)
}

/// Copies at most `length` bytes within the system, moves both places on, and returns how many it were. `ENOSYS`, or another of
/// those that say so, where it cannot do that between those two.
pub fn copy_range(source: (&File, &mut u64), target: (&File, &mut u64), length: usize) -> Result<usize, Errno> {
    copy_file_range(source.0, Some(source.1), target.0, Some(target.1), length)
}

/// Sets an extended attribute of `name` in `directory`, which cannot be opened for being read or written: a link is not
/// followed.
pub fn set_xattr_of_other(directory: BorrowedFd<'_>, name: &[u8], attribute: &[u8], value: &[u8]) -> Result<(), Errno> {
    // There is no call that takes a directory and a name.
    let through = [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name].concat();
    lsetxattr(through.as_slice(), attribute, value, XattrFlags::empty())
}

/// Returns an empty file that has no name on a disk; `purpose` is what the system calls it.
pub fn spare_file(purpose: &str) -> io::Result<File> {
    Ok(memfd_create(purpose, MemfdFlags::CLOEXEC)?.into())
}

/// Opens the near end of a new terminal.
pub fn open_terminal() -> Result<OwnedFd, Errno> {
    openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
}

/// Returns what the users and the groups of this process are outside of its user namespace, in lines as the kernel writes them.
/// Fails where `/proc` does not tell it.
pub fn id_maps() -> io::Result<[String; 2]> {
    Ok([fs::read_to_string("/proc/self/uid_map")?, fs::read_to_string("/proc/self/gid_map")?])
}

/// Returns what the program is that this process runs.
pub fn own_program() -> io::Result<Metadata> {
    fs::metadata("/proc/self/exe")
}

/// Returns whether a link to `target` leads to a file that this process has open, as `/dev/stdout` does.
pub fn is_open_file(target: &Path) -> bool {
    target.starts_with("/proc")
}
