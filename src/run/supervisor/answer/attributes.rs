//! Extended attributes: what is kept in them is nobody else's, and is not there for a command.

use std::ffi::CString;
use std::os::fd::AsFd;

use rustix::fs::{FileType, listxattr};
use rustix::io::Errno;

use super::{Asked, Outcome};
use crate::layer::{CAPABILITY, KEPT_PREFIX};
use crate::run::supervisor::calls::At;
use crate::run::supervisor::listener::Answer;
use crate::run::supervisor::owners::{Status, is_plain};
use crate::run::supervisor::target::own_link;

/// With the null byte behind it, in bytes (xattr(7)).
const LONGEST_NAME: usize = 256;
/// In bytes, of all names of a file together.
const LONGEST_LIST: usize = 65_536;

impl Asked<'_> {
    pub(super) fn get_attribute(&self, at: At) -> Outcome {
        if self.is_hidden(at)? { Err(Errno::NODATA) } else { Ok(Answer::Continue) }
    }

    pub(super) fn set_attribute(&self, at: At) -> Outcome {
        if self.is_hidden(at)? { Err(Errno::PERM) } else { Ok(Answer::Continue) }
    }

    pub(super) fn remove_attribute(&self, at: At) -> Outcome {
        if self.is_hidden(at)? { Err(Errno::NODATA) } else { Ok(Answer::Continue) }
    }

    /// Whether the attribute that the second argument names is one that something is kept in.
    fn is_hidden(&self, at: At) -> Result<bool, Errno> {
        // The kernel will say what is wrong.
        let Ok(name) = self.target.string(self.target.argument(1), LONGEST_NAME) else { return Ok(false) };
        if name.as_c_str() != CAPABILITY {
            return Ok(name.to_bytes().starts_with(KEPT_PREFIX));
        }
        let Ok((place, follows)) = self.place_at(at) else { return Ok(false) };
        let Ok(object) = self.target.open(&place, follows) else { return Ok(false) };
        let kind = Status::of(object.as_fd())?.kind;
        Ok(!is_plain(kind) && kind != FileType::Unknown)
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
        let shown: Vec<u8> = all.split_inclusive(|byte| *byte == 0).filter(is_shown).flatten().copied().collect();
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
