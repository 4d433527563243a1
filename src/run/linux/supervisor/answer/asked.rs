//! A call that waits for its answer, and what it names.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, StatVfsMountFlags, fstatvfs};
use rustix::io::Errno;

use crate::run::linux::supervisor::calls::At;
use crate::run::linux::supervisor::identity::{Identities, Identity, Right};
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::owners::{Status, WRITE};
use crate::run::linux::supervisor::target::{Base, Place, Target, WORKING_DIRECTORY};
use crate::run::linux::supervisor::way::{Last, Way};

/// A call that waits for its answer.
pub(in crate::run::linux::supervisor) struct Asked<'a> {
    pub(in crate::run::linux::supervisor) target: Target,
    pub(in crate::run::linux::supervisor) identity: &'a Identity,
    pub(in crate::run::linux::supervisor) identities: &'a mut Identities,
    /// The sandbox's root.
    pub(in crate::run::linux::supervisor) root: &'a OwnedFd,
    /// Whether it still waits.
    pub(in crate::run::linux::supervisor) is_waiting: &'a dyn Fn() -> bool,
}

pub(super) type Outcome = Result<Answer, Errno>;

pub(super) const HERE: Base = Base(WORKING_DIRECTORY);

impl Asked<'_> {
    /// Fails unless the call still waits, and all that was read was its process's own: nothing is changed or written before.
    pub(super) fn check(&self) -> Result<(), Errno> {
        if (self.is_waiting)() { Ok(()) } else { Err(Errno::SRCH) }
    }

    /// Returns the place that a path's argument names; without such an argument, the base itself.
    pub(super) fn place(&self, base: Base, path: Option<usize>, flags: AtFlags) -> Result<Place, Errno> {
        let Some(path) = path.filter(|path| self.target.argument(*path) != 0 || !flags.contains(AtFlags::EMPTY_PATH))
        else {
            return Ok(Place { base, path: Default::default() });
        };
        let place = self.target.place(base, path)?;
        match place.path.is_empty() && !flags.contains(AtFlags::EMPTY_PATH) {
            true => Err(Errno::NOENT),
            false => Ok(place),
        }
    }

    /// Returns the place whose first argument names it so, and whether a link is followed.
    pub(super) fn place_at(&self, at: At) -> Result<(Place, bool), Errno> {
        Ok(match at {
            At::Path => (self.place(HERE, Some(0), AtFlags::empty())?, true),
            At::Link => (self.place(HERE, Some(0), AtFlags::empty())?, false),
            At::Descriptor => (self.target.descriptor(self.target.base(0).0), true),
        })
    }

    /// Returns whether modes and owners of files keep the process from anything.
    pub(super) fn is_limited(&self) -> bool {
        !self.identity.is_unlimited()
    }

    /// Fails if the process may not go to `place`. What else is wrong the kernel says.
    pub(super) fn reach(&self, place: &Place, last: Last) -> Result<(), Errno> {
        if !self.identity.searches_all() {
            self.way(place, last)?;
        }
        Ok(())
    }

    /// Returns where the process comes to that goes to `place`; none where the kernel is to say.
    pub(super) fn way(&self, place: &Place, last: Last) -> Result<Option<Way>, Errno> {
        Way::of(&self.target, self.identity, place, last)
    }

    /// Has the kernel do it if the process may do what is `wanted` with `object`, and refuses it else.
    pub(super) fn may(&self, object: BorrowedFd<'_>, status: &Status, wanted: u32) -> Outcome {
        if status.permits(object, self.identity, wanted)? {
            return Ok(Answer::Continue);
        }
        if wanted & WRITE == 0 { Err(Errno::ACCESS) } else { refused(object, Errno::ACCESS) }
    }

    /// Returns the mode that a file gets of which `mode` is wanted: who does not belong to its group gives nobody that group.
    pub(super) fn mode_for(&self, status: &Status, mode: u32) -> u32 {
        let may = self.identity.is_in(status.kept.group) || self.identity.has(Right::KeepSetId);
        if may { mode } else { mode & !libc::S_ISGID }
    }
}

/// Refuses a change of `object`, unless the kernel says that nothing can be changed there.
pub(super) fn refused(object: BorrowedFd<'_>, errno: Errno) -> Outcome {
    let is_read_only = fstatvfs(object).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY));
    if is_read_only { Ok(Answer::Continue) } else { Err(errno) }
}
