//! What a process may do with a file.

use std::os::fd::AsFd;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::run::supervisor::listener::Answer;
use crate::run::supervisor::owners::Status;
use crate::run::supervisor::target::Base;

impl Asked<'_> {
    /// The kernel knows what root may.
    pub(super) fn access(&self, base: Base, path: usize, wanted: u32, flags: AtFlags) -> Outcome {
        let ids = &self.identity.user;
        let user = if flags.contains(AtFlags::EACCESS) { ids.effective } else { ids.real };
        if user == 0 {
            return Ok(Answer::Continue);
        }
        let Ok(place) = self.place(base, Some(path), flags) else { return Ok(Answer::Continue) };
        let Ok(object) = self.target.open(&place, !flags.contains(AtFlags::SYMLINK_NOFOLLOW)) else {
            return Ok(Answer::Continue);
        };
        if Status::of(object.as_fd())?.permits(self.identity, (user, false), wanted & 7) {
            Ok(Answer::Continue)
        } else {
            Err(Errno::ACCESS)
        }
    }
}
