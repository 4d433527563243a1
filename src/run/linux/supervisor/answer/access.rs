//! What a process may do with a file.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::owners::Status;
use crate::run::linux::supervisor::target::Base;
use crate::run::linux::supervisor::way::{Last, Way};

impl Asked<'_> {
    /// Answers access(2): the kernel knows what root may.
    pub(super) fn access(&self, base: Base, path: usize, wanted: u32, flags: AtFlags) -> Outcome {
        let real;
        let identity = if flags.contains(AtFlags::EACCESS) {
            self.identity
        } else {
            real = self.identity.as_real();
            &real
        };
        if identity.is_unlimited() {
            return Ok(Answer::Continue);
        }
        let Ok(place) = self.place(base, Some(path), flags) else { return Ok(Answer::Continue) };
        let last = if flags.contains(AtFlags::SYMLINK_NOFOLLOW) { Last::Itself } else { Last::Followed };
        let Some(Way { object: Some(object), .. }) = Way::of(&self.target, identity, &place, last)? else {
            return Ok(Answer::Continue);
        };
        let status = Status::of(object.as_fd())?;
        let is_known = matches!(status.kind, FileType::RegularFile | FileType::Directory | FileType::Fifo);
        if !is_known || status.permits(object.as_fd(), identity, wanted & 7)? {
            Ok(Answer::Continue)
        } else {
            Err(Errno::ACCESS)
        }
    }
}
