//! The blocks of an earlier layer's blob, from which a new one may take those that are the same.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

/// A shorter block, in bytes, is compressed about as fast as it is found.
pub(super) const SHORTEST_PIECE: usize = 8 << 10;

/// A block as it lies in a layer's blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The fingerprint of the block itself, before compression.
    pub block: Fingerprint,
    /// Where its compressed form begins in the blob, and how long it is, in bytes.
    pub offset: u64,
    /// The length of the compressed form, in bytes.
    pub length: u64,
    /// The fingerprint of the compressed form.
    pub compressed: Fingerprint,
}

/// BLAKE3, in hex: as strong as a digest and several times as fast, for what never leaves this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(bytes: &[u8]) -> Self {
        Fingerprint(*blake3::hash(bytes).as_bytes())
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        blake3::Hash::from_bytes(fingerprint.0).to_hex().to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = blake3::HexError;

    fn try_from(hex: String) -> Result<Self, Self::Error> {
        Ok(Fingerprint(*blake3::Hash::from_hex(hex)?.as_bytes()))
    }
}

/// An earlier layer of the same encoder, whose blocks are taken over wherever they are needed again.
#[derive(Debug)]
pub struct Earlier {
    blob: File,
    pieces: HashMap<Fingerprint, Piece>,
}

impl Earlier {
    /// Returns an earlier layer, in whose `blob` `pieces` say where things are. Each is checked before it is used.
    pub fn new(blob: File, pieces: Vec<Piece>) -> Self {
        Earlier { blob, pieces: pieces.into_iter().map(|piece| (piece.block, piece)).collect() }
    }

    /// Puts the compressed form of `block` at the beginning of `out` and returns its length; none if it is not here, or
    /// not whole.
    pub(super) fn find(&self, block: &Fingerprint, out: &mut [u8]) -> Option<usize> {
        let piece = self.pieces.get(block)?;
        let found = out.get_mut(..usize::try_from(piece.length).ok()?)?;
        self.blob.read_exact_at(found, piece.offset).ok()?;
        (Fingerprint::of(found) == piece.compressed).then_some(found.len())
    }
}
