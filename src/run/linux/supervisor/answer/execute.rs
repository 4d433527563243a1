//! The start of programs that run as who owns them, and of processes with a root of their own.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, StatVfsMountFlags, fstatvfs};
use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::run::linux::supervisor::identity::{Becoming, Identity, Right};
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::owners::{EXECUTE, Status};
use crate::run::linux::supervisor::target::Base;
use crate::run::linux::supervisor::way::Last;

const SET_USER: u32 = libc::S_ISUID;
/// Without the right to execute, the bit is about locks.
const SET_GROUP: u32 = libc::S_ISGID | libc::S_IXGRP;

impl Asked<'_> {
    /// Lets the kernel start the program, or fail to: only then it is known whether the process is another.
    pub(super) fn execute(&mut self, base: Base, path: usize, flags: AtFlags) -> Outcome {
        let old = self.identity;
        let Ok(place) = self.place(base, Some(path), flags) else { return Ok(Answer::Continue) };
        let follows = !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
        self.reach(&place, if follows { Last::Followed } else { Last::Itself })?;
        let Ok(object) = self.target.open(&place, follows) else { return Ok(Answer::Continue) };
        let program = Status::of(object.as_fd())?;
        if program.kind != FileType::RegularFile {
            return Ok(Answer::Continue);
        }
        if !program.permits(object.as_fd(), old, EXECUTE)? {
            return Err(Errno::ACCESS);
        }
        let (mut user, mut group) = (old.user, old.group);
        if program.mode & (SET_USER | SET_GROUP) != 0 && keeps_set_id(object.as_fd()) {
            if program.mode & SET_USER != 0 {
                user.effective = program.kept.user;
            }
            if program.mode & SET_GROUP == SET_GROUP {
                group.effective = program.kept.group;
            }
        }
        for ids in [&mut user, &mut group] {
            (ids.saved, ids.file) = (ids.effective, ids.effective);
        }
        let is_another = user.effective != old.user.effective || group.effective != old.group.effective;
        let rights = old.rights.of_program(&user, is_another);
        if (user, group, rights) == (old.user, old.group, old.rights) {
            return Ok(Answer::Continue);
        }
        let Status { device, inode, .. } = program;
        let (before, _) = self.identities.of(self.target.thread)?;
        let becoming = Some(Becoming { device, inode, before });
        self.become_another(Identity { user, group, rights, becoming, ..old.clone() })?;
        Ok(Answer::Continue)
    }

    pub(super) fn change_root(&mut self) -> Outcome {
        if !self.identity.has(Right::ChangeRoot) {
            return Err(Errno::PERM);
        }
        self.become_another(Identity { is_apart: true, ..self.identity.clone() })?;
        Ok(Answer::Continue)
    }
}

fn keeps_set_id(program: BorrowedFd<'_>) -> bool {
    fstatvfs(program).is_ok_and(|system| !system.f_flag.contains(StatVfsMountFlags::NOSUID))
}
