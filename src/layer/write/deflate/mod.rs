//! Deflate (RFC 1951) by libdeflate, in pieces that can be joined.
//!
//! libdeflate makes whole streams only: the last of their blocks carries the final bit, and where it begins is not told.
//! So the stream is walked, symbol by symbol but without their values, to its last block; the bit is cleared and an
//! empty stored block brings the end to a byte boundary. Such pieces, one behind the other, are one stream, which
//! [`END`] completes.

mod walk;

use libdeflater::{CompressionLvl, Compressor};

use walk::walk;

/// A final block with nothing in it (3.2.6: fixed codes, end of block).
pub const END: [u8; 2] = [0x03, 0x00];

/// Compresses pieces. The bytes depend on the piece, the level and libdeflate's version alone.
pub struct Deflater(Compressor);

impl Deflater {
    /// `level` is 1 to 12; beyond that it is the nearest.
    pub fn new(level: i32) -> Self {
        Deflater(Compressor::new(CompressionLvl::new(level.clamp(1, 12)).unwrap_or_default()))
    }

    /// The longest that a piece of `length` bytes can become, or a member: what a member has around its stream is longer
    /// than the marker of a piece.
    pub fn bound(&mut self, length: usize) -> usize {
        self.0.gzip_compress_bound(length)
    }

    /// Writes a piece that holds `data` to the beginning of `out`, which has room for the longest, and returns its
    /// length.
    pub fn piece(&mut self, data: &[u8], out: &mut [u8]) -> usize {
        let mut length = self.0.deflate_compress(data, out).expect("the bound holds for any data");
        let stream = walk(&out[..length]).expect("libdeflate writes valid streams");
        out[stream.last_block / 8] &= !(1 << (stream.last_block % 8));
        // Three zero bits begin a stored block that is not the last; they fit in the last byte or need one more.
        if stream.end + 3 > length * 8 {
            out[length] = 0;
            length += 1;
        }
        out[length..length + MARKER.len()].copy_from_slice(&MARKER);
        length + MARKER.len()
    }

    /// As [`piece`](Self::piece), but a whole gzip member (RFC 1952, 2.3): no time, unknown system.
    pub fn member(&mut self, data: &[u8], out: &mut [u8]) -> usize {
        self.0.gzip_compress(data, out).expect("the bound holds for any data")
    }
}

/// The length of a stored block with nothing in it, and its complement (3.2.4).
const MARKER: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::DeflateDecoder;
    use proptest::prelude::*;

    use super::*;

    /// Pieces, joined and ended, as another decoder reads them.
    fn decoded(pieces: &[Vec<u8>], level: i32) -> Vec<u8> {
        let mut deflater = Deflater::new(level);
        let mut stream = Vec::new();
        for piece in pieces {
            let mut out = vec![0; deflater.bound(piece.len())];
            let length = deflater.piece(piece, &mut out);
            stream.extend_from_slice(&out[..length]);
        }
        stream.extend_from_slice(&END);
        let mut decoder = DeflateDecoder::new(stream.as_slice());
        let mut plain = Vec::new();
        decoder.read_to_end(&mut plain).unwrap();
        assert_eq!(decoder.total_in(), stream.len() as u64, "the decoder stopped before the end");
        plain
    }

    /// Data of changing statistics, so that a piece has many blocks of all kinds.
    fn mixed() -> impl Strategy<Value = Vec<u8>> {
        let noise = (1..60_000usize, any::<u64>()).prop_map(|(length, seed)| {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            };
            (0..length).map(|_| next()).collect::<Vec<u8>>()
        });
        let runs = (any::<u8>(), 1..60_000usize).prop_map(|(byte, length)| vec![byte; length]);
        let words = (1..20_000usize, 2..50usize).prop_map(|(count, vocabulary)| {
            (0..count).flat_map(|at| format!("word{} ", at * at % vocabulary).into_bytes()).collect()
        });
        prop::collection::vec(prop_oneof![noise, runs, words], 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn joined_pieces_are_one_stream(pieces in prop::collection::vec(mixed(), 0..5), level in 1..=12i32) {
            prop_assert_eq!(decoded(&pieces, level), pieces.concat());
        }
    }
}
