//! Files whose content is under a key: what is damaged, or was put under another key, is as good as not there.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::pending::PendingFile;
use crate::error::{Error, Result};
use crate::oci::{Digest, Hasher};

/// Returns what `file` has under `key`, which with all that goes with it are at most `limit` bytes; none if it has something else.
pub fn read(file: File, key: &Digest, limit: u64) -> Option<Vec<u8>> {
    let length = file.metadata().ok()?.len();
    let mut noted = Vec::with_capacity(usize::try_from(length).ok().filter(|_| length <= limit)?);
    file.take(limit).read_to_end(&mut noted).ok()?;
    let (digest, rest) = noted.split_first_chunk()?;
    let (own_key, content) = rest.split_first_chunk()?;
    let is_whole = Digest::from(*own_key) == *key && Digest::of(rest) == Digest::from(*digest);
    is_whole.then(|| content.to_vec())
}

/// Writes `parts`, one after the other, under `key` to `file`, which is to be at `path`.
pub fn write(file: &mut PendingFile, path: &Path, key: &Digest, parts: &[&[u8]]) -> Result<()> {
    let mut hasher = Hasher::new();
    let keyed = || [&key.as_bytes()[..]].into_iter().chain(parts.iter().copied());
    keyed().for_each(|part| hasher.update(part));
    let digest = hasher.finish();
    [&digest.as_bytes()[..]]
        .into_iter()
        .chain(keyed())
        .try_for_each(|part| file.write_all(part))
        .map_err(|source| Error::io("write", path, source))
}
