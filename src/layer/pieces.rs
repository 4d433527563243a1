use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::blocks::LONGEST_BLOCK;
use crate::oci::Digest;

/// A shorter block, in bytes, is compressed about as fast as it is found.
pub(super) const SHORTEST_PIECE: usize = 8 << 10;

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

    /// Replaces what `out` holds with the compressed form of `block`. False if it is not here, or not whole.
    pub(super) fn find(&self, block: &Digest, out: &mut Vec<u8>) -> bool {
        let Some(piece) = self.pieces.get(block) else { return false };
        // No block is longer than that, however badly it compresses.
        let Some(length) = usize::try_from(piece.length).ok().filter(|length| *length as u64 <= 2 * LONGEST_BLOCK)
        else {
            return false;
        };
        out.clear();
        out.resize(length, 0);
        self.blob.read_exact_at(out, piece.offset).is_ok() && Digest::of(out) == piece.digest
    }
}
