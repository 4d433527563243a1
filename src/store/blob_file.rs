//! This file opens blobs that are files of their own, as in the local store and in layouts.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::Error;
use crate::oci::{Descriptor, VerifyingReader};

/// A blob that is a file, or a part of one, whose bytes can be read in any order. Nothing of it is verified.
pub struct BlobFile {
    file: File,
    offset: u64,
}

impl BlobFile {
    /// Returns the blob that begins at `offset` of `file`.
    pub(super) fn new(file: File, offset: u64) -> Self {
        BlobFile { file, offset }
    }

    /// Fills `buffer` with the bytes from `at` on. Fails with `UnexpectedEof` where there are not as many.
    pub fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, self.offset.saturating_add(at))
    }
}

/// Returns a reader of `file` that fails at the end unless it was the content of `descriptor`.
pub(super) fn verified(file: File, descriptor: &Descriptor) -> impl Read + Send + 'static {
    VerifyingReader::new(file, descriptor.digest, descriptor.size)
}

/// Returns the error for a blob at `path` that could not be opened because of `source`.
pub(super) fn unopened(path: &Path, descriptor: &Descriptor, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => {
            Error::not_found(format!("there is no blob {} at {}", descriptor.digest, path.display()))
        }
        _ => Error::io("read", path, source),
    }
}
