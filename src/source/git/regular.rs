//! Files that somebody else has laid out: none but regular ones are opened, and no more of them is read than is sensible.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::{Error, Result};

/// Opens a regular file, by a link if need be; none if nothing is there. What is no regular file is an error, and is
/// not waited for.
pub(super) fn open(path: &Path) -> Result<Option<File>> {
    let failed = |source| Error::io("read", path, source);
    let is_absent = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    // Looked at before, for to open a device may be to do something with it.
    match fs::metadata(path) {
        Ok(status) if !status.is_file() => return Err(not_regular(path)),
        Ok(_) => {}
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path).map_err(failed)?;
    match file.metadata().map_err(failed)?.is_file() {
        true => Ok(Some(file)),
        false => Err(not_regular(path)),
    }
}

/// The content of a regular file, which has `limit` bytes at the most; none if nothing is there.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else { return Ok(None) };
    content(path, &file, limit).map(Some)
}

/// What `file`, which lies at `path`, holds from where it stands.
pub(super) fn content(path: &Path, file: &File, limit: u64) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content).map_err(|source| Error::io("read", path, source))?;
    if content.len() as u64 > limit {
        return Err(Error::input(format!("{} has more than {limit} bytes", path.display())));
    }
    Ok(content)
}

fn not_regular(path: &Path) -> Error {
    Error::input(format!("{} is not a regular file", path.display()))
}
