//! Access control lists (acl(5)) that name users or groups which the kernel does not have: they are kept beside the file, and
//! its mode is what they make of it. They are in no layer, here as elsewhere.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType};
use rustix::fs::{CWD, Mode, XattrFlags, chmodat, getxattr, removexattr, setxattr};
use rustix::io::Errno;

use super::asked::{Asked, Outcome};
use crate::run::supervisor::calls::At;
use crate::run::supervisor::listener::Answer;
use crate::run::supervisor::owners::{Status, is_plain};
use crate::run::supervisor::target::own_link;

pub(super) const ACCESS: &CStr = c"system.posix_acl_access";
pub(super) const DEFAULT: &CStr = c"system.posix_acl_default";

/// Where the first one is kept.
pub(super) const KEPT: &CStr = c"user.ocibake.acl";

const VERSION: u32 = 2;
const ENTRY: usize = 8;

/// Tags of entries (linux/posix_acl.h).
const OWNER: u16 = 0x01;
const USER: u16 = 0x02;
const OWNING_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// In bytes: what an attribute can have.
const LONGEST: usize = 65_536;

impl Asked<'_> {
    pub(super) fn get_list(&self, at: At) -> Outcome {
        let Some((object, status)) = self.object_at(at)? else { return Ok(Answer::Continue) };
        let mut list = vec![0; LONGEST];
        let Ok(length) = getxattr(own_link(object.as_fd()).as_c_str(), KEPT, &mut list[..]) else {
            return Ok(Answer::Continue);
        };
        list.truncate(length);
        for entry in entries(&mut list).ok_or(Errno::IO)? {
            let shift = match u16::from_le_bytes([entry[0], entry[1]]) {
                OWNER => 6,
                MASK => 3,
                OTHER => 0,
                _ => continue,
            };
            // The mode may have changed since.
            entry[2..4].copy_from_slice(&((status.mode >> shift & 7) as u16).to_le_bytes());
        }
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
        let mut list = vec![0; length];
        self.target.read(self.target.argument(2), &mut list)?;
        let link = own_link(object.as_fd());
        let is_foreign = entries(&mut list).is_some_and(|mut entries| entries.any(|entry| is_foreign(entry)));
        self.check()?;
        if !is_foreign {
            if name == ACCESS {
                self.forget_list(&link)?;
            }
            return Ok(Answer::Continue);
        }
        // What is made in a directory would have to be given it.
        if name != ACCESS {
            return Err(Errno::OPNOTSUPP);
        }
        if !self.identity.overrides() && self.identity.user.file != status.kept.user {
            return Err(Errno::PERM);
        }
        setxattr(link.as_c_str(), KEPT, &list, XattrFlags::empty())?;
        let mode = status.mode & !0o777 | mode_of(&mut list).ok_or(Errno::INVAL)?;
        chmodat(CWD, link.as_c_str(), Mode::from_raw_mode(mode), AtFlags::empty())?;
        Ok(Answer::Done(0))
    }

    pub(super) fn remove_list(&self, at: At) -> Outcome {
        if let Some((object, _)) = self.object_at(at)? {
            self.check()?;
            self.forget_list(&own_link(object.as_fd()))?;
        }
        Ok(Answer::Continue)
    }

    fn forget_list(&self, link: &CString) -> Result<(), Errno> {
        match removexattr(link.as_c_str(), KEPT) {
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
            removed => removed,
        }
    }

    /// Opens the file or directory that is meant; none if the kernel is to say what is wrong.
    fn object_at(&self, at: At) -> Result<Option<(OwnedFd, Status)>, Errno> {
        let Ok((place, follows)) = self.place_at(at) else { return Ok(None) };
        let Ok(object) = self.target.open(&place, follows) else { return Ok(None) };
        let status = Status::of(object.as_fd())?;
        Ok((is_plain(status.kind) && status.kind != FileType::Unknown).then_some((object, status)))
    }
}

fn entries(list: &mut [u8]) -> Option<impl Iterator<Item = &mut [u8; ENTRY]>> {
    let (version, entries) = list.split_first_chunk_mut()?;
    if u32::from_le_bytes(*version) != VERSION {
        return None;
    }
    let (entries, []) = entries.as_chunks_mut() else { return None };
    Some(entries.iter_mut())
}

/// Whether it names someone but root.
fn is_foreign(entry: &[u8; ENTRY]) -> bool {
    let [tag, tag_above, _, _, id @ ..] = *entry;
    matches!(u16::from_le_bytes([tag, tag_above]), USER | GROUP) && u32::from_le_bytes(id) != 0
}

/// The permissions that a list stands for; none if it lacks what each must have.
fn mode_of(list: &mut [u8]) -> Option<u32> {
    let (mut owner, mut group, mut mask, mut other) = (None, None, None, None);
    for entry in entries(list)? {
        let may = Some(u32::from(u16::from_le_bytes([entry[2], entry[3]]) & 7));
        match u16::from_le_bytes([entry[0], entry[1]]) {
            OWNER => owner = may,
            OWNING_GROUP => group = may,
            MASK => mask = may,
            OTHER => other = may,
            _ => {}
        }
    }
    group?;
    // Whoever is named is limited by a mask.
    Some(owner? << 6 | mask? << 3 | other?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_names_a_user_has_the_mode_of_its_mask() {
        let list = |entries: &[(u16, u16, u32)]| {
            let mut list = VERSION.to_le_bytes().to_vec();
            for (tag, may, id) in entries {
                list.extend([tag.to_le_bytes(), may.to_le_bytes()].concat());
                list.extend(id.to_le_bytes());
            }
            list
        };
        let none = u32::MAX;
        let full = [(OWNER, 7, none), (USER, 7, 1000), (OWNING_GROUP, 5, none), (MASK, 6, none), (OTHER, 4, none)];
        let mut named = list(&full);
        assert!(entries(&mut named).unwrap().any(|entry| is_foreign(entry)));
        assert_eq!(mode_of(&mut named), Some(0o764));
        assert_eq!(mode_of(&mut list(&full[1..])), None);
        let mut plain = list(&[(OWNER, 6, none), (OWNING_GROUP, 4, none), (OTHER, 0, none), (USER, 7, 0)]);
        assert!(!entries(&mut plain).unwrap().any(|entry| is_foreign(entry)));
        assert!(entries(&mut named[..9]).is_none() && entries(&mut [1, 0, 0, 0]).is_none());
    }
}
