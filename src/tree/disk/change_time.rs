//! Which file systems keep a time of change of their own, that nobody can set. There, and only there, a file that looks as
//! it did is as it was.

use std::os::fd::AsFd;

use rustix::fs::{Stat, StatVfsMountFlags, fstatfs, fstatvfs};

use crate::kernel::device_of;

/// By their magic numbers (linux/magic.h, and the file systems' own sources). Those that show a time that an image holds or
/// a server says (EROFS, squashfs, ISO 9660, FAT, FUSE, 9p, NFS, SMB, …) are not among them.
const KEEPING: &[u64] = &[
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // btrfs
    0xca45_1a4e, // bcachefs
    0x2fc1_2fc1, // ZFS
    0xf2f5_2010, // F2FS
    0x2405_1905, // UBIFS
    0x3153_464a, // JFS
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
];

const OVERLAY: u64 = 0x794c_7630;

/// overlayfs tells inodes of other file systems apart by the highest bits of their numbers.
const OVERLAY_INODES: u64 = 1 << 48;

/// The facts that are known of the change times in one directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChangeTimes {
    device: u64,
    kept: Kept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    No,
    Yes,
    /// In the upper layer of an overlay, and in what lies on the same file system.
    Upper,
}

impl ChangeTimes {
    /// Returns what is known of the files in `directory`, which has this `status`. Where the file system does not say what it
    /// is, it keeps none.
    pub fn of(directory: impl AsFd, status: &Stat) -> Self {
        let kept = match fstatfs(&directory) {
            Ok(found) => kept(magic(found.f_type), || {
                fstatvfs(&directory).is_ok_and(|found| !found.f_flag.contains(StatVfsMountFlags::RDONLY))
            }),
            Err(_) => Kept::No,
        };
        ChangeTimes { device: device_of(status), kept }
    }

    /// Returns whether no change to the file of this `status` goes without another change time.
    pub fn are_kept(&self, status: &Stat) -> bool {
        // A file may be a mount of its own.
        device_of(status) == self.device
            && match self.kept {
                Kept::No => false,
                Kept::Yes => true,
                Kept::Upper => status.st_ino < OVERLAY_INODES,
            }
    }
}

/// An overlay shows the change times of the file systems that it is made of. What it is written to is one that keeps them:
/// overlayfs takes no other. What lies there has the overlay's device, and an inode's number as it is; what lies elsewhere
/// has another device or a higher number. One that cannot be written to may have no such part.
fn kept(magic: u64, is_writable: impl FnOnce() -> bool) -> Kept {
    match magic {
        OVERLAY if is_writable() => Kept::Upper,
        magic if KEEPING.contains(&magic) => Kept::Yes,
        _ => Kept::No,
    }
}

/// Signed or not, and of 32 or 64 bits, depending on the machine.
fn magic(number: impl TryInto<i128>) -> u64 {
    number.try_into().map_or(0, |number: i128| (number & 0xffff_ffff) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_keep_change_times_does() {
        let writable = |magic| kept(magic, || true);
        for magic in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994] {
            assert_eq!(writable(magic), Kept::Yes, "{magic:x}");
        }
        // EROFS, squashfs, FUSE, 9p, NFS, SMB, Ceph, FAT, ISO 9660, and what nobody knows.
        for magic in
            [0xe0f5_e1e2, 0x7371_7368, 0x6573_5546, 0x0102_1997, 0x6969, 0xfe53_4d42, 0x00c3_6400, 0x4d44, 0x9660, 7]
        {
            assert_eq!(writable(magic), Kept::No, "{magic:x}");
        }
        assert_eq!(magic(-1_859_950_530_i32), 0x9123_683e, "a signed number of 32 bits");
        assert_eq!(magic(0x9123_683e_u64), 0x9123_683e);
    }

    #[test]
    fn on_an_overlay_only_what_lies_where_it_is_written_to() {
        assert_eq!(kept(OVERLAY, || true), Kept::Upper);
        assert_eq!(kept(OVERLAY, || false), Kept::No);
        let here = std::fs::File::open(".").unwrap();
        let mut status = rustix::fs::fstat(&here).unwrap();
        let times = ChangeTimes { device: status.st_dev, kept: Kept::Upper };
        status.st_ino = 12;
        assert!(times.are_kept(&status));
        status.st_ino = 12 | 1 << 62;
        assert!(!times.are_kept(&status), "of another file system");
        (status.st_ino, status.st_dev) = (12, status.st_dev + 1);
        assert!(!times.are_kept(&status));
    }
}
