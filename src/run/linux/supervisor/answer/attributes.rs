//! Extended attributes: what is kept in them is nobody else's, and is not there for a command.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, listxattr};
use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::layer::{CAPABILITY, KEPT_PREFIX};
use crate::run::linux::supervisor::calls::At;
use crate::run::linux::supervisor::identity::Right;
use crate::run::linux::supervisor::list;
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::owners::{READ, Status, WRITE, is_plain};
use crate::run::linux::supervisor::target::own_link;
use crate::run::linux::supervisor::way::Last;

/// With the null byte behind it, in bytes (xattr(7)).
const LONGEST_NAME: usize = 256;
/// In bytes, of all names of a file together.
const LONGEST_LIST: usize = 65_536;

/// An attribute that a command asks about.
enum Meant {
    /// One that something is kept in.
    Hidden,
    /// A list that may name whom the kernel does not know.
    List(&'static CStr),
    /// One of users, of what somebody is kept from.
    Users(OwnedFd, Status),
    Capability,
    Other,
}

impl Asked<'_> {
    pub(super) fn get_attribute(&self, at: At) -> Outcome {
        match self.meant(at)? {
            Meant::Hidden => Err(Errno::NODATA),
            Meant::List(name) => self.get_list(at, name),
            Meant::Users(object, status) => {
                let may = !is_plain(status.kind) || status.permits(object.as_fd(), self.identity, READ)?;
                if may { Ok(Answer::Continue) } else { Err(Errno::ACCESS) }
            }
            Meant::Capability | Meant::Other => Ok(Answer::Continue),
        }
    }

    pub(super) fn set_attribute(&self, at: At) -> Outcome {
        match self.meant(at)? {
            Meant::Hidden => Err(Errno::PERM),
            Meant::List(name) => self.set_list(at, name),
            meant => self.may_change(&meant),
        }
    }

    pub(super) fn remove_attribute(&self, at: At) -> Outcome {
        match self.meant(at)? {
            Meant::Hidden => Err(Errno::NODATA),
            Meant::List(name) => self.remove_list(at, name),
            meant => self.may_change(&meant),
        }
    }

    /// As xattr(7) says, and capabilities(7) of those of files.
    fn may_change(&self, meant: &Meant) -> Outcome {
        match meant {
            Meant::Capability if !self.identity.has(Right::SetFile) => Err(Errno::PERM),
            Meant::Users(_, status) if !is_plain(status.kind) => Err(Errno::PERM),
            Meant::Users(object, status) => {
                let is_shared = status.kind == FileType::Directory && status.mode & libc::S_ISVTX != 0;
                if is_shared && !status.is_of(self.identity) {
                    return Err(Errno::PERM);
                }
                self.may(object.as_fd(), status, WRITE)
            }
            _ => Ok(Answer::Continue),
        }
    }

    /// What the second argument names.
    fn meant(&self, at: At) -> Result<Meant, Errno> {
        // The kernel will say what is wrong.
        let Ok(name) = self.target.string(self.target.argument(1), LONGEST_NAME) else { return Ok(Meant::Other) };
        if let Some(list) = [list::ACCESS, list::DEFAULT].into_iter().find(|list| name.as_c_str() == *list) {
            return Ok(Meant::List(list));
        }
        if name.to_bytes().starts_with(KEPT_PREFIX) {
            return Ok(Meant::Hidden);
        }
        let is_capability = name.as_c_str() == CAPABILITY;
        let is_limited = self.is_limited();
        if !is_capability && !is_limited {
            return Ok(Meant::Other);
        }
        let Ok((place, follows)) = self.place_at(at) else { return Ok(Meant::Other) };
        self.reach(&place, if follows { Last::Followed } else { Last::Itself })?;
        let Ok(object) = self.target.open(&place, follows) else { return Ok(Meant::Other) };
        let status = Status::of(object.as_fd())?;
        Ok(match name.to_bytes().starts_with(b"user.") {
            true => Meant::Users(object, status),
            false if is_capability && !is_plain(status.kind) => Meant::Hidden,
            false if is_capability => Meant::Capability,
            false => Meant::Other,
        })
    }

    pub(super) fn list_attributes(&self, at: At) -> Outcome {
        let Ok((place, follows)) = self.place_at(at) else { return Ok(Answer::Continue) };
        self.reach(&place, if follows { Last::Followed } else { Last::Itself })?;
        let Ok(object) = self.target.open(&place, follows) else { return Ok(Answer::Continue) };
        let is_plain = is_plain(Status::of(object.as_fd())?.kind);
        let mut list = vec![0u8; LONGEST_LIST];
        let link: CString = own_link(object.as_fd());
        let length = listxattr(link.as_c_str(), &mut list[..])?;
        let all = list.get(..length).unwrap_or_default();
        let is_shown = |name: &&[u8]| {
            !name.starts_with(KEPT_PREFIX) && (is_plain || name.strip_suffix(b"\0") != Some(CAPABILITY.to_bytes()))
        };
        let names = || all.split_inclusive(|byte| *byte == 0);
        let mut shown: Vec<u8> = names().filter(is_shown).flatten().copied().collect();
        for (kept, shown_as) in [(list::KEPT, list::ACCESS), (list::KEPT_DEFAULT, list::DEFAULT)] {
            if names().any(|name| name == kept.to_bytes_with_nul()) {
                shown.extend_from_slice(shown_as.to_bytes_with_nul());
            }
        }
        if shown == all {
            return Ok(Answer::Continue);
        }
        let room = self.target.argument(2);
        if room != 0 {
            if (room as usize) < shown.len() {
                return Err(Errno::RANGE);
            }
            self.check()?;
            self.target.write(self.target.argument(1), &shown)?;
        }
        Ok(Answer::Done(shown.len() as i64))
    }
}
