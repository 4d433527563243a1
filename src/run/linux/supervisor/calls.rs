//! The calls that the supervisor answers, by their numbers: those that tell of owners, set them, or make what has one.

#[cfg(target_arch = "x86_64")]
pub(in crate::run::linux) mod i386;

use linux_raw_sys::general as n;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "newer machines have the newer calls alone"))]
pub(in crate::run::linux) enum Call {
    Chown,
    Lchown,
    Fchown,
    Fchownat,
    Stat,
    Lstat,
    Fstat,
    Fstatat,
    Statx,
    /// Tells one of the ids.
    GetId(Whose, Which),
    /// Tells the real, the effective and the saved one.
    GetIds(Whose),
    GetGroups,
    SetId(Whose),
    SetRealEffective(Whose),
    SetAll(Whose),
    SetFile(Whose),
    SetGroups,
    CapGet,
    CapSet,
    /// `prctl`, as far as it is about that.
    ControlCapabilities,
    Open,
    Openat,
    Openat2,
    Creat,
    Mkdir,
    Mkdirat,
    Mknod,
    Mknodat,
    Symlink,
    Symlinkat,
    Access,
    Faccessat,
    Faccessat2,
    SetXattr(At),
    GetXattr(At),
    ListXattr(At),
    RemoveXattr(At),
    Execve,
    Execveat,
    Chroot,
    Chdir,
    Fchdir,
    Chmod,
    Fchmod,
    Fchmodat,
    Fchmodat2,
    Link,
    Linkat,
    Unlink,
    Unlinkat,
    Rmdir,
    Rename,
    Renameat,
    Renameat2,
    Truncate,
    /// By a path, and otherwise as the form says.
    SetTimes,
    Futimesat,
    Utimensat(Times),
    Readlink,
    Readlinkat,
    Statfs,
    NameToHandle,
    Watch,
    /// The signal is the argument of that number.
    Signal(u8),
    SignalOpen,
    /// `ptrace`, as far as it begins.
    Trace,
    /// It reads or writes another's memory.
    Memory,
    SetPriority,
    /// `prlimit`, of another process.
    Limit,
}

/// How a call says which times a file is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run::linux) enum Times {
    /// By seconds, or by seconds and their parts; null is now.
    Any,
    /// By pairs of numbers of 64 bits, the second of which can mean now and not at all.
    Long,
    /// By such of 32 bits.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "the forerunner has them"))]
    Short,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run::linux) enum Whose {
    User,
    Group,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run::linux) enum Which {
    Real,
    Effective,
}

/// How an object is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run::linux) enum At {
    Path,
    /// A link is meant itself.
    Link,
    Descriptor,
}

impl Call {
    /// Whether it is answered only to who is kept from something by owners and modes of files.
    pub(in crate::run::linux) fn only_keeps(self) -> bool {
        matches!(
            self,
            Call::Chdir
                | Call::Fchdir
                | Call::Chmod
                | Call::Fchmod
                | Call::Fchmodat
                | Call::Fchmodat2
                | Call::Link
                | Call::Linkat
                | Call::Unlink
                | Call::Unlinkat
                | Call::Rmdir
                | Call::Rename
                | Call::Renameat
                | Call::Renameat2
                | Call::Truncate
                | Call::SetTimes
                | Call::Futimesat
                | Call::Utimensat(_)
                | Call::Readlink
                | Call::Readlinkat
                | Call::Statfs
                | Call::NameToHandle
                | Call::Watch
        )
    }

    /// Whether it only tells of files, and the same to everybody whom nothing keeps from it.
    pub(in crate::run::linux) fn only_looks(self) -> bool {
        matches!(
            self,
            Call::Stat
                | Call::Lstat
                | Call::Fstat
                | Call::Fstatat
                | Call::Statx
                | Call::GetXattr(_)
                | Call::ListXattr(_)
        )
    }
}

/// Those that all machines have.
#[rustfmt::skip]
const COMMON: &[(u32, Call)] = &[
    (n::__NR_fchown, Call::Fchown), (n::__NR_fchownat, Call::Fchownat), (n::__NR_fstat, Call::Fstat),
    (n::__NR_newfstatat, Call::Fstatat), (n::__NR_statx, Call::Statx),
    (n::__NR_getuid, Call::GetId(Whose::User, Which::Real)),
    (n::__NR_geteuid, Call::GetId(Whose::User, Which::Effective)),
    (n::__NR_getgid, Call::GetId(Whose::Group, Which::Real)),
    (n::__NR_getegid, Call::GetId(Whose::Group, Which::Effective)),
    (n::__NR_getresuid, Call::GetIds(Whose::User)), (n::__NR_getresgid, Call::GetIds(Whose::Group)),
    (n::__NR_getgroups, Call::GetGroups),
    (n::__NR_setuid, Call::SetId(Whose::User)), (n::__NR_setgid, Call::SetId(Whose::Group)),
    (n::__NR_setreuid, Call::SetRealEffective(Whose::User)), (n::__NR_setregid, Call::SetRealEffective(Whose::Group)),
    (n::__NR_setresuid, Call::SetAll(Whose::User)), (n::__NR_setresgid, Call::SetAll(Whose::Group)),
    (n::__NR_setfsuid, Call::SetFile(Whose::User)), (n::__NR_setfsgid, Call::SetFile(Whose::Group)),
    (n::__NR_setgroups, Call::SetGroups), (n::__NR_capget, Call::CapGet), (n::__NR_capset, Call::CapSet),
    (n::__NR_prctl, Call::ControlCapabilities),
    (n::__NR_openat, Call::Openat), (n::__NR_openat2, Call::Openat2), (n::__NR_mkdirat, Call::Mkdirat),
    (n::__NR_mknodat, Call::Mknodat), (n::__NR_symlinkat, Call::Symlinkat), (n::__NR_faccessat, Call::Faccessat),
    (n::__NR_faccessat2, Call::Faccessat2),
    (n::__NR_setxattr, Call::SetXattr(At::Path)), (n::__NR_lsetxattr, Call::SetXattr(At::Link)),
    (n::__NR_fsetxattr, Call::SetXattr(At::Descriptor)), (n::__NR_getxattr, Call::GetXattr(At::Path)),
    (n::__NR_lgetxattr, Call::GetXattr(At::Link)), (n::__NR_fgetxattr, Call::GetXattr(At::Descriptor)),
    (n::__NR_listxattr, Call::ListXattr(At::Path)), (n::__NR_llistxattr, Call::ListXattr(At::Link)),
    (n::__NR_flistxattr, Call::ListXattr(At::Descriptor)), (n::__NR_removexattr, Call::RemoveXattr(At::Path)),
    (n::__NR_lremovexattr, Call::RemoveXattr(At::Link)), (n::__NR_fremovexattr, Call::RemoveXattr(At::Descriptor)),
    (n::__NR_execve, Call::Execve), (n::__NR_execveat, Call::Execveat), (n::__NR_chroot, Call::Chroot),
    (n::__NR_chdir, Call::Chdir), (n::__NR_fchdir, Call::Fchdir), (n::__NR_fchmod, Call::Fchmod),
    (n::__NR_fchmodat, Call::Fchmodat), (n::__NR_fchmodat2, Call::Fchmodat2), (n::__NR_linkat, Call::Linkat),
    (n::__NR_unlinkat, Call::Unlinkat), (n::__NR_renameat, Call::Renameat), (n::__NR_renameat2, Call::Renameat2),
    (n::__NR_truncate, Call::Truncate), (n::__NR_utimensat, Call::Utimensat(Times::Long)),
    (n::__NR_readlinkat, Call::Readlinkat), (n::__NR_statfs, Call::Statfs),
    (n::__NR_name_to_handle_at, Call::NameToHandle), (n::__NR_inotify_add_watch, Call::Watch),
    (n::__NR_kill, Call::Signal(1)), (n::__NR_tkill, Call::Signal(1)), (n::__NR_tgkill, Call::Signal(2)),
    (n::__NR_rt_sigqueueinfo, Call::Signal(1)), (n::__NR_rt_tgsigqueueinfo, Call::Signal(2)),
    (n::__NR_pidfd_send_signal, Call::SignalOpen), (n::__NR_ptrace, Call::Trace),
    (n::__NR_process_vm_readv, Call::Memory), (n::__NR_process_vm_writev, Call::Memory),
    (n::__NR_setpriority, Call::SetPriority), (n::__NR_prlimit64, Call::Limit),
];

/// Those that only this machine has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OWN: &[(u32, Call)] = &[
    (n::__NR_chown, Call::Chown), (n::__NR_lchown, Call::Lchown), (n::__NR_stat, Call::Stat),
    (n::__NR_lstat, Call::Lstat), (n::__NR_open, Call::Open), (n::__NR_creat, Call::Creat),
    (n::__NR_mkdir, Call::Mkdir), (n::__NR_mknod, Call::Mknod), (n::__NR_symlink, Call::Symlink),
    (n::__NR_access, Call::Access), (n::__NR_chmod, Call::Chmod), (n::__NR_link, Call::Link),
    (n::__NR_unlink, Call::Unlink), (n::__NR_rmdir, Call::Rmdir), (n::__NR_rename, Call::Rename),
    (n::__NR_utime, Call::SetTimes), (n::__NR_utimes, Call::SetTimes), (n::__NR_futimesat, Call::Futimesat),
    (n::__NR_readlink, Call::Readlink),
];

#[cfg(not(target_arch = "x86_64"))]
const OWN: &[(u32, Call)] = &[];

/// Those that are newer than what is answered; C libraries then take the others.
pub(in crate::run::linux) const UNKNOWN: &[u32] =
    &[n::__NR_setxattrat, n::__NR_getxattrat, n::__NR_listxattrat, n::__NR_removexattrat];

/// Those requests of prctl(2) that are about capabilities.
pub(in crate::run::linux) const CONTROLS: &[u32] = &[
    libc::PR_SET_KEEPCAPS as u32,
    libc::PR_GET_KEEPCAPS as u32,
    libc::PR_CAPBSET_READ as u32,
    libc::PR_CAPBSET_DROP as u32,
    libc::PR_CAP_AMBIENT as u32,
];

pub(in crate::run::linux) const SETRLIMIT: u32 = n::__NR_setrlimit;
pub(in crate::run::linux) const PRLIMIT: u32 = n::__NR_prlimit64;

/// Returns all of this machine.
pub(in crate::run::linux) fn all() -> impl Iterator<Item = (u32, Call)> {
    COMMON.iter().chain(OWN).copied()
}

/// A table in which numbers are found at once.
pub(in crate::run::linux) struct Table<C = Call>(Vec<Option<C>>);

impl<C: Copy> Table<C> {
    pub(in crate::run::linux) fn new(calls: impl Iterator<Item = (u32, C)>) -> Table<C> {
        let mut table = vec![None; 512];
        for (number, call) in calls {
            if let Some(place) = table.get_mut(number as usize) {
                *place = Some(call);
            }
        }
        Table(table)
    }

    pub(in crate::run::linux) fn call(&self, number: u32) -> Option<C> {
        self.0.get(number as usize).copied().flatten()
    }
}
