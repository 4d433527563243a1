//! The places of a layer's chunks in its blob, which are known once it is written.

use super::members::Chunk;
use crate::oci::{Digest, Hasher};

/// All that the TOC says of the blob, noted as it is written.
#[derive(Default)]
pub struct Placed {
    /// Where the landmark's content begins in the blob.
    pub landmark: u64,
    /// Where each chunk begins in the blob, and its digest; in the order of the chunks.
    pub chunks: Vec<(u64, Digest)>,
    /// The digests of the files that have several chunks, in their order.
    pub files: Vec<Digest>,
    /// The hash of the file whose last chunk is still to come.
    file: Hasher,
}

impl Placed {
    /// Notes that the member with `chunk`, whose bytes are `content`, begins at `offset`.
    pub fn note(&mut self, chunk: &Chunk, offset: u64, digest: Digest, content: &[u8]) {
        self.chunks.push((offset, digest));
        if !chunk.is_whole() {
            self.file.update(content);
            if chunk.is_last {
                self.files.push(std::mem::take(&mut self.file).finish());
            }
        }
    }
}
