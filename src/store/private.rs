//! This file makes the directories of the local store its owner's alone: what lies there was pulled with his credentials,
//! or made of files that only he may read.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RawMode, chmodat, fchmod, fstat, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::regular;
use crate::error::{Error, Result};
use crate::tree::IdMap;

/// The bits of a mode that let others in, and those of them that let others write.
pub(super) const OTHERS: RawMode = 0o077;
pub(super) const OTHERS_WRITE: RawMode = 0o022;

/// Sees to it that the directory `root` and those at `paths` in it, parents first, are there, belong to the user and let
/// nobody else in, whatever the umask: a mode that does is narrowed. `root` may be a link, what is in it not. If it has
/// other names in it than `names` it is not the store's alone, and keeps its mode; it is refused if others may write to it.
///
/// Returns what others were allowed until now, as the bits of a mode.
pub(super) fn prepare(root: &Path, paths: &[&str], names: &[&str]) -> Result<RawMode> {
    let top = open_root(root)?;
    let mode = mode(&top, root)?;
    let mut allowed = 0;
    if mode & OTHERS == 0 || holds_only(&top, names).map_err(|errno| failed(root, errno))? {
        allowed |= narrow(&top, root)?;
    } else if mode & OTHERS_WRITE != 0 {
        let message = format!("the local store {} has other things in it, and others may write to it", root.display());
        return Err(Error::input(message).with_hint(HINT));
    }
    for path in paths {
        let shown = root.join(path);
        let directory = open_or_make(&top, path, &shown)?;
        allowed |= narrow(&directory, &shown)?;
    }
    Ok(allowed)
}

/// Opens the directory at `path`, which is not a link.
pub(super) fn open_directory(path: &Path) -> Result<OwnedFd> {
    open_no_link(path).map_err(|source| failed(path, source))
}

/// Does what [`open_directory`] does, for who has words of his own for what fails.
pub(super) fn open_no_link(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    File::options().read(true).custom_flags(flags.bits() as i32).open(path).map(OwnedFd::from)
}

/// Takes from others what they may do with the files in `directory`, which is the user's alone.
pub(super) fn narrow_files(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).map_err(|source| failed(directory, source))? {
        let path = entry.map_err(|source| failed(directory, source))?.path();
        match regular::open_no_link(&path) {
            Ok(file) => drop(narrow(&OwnedFd::from(file), &path)?),
            // What is not a file is mended when it is in the way.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {}
            Err(error) => return Err(failed(&path, error)),
        }
    }
    Ok(())
}

const HINT: &str = "set OCIBAKE_STORE to a directory of yours";

fn failed(path: &Path, source: impl Into<io::Error>) -> Error {
    Error::io("create the local store", path, source.into())
        .with_hint("set OCIBAKE_STORE to a directory that can be written to")
}

fn open_root(root: &Path) -> Result<OwnedFd> {
    if !root.exists() {
        let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists());
        parent.map_or(Ok(()), fs::create_dir_all).map_err(|source| failed(root, source))?;
        match DirBuilder::new().mode(0o700).create(root) {
            // A umask may have taken something of it.
            Ok(()) => {
                fs::set_permissions(root, Permissions::from_mode(0o700)).map_err(|source| failed(root, source))?
            }
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => return Err(failed(root, source)),
            Err(_) => {}
        }
    }
    let opened = File::options().read(true).custom_flags(OFlags::DIRECTORY.bits() as i32).open(root);
    opened.map(OwnedFd::from).map_err(|source| match fs::metadata(root) {
        Ok(status) if source.kind() == io::ErrorKind::PermissionDenied && status.uid() != geteuid().as_raw() => {
            of_another(root, status.uid())
        }
        _ => failed(root, source),
    })
}

/// The kernel's number for who has none (`kernel.overflowuid`).
const NOBODY: u32 = 65534;

fn of_another(path: &Path, owner: u32) -> Error {
    let path = path.display();
    // In a user namespace all that have no number there have this one.
    let is_everybody = owner == NOBODY && IdMap::of_this_process().is_ok_and(|map| !map.is_whole());
    let number = if is_everybody { String::new() } else { format!(", number {owner}") };
    Error::input(format!("{path}, of the local store, belongs to another user{number}"))
        .with_hint(format!("{HINT}: the owner of a store decides what is built from it"))
}

/// Opens the directory at `path` in `top`, which is not a link, and makes it if it is missing.
fn open_or_make(top: &OwnedFd, path: &str, shown: &Path) -> Result<OwnedFd> {
    match DirBuilder::new().mode(0o700).create(shown) {
        // A umask may have taken something of it.
        Ok(()) => chmodat(top, path, Mode::RWXU, AtFlags::empty()).map_err(|errno| failed(shown, errno))?,
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(failed(shown, source)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(top, path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOTDIR | Errno::LOOP => {
            Error::input(format!("{} is not a directory, or a link to one", shown.display()))
                .with_hint("remove it: the local store creates its directories again, and follows no links within it")
        }
        errno => failed(shown, errno),
    })
}

fn holds_only(directory: &OwnedFd, names: &[&str]) -> Result<bool, Errno> {
    for item in Dir::read_from(directory)? {
        let item = item?;
        let name = item.file_name().to_bytes();
        if !matches!(name, b"." | b"..") && !names.iter().any(|known| known.as_bytes() == name) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the mode of what is the user's; what is another's is refused.
fn mode(file: &OwnedFd, path: &Path) -> Result<RawMode> {
    let status = fstat(file).map_err(|errno| failed(path, errno))?;
    if status.st_uid != geteuid().as_raw() {
        return Err(of_another(path, status.st_uid));
    }
    Ok(status.st_mode)
}

/// Lets nobody but the user in, and returns what others were allowed.
fn narrow(file: &OwnedFd, path: &Path) -> Result<RawMode> {
    let before = mode(file, path)?;
    if before & OTHERS == 0 {
        return Ok(0);
    }
    let narrowed = fchmod(file, Mode::from_raw_mode(before & 0o7777 & !OTHERS));
    if narrowed.is_err() || mode(file, path)? & OTHERS != 0 {
        let error = Error::input(format!("others may look into {}, and its mode cannot be changed", path.display()))
            .with_hint("set OCIBAKE_STORE to a directory on a file system that has modes");
        return Err(match narrowed {
            Err(errno) => error.with_source(io::Error::from(errno)),
            Ok(()) => error,
        });
    }
    Ok(before & OTHERS)
}
