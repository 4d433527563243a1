//! Extended attributes of what lies on this machine.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::OFlags;
use xattr::FileExt;

use super::real_path::open_real;
use crate::error::{Error, Result};
use crate::tree::content::{self, Content, Identity};
use crate::tree::entry::{Entry, Kind};

/// Reads the extended attributes of the files on disk among `entries`, sorted by path, into them; see [`find_xattrs`].
pub fn read_xattrs(entries: &mut [Entry]) -> Result<()> {
    for (number, xattrs) in find_xattrs(entries)? {
        entries[number].attributes.xattrs = xattrs;
    }
    Ok(())
}

/// Extended attributes, by full name.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Returns the extended attributes of the files on disk among `entries`, sorted by path, and of their hard links, with the
/// numbers of those that have any. To look for them takes as long as the walk. Who only wants to know whether a file is as it
/// was need not: its [`Identity`] is another when they are.
pub fn find_xattrs(entries: &[Entry]) -> Result<Vec<(usize, Xattrs)>> {
    let read = |(number, entry): (usize, &Entry)| match &entry.kind {
        Kind::File(Content::Disk(file)) => match file_xattrs(&file.path(), &file.identity) {
            Ok(xattrs) if xattrs.is_empty() => None,
            found => Some(found.map(|xattrs| (number, xattrs))),
        },
        _ => None,
    };
    let mut found = entries.par_iter().enumerate().filter_map(read).collect::<Result<Vec<_>>>()?;
    let files: HashMap<&[u8], usize> =
        found.iter().enumerate().map(|(at, (number, _))| (entries[*number].path.as_slice(), at)).collect();
    let links = entries.iter().enumerate().filter_map(|(number, entry)| match &entry.kind {
        Kind::HardLink { target } => Some((number, found[*files.get(target.as_slice())?].1.clone())),
        _ => None,
    });
    let links: Vec<(usize, Xattrs)> = links.collect();
    found.extend(links);
    Ok(found)
}

/// Returns the extended attribute `name` of the file or directory at `path`, a real path; none if it has none of that name.
pub fn read_xattr(path: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let failed = |source| Error::io("read the extended attributes of", path, source);
    let object = open_real(path, OFlags::RDONLY | OFlags::NONBLOCK).map_err(|errno| failed(errno.into()))?;
    match File::from(object).get_xattr(name) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        found => found.map_err(failed),
    }
}

/// Returns those of the file at `path`, read from the very file that was walked. Hardly any file has some, and to see that
/// there are none it need not be opened: should the path lead elsewhere by now, reading the content tells.
fn file_xattrs(path: &Path, identity: &Identity) -> Result<Xattrs> {
    if xattr::list(path).is_ok_and(|mut names| !names.any(|name| belongs_to_content(name.as_bytes()))) {
        return Ok(Xattrs::new());
    }
    let file = content::open(path)?;
    content::unchanged(&file, path, identity)?;
    xattrs(&file, path)
}

/// Returns the extended attributes of `object`, at `disk`, that belong to a file's content and not to the machine it lies on:
/// capabilities and what users set. SELinux labels, ACLs, IMA hashes and the notes that overlay file systems keep stay
/// behind.
pub(super) fn xattrs(object: &File, disk: &Path) -> Result<Xattrs> {
    let failed = |source| Error::io("read the extended attributes of", disk, source);
    let names = match object.list_xattr() {
        Ok(names) => names,
        // A file system without them has none.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Xattrs::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut all = Xattrs::new();
    for name in names.filter(|name| belongs_to_content(name.as_bytes())) {
        // None: it was removed after it was listed.
        if let Some(value) = object.get_xattr(&name).map_err(failed)? {
            all.insert(name.into_vec(), value);
        }
    }
    Ok(all)
}

/// Returns whether an extended attribute of this name belongs to a file's content, and not to the machine it lies on.
pub fn belongs_to_content(name: &[u8]) -> bool {
    name == b"security.capability"
        || (name.starts_with(b"user.") && !MACHINES.iter().any(|prefix| name.starts_with(prefix)))
}

/// What overlay file systems, other tools and sandboxes of one id note.
const MACHINES: [&[u8]; 3] = [b"user.overlay.", b"user.containers.", b"user.ocibake."];
