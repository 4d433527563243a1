//! Extended attributes: what is kept in them is nobody else's, and is not there for a command.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd;

use rustix::fs::listxattr;
use rustix::io::Errno;

use super::acl;
use super::asked::{Asked, Outcome};
use crate::layer::{CAPABILITY, KEPT_PREFIX};
use crate::run::supervisor::calls::At;
use crate::run::supervisor::listener::Answer;
use crate::run::supervisor::owners::{Status, is_plain};
use crate::run::supervisor::target::own_link;

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
    Other,
}

impl Asked<'_> {
    pub(super) fn get_attribute(&self, at: At) -> Outcome {
        match self.meant(at)? {
            Meant::Hidden => Err(Errno::NODATA),
            Meant::List(name) if name == acl::ACCESS => self.get_list(at),
            Meant::List(_) | Meant::Other => Ok(Answer::Continue),
        }
    }

    pub(super) fn set_attribute(&self, at: At) -> Outcome {
        match self.meant(at)? {
            Meant::Hidden => Err(Errno::PERM),
            Meant::List(name) => self.set_list(at, name),
            Meant::Other => Ok(Answer::Continue),
        }
    }

    pub(super) fn remove_attribute(&self, at: At) -> Outcome {
        match self.meant(at)? {
            Meant::Hidden => Err(Errno::NODATA),
            Meant::List(name) if name == acl::ACCESS => self.remove_list(at),
            Meant::List(_) | Meant::Other => Ok(Answer::Continue),
        }
    }

    /// What the second argument names.
    fn meant(&self, at: At) -> Result<Meant, Errno> {
        // The kernel will say what is wrong.
        let Ok(name) = self.target.string(self.target.argument(1), LONGEST_NAME) else { return Ok(Meant::Other) };
        if let Some(list) = [acl::ACCESS, acl::DEFAULT].into_iter().find(|list| name.as_c_str() == *list) {
            return Ok(Meant::List(list));
        }
        if name.as_c_str() != CAPABILITY {
            return Ok(if name.to_bytes().starts_with(KEPT_PREFIX) { Meant::Hidden } else { Meant::Other });
        }
        let Ok((place, follows)) = self.place_at(at) else { return Ok(Meant::Other) };
        let Ok(object) = self.target.open(&place, follows) else { return Ok(Meant::Other) };
        Ok(if is_plain(Status::of(object.as_fd())?.kind) { Meant::Other } else { Meant::Hidden })
    }

    pub(super) fn list_attributes(&self, at: At) -> Outcome {
        let Ok((place, follows)) = self.place_at(at) else { return Ok(Answer::Continue) };
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
        if names().any(|name| name == acl::KEPT.to_bytes_with_nul()) {
            shown.extend_from_slice(acl::ACCESS.to_bytes_with_nul());
        }
        if shown.len() == all.len() {
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
