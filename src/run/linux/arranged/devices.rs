//! The directories that every process finds: `/dev` with its nodes, and empty ones that stand in for `/proc` and `/sys`.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, chmodat, makedev, mkdirat, mknodat, openat, symlinkat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::{Arranged, failed};
use crate::error::{Error, Result};
use crate::run::linux::operation::{LINKS, NODES};
use crate::run::linux::place::{Made, PlaceKind, find_or_make};

/// The terminal of a process.
const TERMINAL: &CStr = c"tty";

/// The directories in `/dev`.
const DIRECTORIES: [(&CStr, u32); 3] = [(c"pts", 0o755), (c"shm", 0o1777), (c"mqueue", 0o1777)];

impl Arranged {
    /// Adds the system's devices. Where devices cannot be made or used, and calls are answered, files stand for them.
    pub(super) fn add_system(&mut self, is_serving: bool) -> Result<()> {
        // As with docker, an image has directories for what its commands had there.
        for path in [c"/proc", c"/dev", c"/sys"] {
            find_or_make(self.root.as_fd(), path, PlaceKind::Directory, Made::Kept(Uid::ROOT, Gid::ROOT))
                .map_err(|errno| failed("make a place at", path, errno))?;
        }
        self.directory(c"/proc", 0o555, |_, _| Ok(None))?;
        self.directory(c"/dev", 0o755, |made, _| devices(made, is_serving).map(|()| None))?;
        self.directory(c"/sys", 0o555, |_, _| Ok(None))
    }
}

fn devices(directory: BorrowedFd<'_>, is_serving: bool) -> Result<()> {
    for (name, major, minor) in NODES {
        let mode = Mode::from_bits_retain(0o666);
        let made = mknodat(directory, name, FileType::CharacterDevice, mode, makedev(major, minor))
            .and_then(|()| chmodat(directory, name, mode, AtFlags::empty()));
        let used = made.and_then(|()| match name == TERMINAL {
            // There may be none.
            true => Ok(()),
            false => {
                openat(directory, name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).map(drop)
            }
        });
        match used {
            Err(Errno::PERM | Errno::ACCESS) if is_serving => {
                stand_for(directory, name).map_err(|errno| no_device(name, errno))?
            }
            used => used.map_err(|errno| no_device(name, errno))?,
        }
    }
    for (name, target) in LINKS {
        symlinkat(target, directory, name).map_err(|errno| failed("make the link", name, errno))?;
    }
    for (name, mode) in DIRECTORIES {
        let mode = Mode::from_bits_retain(mode);
        mkdirat(directory, name, mode)
            .and_then(|()| chmodat(directory, name, mode, AtFlags::empty()))
            .map_err(|errno| failed("make the directory", name, errno))?;
    }
    Ok(())
}

/// Makes a file that a device of the machine's own is served for; there is none of a terminal.
fn stand_for(directory: BorrowedFd<'_>, name: &CStr) -> std::result::Result<(), Errno> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) | Ok(()) => {}
        Err(errno) => return Err(errno),
    }
    match name == TERMINAL {
        true => Ok(()),
        false => mknodat(directory, name, FileType::RegularFile, Mode::from_bits_retain(0o444), 0),
    }
}

fn no_device(name: &CStr, errno: Errno) -> Error {
    let error = failed("make the device", name, errno);
    match errno {
        Errno::PERM => error.with_hint(
            "the capability CAP_MKNOD is missing, or the container may not make devices: docker's defaults have both",
        ),
        Errno::ACCESS => error.with_hint(
            "the file system of the store must not be mounted with `nodev`, and the container must be allowed to use \
                the device",
        ),
        _ => error,
    }
}
