//! A call that waits for its answer, and what it names.

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::run::supervisor::calls::At;
use crate::run::supervisor::identity::{Identities, Identity};
use crate::run::supervisor::listener::Answer;
use crate::run::supervisor::target::{Base, Place, Target, WORKING_DIRECTORY};

/// A call that waits for its answer.
pub(in crate::run::supervisor) struct Asked<'a> {
    pub(in crate::run::supervisor) target: Target,
    pub(in crate::run::supervisor) identity: &'a Identity,
    pub(in crate::run::supervisor) identities: &'a mut Identities,
    /// Whether it still waits.
    pub(in crate::run::supervisor) is_waiting: &'a dyn Fn() -> bool,
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
}
