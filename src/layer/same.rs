//! What was copied to an upper directory and is what it was: overlayfs copies whatever is opened to be written to, and whatever
//! is given an owner or a mode, be it the one that it has.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::OFlags;

use super::stack::{find, within};
use crate::error::{Error, Result};
use crate::tree::{Attributes, Content, Entry, Files, Kind, Object, belongs_to_content, find_xattrs, open_real};

/// Returns the paths of those `entries` of the upper directory `root` over `lowers`, which hold `below`, that are there as they
/// were: kind, attributes, content and time. Directories and names of files that have several are not among them. A file is
/// read if all but its content is as it was.
pub(super) fn unchanged(
    root: &Path,
    entries: &[&Entry],
    below: &Files,
    lowers: &[PathBuf],
) -> Result<HashSet<Vec<u8>>> {
    if lowers.is_empty() {
        return Ok(HashSet::new());
    }
    let looks_alike = |entry: &&&Entry| {
        let node = below.get(&entry.path);
        node.is_some_and(|node| is_kind_alike(entry, node.object()) && is_owner_alike(entry, node.attributes()))
    };
    let mut alike: Vec<Entry> = entries.iter().filter(looks_alike).map(|entry| (*entry).clone()).collect();
    for (number, xattrs) in find_xattrs(&alike)? {
        alike[number].attributes.xattrs = xattrs;
        free_capability(&mut alike[number].attributes);
    }
    let is_same = |entry: &Entry| {
        let was = below.get(&entry.path).map(|node| node.attributes());
        Ok(was.is_some_and(|was| are_alike(&entry.attributes, was)) && is_on_disk(root, entry, lowers)?)
    };
    let same = alike.into_par_iter().map(|entry| Ok(is_same(&entry)?.then_some(entry.path)));
    Ok(same.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Returns whether two have the same attributes, their times aside, as far as a disk tells of them.
pub(super) fn are_alike(one: &Attributes, other: &Attributes) -> bool {
    fn told(attributes: &Attributes) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        attributes.xattrs.iter().filter(|(name, _)| belongs_to_content(name))
    }
    (one.mode, one.user, one.group) == (other.mode, other.user, other.group) && told(one).eq(told(other))
}

/// `security.capability` (linux/capability.h): the first number is the revision, in the highest byte, and flags.
const CAPABILITY: &[u8] = b"security.capability";
const REVISION_2: u8 = 2;
const REVISION_3: u8 = 3;
/// The length of the second revision. The third has behind it whose user namespace it is of.
const CAPABILITY_2: usize = 20;

/// Makes a capability one that counts wherever the file comes to.
pub(super) fn free_capability(attributes: &mut Attributes) {
    let Some(capability) = attributes.xattrs.get_mut(CAPABILITY) else { return };
    if capability.len() == CAPABILITY_2 + 4 && capability[3] == REVISION_3 {
        capability[3] = REVISION_2;
        capability.truncate(CAPABILITY_2);
    }
}

fn is_kind_alike(entry: &Entry, was: &Object) -> bool {
    match (&entry.kind, was) {
        (Kind::File(Content::Disk(file)), Object::Other(Kind::File(content))) => {
            file.identity.links == 1 && file.identity.size == content.size()
        }
        (Kind::File(_), _) | (Kind::Directory | Kind::HardLink { .. }, _) => false,
        (kind, Object::Other(was)) => kind == was,
        (_, Object::Directory(_)) => false,
    }
}

fn is_owner_alike(entry: &Entry, was: &Attributes) -> bool {
    let is = &entry.attributes;
    (is.mode, is.user, is.group) == (was.mode, was.user, was.group)
}

/// Returns whether `lowers` have a file of the time and the content of `entry` in its place; of all else only the time counts.
fn is_on_disk(root: &Path, entry: &Entry, lowers: &[PathBuf]) -> Result<bool> {
    let Some((place, metadata)) = find(lowers, &entry.path)? else { return Ok(false) };
    let path = within(root, &entry.path);
    let is = fs::symlink_metadata(&path).map_err(|source| Error::io("read", path, source))?;
    if (metadata.mtime(), metadata.mtime_nsec()) != (is.mtime(), is.mtime_nsec()) {
        return Ok(false);
    }
    match &entry.kind {
        Kind::File(Content::Disk(file)) => is_content_alike(&file.path(), &place, &metadata),
        _ => Ok(true),
    }
}

fn is_content_alike(is: &Path, was: &Path, metadata: &Metadata) -> Result<bool> {
    let open = |path: &Path| match open_real(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
        Ok(opened) => Ok(File::from(opened)),
        Err(errno) => Err(Error::io("read", path, errno.into())),
    };
    if !metadata.is_file() {
        return Ok(false);
    }
    let (mut one, mut other) = (open(is)?, open(was)?);
    let (mut first, mut second) = (vec![0; PART], vec![0; PART]);
    loop {
        let length = one.read(&mut first).map_err(|source| Error::io("read", is, source))?;
        if length == 0 {
            return Ok(other.read(&mut second[..1]).map_err(|source| Error::io("read", was, source))? == 0);
        }
        match other.read_exact(&mut second[..length]) {
            Ok(()) if first[..length] == second[..length] => {}
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
                return Err(Error::io("read", was, error));
            }
            _ => return Ok(false),
        }
    }
}

/// In bytes: as much is compared at a time.
const PART: usize = 128 << 10;
