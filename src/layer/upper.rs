//! What an overlay's upper directory says has changed (the kernel's Documentation/filesystems/overlayfs.rst): of an overlay
//! with `userxattr`, and without `index`, `metacopy` and `redirect_dir`.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::kept::{has_one_id, restore};
use super::lower::{OVERLAY_OPAQUE, OVERLAY_WHITEOUT};
use super::same::{are_alike, free_capability, unchanged};
use super::stack::WHITEOUT_NAME;
use crate::error::{Error, Result};
use crate::tree::path::check;
use crate::tree::{
    Attributes, Content, Entry, Files, Identity, Kind, Node, joined, link_names, parent, read_xattr, read_xattrs,
    walk_special,
};

/// A file that was put into an upper directory for a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// Where it is in the root.
    pub path: Vec<u8>,
    /// The marks that it had when it had been written. An overlay shows other numbers of the device and of the inode than the
    /// upper directory: they do not count.
    pub identity: Identity,
}

/// Returns the change that `root`, the upper directory of an overlay over `below`, tells of: what is new or changed, with the
/// directories that lead there, sorted by path; and the paths that are no longer there, sorted, which go first. No directory is
/// among these that is there in another form: what has gone from it is named, child by child.
///
/// The time this takes grows with what lies in `root`. Files there are new, changed, or were opened to be written to: those that
/// are in `lowers` just so, their times included, are no change. `lowers` are the directories that `below` lies in, the topmost
/// first; where none are given all counts as a change. Directories that are as they were, their time aside, only lead to others; so do those that have nothing in them but
/// what was [`Provided`] and is as it was, which is left out. Sockets are left out, as no tar can hold them, and what they are
/// in the place of is gone. The root itself has no entry.
///
/// Contents are those of the files in `root`, whose path from then on must lead through no link. Names of one file come as hard
/// links if that is a regular file. Extended attributes are read; capabilities come as of version 2, which knows no user namespace.
pub fn upper(
    root: &Path,
    below: &Files,
    provided: &[Provided],
    lowers: &[PathBuf],
) -> Result<(Vec<Entry>, Vec<Vec<u8>>)> {
    let root = &fs::canonicalize(root).map_err(|source| Error::io("read", root, source))?;
    let (mut entries, sockets) = walk_special(root)?;
    if has_one_id() {
        entries.par_iter_mut().try_for_each(|entry| restore(root, entry))?;
    }
    entries.iter().try_for_each(|entry| check(&entry.path))?;
    let marks = entries.par_iter().map(|entry| mark(root, entry, provided)).collect::<Result<Vec<_>>>()?;
    let marked = |wanted: UpperMark| {
        let marked = entries.iter().zip(&marks).filter(move |(_, mark)| **mark == wanted);
        marked.map(|(entry, _)| entry.path.as_slice())
    };
    let gone = marked(UpperMark::Whiteout).chain(sockets.iter().map(|socket| socket.path.as_slice()));
    let mut removed: BTreeSet<Vec<u8>> = gone.filter(|path| below.get(path).is_some()).map(<[u8]>::to_vec).collect();
    let opaque: HashSet<&[u8]> = marked(UpperMark::Opaque).collect();
    removed.extend(hidden(&entries, &marks, &opaque, below));
    let for_provided: HashSet<Vec<u8>> = for_provided(&entries, &marks, below).map(<[u8]>::to_vec).collect();
    let unmarked: Vec<&Entry> =
        entries.iter().zip(&marks).filter(|it| *it.1 == UpperMark::None).map(|it| it.0).collect();
    let same = unchanged(root, &unmarked, below, lowers)?;
    let is_changed = |(entry, mark): &(Entry, UpperMark)| match mark {
        UpperMark::Whiteout | UpperMark::Provided => false,
        UpperMark::None | UpperMark::Opaque => {
            !(for_provided.contains(&entry.path)
                || same.contains(&entry.path)
                || entry.kind.is_directory() && is_as_below(entry, below))
        }
    };
    let (changed, rest): (Vec<_>, Vec<_>) = entries.into_iter().zip(marks).partition(is_changed);
    let mut entries: Vec<Entry> = changed.into_iter().map(|(entry, _)| entry).collect();
    let paths = entries.iter().map(|entry| &entry.path).chain(&removed);
    let ways: HashSet<Vec<u8>> = paths.flat_map(|path| above(path)).map(<[u8]>::to_vec).collect();
    let rest = rest.into_iter().map(|(entry, _)| entry);
    entries.extend(rest.filter(|entry| ways.contains(&entry.path)).map(|entry| with_all_attributes(entry, below)));
    entries.par_sort_unstable_by(|one, other| one.path.cmp(&other.path));
    link_names(&mut entries);
    read_xattrs(&mut entries)?;
    entries.iter_mut().for_each(|entry| free_capability(&mut entry.attributes));
    Ok((entries, removed.into_iter().collect()))
}

/// What an object in an upper directory is beside what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UpperMark {
    None,
    /// It hides what is below in its place.
    Whiteout,
    /// A directory that hides all that is below in it.
    Opaque,
    /// It was put there, and is as it was.
    Provided,
}

fn mark(root: &Path, entry: &Entry, provided: &[Provided]) -> Result<UpperMark> {
    let xattr = |name| read_xattr(&root.join(OsStr::from_bytes(&entry.path)), name);
    Ok(match &entry.kind {
        kind if *kind == OVERLAY_WHITEOUT => UpperMark::Whiteout,
        Kind::Directory if xattr(OVERLAY_OPAQUE)?.is_some_and(|value| value == b"y") => UpperMark::Opaque,
        Kind::File(Content::Disk(file)) if file.identity.size == 0 && xattr(WHITEOUT_NAME)?.is_some() => {
            UpperMark::Whiteout
        }
        Kind::File(Content::Disk(file)) => {
            let is_it = |it: &Provided| it.path == entry.path && is_as_it_was(&file.identity, &it.identity);
            if provided.iter().any(is_it) { UpperMark::Provided } else { UpperMark::None }
        }
        _ => UpperMark::None,
    })
}

/// Returns the paths of what is hidden by opaque directories, themselves and those in them, without having something else in
/// its place.
fn hidden(entries: &[Entry], marks: &[UpperMark], opaque: &HashSet<&[u8]>, below: &Files) -> Vec<Vec<u8>> {
    if opaque.is_empty() {
        return Vec::new();
    }
    let there = entries.iter().zip(marks).filter(|(_, mark)| **mark != UpperMark::Whiteout);
    let there: HashSet<&[u8]> = there.map(|(entry, _)| entry.path.as_slice()).collect();
    let is_all = |path: &[u8]| opaque.contains(path) || above(path).any(|above| opaque.contains(above));
    let directories = entries.iter().filter(|entry| entry.kind.is_directory() && is_all(&entry.path));
    let children = directories.flat_map(|directory| {
        let children = below.get(&directory.path).and_then(Node::children).into_iter().flatten();
        children.map(|(name, _)| joined(&directory.path, name))
    });
    children.filter(|path| !there.contains(path.as_slice())).collect()
}

/// Returns the directories that were made for what was provided and have nothing else in them.
fn for_provided<'e>(entries: &'e [Entry], marks: &[UpperMark], below: &Files) -> impl Iterator<Item = &'e [u8]> {
    let (mut leads, mut holds): (HashSet<&[u8]>, HashSet<&[u8]>) = Default::default();
    // Sorted, what is in a directory comes after it.
    for (entry, mark) in entries.iter().zip(marks).rev() {
        let path = entry.path.as_slice();
        let is_theirs = match mark {
            UpperMark::Provided => true,
            _ => {
                leads.contains(path)
                    && !holds.contains(path)
                    && below.get(path).is_none()
                    && are_alike(&entry.attributes, &Attributes::implied())
            }
        };
        if !is_theirs {
            leads.remove(path);
        }
        let set = if is_theirs { &mut leads } else { &mut holds };
        set.insert(parent(path).unwrap_or_default());
    }
    leads.into_iter()
}

/// Returns whether a directory is there as it was.
fn is_as_below(directory: &Entry, below: &Files) -> bool {
    let was = below.get(&directory.path).filter(|node| node.is_directory());
    was.is_some_and(|was| are_alike(&directory.attributes, was.attributes()))
}

/// Gives a directory that is as it was the extended attributes that a disk does not tell of.
fn with_all_attributes(mut directory: Entry, below: &Files) -> Entry {
    if let Some(was) = below.get(&directory.path) {
        directory.attributes.xattrs.clone_from(&was.attributes().xattrs);
    }
    directory
}

fn is_as_it_was(is: &Identity, was: &Identity) -> bool {
    let Identity { device, inode, .. } = *was;
    Identity { device, inode, ..*is } == *was
}

/// Returns the directories that `path` lies in, without the root.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    iter::successors(parent(path), |above| parent(above)).filter(|above| !above.is_empty())
}
