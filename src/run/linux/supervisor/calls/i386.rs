//! The same for programs of the 32-bit forerunner of x86-64.

use super::{At, Call, Times, Which, Whose};

#[rustfmt::skip]
pub(in crate::run::linux) const ALL: &[(u32, Call)] = &[
    (5, Call::Open), (8, Call::Creat), (11, Call::Execve), (14, Call::Mknod), (33, Call::Access), (39, Call::Mkdir),
    (61, Call::Chroot), (83, Call::Symlink), (172, Call::ControlCapabilities), (184, Call::CapGet), (185, Call::CapSet), (195, Call::Stat),
    (196, Call::Lstat), (197, Call::Fstat), (198, Call::Lchown),
    (199, Call::GetId(Whose::User, Which::Real)), (200, Call::GetId(Whose::Group, Which::Real)),
    (201, Call::GetId(Whose::User, Which::Effective)), (202, Call::GetId(Whose::Group, Which::Effective)),
    (203, Call::SetRealEffective(Whose::User)), (204, Call::SetRealEffective(Whose::Group)), (205, Call::GetGroups),
    (206, Call::SetGroups), (207, Call::Fchown), (208, Call::SetAll(Whose::User)), (209, Call::GetIds(Whose::User)),
    (210, Call::SetAll(Whose::Group)), (211, Call::GetIds(Whose::Group)), (212, Call::Chown),
    (213, Call::SetId(Whose::User)), (214, Call::SetId(Whose::Group)), (215, Call::SetFile(Whose::User)),
    (216, Call::SetFile(Whose::Group)),
    (226, Call::SetXattr(At::Path)), (227, Call::SetXattr(At::Link)), (228, Call::SetXattr(At::Descriptor)),
    (229, Call::GetXattr(At::Path)), (230, Call::GetXattr(At::Link)), (231, Call::GetXattr(At::Descriptor)),
    (232, Call::ListXattr(At::Path)), (233, Call::ListXattr(At::Link)), (234, Call::ListXattr(At::Descriptor)),
    (235, Call::RemoveXattr(At::Path)), (236, Call::RemoveXattr(At::Link)), (237, Call::RemoveXattr(At::Descriptor)),
    (295, Call::Openat), (296, Call::Mkdirat), (297, Call::Mknodat), (298, Call::Fchownat), (300, Call::Fstatat),
    (304, Call::Symlinkat), (307, Call::Faccessat), (358, Call::Execveat), (383, Call::Statx), (437, Call::Openat2),
    (439, Call::Faccessat2),
    (9, Call::Link), (10, Call::Unlink), (12, Call::Chdir), (15, Call::Chmod), (30, Call::SetTimes), (38, Call::Rename),
    (40, Call::Rmdir), (85, Call::Readlink), (92, Call::Truncate), (94, Call::Fchmod), (99, Call::Statfs),
    (133, Call::Fchdir), (193, Call::Truncate), (268, Call::Statfs), (271, Call::SetTimes), (292, Call::Watch),
    (299, Call::Futimesat), (301, Call::Unlinkat), (302, Call::Renameat), (303, Call::Linkat), (305, Call::Readlinkat),
    (306, Call::Fchmodat), (320, Call::Utimensat(Times::Short)), (341, Call::NameToHandle), (353, Call::Renameat2),
    (412, Call::Utimensat(Times::Long)), (452, Call::Fchmodat2),
    (26, Call::Trace), (37, Call::Signal(1)), (97, Call::SetPriority), (178, Call::Signal(1)),
    (238, Call::Signal(1)), (270, Call::Signal(2)), (335, Call::Signal(2)), (340, Call::Limit), (347, Call::Memory),
    (348, Call::Memory), (424, Call::SignalOpen),
];

/// Those with ids of 16 bits and with the oldest forms of a file's status, which no C library has used for twenty years; and
/// those that are newer than what is answered.
#[rustfmt::skip]
pub(in crate::run::linux) const UNKNOWN: &[u32] = &[
    16, 18, 23, 24, 28, 46, 47, 49, 50, 70, 71, 80, 81, 84, 95, 106, 107, 108, 138, 139, 164, 165, 170, 171, 182,
    463, 464, 465, 466,
];

pub(in crate::run::linux) const SETRLIMIT: u32 = 75;
pub(in crate::run::linux) const PRLIMIT: u32 = 340;
