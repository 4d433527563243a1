use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::Scope;
use rayon::prelude::*;

use super::write::locked;
use super::{Content, Entry, Identity, Ignore, Kind};
use crate::error::{Error, Result};

/// Names that one task looks at.
const BATCH: usize = 256;

/// Everything below `root`, a directory, that `ignore` leaves; sorted by path, paths relative to `root`. Links are not
/// followed; hard links come as files of one [`Identity`]. A directory that is ignored comes along if something below
/// it is not. Directories are read in parallel on the current rayon pool.
///
/// Sockets, FIFOs and devices are errors that name them.
pub fn walk(root: &Path, ignore: &Ignore) -> Result<Vec<Entry>> {
    let walk = Walk { ignore, found: Mutex::default(), failure: Mutex::default() };
    rayon::scope(|scope| walk.directory(scope, root.to_owned(), Vec::new()));
    if let Some(error) = unlocked(walk.failure) {
        return Err(error);
    }
    let mut found = unlocked(walk.found);
    found.par_sort_unstable_by(|a, b| a.entry.path.cmp(&b.entry.path));
    Ok(wanted(found))
}

/// The object at `disk` itself, as an entry at `path`. A link is not followed.
pub fn inspect(disk: &Path, path: Vec<u8>) -> Result<Entry> {
    let metadata = fs::symlink_metadata(disk).map_err(|source| Error::io("read", disk, source))?;
    let file_type = metadata.file_type();
    let kind = if file_type.is_file() {
        Kind::File(Content::Disk { path: disk.to_owned(), identity: Identity::of(&metadata) })
    } else if file_type.is_dir() {
        Kind::Directory
    } else if file_type.is_symlink() {
        let target = fs::read_link(disk).map_err(|source| Error::io("read the link", disk, source))?;
        Kind::Symlink { target: target.into_os_string().into_vec() }
    } else {
        let what = if file_type.is_socket() {
            "a socket"
        } else if file_type.is_fifo() {
            "a FIFO"
        } else if file_type.is_block_device() {
            "a block device"
        } else {
            "a character device"
        };
        return Err(Error::input(format!("{} is {what}", disk.display()))
            .with_hint("only files, directories and links go into a layer: exclude it or remove it"));
    };
    // Links have no permissions of their own; what lstat shows for them differs between systems.
    let mode = if file_type.is_symlink() { 0o777 } else { metadata.mode() & 0o7777 };
    let xattrs = if file_type.is_symlink() { BTreeMap::new() } else { xattrs(disk)? };
    Ok(Entry {
        path,
        kind,
        mode,
        user: metadata.uid().into(),
        group: metadata.gid().into(),
        modified: metadata.mtime(),
        xattrs,
    })
}

struct Walk<'a> {
    ignore: &'a Ignore,
    found: Mutex<Vec<Found>>,
    /// The first one; it ends the walk.
    failure: Mutex<Option<Error>>,
}

struct Found {
    entry: Entry,
    is_ignored: bool,
}

impl<'a> Walk<'a> {
    /// Every directory is a task, and so is every batch of names in it: however deep the tree, the stack stays flat.
    fn directory<'s>(&'s self, scope: &Scope<'s>, disk: PathBuf, path: Vec<u8>) {
        let failed = |source| Error::io("list", &disk, source);
        let names = fs::read_dir(&disk)
            .and_then(|listing| listing.map(|item| item.map(|item| item.file_name())).collect::<io::Result<Vec<_>>>());
        let names = match names.map_err(failed) {
            Ok(names) => names,
            Err(error) => return self.fail(error),
        };
        for batch in names.chunks(BATCH) {
            let (disk, path, batch) = (disk.clone(), path.clone(), batch.to_vec());
            scope.spawn(move |scope| {
                if let Err(error) = self.batch(scope, &disk, &path, &batch) {
                    self.fail(error);
                }
            });
        }
    }

    fn batch<'s>(&'s self, scope: &Scope<'s>, directory: &Path, path: &[u8], names: &[OsString]) -> Result<()> {
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            if locked(&self.failure).is_some() {
                return Ok(());
            }
            let (disk, path) = (directory.join(name), joined(path, name.as_bytes()));
            let is_ignored = self.ignore.matches(&path);
            if is_ignored {
                let is_directory = || fs::symlink_metadata(&disk).is_ok_and(|metadata| metadata.is_dir());
                if !self.ignore.has_exceptions() || !is_directory() {
                    continue;
                }
            }
            let entry = inspect(&disk, path)?;
            if matches!(entry.kind, Kind::Directory) {
                self.directory(scope, disk, entry.path.clone());
            }
            found.push(Found { entry, is_ignored });
        }
        locked(&self.found).append(&mut found);
        Ok(())
    }

    fn fail(&self, error: Error) {
        locked(&self.failure).get_or_insert(error);
    }
}

/// What is not ignored, and the directories that lead there. `found` is sorted, so what is below a directory comes
/// after it.
fn wanted(found: Vec<Found>) -> Vec<Entry> {
    if found.iter().all(|found| !found.is_ignored) {
        return found.into_iter().map(|found| found.entry).collect();
    }
    let mut leading = HashSet::new();
    let mut wanted: Vec<Entry> = Vec::new();
    for Found { entry, is_ignored } in found.into_iter().rev() {
        if !is_ignored || leading.contains(&entry.path) {
            if let Some(slash) = entry.path.iter().rposition(|byte| *byte == b'/') {
                leading.insert(entry.path[..slash].to_vec());
            }
            wanted.push(entry);
        }
    }
    wanted.reverse();
    wanted
}

fn unlocked<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn joined(prefix: &[u8], name: &[u8]) -> Vec<u8> {
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// The extended attributes that belong to a file's content and not to the machine it lies on: capabilities and what
/// users set. SELinux labels, ACLs, IMA hashes and the notes that overlay file systems keep stay behind.
fn xattrs(disk: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let failed = |source| Error::io("read the extended attributes of", disk, source);
    let names = match xattr::list(disk) {
        Ok(names) => names,
        // A file system without them has none.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut all = BTreeMap::new();
    for name in names.filter(|name| belongs_to_content(name.as_bytes())) {
        // None: it was removed after it was listed.
        if let Some(value) = xattr::get(disk, &name).map_err(failed)? {
            all.insert(name.into_vec(), value);
        }
    }
    Ok(all)
}

fn belongs_to_content(name: &[u8]) -> bool {
    name == b"security.capability"
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") && !name.starts_with(b"user.containers."))
}
