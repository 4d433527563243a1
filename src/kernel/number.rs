//! Numbers that are not as wide on each system.

#![allow(clippy::unnecessary_cast, reason = "on some systems they are as wide as here")]

use rustix::fs::{Mode, RawMode, Stat, makedev};

/// Returns the permissions that `bits` say.
pub fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits as RawMode)
}

/// Returns the kind and the permissions of an object, as they stand in its status.
pub fn mode_of(status: &Stat) -> u32 {
    status.st_mode as u32
}

/// Returns the number of the file system that an object is on.
pub fn device_of(status: &Stat) -> u64 {
    status.st_dev as u64
}

/// Returns the number of the device that a node with these numbers stands for.
pub fn device(major: u32, minor: u32) -> u64 {
    makedev(major, minor) as u64
}

/// Returns when the content was last changed, in seconds and nanoseconds.
pub fn modified(status: &Stat) -> (i64, i64) {
    (status.st_mtime as i64, status.st_mtime_nsec as i64)
}

/// Returns when anything was last changed, in seconds and nanoseconds.
pub fn changed(status: &Stat) -> (i64, i64) {
    (status.st_ctime as i64, status.st_ctime_nsec as i64)
}
