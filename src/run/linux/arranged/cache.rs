//! A directory of this machine that a command writes to, where it cannot be mounted: it is there as a tree of links to its
//! files, and that tree takes its place when the command has ended. Until then it has all that it had, whatever happens.

use std::collections::HashMap;
use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, fstat, renameat_with};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::layer::{self, Devices};
use crate::store::pending::hold_all;

/// The directory, and what it was when it was brought.
pub(super) struct Cache {
    path: PathBuf,
    inode: u64,
}

impl Cache {
    /// Brings what is in `from` to the empty directory `made`, which is at `path`. Its files are those of `from` where they
    /// are on one file system, and else copies.
    pub(super) fn bring(from: &Path, made: BorrowedFd<'_>, path: &Path) -> Result<Cache> {
        let failed = |source| Error::io("read", from, source);
        let inode = fs::symlink_metadata(from).map_err(failed)?.ino();
        let is_near =
            fstat(made).map_err(|errno| failed(errno.into()))?.st_dev == fs::metadata(from).map_err(failed)?.dev();
        match is_near {
            true => layer::link(from, path)?,
            false => layer::copy(from, path, Devices::Dead)?,
        }
        Ok(Cache { path: from.to_owned(), inode })
    }

    /// Puts what is at `made` by now in the place of the directory; without, the command has removed all of it.
    pub(super) fn bring_back(self, made: Option<&Path>) -> Result<()> {
        let failed = |source| Error::io("bring back", &self.path, source);
        let there = fs::symlink_metadata(&self.path).map_err(failed)?;
        if there.ino() != self.inode || !there.is_dir() {
            return Err(Error::input(format!("{} has been replaced by another directory", self.path.display())));
        }
        let beside = tempfile::Builder::new().prefix(".ocibake-").tempdir_in(self.path.parent().unwrap_or(&self.path));
        let beside = beside.map_err(failed)?;
        let new = beside.path().join("content");
        match made {
            Some(made) => {
                own_files(made, &self.path)?;
                match fs::rename(made, &new) {
                    Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                        fs::create_dir(&new).map_err(failed)?;
                        layer::copy(made, &new, Devices::Dead)?;
                    }
                    moved => moved.map_err(failed)?,
                }
            }
            None => {
                fs::create_dir(&new).map_err(failed)?;
                layer::settle_as(&self.path, &new)?;
            }
        }
        // What is here may be a part of what was there, if the program is about to end.
        let _whole = hold_all();
        match renameat_with(CWD, &new, CWD, &self.path, RenameFlags::EXCHANGE) {
            // The file system cannot do that in one step.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::rename(&self.path, beside.path().join("old")).map_err(failed)?;
                fs::rename(&new, &self.path).map_err(failed)
            }
            exchanged => exchanged.map_err(|errno| failed(errno.into())),
        }
    }
}

/// Makes all files in `made` its own that the command has given names elsewhere in the root: on a mount it could not have,
/// and what is done to them there is not to be done to the cache. The names that `old` has for them are not counted.
fn own_files(made: &Path, old: &Path) -> Result<()> {
    let names = |root: &Path| -> Result<HashMap<u64, Vec<PathBuf>>> {
        let mut names: HashMap<u64, Vec<PathBuf>> = HashMap::new();
        for (path, inode) in layer::files_of(root)? {
            names.entry(inode).or_default().push(path);
        }
        Ok(names)
    };
    let (own, old) = (names(made)?, names(old)?);
    for (inode, paths) in own {
        let (Some(first), known) = (paths.first(), paths.len() + old.get(&inode).map_or(0, Vec::len)) else { continue };
        let failed = |source| Error::io("copy", first, source);
        if fs::symlink_metadata(first).map_err(failed)?.nlink() as usize <= known {
            continue;
        }
        layer::replace_by_copy(first)?;
        for path in &paths[1..] {
            fs::remove_file(path).and_then(|()| fs::hard_link(first, path)).map_err(failed)?;
        }
    }
    Ok(())
}
