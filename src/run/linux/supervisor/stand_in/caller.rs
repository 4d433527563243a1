//! Who has made a call, and what it says in its memory. What is looked at for a process is looked at as its user: the kernel
//! then says what that user may see, as it would say to the process itself.

use std::ffi::CString;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, StatxFlags, readlinkat, statx};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

use crate::run::linux::supervisor::target::{Base, Target, WORKING_DIRECTORY};
use crate::run::linux::system::set_file_ids;

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIds {
    pub(super) user: u32,
    pub(super) group: u32,
}

pub(super) const ROOT: FileIds = FileIds { user: 0, group: 0 };

const LONGEST_PATH: usize = libc::PATH_MAX as usize;

/// The process that has made a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) target: Target,
    pub(super) ids: FileIds,
}

impl Caller {
    /// Reads the path at the argument `path` of the call that `target` has made, and finds out whose it is: `usual` is tried
    /// where that is hidden. Fails for who cannot be looked into.
    pub(super) fn of(
        target: Target,
        path: usize,
        processes: BorrowedFd<'_>,
        usual: FileIds,
    ) -> Result<(Caller, CString), Errno> {
        let read = || target.string(target.argument(path), LONGEST_PATH);
        match read() {
            Err(Errno::PERM) => {}
            read => return Ok((Caller { target, ids: ROOT }, read?)),
        }
        let status = statx(processes, target.thread.to_string(), AtFlags::empty(), StatxFlags::UID | StatxFlags::GID);
        let ids = status.map_or(usual, |status| FileIds { user: status.stx_uid, group: status.stx_gid });
        if ids == ROOT {
            return Err(Errno::PERM);
        }
        let caller = Caller { target, ids };
        let path = caller.be_it(read)??;
        Ok((caller, path))
    }

    /// Writes into the memory of the process.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.be_it(|| self.target.write(address, bytes))?
    }

    /// Reads from the memory of the process.
    pub(super) fn read_numbers(&self, address: u64, count: usize) -> Result<Vec<u32>, Errno> {
        self.be_it(|| self.target.read_numbers(address, count))?
    }

    /// Does what asks for the real ids of the process: nobody may send signals to this program by them for longer than that.
    fn be_it<T>(&self, what: impl FnOnce() -> T) -> Result<T, Errno> {
        if self.ids == ROOT {
            return Ok(what());
        }
        set_real(self.ids)?;
        let done = what();
        set_real(ROOT)?;
        Ok(done)
    }

    /// Does `what` with files as the user of the process.
    pub(super) fn act<T>(&self, what: impl FnOnce() -> T) -> T {
        if self.ids == ROOT {
            return what();
        }
        set_file_ids(self.ids.user, self.ids.group);
        let done = what();
        set_file_ids(ROOT.user, ROOT.group);
        done
    }

    /// Returns the link of `/proc` to what a path begins at.
    pub(super) fn base(&self, processes: BorrowedFd<'_>, base: Base) -> Result<Vec<u8>, Errno> {
        let link = match base {
            Base(WORKING_DIRECTORY) => format!("{}/cwd", self.target.thread),
            Base(descriptor) => format!("{}/fd/{descriptor}", self.target.thread),
        };
        self.act(|| readlinkat(processes, link, Vec::new())).map(CString::into_bytes)
    }
}

fn set_real(ids: FileIds) -> Result<(), Errno> {
    set_thread_res_gid(Gid::from_raw(ids.group), Gid::ROOT, Gid::ROOT)?;
    set_thread_res_uid(Uid::from_raw(ids.user), Uid::ROOT, Uid::ROOT)
}
