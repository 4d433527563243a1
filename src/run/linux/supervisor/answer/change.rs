//! What only some may do with names and with what belongs to files: it is refused to who may not, as the kernel would, and
//! else done by the kernel.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, chmodat, openat};
use rustix::io::Errno;

use super::asked::{Asked, Outcome, refused};
use crate::run::linux::supervisor::calls::Times;
use crate::run::linux::supervisor::identity::Right;
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::owners::{READ, SEARCH, Status, WRITE};
use crate::run::linux::supervisor::target::{Base, Place, own_link};
use crate::run::linux::supervisor::way::{Last, Way, protects_hard_links};

/// A name in a directory.
struct Named {
    directory: OwnedFd,
    above: Status,
    object: Option<(OwnedFd, Status)>,
    /// It can be that of a directory alone.
    ends_in_slash: bool,
}

impl Asked<'_> {
    pub(super) fn remove(&self, base: Base, path: usize, is_directory: bool) -> Outcome {
        match self.named(base, path)? {
            // With a slash behind it, a name is not a file's.
            Some(Named { directory, above, object: Some((_, status)), ends_in_slash })
                if is_directory || !ends_in_slash =>
            {
                self.may_remove(&directory, &above, &status).or_else(|errno| refused(directory.as_fd(), errno))
            }
            _ => Ok(Answer::Continue),
        }
    }

    pub(super) fn rename(&self, from: (Base, usize), to: (Base, usize), flags: u32) -> Outcome {
        // The kernel goes both ways before it looks at what is there.
        let Ok(place) = self.place(from.0, Some(from.1), AtFlags::empty()) else { return Ok(Answer::Continue) };
        let Some(way) = self.way(&place, Last::Name)? else { return Ok(Answer::Continue) };
        let Some(to) = self.named(to.0, to.1)? else { return Ok(Answer::Continue) };
        let Some(from) = Named::of(way, &place)? else { return Ok(Answer::Continue) };
        let Named { directory, above, object: Some((object, status)), ends_in_slash } = from else {
            return Ok(Answer::Continue);
        };
        let exchanges = flags & libc::RENAME_EXCHANGE != 0;
        let replaced = to.object.as_ref();
        let is_kernels = match replaced {
            None => exchanges,
            Some((_, other)) => is_same(&status, other) || flags & libc::RENAME_NOREPLACE != 0,
        };
        let moved = if exchanges { replaced.map_or(&status, |(_, other)| other) } else { &status };
        let is_kernels =
            is_kernels || ends_in_slash && !is_directory(&status) || to.ends_in_slash && !is_directory(moved);
        // It is another mount, or nothing is to be done.
        if is_kernels || mount_of(&directory)? != mount_of(&to.directory)? {
            return Ok(Answer::Continue);
        }
        let check = || {
            self.may_remove(&directory, &above, &status)?;
            match replaced {
                None => self.needs(&to.directory, &to.above, WRITE | SEARCH)?,
                Some((_, other)) => {
                    self.may_remove(&to.directory, &to.above, other)?;
                    // It says that they are of two kinds.
                    if !exchanges && is_directory(&status) != is_directory(other) {
                        return Ok(Answer::Continue);
                    }
                }
            }
            // What is above a directory is written in it.
            if !is_same(&above, &to.above) {
                let other = replaced.filter(|_| exchanges).map(|(object, status)| (object, status));
                for (object, status) in [(&object, &status)].into_iter().chain(other) {
                    if is_directory(status) {
                        self.needs(object, status, WRITE)?;
                    }
                }
            }
            Ok(Answer::Continue)
        };
        check().or_else(|errno| {
            // Nothing is moved into itself.
            let is_above = is_in(&to.directory, &status)?
                || replaced.is_some_and(|(_, other)| is_in(&directory, other) == Ok(true));
            if is_above { Ok(Answer::Continue) } else { refused(directory.as_fd(), errno) }
        })
    }

    pub(super) fn link(&self, from: (Base, usize), to: (Base, usize), flags: AtFlags) -> Outcome {
        let last = if flags.contains(AtFlags::SYMLINK_FOLLOW) { Last::Followed } else { Last::Itself };
        let Ok(place) = self.place(from.0, Some(from.1), flags) else { return Ok(Answer::Continue) };
        let Some((object, status)) = self.found_at(&place, last)? else { return Ok(Answer::Continue) };
        let Some(Named { directory, above, object: None, ends_in_slash }) = self.named(to.0, to.1)? else {
            return Ok(Answer::Continue);
        };
        if ends_in_slash || mount_of(&object)? != mount_of(&directory)? {
            return Ok(Answer::Continue);
        }
        let is_harmless = || -> Result<bool, Errno> {
            const SET_GROUP: u32 = libc::S_ISGID | libc::S_IXGRP;
            let sets = status.mode & libc::S_ISUID != 0 || status.mode & SET_GROUP == SET_GROUP;
            Ok(status.kind == FileType::RegularFile
                && !sets
                && status.permits(object.as_fd(), self.identity, READ | WRITE)?)
        };
        if protects_hard_links() && !status.is_of(self.identity) && !is_harmless()? {
            return refused(directory.as_fd(), Errno::PERM);
        }
        self.may(directory.as_fd(), &above, WRITE | SEARCH)
    }

    pub(super) fn change_mode(&self, base: Base, path: Option<usize>, flags: AtFlags, mode: usize) -> Outcome {
        let place = match path {
            Some(_) => self.place(base, path, flags),
            None => Ok(self.target.descriptor(base.0)),
        };
        let last = if flags.contains(AtFlags::SYMLINK_NOFOLLOW) { Last::Itself } else { Last::Followed };
        let Ok(place) = place else { return Ok(Answer::Continue) };
        let Some((object, status)) = self.found_at(&place, last)? else { return Ok(Answer::Continue) };
        if !status.is_of(self.identity) {
            return refused(object.as_fd(), Errno::PERM);
        }
        let wanted = self.target.number(mode) & 0o7777;
        let mode = self.mode_for(&status, wanted);
        if mode == wanted || status.kind == FileType::Symlink {
            return Ok(Answer::Continue);
        }
        self.check()?;
        chmodat(CWD, own_link(object.as_fd()).as_c_str(), Mode::from_raw_mode(mode), AtFlags::empty())?;
        Ok(Answer::Done(0))
    }

    /// Answers a change of times, which are the argument after the path.
    pub(super) fn change_times(&self, base: Base, path: usize, flags: AtFlags, form: Times) -> Outcome {
        let times = self.target.argument(path + 1);
        let is_now = match (times, form) {
            (0, _) => true,
            (_, Times::Any) => false,
            (_, Times::Long | Times::Short) => {
                let places = if matches!(form, Times::Long) { [2, 6] } else { [1, 3] };
                let numbers = self.target.read_numbers(times, places[1] + 1)?;
                let [first, second] = places.map(|place| i64::from(numbers[place]));
                if (first, second) == (libc::UTIME_OMIT, libc::UTIME_OMIT) {
                    return Ok(Answer::Continue);
                }
                (first, second) == (libc::UTIME_NOW, libc::UTIME_NOW)
            }
        };
        // Without a path it is the descriptor that is meant.
        let is_open = matches!(form, Times::Long | Times::Short) && self.target.argument(path) == 0;
        let last = if flags.contains(AtFlags::SYMLINK_NOFOLLOW) { Last::Itself } else { Last::Followed };
        let place = if is_open { Ok(self.target.descriptor(base.0)) } else { self.place(base, Some(path), flags) };
        let Ok(place) = place else { return Ok(Answer::Continue) };
        let Some((object, status)) = self.found_at(&place, last)? else { return Ok(Answer::Continue) };
        match status.is_of(self.identity) {
            true => Ok(Answer::Continue),
            false if is_now => self.may(object.as_fd(), &status, WRITE),
            false => refused(object.as_fd(), Errno::PERM),
        }
    }

    /// Whether the name of what has `status` may be taken out of a directory.
    fn may_remove(&self, directory: &OwnedFd, above: &Status, status: &Status) -> Outcome {
        self.needs(directory, above, WRITE | SEARCH)?;
        let user = self.identity.user.file;
        let is_kept = above.mode & libc::S_ISVTX != 0 && user != above.kept.user && user != status.kept.user;
        if is_kept && !self.identity.has(Right::Owner) { Err(Errno::PERM) } else { Ok(Answer::Continue) }
    }

    fn needs(&self, object: &OwnedFd, status: &Status, wanted: u32) -> Result<(), Errno> {
        if status.permits(object.as_fd(), self.identity, wanted)? { Ok(()) } else { Err(Errno::ACCESS) }
    }

    /// Opens the directory that a path's last name is in, and what has that name; none where the kernel is to say.
    fn named(&self, base: Base, path: usize) -> Result<Option<Named>, Errno> {
        let Ok(place) = self.place(base, Some(path), AtFlags::empty()) else { return Ok(None) };
        self.way(&place, Last::Name)?.map_or(Ok(None), |way| Named::of(way, &place))
    }
}

impl Named {
    fn of(way: Way, place: &Place) -> Result<Option<Named>, Errno> {
        let Way { parent: Some(directory), object } = way else { return Ok(None) };
        let above = Status::of(directory.as_fd())?;
        let object = match object {
            None => None,
            Some(object) => {
                let status = Status::of(object.as_fd())?;
                Some((object, status))
            }
        };
        Ok(Some(Named { directory, above, object, ends_in_slash: place.path.to_bytes().ends_with(b"/") }))
    }
}

fn is_directory(status: &Status) -> bool {
    status.kind == FileType::Directory
}

fn is_same(one: &Status, other: &Status) -> bool {
    (one.device, one.inode) == (other.device, other.inode)
}

/// Whether `directory` is, or lies in, the directory that has `status`.
fn is_in(directory: &OwnedFd, status: &Status) -> Result<bool, Errno> {
    let mut directory = directory.try_clone().map_err(|_| Errno::MFILE)?;
    let mut last = None;
    while is_directory(status) {
        let here = Status::of(directory.as_fd())?;
        if is_same(&here, status) {
            return Ok(true);
        }
        if last.is_some_and(|last| is_same(&last, &here)) {
            break;
        }
        last = Some(here);
        directory = openat(&directory, c"..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    }
    Ok(false)
}

fn mount_of(object: &OwnedFd) -> Result<u64, Errno> {
    Ok(crate::run::linux::system::extended_status(object.as_fd(), libc::STATX_MNT_ID)?.stx_mnt_id)
}
