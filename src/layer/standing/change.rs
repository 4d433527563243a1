//! What a command has changed is moved to an upper directory of the form that overlayfs would have left.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Timespec, Timestamps, utimensat};

use super::StandingRoot;
use super::copy::{copy_one, settle};
use super::devices::Device;
use super::marks::{Differences, ObjectMarks};
use crate::error::{Error, Result};
use crate::kernel::ObjectMark;
use crate::layer::stack::{WHITEOUT_NAME, find, hide, within};
use crate::layer::{KEPT_PREFIX, Provided};
use crate::tree::{Identity, belongs_to_content, parent};

impl StandingRoot {
    /// Moves what was changed since [`StandingRoot::mark`], and not by [`StandingRoot::lay`], into `upper`, an empty directory
    /// on the same file system, in overlayfs' form. The root is then what `lowers` with `upper` over them make once
    /// [`StandingRoot::lay`] has laid that; as it is it lacks what was moved. `lowers` are those that it is a copy of, the
    /// topmost first. What was [`Provided`] and is as it was gives way to what was in its place.
    pub fn take(&mut self, lowers: &[PathBuf], provided: &[Provided], upper: &Path) -> Result<()> {
        let Some(mut marks) = self.marks.take() else {
            return Err(Error::input("nothing was recorded about the root before the command"));
        };
        let restored = provided.iter().map(|file| self.give_back(file, lowers, &marks)).collect::<Result<Vec<_>>>()?;
        let restored: HashSet<&[u8]> = restored.into_iter().flatten().collect();
        let Differences { mut changed, gone } = marks.look_again(&self.root)?;
        changed.retain(|path, _| !restored.contains(&path[..]));
        let mut directories: BTreeSet<&[u8]> = changed.keys().chain(&gone).flat_map(|path| above(path)).collect();
        directories
            .extend(changed.iter().filter(|(_, mark)| mark.kind == FileType::Directory).map(|(path, _)| &path[..]));
        for path in &directories {
            let path = within(upper, path);
            fs::DirBuilder::new().mode(0o700).create(&path).map_err(|source| Error::io("create", path, source))?;
        }
        for (path, mark) in changed.iter().filter(|(_, mark)| mark.kind != FileType::Directory) {
            self.move_one(path, mark, upper)?;
        }
        for path in &gone {
            hide(&within(upper, path))?;
        }
        let directories: Vec<&[u8]> = iter::once(&b""[..]).chain(directories).collect();
        for path in directories.iter().rev() {
            self.settle_directory(path, marks.get(path), upper)?;
        }
        marks.renew(&self.root, directories.into_iter().map(<[u8]>::to_vec).collect())?;
        self.marks = Some(marks);
        Ok(())
    }

    /// Puts what `lowers` have back in the place of a file that is as it was provided, and takes away directories that were
    /// made for it alone. Returns its path if it was.
    fn give_back<'p>(&self, file: &'p Provided, lowers: &[PathBuf], before: &ObjectMarks) -> Result<Option<&'p [u8]>> {
        let place = within(&self.root, &file.path);
        if !is_as_provided(&place, &file.identity) {
            return Ok(None);
        }
        fs::remove_file(&place).map_err(|source| Error::io("remove", &place, source))?;
        match find(lowers, &file.path)? {
            Some((below, metadata)) => copy_one(&below, &place, &metadata)?,
            None => {
                let made = above(&file.path).take_while(|path| before.get(path).is_none());
                made.map(|path| within(&self.root, path))
                    .take_while(|path| is_plain_directory(path) && fs::remove_dir(path).is_ok())
                    .for_each(drop);
            }
        }
        Ok(Some(&file.path))
    }

    /// Moves what is at `path`.
    fn move_one(&self, path: &[u8], mark: &ObjectMark, upper: &Path) -> Result<()> {
        let (from, to) = (within(&self.root, path), within(upper, path));
        let failed = |source: io::Error| Error::io("move", &from, source);
        let is_dead = mark.kind == FileType::CharacterDevice && mark.device == Device::NONE.number;
        if let Some(device) = self.dead.get(&mark.inode).filter(|_| is_dead) {
            device.make(&to).map_err(|source| Error::io("create", &to, source))?;
            settle(&from, &to, &fs::symlink_metadata(&from).map_err(failed)?)?;
            return fs::remove_file(&from).map_err(failed);
        }
        fs::rename(&from, &to).map_err(failed)?;
        if mark.kind == FileType::RegularFile && mark.size == 0 {
            // An overlay keeps that to itself.
            let _ = xattr::remove(&to, WHITEOUT_NAME);
        }
        Ok(())
    }

    fn settle_directory(&self, path: &[u8], mark: Option<&ObjectMark>, upper: &Path) -> Result<()> {
        let (from, to) = (within(&self.root, path), within(upper, path));
        let failed = |source| Error::io("set the attributes of", &to, source);
        settle(&from, &to, &fs::symlink_metadata(&from).map_err(failed)?)?;
        // What was moved has changed the time.
        let Some((seconds, nanoseconds)) = mark.map(|mark| mark.modified) else { return Ok(()) };
        let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, &to, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| failed(errno.into()))
    }
}

fn is_as_provided(path: &Path, was: &Identity) -> bool {
    let Ok(is) = fs::symlink_metadata(path) else { return false };
    is.is_file()
        && (is.nlink(), is.size()) == (was.links, was.size)
        && (is.mtime(), is.mtime_nsec()) == was.modified
        && (is.ctime(), is.ctime_nsec()) == was.changed
}

/// Returns whether it is a directory as one is that is made on the way to something: root's, in whatever way that is kept.
fn is_plain_directory(path: &Path) -> bool {
    let is_plain =
        |it: Metadata| it.is_dir() && it.permissions().mode() & 0o7777 == 0o755 && (it.uid(), it.gid()) == (0, 0);
    let is_more = |name: &[u8]| belongs_to_content(name) || name.starts_with(KEPT_PREFIX);
    let has_more = || xattr::list(path).is_ok_and(|mut names| names.any(|name| is_more(name.as_bytes())));
    fs::symlink_metadata(path).is_ok_and(is_plain) && !has_more()
}

/// Returns the directories that `path` lies in, without the root, the lowest first.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    iter::successors(parent(path), |above| parent(above)).filter(|above| !above.is_empty())
}
