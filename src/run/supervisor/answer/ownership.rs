//! `chown` and its like.

use std::os::fd::AsFd;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::run::supervisor::identity::{Right, SAME};
use crate::run::supervisor::listener::Answer;
use crate::run::supervisor::owners::{self, Status};
use crate::run::supervisor::target::Base;

impl Asked<'_> {
    /// The owner's argument is number `user`, and the group's the next one.
    pub(super) fn chown(&self, base: Base, path: Option<usize>, flags: AtFlags, user: usize) -> Outcome {
        if !AtFlags::union(AtFlags::SYMLINK_NOFOLLOW, AtFlags::EMPTY_PATH).contains(flags) {
            return Err(Errno::INVAL);
        }
        let place = self.place(base, path, flags)?;
        let (user, group) = (self.target.number(user), self.target.number(user + 1));
        let object = self.target.open(&place, !flags.contains(AtFlags::SYMLINK_NOFOLLOW))?;
        let status = Status::of(object.as_fd())?;
        if !self.identity.has(Right::Chown) && !self.may_give(&status, user, group) {
            return Err(Errno::PERM);
        }
        self.check()?;
        owners::chown(object.as_fd(), &status, user, group)?;
        Ok(Answer::Done(0))
    }

    /// Others than root may give what is theirs to a group of theirs.
    fn may_give(&self, status: &Status, user: u32, group: u32) -> bool {
        let (identity, kept) = (self.identity, &status.kept);
        identity.user.file == kept.user
            && (user == SAME || user == kept.user)
            && (group == SAME || group == kept.group || identity.is_in(group))
    }
}
