//! The pieces of blobs, and what each of them is known by: whoever asks for a part of a blob that was read to its end before is
//! given it without all of the blob being read again, and still nothing that is not of it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::oci::Digest;

/// In bytes, of each piece of a blob but its last.
pub(super) const PIECE: usize = 64 << 10;

/// The digests of the pieces of blobs, which hold together as long as the blobs are those of their digests: they were taken while a
/// blob was read to its end and found to be whole.
#[derive(Default)]
pub(super) struct KnownPieces {
    blobs: HashMap<Digest, (u64, Arc<[Digest]>)>,
    /// The number of all pieces.
    pieces: usize,
    /// How often one was asked for.
    uses: u64,
}

/// Pieces that are remembered: of 32 GiB, in 16 MiB of memory.
const MOST_PIECES: usize = 1 << 19;
/// Blobs of fewer pieces are read whole as fast.
const FEWEST: usize = 4;

impl KnownPieces {
    /// Returns the digests of the pieces of `blob`, if they are known.
    pub fn get(&mut self, blob: &Digest) -> Option<Arc<[Digest]>> {
        let (used, pieces) = self.blobs.get_mut(blob)?;
        self.uses += 1;
        *used = self.uses;
        Some(pieces.clone())
    }

    /// Remembers the digests of the pieces of `blob`, all of which was verified. Those that were not asked for the longest make room.
    pub fn put(&mut self, blob: Digest, pieces: Vec<Digest>) {
        if !(FEWEST..=MOST_PIECES).contains(&pieces.len()) {
            return;
        }
        self.forget(&blob);
        while self.pieces + pieces.len() > MOST_PIECES {
            let oldest = self.blobs.iter().min_by_key(|(_, (used, _))| *used).map(|(blob, _)| *blob);
            oldest.into_iter().for_each(|oldest| self.forget(&oldest));
        }
        self.pieces += pieces.len();
        self.uses += 1;
        self.blobs.insert(blob, (self.uses, pieces.into()));
    }

    /// Forgets those of `blob`, which is not what it was.
    pub fn forget(&mut self, blob: &Digest) {
        if let Some((_, pieces)) = self.blobs.remove(blob) {
            self.pieces -= pieces.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(count: usize) -> Vec<Digest> {
        vec![Digest::of(b"piece"); count]
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_makes_room() {
        let [a, b, c] = ["a", "b", "c"].map(|name| Digest::of(name.as_bytes()));
        let mut known = KnownPieces::default();
        known.put(a, pieces(MOST_PIECES / 2));
        known.put(b, pieces(MOST_PIECES / 2));
        assert_eq!(known.get(&a).map(|pieces| pieces.len()), Some(MOST_PIECES / 2));
        known.put(c, pieces(FEWEST));
        assert!(known.get(&b).is_none() && known.get(&a).is_some() && known.get(&c).is_some());
        assert_eq!(known.pieces, MOST_PIECES / 2 + FEWEST);
        known.put(a, pieces(MOST_PIECES));
        assert!(known.get(&c).is_none());
        known.forget(&a);
        assert_eq!((known.pieces, known.blobs.len()), (0, 0));
    }

    #[test]
    fn what_is_small_or_too_large_is_not_remembered() {
        let blob = Digest::of(b"blob");
        let mut known = KnownPieces::default();
        for count in [0, FEWEST - 1, MOST_PIECES + 1] {
            known.put(blob, pieces(count));
            assert!(known.get(&blob).is_none(), "{count}");
        }
    }
}
