//! Deflate (RFC 1951), in pieces that can be joined: one behind the other they are one stream, which [`END`] completes.
//!
//! The levels in the middle, the default among them, have an encoder of their own here; the fastest and the slow ones
//! are libdeflate's. That makes whole streams only: the last of their blocks carries the final bit, and where it begins
//! is not told. So its streams are walked, symbol by symbol but without their values, to the last block; there the bit
//! is cleared.

mod bits;
mod block;
mod cost;
mod encoder;
mod huffman;
mod plain;
mod repeats;
mod symbols;
mod walk;

use libdeflater::{CompressionLvl, Compressor};

use bits::BitWriter;
use block::write_stored;
use encoder::Encoder;
use repeats::Effort;
use walk::walk;

pub use plain::Plain;

/// A final block with nothing in it (3.2.6: fixed codes, end of block).
pub const END: [u8; 2] = [0x03, 0x00];

/// Compresses pieces. The bytes depend on the piece and the level alone, and on libdeflate's version where that is used.
pub enum Deflater {
    Own(Box<Encoder>),
    Libdeflate(Compressor),
}

impl Deflater {
    /// Returns an encoder whose `level` is 1 to 12; beyond that it is the nearest.
    pub fn new(level: i32) -> Self {
        match effort(level) {
            Some(effort) => Deflater::Own(Box::new(Encoder::new(effort))),
            None => Deflater::Libdeflate(Compressor::new(CompressionLvl::new(level.clamp(1, 12)).unwrap_or_default())),
        }
    }

    /// Returns whether libdeflate is what compresses at `level`.
    pub fn is_libdeflate(level: i32) -> bool {
        effort(level).is_none()
    }

    /// Returns the longest that a piece of `length` bytes can become, or a member: what a member has around its stream is longer
    /// than the marker of a piece.
    pub fn bound(&mut self, length: usize) -> usize {
        match self {
            // A block that is stored has five bytes and a part of one before its own, and there is one at least in each
            // kilobyte; and a little for a member, and for what is written in whole words.
            Deflater::Own(_) => length + 6 * (length / 1024 + 1) + 64,
            Deflater::Libdeflate(compressor) => compressor.gzip_compress_bound(length),
        }
    }

    /// Writes a piece that holds `plain` to the beginning of `out`, which has room for the longest, and returns its
    /// length.
    pub fn piece(&mut self, plain: &Plain, out: &mut [u8]) -> usize {
        match self {
            Deflater::Own(encoder) => {
                let mut out = BitWriter::new(out);
                encoder.encode(plain, &mut out, false);
                write_stored(&mut out, &[], false);
                out.written()
            }
            Deflater::Libdeflate(compressor) => {
                let length = compressor.deflate_compress(plain, out).expect("the bound holds for any data");
                joinable(out, length)
            }
        }
    }

    /// Does what [`piece`](Self::piece) does, but for a whole gzip member (RFC 1952, 2.3): no time, unknown system.
    pub fn member(&mut self, plain: &Plain, out: &mut [u8]) -> usize {
        match self {
            Deflater::Own(encoder) => {
                let mut out = BitWriter::new(out);
                out.bytes(&MEMBER);
                encoder.encode(plain, &mut out, true);
                out.align();
                out.bytes(&crc32fast::hash(plain).to_le_bytes());
                out.bytes(&(plain.len() as u32).to_le_bytes());
                out.written()
            }
            Deflater::Libdeflate(compressor) => {
                compressor.gzip_compress(plain, out).expect("the bound holds for any data")
            }
        }
    }
}

/// How a gzip member begins (RFC 1952, 2.3): deflate, no flags, no time, no level hint, unknown system; nothing of this
/// machine.
pub const MEMBER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Returns the effort of a level; none for those that are libdeflate's.
fn effort(level: i32) -> Option<Effort> {
    let (eights, fours, enough, patience) = match level {
        2 => (1, 1, 16, 4),
        3 => (1, 1, 32, 8),
        4 => (2, 1, 32, 16),
        5 => (4, 2, 64, 16),
        6 => (14, 6, 128, 32),
        _ => return None,
    };
    Some(Effort { eights, fours, enough, patience })
}

/// Makes a piece of the stream of `length` bytes at the beginning of `out`: the final bit is cleared, and an empty stored
/// block brings the end to a byte boundary. Returns the piece's length.
fn joinable(out: &mut [u8], mut length: usize) -> usize {
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

/// The length of a stored block with nothing in it, and its complement (3.2.4).
const MARKER: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::{DeflateDecoder, GzDecoder};
    use libdeflater::Decompressor;
    use proptest::prelude::*;

    use super::*;

    /// Pieces, joined and ended, as another decoder reads them.
    fn decoded(pieces: &[Vec<u8>], level: i32) -> Vec<u8> {
        let mut deflater = Deflater::new(level);
        let mut stream = Vec::new();
        for piece in pieces {
            let mut out = vec![0; deflater.bound(piece.len())];
            let length = deflater.piece(&Plain::from(&**piece), &mut out);
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
        // Digits are cheap, and only long repeats are worth it.
        let digits = (1..4_000u64, 2..900u64).prop_map(|(count, vocabulary)| {
            let digits =
                |at: u64| format!("{:010x} ", (at * at % vocabulary).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24);
            (0..count).flat_map(|at| digits(at).into_bytes()).collect()
        });
        prop::collection::vec(prop_oneof![noise, runs, words, digits], 0..6).prop_map(|parts| parts.concat())
    }

    fn piece(deflater: &mut Deflater, plain: &[u8]) -> Vec<u8> {
        let mut out = vec![0; deflater.bound(plain.len())];
        let length = deflater.piece(&Plain::from(plain), &mut out);
        out.truncate(length);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

        #[test]
        fn joined_pieces_are_one_stream(pieces in prop::collection::vec(mixed(), 0..5), level in 1..=12i32) {
            prop_assert_eq!(decoded(&pieces, level), pieces.concat());
        }

        #[test]
        fn a_member_is_read_by_others(plain in mixed(), level in 1..=12i32) {
            let mut deflater = Deflater::new(level);
            let mut out = vec![0; deflater.bound(plain.len())];
            let length = deflater.member(&Plain::from(&*plain), &mut out);
            let mut found = Vec::new();
            GzDecoder::new(&out[..length]).read_to_end(&mut found).unwrap();
            prop_assert!(found == plain);
            let mut found = vec![0; plain.len()];
            prop_assert_eq!(Decompressor::new().gzip_decompress(&out[..length], &mut found).unwrap(), plain.len());
            prop_assert!(found == plain);
        }

        #[test]
        fn nothing_is_left_of_the_piece_before(pieces in prop::collection::vec(mixed(), 2..4), level in 1..=12i32) {
            let mut used = Deflater::new(level);
            for plain in &pieces {
                prop_assert!(piece(&mut used, plain) == piece(&mut Deflater::new(level), plain));
            }
        }
    }

    #[test]
    fn pieces_of_every_length_are_whole() {
        let text: Vec<u8> = b"one and two and one ".iter().copied().cycle().take(300).collect();
        for level in 1..=12 {
            for length in 0..text.len() {
                let plain = [text[..length].to_vec()];
                assert_eq!(decoded(&plain, level), plain[0], "{length} at {level}");
            }
        }
    }

    #[test]
    fn the_longest_pieces_are_whole_and_within_the_bound() {
        let mut state = 1u64;
        let mut noise = |length: usize| -> Vec<u8> {
            let next = |_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as u8
            };
            (0..length).map(next).collect()
        };
        let window = noise(1 << 15);
        let plains = [
            noise(Plain::LONGEST),
            vec![0; Plain::LONGEST],
            // Everything is as far back as it may be, and then one byte farther.
            window.repeat(Plain::LONGEST / window.len()),
            [&window[..], &[7]].concat().repeat(31),
        ];
        for level in 1..=12 {
            let mut deflater = Deflater::new(level);
            for (nth, plain) in plains.iter().enumerate() {
                let piece = piece(&mut deflater, plain);
                assert!(piece.len() <= deflater.bound(plain.len()));
                if !Deflater::is_libdeflate(level) {
                    let is_repeated = nth == 1 || nth == 2;
                    assert_eq!(piece.len() < plain.len() / 20, is_repeated, "{nth} at {level}: {}", piece.len());
                }
                assert!(decoded(std::slice::from_ref(plain), level) == *plain, "{nth} at {level}");
            }
        }
    }
}
