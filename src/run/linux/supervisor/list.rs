//! Access control lists (acl(5)), as the attributes of files have them, and those that name users or groups which the kernel
//! does not have: these are kept beside the file.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::getxattr;
use rustix::io::Errno;

use super::identity::Identity;
use super::target::own_link;

pub(super) const ACCESS: &CStr = c"system.posix_acl_access";
pub(super) const DEFAULT: &CStr = c"system.posix_acl_default";

/// Where the first one is kept.
pub(super) const KEPT: &CStr = c"user.ocibake.acl";
/// Where the second one is.
pub(super) const KEPT_DEFAULT: &CStr = c"user.ocibake.default-acl";

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
pub(super) const LONGEST: usize = 65_536;

/// A list, as its attribute has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List(Vec<Entry>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: u16,
    may: u32,
    id: u32,
}

impl List {
    /// Returns the list of `object` that says who may do what with it; none if its mode alone does.
    pub(super) fn of(object: BorrowedFd<'_>) -> Result<Option<List>, Errno> {
        match List::kept(object, KEPT)? {
            None => List::kept(object, ACCESS),
            kept => Ok(kept),
        }
    }

    /// Returns the list that the attribute `name` of `object` has.
    pub(super) fn kept(object: BorrowedFd<'_>, name: &CStr) -> Result<Option<List>, Errno> {
        let link = own_link(object);
        let mut bytes = vec![0; 1024];
        let mut length = getxattr(link.as_c_str(), name, &mut bytes[..]);
        if length == Err(Errno::RANGE) {
            bytes.resize(LONGEST, 0);
            length = getxattr(link.as_c_str(), name, &mut bytes[..]);
        }
        match length {
            Ok(length) => List::read(bytes.get(..length).unwrap_or_default()).ok_or(Errno::IO).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Reads a list; none if it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<List> {
        let (version, entries) = bytes.split_first_chunk()?;
        if u32::from_le_bytes(*version) != VERSION {
            return None;
        }
        let (entries, []) = entries.as_chunks::<ENTRY>() else { return None };
        let entry = |[tag, tag_above, may, may_above, id @ ..]: &[u8; ENTRY]| Entry {
            tag: u16::from_le_bytes([*tag, *tag_above]),
            may: u16::from_le_bytes([*may, *may_above]).into(),
            id: u32::from_le_bytes(*id),
        };
        Some(List(entries.iter().map(entry).collect()))
    }

    pub(super) fn written(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for Entry { tag, may, id } in &self.0 {
            bytes.extend(tag.to_le_bytes());
            bytes.extend((*may as u16).to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    /// Returns whether it names someone but root.
    pub(super) fn is_foreign(&self) -> bool {
        self.0.iter().any(|entry| matches!(entry.tag, USER | GROUP) && entry.id != 0)
    }

    /// Returns the permissions that it stands for; none if it lacks what each must have.
    pub(super) fn mode(&self) -> Option<u32> {
        let may = |tag| self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.may & 7);
        let group = may(OWNING_GROUP)?;
        let is_named = self.0.iter().any(|entry| matches!(entry.tag, USER | GROUP));
        // Whoever is named is limited by a mask.
        let group = if is_named { may(MASK)? } else { may(MASK).unwrap_or(group) };
        Some(may(OWNER)? << 6 | group << 3 | may(OTHER)?)
    }

    /// Returns it as the mode of its file says, which may have changed since.
    pub(super) fn with_mode(mut self, mode: u32) -> List {
        let group = if self.0.iter().any(|entry| entry.tag == MASK) { MASK } else { OWNING_GROUP };
        for entry in &mut self.0 {
            let shift = match entry.tag {
                OWNER => 6,
                tag if tag == group => 3,
                OTHER => 0,
                _ => continue,
            };
            entry.may = mode >> shift & 7;
        }
        self
    }

    /// Returns what a file has of it, as the list that its directory gives to what is made there, if it is made with `mode`.
    pub(super) fn limited_to(self, mode: u32) -> Option<List> {
        let mode = self.mode()? & mode;
        Some(self.with_mode(mode))
    }

    /// Returns whether `identity`, who is not the owner of the file, may do what `wanted` says; the file has that mode and that
    /// group.
    pub(super) fn permits(&self, (mode, group): (u32, u32), identity: &Identity, wanted: u32) -> bool {
        let mask = if self.0.iter().any(|entry| entry.tag == MASK) { mode >> 3 & 7 } else { 7 };
        let named = self.0.iter().find(|entry| entry.tag == USER && entry.id == identity.user.file);
        if let Some(named) = named {
            return named.may & mask & wanted == wanted;
        }
        let is_group = |entry: &&Entry| match entry.tag {
            OWNING_GROUP => identity.is_in(group),
            GROUP => identity.is_in(entry.id),
            _ => false,
        };
        let mut groups = self.0.iter().filter(is_group).peekable();
        if groups.peek().is_some() {
            return groups.any(|group| group.may & mask & wanted == wanted);
        }
        mode & wanted == wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: u32 = u32::MAX;
    const FULL: [(u16, u32, u32); 5] =
        [(OWNER, 7, NONE), (USER, 7, 1000), (OWNING_GROUP, 5, NONE), (MASK, 6, NONE), (OTHER, 4, NONE)];

    fn list(entries: &[(u16, u32, u32)]) -> List {
        List(entries.iter().map(|(tag, may, id)| Entry { tag: *tag, may: *may, id: *id }).collect())
    }

    #[test]
    fn a_list_that_names_a_user_has_the_mode_of_its_mask() {
        let named = list(&FULL);
        assert!(named.is_foreign());
        assert_eq!(named.mode(), Some(0o764));
        assert_eq!(list(&FULL[1..]).mode(), None);
        assert_eq!(list(&[FULL[0], FULL[1], FULL[2], FULL[4]]).mode(), None);
        let plain = list(&[(OWNER, 6, NONE), (OWNING_GROUP, 4, NONE), (OTHER, 0, NONE), (USER, 7, 0)]);
        assert!(!plain.is_foreign());
        let bytes = named.written();
        assert_eq!(List::read(&bytes), Some(named));
        assert!(List::read(&bytes[..9]).is_none() && List::read(&[1, 0, 0, 0]).is_none());
    }

    #[test]
    fn what_is_made_has_no_more_than_it_was_made_with() {
        let made = list(&FULL).limited_to(0o644).unwrap();
        assert_eq!(made.mode(), Some(0o644));
        // Of the groups the mask alone is limited.
        assert_eq!(made.0[2], Entry { tag: OWNING_GROUP, may: 5, id: NONE });
        assert_eq!(list(&FULL).with_mode(0o700).mode(), Some(0o700));
    }
}
