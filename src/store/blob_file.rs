//! This file opens blobs that are files of their own, as in the local store and in layouts.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::Error;
use crate::oci::{Descriptor, VerifyingReader};

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
