//! The calls that take a path, by their numbers, as far as something in `/proc` or `/sys` answers to them.

use linux_raw_sys::general as n;

/// What a call does with its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "newer machines have the newer calls alone"))]
pub(in crate::run::linux) enum PathCall {
    Open,
    Openat,
    Openat2,
    Creat,
    Stat,
    Lstat,
    Fstatat,
    Statx,
    Access,
    Faccessat,
    Faccessat2,
    Readlink,
    Readlinkat,
    Statfs,
    Chdir,
    Execve,
    Execveat,
}

/// A call's number, what it does, and the argument and its bits with which it cannot be about `/proc` or `/sys`: the kernel
/// then does it unasked.
pub(in crate::run::linux) type Numbered = (u32, PathCall, Option<(u32, u32)>);

/// What is made new is made in the root, and what is open already needs no path.
const MAKES_NEW: u32 = libc::O_EXCL as u32;
const IS_OPEN: u32 = libc::AT_EMPTY_PATH as u32;

/// Those that all machines have.
const COMMON: &[Numbered] = &[
    (n::__NR_openat, PathCall::Openat, Some((2, MAKES_NEW))),
    (n::__NR_openat2, PathCall::Openat2, None),
    (n::__NR_newfstatat, PathCall::Fstatat, Some((3, IS_OPEN))),
    (n::__NR_statx, PathCall::Statx, Some((2, IS_OPEN))),
    (n::__NR_faccessat, PathCall::Faccessat, None),
    (n::__NR_faccessat2, PathCall::Faccessat2, Some((3, IS_OPEN))),
    (n::__NR_readlinkat, PathCall::Readlinkat, None),
    (n::__NR_statfs, PathCall::Statfs, None),
    (n::__NR_chdir, PathCall::Chdir, None),
    (n::__NR_execve, PathCall::Execve, None),
    (n::__NR_execveat, PathCall::Execveat, Some((4, IS_OPEN))),
];

/// Those that only this machine has.
#[cfg(target_arch = "x86_64")]
const OWN: &[Numbered] = &[
    (n::__NR_open, PathCall::Open, Some((1, MAKES_NEW))),
    (n::__NR_creat, PathCall::Creat, None),
    (n::__NR_stat, PathCall::Stat, None),
    (n::__NR_lstat, PathCall::Lstat, None),
    (n::__NR_access, PathCall::Access, None),
    (n::__NR_readlink, PathCall::Readlink, None),
];

#[cfg(not(target_arch = "x86_64"))]
const OWN: &[Numbered] = &[];

/// The same for programs of the 32-bit forerunner of x86-64.
#[cfg(target_arch = "x86_64")]
const OF_FORERUNNER: &[Numbered] = &[
    (5, PathCall::Open, Some((1, MAKES_NEW))),
    (8, PathCall::Creat, None),
    (11, PathCall::Execve, None),
    (12, PathCall::Chdir, None),
    (33, PathCall::Access, None),
    (85, PathCall::Readlink, None),
    (195, PathCall::Stat, None),
    (196, PathCall::Lstat, None),
    (295, PathCall::Openat, Some((2, MAKES_NEW))),
    (300, PathCall::Fstatat, Some((3, IS_OPEN))),
    (305, PathCall::Readlinkat, None),
    (307, PathCall::Faccessat, None),
    (358, PathCall::Execveat, Some((4, IS_OPEN))),
    (383, PathCall::Statx, Some((2, IS_OPEN))),
    (437, PathCall::Openat2, None),
    (439, PathCall::Faccessat2, Some((3, IS_OPEN))),
];

#[cfg(not(target_arch = "x86_64"))]
const OF_FORERUNNER: &[Numbered] = &[];

/// Returns all of this machine.
pub(in crate::run::linux) fn all() -> impl Iterator<Item = Numbered> {
    COMMON.iter().chain(OWN).copied()
}

/// Returns those of the forerunner.
pub(in crate::run::linux) fn of_forerunner() -> impl Iterator<Item = Numbered> {
    OF_FORERUNNER.iter().copied()
}
