//! `chown` and its like.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::run::linux::supervisor::identity::{Right, SAME};
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::owners::{self, Status};
use crate::run::linux::supervisor::target::Base;
use crate::run::linux::supervisor::way::Last;

impl Asked<'_> {
    /// Answers a change of owner: the owner's argument is number `user`, and the group's the next one.
    pub(super) fn chown(&self, base: Base, path: Option<usize>, flags: AtFlags, user: usize) -> Outcome {
        if !AtFlags::union(AtFlags::SYMLINK_NOFOLLOW, AtFlags::EMPTY_PATH).contains(flags) {
            return Err(Errno::INVAL);
        }
        let place = self.place(base, path, flags)?;
        let (user, group) = (self.target.number(user), self.target.number(user + 1));
        let follows = !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
        self.reach(&place, if follows { Last::Followed } else { Last::Itself })?;
        let object = self.target.open(&place, follows)?;
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
        let is_set_group = status.mode & libc::S_ISGID != 0
            && (status.mode & libc::S_IXGRP != 0 || self.mode_for(status, libc::S_ISGID) == 0);
        // Of a program it takes away the right to run as another, and that only its owner may.
        let is_as_it_was = status.kind == FileType::Directory || status.mode & libc::S_ISUID == 0 && !is_set_group;
        let changes_nothing = (user, group) == (SAME, SAME) && is_as_it_was;
        let gives_to_own = identity.user.file == kept.user
            && (user == SAME || user == kept.user)
            && (group == SAME || group == kept.group || identity.is_in(group));
        changes_nothing || gives_to_own
    }
}
