//! Small files that are text.

use std::fs::File;
use std::io::{self, Read};

use crate::error::{Error, Result};

/// Returns the text of a small file, which errors call `name`. Fails for one that is not UTF-8, and for one over `limit`
/// bytes, as more than any `what` has.
pub fn read_text(file: File, name: &str, limit: u64, what: &str) -> Result<String> {
    let read = || {
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::other(format!("it is larger than {limit} bytes, too large for a {what}")));
        }
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    };
    read().map_err(|source| Error::io("read", name, source))
}
