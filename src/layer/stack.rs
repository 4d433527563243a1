//! What a stack of directories in overlayfs' form has at a path.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};
use rustix::io::Errno;

use super::lower::OVERLAY_OPAQUE;
use crate::error::{Error, Result};
use crate::kernel::make_node;
use crate::tree::path::names;
use crate::tree::read_xattr;

/// A whiteout where there is no way to make a device: an empty file with this attribute.
pub(super) const WHITEOUT_NAME: &str = "user.overlay.whiteout";

/// Returns where the topmost of `lowers` that has something at `path` has it, none of its names being a link, and what that
/// is; nothing if it is hidden, or nowhere. Nobody changes the directories meanwhile.
pub(super) fn find(lowers: &[PathBuf], path: &[u8]) -> Result<Option<(PathBuf, Metadata)>> {
    for lower in lowers {
        match find_in(lower, path)? {
            Stacked::There(place, metadata) => return Ok(Some((place, metadata))),
            Stacked::Hidden => return Ok(None),
            Stacked::Nothing => {}
        }
    }
    Ok(None)
}

enum Stacked {
    There(PathBuf, Metadata),
    /// What lies below in its place is not seen.
    Hidden,
    Nothing,
}

fn find_in(lower: &Path, path: &[u8]) -> Result<Stacked> {
    let mut at = lower.to_owned();
    let mut is_opaque = false;
    let mut left = names(path).count();
    for name in names(path) {
        at.push(OsStr::from_bytes(name));
        left -= 1;
        let metadata = match fs::symlink_metadata(&at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(if is_opaque { Stacked::Hidden } else { Stacked::Nothing });
            }
            found => found.map_err(|source| Error::io("read", &at, source))?,
        };
        if is_whiteout(&at, &metadata)? {
            return Ok(Stacked::Hidden);
        }
        if left == 0 {
            return Ok(Stacked::There(at, metadata));
        }
        if !metadata.is_dir() {
            return Ok(Stacked::Hidden);
        }
        is_opaque |= self::is_opaque(&at)?;
    }
    let metadata = fs::symlink_metadata(&at).map_err(|source| Error::io("read", &at, source))?;
    Ok(Stacked::There(at, metadata))
}

/// Makes a whiteout at `path` that can be made on any file system, an overlay among them: a socket, which no layer can hold,
/// and in the place of which nothing is. Overlayfs does not know it as one, but all that is here does.
pub fn hide(path: &Path) -> Result<()> {
    make_node(CWD, path, FileType::Socket, Mode::empty(), 0).map_err(|errno| Error::io("create", path, errno.into()))
}

/// Returns whether overlayfs' own whiteouts can be made in `directory`.
pub fn can_make_whiteouts(directory: &Path) -> Result<bool> {
    let path = directory.join(".whiteout");
    match make_node(CWD, &path, FileType::CharacterDevice, Mode::empty(), 0) {
        Err(Errno::PERM) => Ok(false),
        Err(errno) => Err(Error::io("create", path, errno.into())),
        Ok(()) => fs::remove_file(&path).map(|()| true).map_err(|source| Error::io("remove", path, source)),
    }
}

/// Returns whether what is at `path` hides what lies below in its place.
pub(super) fn is_whiteout(path: &Path, metadata: &Metadata) -> Result<bool> {
    let kind = metadata.file_type();
    Ok(kind.is_socket()
        || kind.is_char_device() && metadata.rdev() == 0
        || kind.is_file() && metadata.size() == 0 && read_xattr(path, WHITEOUT_NAME)?.is_some())
}

/// Returns whether the directory at `path` hides all that lies below in it.
pub(super) fn is_opaque(path: &Path) -> Result<bool> {
    Ok(read_xattr(path, OVERLAY_OPAQUE)?.is_some_and(|value| value == b"y"))
}

/// Returns the path of `path` within `root`.
pub(super) fn within(root: &Path, path: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(path))
}
