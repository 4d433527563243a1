//! Files that somebody else has laid out: none but regular ones are opened, and no more of them is read than is sensible.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, Result};
use crate::store::regular;

/// Opens a regular file, by a link if need be; none if nothing is there. What is not a regular file is an error, and is
/// not waited for.
pub(super) fn open(path: &Path) -> Result<Option<File>> {
    regular::open(path).map(Some).or_else(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
        io::ErrorKind::InvalidInput => Err(Error::input(format!("{} is not a regular file", path.display()))),
        _ => Err(Error::io("read", path, source)),
    })
}

/// Returns the content of a regular file; none if nothing is there. Fails for one of more than `limit` bytes, and for
/// what is not a regular file.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else { return Ok(None) };
    content(path, &file, limit).map(Some)
}

/// Returns what `file`, which lies at `path`, holds from where it stands. Fails if that is more than `limit` bytes.
pub(super) fn content(path: &Path, file: &File, limit: u64) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content).map_err(|source| Error::io("read", path, source))?;
    if content.len() as u64 > limit {
        return Err(Error::input(format!("{} has more than {limit} bytes", path.display())));
    }
    Ok(content)
}
