//! Rules of Landlock, by which a process gives up rights for itself and all that it starts (the kernel's
//! Documentation/userspace-api/landlock.rst). A few calls that must not allocate: less than what a crate would take.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::{mem, ptr};

use rustix::io::Errno;

use super::system::outcome;

/// What this kernel's Landlock can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Landlock(i64);

/// In the first version no file can be moved to another directory.
const FILES: Landlock = Landlock(2);
const SCOPES: Landlock = Landlock(6);

const SCOPE_ABSTRACT_SOCKETS: u64 = 1;
const SCOPE_SIGNALS: u64 = 2;

/// Moving files and giving them names elsewhere.
const MOVE: u64 = 1 << 13;
/// Making device nodes: nobody is given that.
const MAKE_DEVICES: u64 = 1 << 6 | 1 << 11;

#[repr(C)]
struct Rules {
    files: u64,
    network: u64,
    scopes: u64,
}

#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    directory: RawFd,
}

impl Landlock {
    /// Asks the kernel. One that has none can do nothing.
    pub(super) fn here() -> Landlock {
        const VERSION: u32 = 1;
        // SAFETY: without rules it reads no memory.
        let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<Rules>(), 0, VERSION) };
        Landlock(outcome(version).unwrap_or_default())
    }

    /// Returns what a kernel has whose Landlock is of this version.
    #[cfg(test)]
    pub(super) fn of_version(version: i64) -> Landlock {
        Landlock(version)
    }

    /// Returns whether processes can be kept from looking into others.
    pub(super) fn is_there(self) -> bool {
        self >= FILES
    }

    /// Returns whether processes can be kept from sending signals to others.
    pub(super) fn has_signals(self) -> bool {
        self >= SCOPES
    }

    /// Keeps this process from sending signals to others than those that it starts, where the kernel can. They may still move
    /// files in `root`.
    pub(super) fn keep_signals(self, root: BorrowedFd<'_>) -> Result<(), Errno> {
        if !self.has_signals() {
            return Ok(());
        }
        // Of all rights this one is missing where nothing is said of it, once a process has other rules of files.
        restrict(&Rules { files: MOVE, network: 0, scopes: SCOPE_SIGNALS }, Some((root, MOVE)))
    }

    /// Keeps this process, which may still mount, from sending signals to others than those that it starts, where the kernel
    /// can.
    pub(super) fn keep_signals_alone(self) -> Result<(), Errno> {
        if !self.has_signals() {
            return Ok(());
        }
        restrict(&Rules { files: 0, network: 0, scopes: SCOPE_SIGNALS }, None)
    }

    /// Keeps this process from looking into others, and from their abstract sockets and signals as far as the kernel can. It may
    /// still do all with the files in `root`, which is its own root.
    pub(super) fn leave_others(self, root: BorrowedFd<'_>) -> Result<(), Errno> {
        if self.has_signals() {
            return restrict(&Rules { files: 0, network: 0, scopes: SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS }, None);
        }
        // Any rule at all puts others out of its sight.
        restrict(&Rules { files: MOVE, network: 0, scopes: 0 }, Some((root, MOVE)))
    }

    /// Keeps this process from all files but those in `root`, from making devices there, from abstract sockets and signals of
    /// others, as far as the kernel can.
    pub(super) fn keep_within(self, root: BorrowedFd<'_>) -> Result<(), Errno> {
        if !self.is_there() {
            return Ok(());
        }
        // Each version knows more that can be done with files.
        let files = match self.0 {
            ..3 => (1 << 14) - 1,
            3..5 => (1 << 15) - 1,
            5.. => (1 << 16) - 1,
        };
        let scopes = if self.has_signals() { SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS } else { 0 };
        restrict(&Rules { files, network: 0, scopes }, Some((root, files & !MAKE_DEVICES)))
    }
}

/// Puts abstract sockets that others have opened out of reach, where the kernel can.
pub(super) fn leave_abstract_sockets() -> Result<(), Errno> {
    restrict(&Rules { files: 0, network: 0, scopes: SCOPE_ABSTRACT_SOCKETS }, None)
}

fn restrict(rules: &Rules, beneath: Option<(BorrowedFd<'_>, u64)>) -> Result<(), Errno> {
    let size = mem::size_of::<Rules>();
    // SAFETY: the rules are of the size that is said.
    let made = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::from_ref(rules), size, 0) };
    // SAFETY: the kernel has just opened it for this process.
    let set = unsafe { OwnedFd::from_raw_fd(outcome(made)? as RawFd) };
    if let Some((directory, allowed)) = beneath {
        const PATH_BENEATH: u32 = 1;
        let rule = Beneath { allowed, directory: directory.as_raw_fd() };
        // SAFETY: the rule is of the type that the kernel reads.
        let added = unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, set.as_raw_fd(), PATH_BENEATH, ptr::from_ref(&rule), 0)
        };
        outcome(added)?;
    }
    // SAFETY: it touches no memory.
    outcome(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, set.as_raw_fd(), 0) }).map(|_| ())
}
