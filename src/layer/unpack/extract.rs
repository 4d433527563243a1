//! Parts of a layer's tar, read once more and written to a file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::error::{Error, Result};
use crate::layer::read::{Filled, TarStream, opened};
use crate::layer::{Layer, Open};
use crate::oci::Hasher;

/// Reads the tar of `layer` once more and writes `parts` of it, sorted and apart from each other, to where they stand in it,
/// into `file`. When it returns the blob has been read to its end, so that its reader could check it, and the digest of its
/// tar holds. As many as `threads` decompress it.
pub fn extract(layer: &Layer, parts: &[Range<u64>], open: &Open<'_>, threads: usize, file: &File) -> Result<()> {
    std::thread::scope(|scope| {
        let blob = opened(&layer.descriptor, open)?;
        let tar = TarStream::start(scope, layer.descriptor.digest, blob, threads)?;
        let mut hashed = Hashed { tar, hasher: Hasher::new() };
        let mut tar = Filled::new(&mut hashed, None);
        let title = || format!("layer {}", layer.descriptor.digest);
        let failed = |source| Error::from_read("read", title(), source);
        let mut file = file;
        let mut at = 0;
        for part in parts {
            io::copy(&mut tar.by_ref().take(part.start - at), &mut io::sink()).map_err(failed)?;
            file.seek(SeekFrom::Start(part.start)).map_err(failed)?;
            let size = part.end - part.start;
            if io::copy(&mut tar.by_ref().take(size), &mut file).map_err(failed)? < size {
                return Err(Error::integrity(format!("{} is shorter than when it was read before", title())));
            }
            at = part.end;
        }
        io::copy(&mut tar, &mut io::sink()).map_err(failed)?;
        layer.check_diff_id(hashed.hasher.finish())
    })
}

struct Hashed {
    tar: TarStream,
    hasher: Hasher,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tar.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
