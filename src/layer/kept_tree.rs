//! What is in a directory that commands are given, and that is kept from one build to the next.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::lstat;

use super::kept::{has_one_id, restore};
use super::read::WHITEOUT;
use super::same::free_capability;
use crate::error::{Error, Result};
use crate::tree::path::{check, split};
use crate::tree::{Content, Entry, Kind, Time, inspect, link_names, read_xattrs, walk_special};

/// Returns all that is in `root`, which nobody changes meanwhile, itself included, sorted by path: with the owners that commands see, and with times to the
/// nanosecond. Names of one file come as hard links. Sockets, which no tar can hold, and devices are left out.
///
/// Fails if something has a name that a layer cannot hold.
pub fn kept_tree(root: &Path) -> Result<Vec<Entry>> {
    let root = &fs::canonicalize(root).map_err(|source| Error::io("read", root, source))?;
    let (mut entries, _) = walk_special(root)?;
    entries.push(inspect(root, Vec::new())?);
    if has_one_id() {
        entries.par_iter_mut().try_for_each(|entry| restore(root, entry))?;
    }
    entries.retain(|entry| !matches!(entry.kind, Kind::CharacterDevice { .. } | Kind::BlockDevice { .. }));
    entries.par_iter_mut().try_for_each(|entry| {
        check(&entry.path)?;
        if split(&entry.path).1.starts_with(WHITEOUT) {
            let name = entry.path.escape_ascii();
            return Err(Error::input(format!("no layer can hold {name}: its name stands for the removal of another")));
        }
        entry.attributes.modified = modified(root, entry)?;
        Ok(())
    })?;
    entries.par_sort_unstable_by(|one, other| one.path.cmp(&other.path));
    link_names(&mut entries);
    read_xattrs(&mut entries)?;
    entries.iter_mut().for_each(|entry| free_capability(&mut entry.attributes));
    Ok(entries)
}

fn modified(root: &Path, entry: &Entry) -> Result<Time> {
    let (seconds, nanoseconds) = match &entry.kind {
        Kind::File(Content::Disk(file)) => file.identity.modified,
        _ => {
            let path = root.join(OsStr::from_bytes(&entry.path));
            let status = lstat(&path).map_err(|errno| Error::io("look at", &path, errno.into()))?;
            (status.st_mtime, i64::try_from(status.st_mtime_nsec).unwrap_or_default())
        }
    };
    Ok(Time { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap_or_default() })
}
