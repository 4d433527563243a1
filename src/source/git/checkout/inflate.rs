//! What git has compressed, read with a limit.

use std::fs::File;
use std::io::{self, Read};

use flate2::read::ZlibDecoder;

/// All that is unpacked for one object, with what it is a change of, in bytes.
pub(super) const OBJECT_LIMIT: usize = 16 << 20;

/// The file, from `offset` on.
pub(super) struct FileFrom<'f> {
    pub file: &'f File,
    pub offset: u64,
}

impl Read for FileFrom<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Returns what zlib has made smaller; more than `limit` bytes are an error.
pub(super) fn inflated(compressed: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    ZlibDecoder::new(compressed).take(limit as u64 + 1).read_to_end(&mut content)?;
    match content.len() > limit {
        true => Err(malformed("an object is too large for a commit")),
        false => Ok(content),
    }
}

/// Returns the error for content that says what no git writes.
pub(super) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
