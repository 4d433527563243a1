//! The directories that every process finds: `/dev` with its nodes, and empty ones in place of `/proc` and `/sys`.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, chmodat, makedev, mkdirat, mknodat, symlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::{Arranged, failed};
use crate::error::{Error, Result};
use crate::run::operation::{LINKS, NODES};
use crate::run::place::{Made, PlaceKind, find_or_make};

/// The directories in `/dev`.
const DIRECTORIES: [(&CStr, u32); 3] = [(c"pts", 0o755), (c"shm", 0o1777), (c"mqueue", 0o1777)];

impl Arranged {
    pub(super) fn add_system(&mut self) -> Result<()> {
        // As with docker, an image has directories for what its commands had there.
        for path in [c"/proc", c"/dev", c"/sys"] {
            find_or_make(self.root.as_fd(), path, PlaceKind::Directory, Made::Kept(Uid::ROOT, Gid::ROOT))
                .map_err(|errno| failed("make a place at", path, errno))?;
        }
        self.directory(c"/proc", 0o555, |_, _| Ok(None))?;
        self.directory(c"/dev", 0o755, |made, _| devices(made).map(|()| None))?;
        self.directory(c"/sys", 0o555, |_, _| Ok(None))
    }
}

fn devices(directory: BorrowedFd<'_>) -> Result<()> {
    let directory = directory.as_fd();
    for (name, major, minor) in NODES {
        let mode = Mode::from_bits_retain(0o666);
        let made = mknodat(directory, name, FileType::CharacterDevice, mode, makedev(major, minor))
            .and_then(|()| chmodat(directory, name, mode, AtFlags::empty()));
        made.map_err(|errno| no_device(name, errno))?;
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

fn no_device(name: &CStr, errno: Errno) -> Error {
    let error = failed("make the device", name, errno);
    match errno {
        Errno::PERM => error.with_hint(
            "the capability CAP_MKNOD is missing, or the container may not make devices: docker's defaults have both",
        ),
        _ => error,
    }
}
