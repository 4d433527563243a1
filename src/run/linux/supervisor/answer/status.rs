//! `stat` and its like.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, makedev};
use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::layer::{Device, Kept};
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::owners::{Status, is_kept};
use crate::run::linux::supervisor::stat64::packed;
use crate::run::linux::supervisor::target::Base;
use crate::run::linux::supervisor::way::Last;
use crate::run::linux::system::{bytes_of, extended_status, status};

/// How the kernel writes it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// As stat does; of programs with 32 bits, as stat64.
    Plain,
    /// As statx does, asked for those parts.
    Extended(u32),
}

impl Asked<'_> {
    /// Answers for the status of a file. The kernel tells of all files that are root's: they are most of all.
    pub(super) fn status(&self, base: Base, path: Option<usize>, flags: AtFlags, form: Form, buffer: usize) -> Outcome {
        let Ok(place) = self.place(base, path, flags) else { return Ok(Answer::Continue) };
        let follows = place.path.is_empty() || !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
        self.reach(&place, if follows { Last::Followed } else { Last::Itself })?;
        if !is_kept(&self.target.look_up(&place), follows) {
            return Ok(Answer::Continue);
        }
        let Ok(object) = self.target.open(&place, follows) else { return Ok(Answer::Continue) };
        let known = Status::of(object.as_fd())?;
        let told = match form {
            Form::Extended(mask) => extended(object.as_fd(), mask, &known.kept)?,
            Form::Plain if self.target.is_forerunner => forerunner(object.as_fd(), &known.kept)?,
            Form::Plain => plain(object.as_fd(), &known.kept)?,
        };
        self.check()?;
        self.target.write(self.target.argument(buffer), &told)?;
        Ok(Answer::Done(0))
    }
}

#[allow(clippy::unnecessary_cast, reason = "the widths differ between machines")]
fn plain(object: BorrowedFd<'_>, kept: &Kept) -> Result<Vec<u8>, Errno> {
    let mut told = status(object)?;
    (told.st_uid, told.st_gid) = (kept.user, kept.group);
    if let Some(Device { is_block, major, minor }) = kept.device {
        told.st_mode = told.st_mode & 0o7777 | kind(is_block);
        told.st_rdev = makedev(major, minor) as _;
        (told.st_size, told.st_blocks) = (0, 0);
    }
    Ok(bytes_of(&told).to_vec())
}

fn extended(object: BorrowedFd<'_>, mask: u32, kept: &Kept) -> Result<Vec<u8>, Errno> {
    let mut told = extended_status(object, mask)?;
    (told.stx_uid, told.stx_gid) = (kept.user, kept.group);
    if let Some(Device { is_block, major, minor }) = kept.device {
        told.stx_mode = told.stx_mode & 0o7777 | kind(is_block) as u16;
        (told.stx_rdev_major, told.stx_rdev_minor) = (major, minor);
        (told.stx_size, told.stx_blocks) = (0, 0);
    }
    Ok(bytes_of(&told).to_vec())
}

fn kind(is_block: bool) -> u32 {
    if is_block { libc::S_IFBLK } else { libc::S_IFCHR }
}

fn forerunner(object: BorrowedFd<'_>, kept: &Kept) -> Result<Vec<u8>, Errno> {
    let mut told = extended_status(object, libc::STATX_BASIC_STATS)?;
    (told.stx_uid, told.stx_gid) = (kept.user, kept.group);
    if let Some(Device { is_block, major, minor }) = kept.device {
        told.stx_mode = told.stx_mode & 0o7777 | kind(is_block) as u16;
        (told.stx_rdev_major, told.stx_rdev_minor) = (major, minor);
    }
    Ok(packed(&told))
}
