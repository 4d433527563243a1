//! The text of a Dockerfile or an ignore file, with its name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

/// A text that somebody wrote, and its name in errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    /// The name as the user knows it.
    pub name: String,
    /// The text; whatever was no UTF-8 in it has been replaced.
    pub text: String,
}

/// The largest Dockerfile or ignore file, in bytes; BuildKit has the same limit.
pub const TEXT_LIMIT: u64 = 16 << 20;

/// Returns the text of `source`, whatever is no UTF-8 in it being replaced as BuildKit does it in what it writes. Fails
/// for one over [`TEXT_LIMIT`] bytes.
pub(super) fn read(source: impl Read, name: &str) -> Result<TextFile> {
    let mut bytes = Vec::new();
    let read = source.take(TEXT_LIMIT + 1).read_to_end(&mut bytes);
    read.map_err(|source| Error::from_read("read", name, source))?;
    if bytes.len() as u64 > TEXT_LIMIT {
        return Err(Error::input(format!("{name} has more than {TEXT_LIMIT} bytes")).with_hint("is it a Dockerfile?"));
    }
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(TextFile { name: name.to_owned(), text })
}

/// Returns the text of a file that the user has named, which may be a pipe. Fails for a directory, and for a text over
/// [`TEXT_LIMIT`] bytes.
pub(super) fn read_named(path: &Path, name: &str) -> Result<TextFile> {
    let failed = |source| Error::io("read", name, source);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(Error::input(format!("{name} is a directory, not a file")));
    }
    read(file, name)
}
