//! What is looked at and changed in place: only for who may be kept from it, and all of it is done by the kernel.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::asked::{Asked, HERE, Outcome};
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::owners::{READ, SEARCH, Status, WRITE};
use crate::run::linux::supervisor::target::{Base, Place};
use crate::run::linux::supervisor::way::{Last, Way};

impl Asked<'_> {
    /// Answers what needs no right but to go there.
    pub(super) fn go(&self, base: Base, path: usize, last: Last) -> Outcome {
        if let Ok(place) = self.place(base, Some(path), AtFlags::EMPTY_PATH) {
            self.reach(&place, last)?;
        }
        Ok(Answer::Continue)
    }

    pub(super) fn change_directory(&self) -> Outcome {
        self.allow(HERE, Some(0), Last::Followed, SEARCH, FileType::Directory)
    }

    pub(super) fn change_directory_to_open(&self) -> Outcome {
        self.allow(self.target.base(0), None, Last::Followed, SEARCH, FileType::Directory)
    }

    pub(super) fn truncate(&self) -> Outcome {
        self.allow(HERE, Some(0), Last::Followed, WRITE, FileType::RegularFile)
    }

    pub(super) fn watch(&self) -> Outcome {
        let last = if self.target.number(2) & libc::IN_DONT_FOLLOW == 0 { Last::Followed } else { Last::Itself };
        match self.found(HERE, Some(1), last)? {
            Some((object, status)) if status.kind != FileType::Symlink => self.may(object.as_fd(), &status, READ),
            _ => Ok(Answer::Continue),
        }
    }

    fn allow(&self, base: Base, path: Option<usize>, last: Last, wanted: u32, kind: FileType) -> Outcome {
        match self.found(base, path, last)? {
            // Of others the kernel says that they are of another kind.
            Some((object, status)) if status.kind == kind => self.may(object.as_fd(), &status, wanted),
            _ => Ok(Answer::Continue),
        }
    }

    /// Opens what a path names, where the process may go; none where the kernel is to say what is wrong.
    pub(super) fn found(
        &self,
        base: Base,
        path: Option<usize>,
        last: Last,
    ) -> Result<Option<(OwnedFd, Status)>, Errno> {
        let place = match path {
            Some(_) => self.place(base, path, AtFlags::empty()),
            None => Ok(self.target.descriptor(base.0)),
        };
        let Ok(place) = place else { return Ok(None) };
        self.found_at(&place, last)
    }

    pub(super) fn found_at(&self, place: &Place, last: Last) -> Result<Option<(OwnedFd, Status)>, Errno> {
        let Some(Way { object: Some(object), .. }) = self.way(place, last)? else { return Ok(None) };
        let status = Status::of(object.as_fd())?;
        Ok(Some((object, status)))
    }
}
