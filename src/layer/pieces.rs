use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use crate::oci::Digest;

/// A block as it lies in a layer's blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The digest of the block itself, before compression.
    pub block: Digest,
    /// Where its compressed form begins in the blob, and how long it is, in bytes.
    pub offset: u64,
    pub length: u64,
    /// The digest of the compressed form.
    pub digest: Digest,
}

/// An earlier layer of the same encoder, whose blocks are taken over wherever they are needed again.
#[derive(Debug)]
pub struct Earlier {
    blob: File,
    pieces: HashMap<Digest, Piece>,
}

impl Earlier {
    /// `pieces` say where things are in `blob`; each is checked before it is used.
    pub fn new(blob: File, pieces: Vec<Piece>) -> Self {
        Earlier { blob, pieces: pieces.into_iter().map(|piece| (piece.block, piece)).collect() }
    }

    /// The compressed form of `block`, if it is here and whole; `longest` is the most that it can be.
    pub(super) fn find(&self, block: &Digest, longest: usize) -> Option<Vec<u8>> {
        let piece = self.pieces.get(block)?;
        let length = usize::try_from(piece.length).ok().filter(|length| *length <= longest)?;
        let mut bytes = vec![0; length];
        self.blob.read_exact_at(&mut bytes, piece.offset).ok()?;
        (Digest::of(&bytes) == piece.digest).then_some(bytes)
    }
}
