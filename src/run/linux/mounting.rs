//! File systems and mounts by descriptors. Nothing here allocates.

use std::ffi::CStr;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, move_mount, open_tree,
};

/// The path by which the kernel finds what a descriptor stands for, however long the path of that is.
pub(super) struct Link([u8; 32]);

impl Link {
    pub(super) fn of(descriptor: BorrowedFd<'_>) -> Link {
        let mut path = [0; 32];
        // The longest is shorter.
        let _ = write!(&mut path[..31], "/proc/self/fd/{}", descriptor.as_raw_fd());
        Link(path)
    }

    pub(super) fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// Opens a file system that is not made yet.
pub(super) fn open_new(filesystem: &CStr) -> Result<OwnedFd, Errno> {
    let opened = fsopen(filesystem, FsOpenFlags::FSOPEN_CLOEXEC)?;
    // It is listed by that, as docker has it.
    fsconfig_set_string(&opened, c"source", filesystem)?;
    Ok(opened)
}

/// Makes a file system, and a mount of it that is nowhere yet.
pub(super) fn make(filesystem: &OwnedFd, attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    fsconfig_create(filesystem)?;
    fsmount(filesystem, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Puts a mount that is nowhere at a place.
pub(super) fn attach(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    let by_descriptors = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", place, c"", by_descriptors)
}

/// Returns a second mount, which is nowhere yet, of what is at `path` in `directory`, and of what is mounted below.
pub(super) fn copy(directory: impl AsFd, path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    open_tree(directory, path, flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_its_descriptor() {
        let file = tempfile::tempfile().unwrap();
        let link = Link::of(file.as_fd());
        assert_eq!(link.path().to_str().unwrap(), format!("/proc/self/fd/{}", file.as_raw_fd()));
    }
}
