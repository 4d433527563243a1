//! Access control lists (acl(5)) that name users or groups which the kernel does not have: they are kept beside the file, and
//! its mode is what they make of it. They are in no layer, here as elsewhere.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, XattrFlags, chmodat, removexattr, setxattr};
use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::run::linux::supervisor::calls::At;
use crate::run::linux::supervisor::list::{ACCESS, KEPT, KEPT_DEFAULT, LONGEST, List};
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::owners::{Status, is_plain};
use crate::run::linux::supervisor::target::own_link;
use crate::run::linux::supervisor::way::Last;

impl Asked<'_> {
    pub(super) fn get_list(&self, at: At, name: &CStr) -> Outcome {
        let Some((object, status)) = self.object_at(at)?.filter(|(_, status)| is_plain(status.kind)) else {
            return Ok(Answer::Continue);
        };
        let Some(list) = List::kept(object.as_fd(), kept_as(name))? else { return Ok(Answer::Continue) };
        let list = if name == ACCESS { list.with_mode(status.mode).written() } else { list.written() };
        let room = self.target.argument(3) as usize;
        if room != 0 {
            if room < list.len() {
                return Err(Errno::RANGE);
            }
            self.check()?;
            self.target.write(self.target.argument(2), &list)?;
        }
        Ok(Answer::Done(list.len() as i64))
    }

    pub(super) fn set_list(&self, at: At, name: &CStr) -> Outcome {
        let length = self.target.argument(3) as usize;
        let Some((object, status)) = self.object_at(at)?.filter(|_| length <= LONGEST) else {
            return Ok(Answer::Continue);
        };
        if name != ACCESS && status.kind != FileType::Directory {
            return Err(Errno::ACCESS);
        }
        if !status.is_of(self.identity) {
            return Err(Errno::PERM);
        }
        // Beside others than files and directories nothing is kept.
        if !is_plain(status.kind) {
            return Ok(Answer::Continue);
        }
        let mut bytes = vec![0; length];
        self.target.read(self.target.argument(2), &mut bytes)?;
        let link = own_link(object.as_fd());
        let list = List::read(&bytes).filter(List::is_foreign);
        self.check()?;
        let Some(list) = list else {
            self.forget_list(&object, name)?;
            self.keep_group(&object, &status, name)?;
            return Ok(Answer::Continue);
        };
        let mode = list.mode().ok_or(Errno::INVAL)?;
        // The kernel's own would hold beside it.
        match removexattr(link.as_c_str(), name) {
            Err(Errno::NODATA) | Ok(()) => {}
            Err(errno) => return Err(errno),
        }
        setxattr(link.as_c_str(), kept_as(name), &bytes, XattrFlags::empty())?;
        if name == ACCESS {
            let mode = Mode::from_raw_mode(self.mode_for(&status, status.mode & !0o777 | mode));
            chmodat(CWD, link.as_c_str(), mode, AtFlags::empty())?;
        }
        Ok(Answer::Done(0))
    }

    pub(super) fn remove_list(&self, at: At, name: &CStr) -> Outcome {
        let Some((object, status)) = self.object_at(at)? else { return Ok(Answer::Continue) };
        if name != ACCESS && status.kind != FileType::Directory {
            return Ok(Answer::Continue);
        }
        if !status.is_of(self.identity) {
            return Err(Errno::PERM);
        }
        self.check()?;
        if is_plain(status.kind) {
            self.forget_list(&object, name)?;
            self.keep_group(&object, &status, name)?;
        }
        Ok(Answer::Continue)
    }

    /// Who changes a list and does not belong to the group gives nobody that group.
    fn keep_group(&self, object: &OwnedFd, status: &Status, name: &CStr) -> Result<(), Errno> {
        let mode = self.mode_for(status, status.mode);
        if name == ACCESS && mode != status.mode {
            chmodat(CWD, own_link(object.as_fd()).as_c_str(), Mode::from_raw_mode(mode), AtFlags::empty())?;
        }
        Ok(())
    }

    fn forget_list(&self, object: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        match removexattr(own_link(object.as_fd()).as_c_str(), kept_as(name)) {
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
            removed => removed,
        }
    }

    /// Opens what is meant; none if the kernel is to say what is wrong.
    fn object_at(&self, at: At) -> Result<Option<(OwnedFd, Status)>, Errno> {
        let Ok((place, follows)) = self.place_at(at) else { return Ok(None) };
        self.reach(&place, if follows { Last::Followed } else { Last::Itself })?;
        let Ok(object) = self.target.open(&place, follows) else { return Ok(None) };
        let status = Status::of(object.as_fd())?;
        Ok((status.kind != FileType::Symlink).then_some((object, status)))
    }
}

fn kept_as(name: &CStr) -> &'static CStr {
    if name == ACCESS { KEPT } else { KEPT_DEFAULT }
}
