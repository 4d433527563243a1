//! This file opens files for what is in them: regular ones alone, whatever stands at their path.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file, or one that a link leads to. To open anything else might wait for ever, as with a FIFO, or do
/// something, as with a device: it is an error of the kind [`io::ErrorKind::InvalidInput`].
pub(crate) fn open(path: &Path) -> io::Result<File> {
    checked(fs::metadata(path)?.is_file(), path, OFlags::empty())
}

/// Does the same for one whose last name must not be a link.
pub(super) fn open_no_link(path: &Path) -> io::Result<File> {
    checked(fs::symlink_metadata(path)?.is_file(), path, OFlags::NOFOLLOW)
}

fn checked(is_file: bool, path: &Path, flags: OFlags) -> io::Result<File> {
    let other = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    if !is_file {
        return Err(other());
    }
    // It may be another by now.
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(other()) }
}
