//! Places in the root: looked up within it, whatever its links say, and made where they are missing.
//!
//! Nothing here allocates. Nobody else changes the root at this time: its commands have not begun, or have ended.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, chmodat, chownat, fstat, mkdirat, mknodat, openat,
    readlinkat_raw, statat, unlinkat,
};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use super::system::open_within;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::fchdir;

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;
/// In bytes; a link can be as long as a path, and stands before what is left of one.
const LONGEST: usize = 2 * libc::PATH_MAX as usize;

const DIRECTORY_MODE: Mode = Mode::from_bits_retain(0o755);
const FILE_MODE: Mode = Mode::from_bits_retain(0o644);

/// What has to be at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceKind {
    Directory,
    File,
}

/// What becomes of what is made where something is missing.
pub(super) enum Made<'a> {
    /// It is taken away in the end, if it is as it was made.
    Stub(&'a mut Stubs),
    /// It stays, and is this user's and group's.
    Kept(Uid, Gid),
}

/// What was made for mounts, in the order in which it was made.
pub(super) struct Stubs {
    /// Has room from the start.
    made: Vec<Stub>,
    /// The file system that stubs are taken away from.
    device: u64,
}

struct Stub {
    parent: OwnedFd,
    name: Name,
    kind: PlaceKind,
}

/// One name of a path, with a null byte behind it.
struct Name {
    bytes: [u8; 256],
}

impl Name {
    fn new(name: &[u8]) -> Result<Name, Errno> {
        let mut bytes = [0; 256];
        bytes.get_mut(..name.len()).filter(|_| name.len() < 256).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(name);
        Ok(Name { bytes })
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl Stubs {
    /// Returns room for `most` stubs.
    pub(super) fn with_room(most: usize) -> Stubs {
        Stubs { made: Vec::with_capacity(most), device: 0 }
    }

    /// Says which root it is about.
    pub(super) fn begin(&mut self, root: BorrowedFd<'_>) -> Result<(), Errno> {
        self.device = fstat(root)?.st_dev;
        Ok(())
    }

    /// Notes what was made in `parent`, if it is a part of the root and not of something that is mounted there.
    fn note(&mut self, parent: &OwnedFd, name: Name, kind: PlaceKind) -> Result<(), Errno> {
        if fstat(parent)?.st_dev != self.device {
            return Ok(());
        }
        if self.made.len() == self.made.capacity() {
            return Err(Errno::NOSPC);
        }
        self.made.push(Stub { parent: fcntl_dupfd_cloexec(parent, 0)?, name, kind });
        Ok(())
    }

    /// Takes away what was made and is as it was made, the last first. Only descriptors and single names are used: where a
    /// command has put a link in place of a directory, nobody follows it.
    pub(super) fn remove(&self) {
        for stub in self.made.iter().rev() {
            if fchdir(&stub.parent).is_ok() {
                // It may be mounted over several times.
                while unmount(stub.name.as_c_str(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
                stub.remove();
            }
        }
    }

    /// Does the same where nothing was mounted.
    pub(super) fn remove_unmounted(&self) {
        self.made.iter().rev().for_each(Stub::remove);
    }
}

impl Stub {
    fn remove(&self) {
        let name = self.name.as_c_str();
        let Ok(status) = statat(&self.parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        let mode = Mode::from_raw_mode(status.st_mode);
        let (is_kept, flags) = match (self.kind, FileType::from_raw_mode(status.st_mode)) {
            (PlaceKind::Directory, FileType::Directory) => (mode == DIRECTORY_MODE, AtFlags::REMOVEDIR),
            (PlaceKind::File, FileType::RegularFile) => (mode == FILE_MODE && status.st_size == 0, AtFlags::empty()),
            _ => return,
        };
        if is_kept && status.st_uid == 0 && status.st_gid == 0 {
            // A directory that is used by now stays.
            let _ = unlinkat(&self.parent, name, flags);
        }
    }
}

/// Opens what is at `path` in `root`, without the right to read it. What is missing is made, directories on the way
/// included.
pub(super) fn find_or_make(
    root: BorrowedFd<'_>,
    path: &CStr,
    kind: PlaceKind,
    made: Made<'_>,
) -> Result<OwnedFd, Errno> {
    match find(root, path) {
        Err(Errno::NOENT) => Walk::new(root, path)?.make(kind, made),
        found => found,
    }
}

/// Opens what is at `path` in `root`, without the right to read it.
pub(super) fn find(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    open_within(root, path, OFlags::PATH | OFlags::CLOEXEC, within)
}

/// A path that is gone along name by name, since something in it is missing.
struct Walk<'a> {
    root: BorrowedFd<'a>,
    at: OwnedFd,
    /// What is left of the path stands at the end.
    rest: [u8; LONGEST],
    start: usize,
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(root: BorrowedFd<'a>, path: &CStr) -> Result<Self, Errno> {
        let mut walk = Walk { root, at: enter(root, c".")?, rest: [0; LONGEST], start: LONGEST, links: 0 };
        walk.put_in_front(path.to_bytes())?;
        Ok(walk)
    }

    fn make(mut self, kind: PlaceKind, mut becomes: Made<'_>) -> Result<OwnedFd, Errno> {
        while let Some((name, is_last)) = self.next()? {
            let kind = if is_last { kind } else { PlaceKind::Directory };
            match name.as_c_str().to_bytes() {
                b"." => continue,
                b".." => {
                    self.leave()?;
                    continue;
                }
                _ => {}
            }
            let found = match open_name(&self.at, name.as_c_str()) {
                Err(Errno::NOENT) => {
                    match kind {
                        PlaceKind::Directory => mkdirat(&self.at, name.as_c_str(), DIRECTORY_MODE)?,
                        PlaceKind::File => mknodat(&self.at, name.as_c_str(), FileType::RegularFile, FILE_MODE, 0)?,
                    }
                    let made = open_name(&self.at, name.as_c_str())?;
                    give_mode(&self.at, name.as_c_str(), &made, kind)?;
                    match &mut becomes {
                        Made::Stub(stubs) => stubs.note(&self.at, name, kind)?,
                        Made::Kept(user, group) => {
                            chownat(&made, c"", Some(*user), Some(*group), AtFlags::EMPTY_PATH)?;
                        }
                    }
                    made
                }
                found => found?,
            };
            self.follow(found)?;
        }
        Ok(self.at)
    }

    /// Goes on at `found`, or where it leads if it is a link.
    fn follow(&mut self, found: OwnedFd) -> Result<(), Errno> {
        if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::Symlink {
            self.at = found;
            return Ok(());
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::LOOP);
        }
        let mut target = [0u8; libc::PATH_MAX as usize];
        let length = readlinkat_raw(&found, c"", &mut target[..])?;
        let target = target.get(..length).unwrap_or_default();
        if target.starts_with(b"/") {
            self.at = enter(self.root, c".")?;
        }
        if self.start < LONGEST {
            self.put_in_front(b"/")?;
        }
        self.put_in_front(target)
    }

    /// Goes to the directory above, which for the root is itself.
    fn leave(&mut self) -> Result<(), Errno> {
        let (here, root) = (fstat(&self.at)?, fstat(self.root)?);
        if (here.st_dev, here.st_ino) != (root.st_dev, root.st_ino) {
            self.at = enter(self.at.as_fd(), c"..")?;
        }
        Ok(())
    }

    /// Takes the next name off, and says whether it is the last one.
    fn next(&mut self) -> Result<Option<(Name, bool)>, Errno> {
        let rest = self.rest.get(self.start..).unwrap_or_default();
        let Some(begin) = rest.iter().position(|byte| *byte != b'/') else { return Ok(None) };
        let name = rest.get(begin..).unwrap_or_default();
        let length = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
        let is_last = name.iter().skip(length).all(|byte| *byte == b'/');
        let name = Name::new(name.get(..length).unwrap_or_default())?;
        self.start += begin + length;
        Ok(Some((name, is_last)))
    }

    fn put_in_front(&mut self, part: &[u8]) -> Result<(), Errno> {
        let start = self.start.checked_sub(part.len()).ok_or(Errno::NAMETOOLONG)?;
        self.rest.get_mut(start..self.start).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(part);
        self.start = start;
        Ok(())
    }
}

fn enter(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    openat(directory, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Gives what was made as `name` the permissions that a umask may have taken from it.
fn give_mode(directory: &OwnedFd, name: &CStr, made: &OwnedFd, kind: PlaceKind) -> Result<(), Errno> {
    let wanted = if kind == PlaceKind::Directory { DIRECTORY_MODE } else { FILE_MODE };
    let mode = Mode::from_raw_mode(fstat(made)?.st_mode);
    if mode.contains(wanted) { Ok(()) } else { chmodat(directory, name, mode | wanted, AtFlags::empty()) }
}

fn open_name(directory: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
