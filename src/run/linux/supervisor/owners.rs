//! What is kept of an object that is open.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, FileType, StatxFlags, XattrFlags, chownat, getxattr, lgetxattr, listxattr, removexattr, setxattr, statx,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::identity::{Identity, Right, SAME};
use super::list::{self, List};
use super::target::own_link;
use crate::layer::{CAPABILITY, KEPT_LENGTH, Kept, OWNER};

pub(super) const READ: u32 = 4;
pub(super) const WRITE: u32 = 2;
pub(super) const EXECUTE: u32 = 1;
/// Of directories.
pub(super) const SEARCH: u32 = 1;

/// What an object is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) kept: Kept,
}

impl Status {
    pub(super) fn of(object: BorrowedFd<'_>) -> Result<Status, Errno> {
        let status = statx(object, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
        let kind = FileType::from_raw_mode(status.stx_mode.into());
        Ok(Status {
            kind,
            mode: u32::from(status.stx_mode) & 0o7777,
            device: rustix::fs::makedev(status.stx_dev_major, status.stx_dev_minor),
            inode: status.stx_ino,
            kept: read(&own_link(object), is_plain(kind))?,
        })
    }

    /// Returns whether `identity` may do with `object`, which this is the status of, what `wanted` says, of the bits 4, 2 and 1.
    pub(super) fn permits(&self, object: BorrowedFd<'_>, identity: &Identity, wanted: u32) -> Result<bool, Errno> {
        let is_directory = self.kind == FileType::Directory;
        if identity.has(Right::Override) && (wanted & EXECUTE == 0 || is_directory || self.mode & 0o111 != 0) {
            return Ok(true);
        }
        if identity.has(Right::ReadSearch) && (wanted == READ || is_directory && wanted & WRITE == 0) {
            return Ok(true);
        }
        if identity.user.file == self.kept.user {
            return Ok(self.mode >> 6 & wanted == wanted);
        }
        // Without rights of the group a list gives none.
        let list = if self.mode & 0o070 != 0 && is_plain(self.kind) { List::of(object)? } else { None };
        if let Some(list) = list {
            return Ok(list.permits((self.mode, self.kept.group), identity, wanted));
        }
        let bits = if identity.is_in(self.kept.group) { self.mode >> 3 } else { self.mode };
        Ok(bits & wanted == wanted)
    }

    /// Returns whether it is neither `identity`'s nor that of the directory that it is in: what is shared may hold such.
    pub(super) fn is_of_others(&self, directory: &Status, identity: &Identity) -> bool {
        ![identity.user.file, directory.kept.user].contains(&self.kept.user)
    }

    /// Returns whether it is `identity`'s, or as good as that.
    pub(super) fn is_of(&self, identity: &Identity) -> bool {
        identity.user.file == self.kept.user || identity.has(Right::Owner)
    }
}

/// Returns whether a directory of this mode is everybody's, and what is in it is not.
pub(super) fn is_shared(mode: u32) -> bool {
    const SHARED: u32 = libc::S_ISVTX | libc::S_IWOTH;
    mode & SHARED == SHARED
}

/// Returns whether the mode of `object` says all: it has no list.
pub(super) fn has_no_more_than_its_mode(object: BorrowedFd<'_>) -> bool {
    let mut names = [0; 1024];
    let Ok(length) = listxattr(own_link(object).as_c_str(), &mut names[..]) else { return false };
    let mut names = names[..length].split(|byte| *byte == 0);
    !names.any(|name| name == list::ACCESS.to_bytes() || name == list::KEPT.to_bytes())
}

pub(super) fn is_plain(kind: FileType) -> bool {
    matches!(kind, FileType::RegularFile | FileType::Directory)
}

fn read(path: &CStr, is_plain: bool) -> Result<Kept, Errno> {
    let name = if is_plain { OWNER } else { CAPABILITY };
    Ok(value(path, name, true)
        .map_or_else(Kept::default, |value| if is_plain { Kept::of_plain(&value) } else { Kept::of_other(&value) }))
}

fn value(path: &CStr, name: &CStr, follows: bool) -> Option<Vec<u8>> {
    let mut value = [0; KEPT_LENGTH + 4];
    let length =
        if follows { getxattr(path, name, &mut value[..]) } else { lgetxattr(path, name, &mut value[..]) }.ok()?;
    value.get(..length).map(<[u8]>::to_vec)
}

/// Returns whether anything is kept of what is at `path`. It only looks.
pub(super) fn is_kept(path: &CStr, follows: bool) -> bool {
    match value(path, OWNER, follows) {
        Some(value) => Kept::of_plain(&value) != Kept::default(),
        None => value(path, CAPABILITY, follows).is_some_and(|value| Kept::of_other(&value) != Kept::default()),
    }
}

/// Gives `object` the owner that is to be, as a chown by root does it: a copy is made of what lies below, and rights that go
/// with the owner are taken away.
pub(super) fn chown(object: BorrowedFd<'_>, status: &Status, user: u32, group: u32) -> Result<(), Errno> {
    let real_user = (user != SAME).then_some(Uid::ROOT);
    let real_group = (group != SAME).then_some(Gid::ROOT);
    match chownat(object, c"", real_user, real_group, AtFlags::EMPTY_PATH) {
        // Of pipes and terminals nobody keeps anything.
        Err(_) if !is_kind_of_files(status.kind) => return Ok(()),
        done => done?,
    }
    let or = |id, old| if id == SAME { old } else { id };
    let kept = Kept { user: or(user, status.kept.user), group: or(group, status.kept.group), ..status.kept };
    match keep(object, status, &kept) {
        Err(_) if !is_kind_of_files(status.kind) => Ok(()),
        done => done,
    }
}

fn is_kind_of_files(kind: FileType) -> bool {
    is_plain(kind) || kind == FileType::Symlink
}

/// Keeps what is to be known of `object`.
pub(super) fn keep(object: BorrowedFd<'_>, status: &Status, kept: &Kept) -> Result<(), Errno> {
    let path = own_link(object);
    let is_plain = is_plain(status.kind);
    match kept.attribute(is_plain) {
        Some((name, value)) => setxattr(path.as_c_str(), name, &value, XattrFlags::empty()),
        None if status.kept == Kept::default() => Ok(()),
        None => match removexattr(path.as_c_str(), if is_plain { OWNER } else { CAPABILITY }) {
            // A chown has taken it away, or it was that of a file that is root's.
            Err(Errno::NODATA) => Ok(()),
            removed => removed,
        },
    }
}

/// Keeps that `object`, which was made just now in a directory of `parent`, is of `identity`, or of the directory's group.
pub(super) fn keep_new(
    object: BorrowedFd<'_>,
    identity: &Identity,
    parent: &Status,
    device: Option<crate::layer::Device>,
) -> Result<(), Errno> {
    let group = if parent.mode & libc::S_ISGID == 0 { identity.group.file } else { parent.kept.group };
    let status = Status::of(object.as_fd())?;
    keep(object, &status, &Kept { user: identity.user.file, group, device })
}
