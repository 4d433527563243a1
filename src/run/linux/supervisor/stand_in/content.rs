//! What files of `/proc` and `/sys` hold, as files in memory that nobody can write to: whoever has a file of the machine's own
//! open could change its mode for all.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fchmod, fcntl_add_seals, fstat, memfd_create};
use rustix::io::Errno;

use super::caller::Caller;
use super::machine::{Component, Original, ThisMachine, Tree};
use super::mounts;
use crate::run::linux::supervisor::target::own_link;

/// In bytes. The longest of all is that of the kernel's symbols.
const LONGEST: u64 = 32 << 20;

/// As many files as are known by their numbers and not read yet.
const MOST_EMPTY: usize = 64;

/// Files that were looked at and not opened yet. A file has to be the same when it is opened, for whoever copies it.
#[derive(Default)]
pub(super) struct Snapshots {
    empty: HashMap<(u8, Vec<Component>), File>,
}

impl Snapshots {
    /// Returns the numbers of the device and the inode that `file` will have.
    pub(super) fn marks(&mut self, file: &Original) -> Result<(u64, u64), Errno> {
        if self.empty.len() >= MOST_EMPTY {
            self.empty.clear();
        }
        let file = match self.empty.entry(key(file)) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(in_memory()?),
        };
        let status = fstat(file.as_fd())?;
        Ok((status.st_dev, status.st_ino))
    }

    /// Returns a file that holds what `file` does now.
    pub(super) fn of(&mut self, machine: &ThisMachine, caller: &Caller, file: &Original) -> Result<OwnedFd, Errno> {
        let mut content = Vec::new();
        // The mode and the owner are the file's own even where what is shown is made here.
        let opened = machine.reopen(caller, file.object.as_fd(), OFlags::RDONLY | OFlags::NONBLOCK)?;
        if is_of_mounts(file) {
            let all = machine.open_own(c"self/mountinfo")?;
            let mut text = Vec::new();
            File::from(all).read_to_end(&mut text).map_err(errno_of)?;
            content = mounts::shown(&text, machine.root(), is_called(file, b"mountinfo"));
        } else {
            File::from(opened).take(LONGEST + 1).read_to_end(&mut content).map_err(errno_of)?;
        }
        if content.len() as u64 > LONGEST {
            return Err(Errno::FBIG);
        }
        let mut made = self.empty.remove(&key(file)).map_or_else(in_memory, Ok)?;
        made.write_all(&content).and_then(|()| made.rewind()).map_err(errno_of)?;
        fchmod(&made, Mode::from_bits_retain(0o444))?;
        fcntl_add_seals(&made, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        // One that was opened to read it alone.
        machine.open_own(&own_link(made.as_fd()))
    }
}

/// Returns whether the file is handed over itself: what it says goes by who reads it, and nobody can change its mode.
pub(super) fn is_live(file: &Original) -> bool {
    let Some(names) = file.in_process() else { return false };
    match names {
        [_] => !is_of_mounts(file),
        [directory, _] => [&b"attr"[..], b"fdinfo"].contains(&&directory[..]),
        _ => false,
    }
}

fn is_of_mounts(file: &Original) -> bool {
    is_called(file, b"mounts") || is_called(file, b"mountinfo")
}

/// Returns whether the file is that of a process.
pub(super) fn is_called(file: &Original, name: &[u8]) -> bool {
    matches!(file.in_process(), Some([only]) if only == name)
}

fn key(file: &Original) -> (u8, Vec<Component>) {
    (u8::from(file.tree == Tree::Kernel), file.names.clone())
}

fn in_memory() -> Result<File, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 know no files in memory that are not executed.
    let made = match memfd_create(c"proc", flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(c"proc", flags),
        made => made,
    };
    made.map(File::from)
}

fn errno_of(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
