use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::{Content, Entry, Identity, Ignore, Kind};
use crate::error::{Error, Result};

/// Everything below `root`, a directory, that `ignore` leaves; sorted by path, paths relative to `root`. Links are not
/// followed; hard links come as files of one [`Identity`]. Directories are read in parallel on the current rayon pool.
///
/// Sockets, FIFOs and devices are errors that name them.
pub fn walk(root: &Path, ignore: &Ignore) -> Result<Vec<Entry>> {
    let walk = Walk { ignore, found: Mutex::default() };
    walk.below(root, b"")?;
    let mut entries = walk.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    entries.par_sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
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
    found: Mutex<Vec<Entry>>,
}

impl Walk<'_> {
    /// How many entries it has found in `directory` itself.
    fn below(&self, directory: &Path, prefix: &[u8]) -> Result<usize> {
        let listing = fs::read_dir(directory).map_err(|source| Error::io("list", directory, source))?;
        let names: Vec<OsString> = listing
            .map(|item| item.map(|item| item.file_name()).map_err(|source| Error::io("list", directory, source)))
            .collect::<Result<_>>()?;
        let entry = |name: &OsString| self.entry(directory.join(name), joined(prefix, name.as_bytes())).transpose();
        let mut entries: Vec<Entry> = names.par_iter().filter_map(entry).collect::<Result<_>>()?;
        let count = entries.len();
        self.found.lock().unwrap_or_else(PoisonError::into_inner).append(&mut entries);
        Ok(count)
    }

    /// The object at `disk`, after what is below it; none if it is ignored.
    fn entry(&self, disk: PathBuf, path: Vec<u8>) -> Result<Option<Entry>> {
        if !self.ignore.matches(&path) {
            let entry = inspect(&disk, path)?;
            if matches!(entry.kind, Kind::Directory) {
                self.below(&disk, &entry.path)?;
            }
            return Ok(Some(entry));
        }
        // Something below may be wanted again; the directory itself comes along only if something is.
        let is_directory = || fs::symlink_metadata(&disk).is_ok_and(|metadata| metadata.is_dir());
        if self.ignore.has_exceptions() && is_directory() && self.below(&disk, &path)? > 0 {
            return inspect(&disk, path).map(Some);
        }
        Ok(None)
    }
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
