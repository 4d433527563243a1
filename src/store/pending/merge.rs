//! This file brings one directory's content into another.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, FileType, accessat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::{names, open_directory};
use crate::error::{Error, Result};
use crate::tree::joined;

/// The way in which a directory came to where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It came with all that is in it; there was no directory in its place.
    Whole,
    /// All that is in it was brought into a directory that was there.
    Merged,
}

/// A callback that is told the path of a directory, and given the directory itself.
pub type Arrived<'a> = dyn FnMut(&[u8], BorrowedFd<'_>, Arrival) -> Result<()> + 'a;

/// Directories that are on both sides may lie so deep: each is held open.
const DEPTH_LIMIT: usize = 200;

pub(super) struct Merging<'m, 'a> {
    pub arrived: &'m mut Arrived<'a>,
    /// Nothing is moved: it fails if something stands in the way.
    pub is_check: bool,
}

impl Merging<'_, '_> {
    /// Brings what is in `from` to `to`, which errors call by the first of its paths, and `arrived` by the second. No link
    /// is followed, neither here nor there.
    pub fn merge(&mut self, from: &OwnedFd, to: &OwnedFd, paths: (&Path, &[u8]), depth: usize) -> Result<()> {
        let failed = |errno: Errno| Error::io("create", paths.0, errno.into());
        if depth > DEPTH_LIMIT {
            let message = format!("{} is more than {DEPTH_LIMIT} directories deep", paths.0.display());
            return Err(Error::input(message).with_hint("write to a directory that is not there yet"));
        }
        for name in names(from).map_err(failed)? {
            self.bring(&name, from, to, paths, depth)?;
        }
        Ok(())
    }

    fn bring(
        &mut self,
        name: &CStr,
        from: &OwnedFd,
        to: &OwnedFd,
        (shown, path): (&Path, &[u8]),
        depth: usize,
    ) -> Result<()> {
        let shown = shown.join(OsStr::from_bytes(name.to_bytes()));
        let path = joined(path, name.to_bytes());
        let failed = |errno: Errno| Error::io("create", &shown, errno.into());
        let open = |at| open_directory(at, name).map_err(|errno| Error::io("open", &shown, errno.into()));
        let (ours, theirs) = (kind(from, name).map_err(failed)?, kind(to, name).map_err(failed)?);
        let is_ours = ours == Some(FileType::Directory);
        if is_ours && theirs == Some(FileType::Directory) {
            let (ours, theirs) = (open(from)?, open(to)?);
            self.merge(&ours, &theirs, (&shown, &path), depth + 1)?;
            return if self.is_check { Ok(()) } else { (self.arrived)(&path, theirs.as_fd(), Arrival::Merged) };
        }
        if self.is_check {
            accessat(to, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty()).map_err(failed)?;
            if theirs == Some(FileType::Directory)
                && open(to).is_ok_and(|it| names(&it).is_ok_and(|names| !names.is_empty()))
            {
                return Err(Error::input(format!("{} is a directory with something in it", shown.display()))
                    .with_hint("something else belongs there: remove it, or write to another directory"));
            }
            return Ok(());
        }
        let directory = if is_ours { Some(open(from)?) } else { None };
        match theirs {
            Some(FileType::Directory) => unlinkat(to, name, AtFlags::REMOVEDIR).map_err(failed)?,
            Some(_) if is_ours => unlinkat(to, name, AtFlags::empty()).map_err(failed)?,
            _ => {}
        }
        renameat(from, name, to, name).map_err(failed)?;
        directory.map_or(Ok(()), |directory| (self.arrived)(&path, directory.as_fd(), Arrival::Whole))
    }
}

/// Returns none if there is no such name.
fn kind(directory: &OwnedFd, name: &CStr) -> Result<Option<FileType>, Errno> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}
