//! What stat64 writes for programs that have 32 bits where this machine has 64.

use rustix::fs::makedev;

/// Returns `told` as `struct stat64` (arch/x86/include/uapi/asm/stat.h).
pub(super) fn packed(told: &libc::statx) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    let long = |bytes: &mut Vec<u8>, number: u64| bytes.extend_from_slice(&number.to_le_bytes());
    let short = |bytes: &mut Vec<u8>, number: u32| bytes.extend_from_slice(&number.to_le_bytes());
    long(&mut bytes, makedev(told.stx_dev_major, told.stx_dev_minor));
    for number in [0, told.stx_ino as u32, told.stx_mode.into(), told.stx_nlink, told.stx_uid, told.stx_gid] {
        short(&mut bytes, number);
    }
    long(&mut bytes, makedev(told.stx_rdev_major, told.stx_rdev_minor));
    short(&mut bytes, 0);
    long(&mut bytes, told.stx_size);
    short(&mut bytes, told.stx_blksize);
    long(&mut bytes, told.stx_blocks);
    for time in [told.stx_atime, told.stx_mtime, told.stx_ctime] {
        short(&mut bytes, time.tv_sec as u32);
        short(&mut bytes, time.tv_nsec);
    }
    long(&mut bytes, told.stx_ino);
    bytes
}
