use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::deflate::{self, Deflater};
use crate::error::{Error, Result};
use crate::oci::media_type;

/// How a layer is stored. The encoders' versions are pinned in `Cargo.lock`; a test holds the bytes they make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    /// Level 1 to 12.
    Gzip(i32),
    /// Level 1 to 19.
    Zstd(i32),
}

const LIBDEFLATE: &str = "libdeflate-sys 1.26.1";
const LIBZSTD: &str = "zstd-sys 2.1.2+zstd.1.5.7";

const GZIP_LEVELS: RangeInclusive<i32> = 1..=12;
const ZSTD_LEVELS: RangeInclusive<i32> = 1..=19;

impl Default for Compression {
    fn default() -> Self {
        Compression::Gzip(6)
    }
}

impl Compression {
    pub fn media_type(self) -> &'static str {
        match self {
            Compression::None => media_type::LAYER,
            Compression::Gzip(_) => media_type::LAYER_GZIP,
            Compression::Zstd(_) => media_type::LAYER_ZSTD,
        }
    }

    /// Names the encoder, its version and its level: all that a layer's bytes depend on beside its entries. A test holds
    /// the versions to those in `Cargo.lock`.
    pub fn identity(self) -> String {
        let encoder = match self {
            Compression::None => "",
            Compression::Gzip(_) => LIBDEFLATE,
            Compression::Zstd(_) => LIBZSTD,
        };
        format!("{self} {encoder}\n")
    }

    /// What stands before the first block.
    pub(super) fn head(self) -> &'static [u8] {
        match self {
            // RFC 1952, 2.3: deflate, no flags, no time, no level hint, unknown system; nothing of this machine.
            Compression::Gzip(_) => &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255],
            Compression::None | Compression::Zstd(_) => &[],
        }
    }

    /// What stands behind the last block of content with this CRC-32 and length.
    pub(super) fn tail(self, crc: u32, size: u64) -> Vec<u8> {
        match self {
            Compression::Gzip(_) => {
                let mut tail = deflate::END.to_vec();
                tail.extend_from_slice(&crc.to_le_bytes());
                // Modulo 2^32 (RFC 1952, 2.3.1).
                tail.extend_from_slice(&(size as u32).to_le_bytes());
                tail
            }
            Compression::None | Compression::Zstd(_) => Vec::new(),
        }
    }
}

impl FromStr for Compression {
    type Err = Error;

    /// `gzip[:LEVEL]`, `zstd[:LEVEL]` or `none`.
    fn from_str(text: &str) -> Result<Self> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let wrong = || {
            Error::usage(format!("`{text}` is not a compression"))
                .with_hint("it is gzip[:1 to 12], zstd[:1 to 19], or none; a higher level is slower and smaller")
        };
        match (name, level.map(str::parse::<i32>)) {
            ("none", None) => Ok(Compression::None),
            ("gzip", None) => Ok(Compression::default()),
            ("gzip", Some(Ok(level))) if GZIP_LEVELS.contains(&level) => Ok(Compression::Gzip(level)),
            ("zstd", None) => Ok(Compression::Zstd(3)),
            ("zstd", Some(Ok(level))) if ZSTD_LEVELS.contains(&level) => Ok(Compression::Zstd(level)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::None => write!(f, "none"),
            Compression::Gzip(level) => write!(f, "gzip:{level}"),
            Compression::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

/// Compresses blocks that can be joined: what it makes of them, one behind the other, is one stream. Each depends on
/// its block, the compression and the encoder's version alone.
pub(super) enum BlockEncoder {
    None,
    Gzip { usual: Deflater, fastest: Deflater },
    Zstd(zstd::bulk::Compressor<'static>),
}

impl BlockEncoder {
    pub fn new(compression: Compression) -> Self {
        match compression {
            Compression::None => BlockEncoder::None,
            Compression::Gzip(level) => {
                BlockEncoder::Gzip { usual: Deflater::new(level), fastest: Deflater::new(*GZIP_LEVELS.start()) }
            }
            Compression::Zstd(level) => {
                let level = level.clamp(*ZSTD_LEVELS.start(), *ZSTD_LEVELS.end());
                BlockEncoder::Zstd(zstd::bulk::Compressor::new(level).expect("every level in the range is known"))
            }
        }
    }

    /// Whether a block is stored in another form than its own.
    pub fn compresses(&self) -> bool {
        !matches!(self, BlockEncoder::None)
    }

    /// Replaces what `out` holds with the stored form of `block`.
    pub fn encode(&mut self, block: &[u8], out: &mut Vec<u8>) {
        out.clear();
        match self {
            BlockEncoder::None => out.extend_from_slice(block),
            BlockEncoder::Gzip { usual, fastest } => {
                if looks_compressed(block) {
                    fastest.piece(block, out);
                    // A better encoder would win back a part of the two hundredths that this one has found, at most.
                    if out.len() >= block.len() - block.len() / 50 {
                        return;
                    }
                }
                usual.piece(block, out);
            }
            BlockEncoder::Zstd(compressor) => {
                out.reserve(zstd::zstd_safe::compress_bound(block.len()));
                compressor.compress_to_buffer(block, out).expect("the bound holds for any data");
            }
        }
    }
}

/// Whether the bytes of samples from all over `block` are as evenly spread as those of compressed data. The sum of the
/// squares of their counts is least when they are even; integers, so that every machine finds the same.
fn looks_compressed(block: &[u8]) -> bool {
    const SAMPLE: usize = 4 << 10;
    const STRIDE: usize = 64 << 10;
    let mut counts = [0u64; 256];
    let mut total = 0u64;
    for sample in block.chunks(STRIDE).map(|chunk| &chunk[..chunk.len().min(SAMPLE)]) {
        sample.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        total += sample.len() as u64;
    }
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    // Random bytes have total²/256 + total; 3 % above that is where dense machine code and text are far away.
    squares * 256 <= total * total / 100 * 103 + total * 256
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another version may make other bytes: then what is known from earlier builds must not be used, and the pinned
    /// digests are to be looked at.
    #[test]
    fn the_encoders_are_those_of_the_lock_file() {
        let lock = include_str!("../../Cargo.lock");
        for encoder in [LIBDEFLATE, LIBZSTD] {
            let (name, version) = encoder.split_once(' ').unwrap();
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&entry), "{encoder} is not what Cargo.lock has");
        }
    }
}
