//! The pieces of blobs, and what each of them is known by: whoever asks for a part of a blob that was read to its end before is
//! given it without all of the blob being read again, and still nothing that is not of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::oci::{Descriptor, Digest};

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
    /// The blobs whose pieces somebody takes the digests of.
    begun: HashSet<Digest>,
}

/// Pieces that are remembered: of 32 GiB, in 16 MiB of memory.
const MOST_PIECES: usize = 1 << 19;
/// Blobs of fewer pieces are read whole as fast.
const FEWEST: u64 = 4;
/// A larger blob would take more than 2 MiB while it is read.
const LARGEST: u64 = 4 << 30;

impl KnownPieces {
    /// Returns the digests of the pieces of `blob`, if they are known.
    pub fn get(&mut self, blob: &Digest) -> Option<Arc<[Digest]>> {
        let (used, pieces) = self.blobs.get_mut(blob)?;
        self.uses += 1;
        *used = self.uses;
        Some(pieces.clone())
    }

    /// Returns whether whoever reads `blob` is to take the digests of its pieces, and to say so when that has come to an
    /// [`end`](Self::end): nobody else does, and it is neither too small nor too large.
    pub fn begin(&mut self, blob: &Descriptor) -> bool {
        let fits = (FEWEST * PIECE as u64..=LARGEST).contains(&blob.size);
        fits && self.begun.insert(blob.digest)
    }

    /// Lets the next one read `blob` for its pieces.
    pub fn end(&mut self, blob: &Digest) {
        self.begun.remove(blob);
    }

    /// Remembers the digests of the pieces of `blob`, all of which was verified. Those that were not asked for the longest make room.
    pub fn put(&mut self, blob: Digest, pieces: Vec<Digest>) {
        self.forget(&blob);
        while self.pieces + pieces.len() > MOST_PIECES {
            let oldest = self.blobs.iter().min_by_key(|(_, (used, _))| *used).map(|(blob, _)| *blob);
            let Some(oldest) = oldest else { return };
            self.forget(&oldest);
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
        known.put(c, pieces(5));
        assert!(known.get(&b).is_none() && known.get(&a).is_some() && known.get(&c).is_some());
        assert_eq!(known.pieces, MOST_PIECES / 2 + 5);
        known.put(a, pieces(MOST_PIECES));
        assert!(known.get(&c).is_none());
        known.put(b, pieces(MOST_PIECES + 1));
        assert!(known.get(&b).is_none());
        known.put(a, pieces(7));
        known.forget(&a);
        assert_eq!((known.pieces, known.blobs.len()), (0, 0));
    }

    #[test]
    fn one_at_a_time_takes_the_digests_of_what_is_neither_small_nor_too_large() {
        let of = |size| Descriptor { size, ..Descriptor::of("application/octet-stream", b"blob") };
        let mut known = KnownPieces::default();
        for size in [0, 4 * PIECE as u64 - 1, (4 << 30) + 1] {
            assert!(!known.begin(&of(size)), "{size}");
        }
        let blob = of(4 << 30);
        assert!(known.begin(&blob) && !known.begin(&blob));
        known.end(&blob.digest);
        assert!(known.begin(&blob));
    }
}
