use std::fmt;
use std::str::FromStr;

use flate2::{Compress, FlushCompress, Status};

use crate::error::{Error, Result};
use crate::oci::media_type;

/// How a layer is stored. The encoder's version is pinned in `Cargo.lock`; a test holds the bytes it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    /// Level 1 to 9.
    Gzip(u32),
}

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
        }
    }

    /// What stands before the first block.
    pub(super) fn head(self) -> &'static [u8] {
        match self {
            Compression::None => &[],
            // RFC 1952, 2.3: deflate, no flags, no time, no level hint, unknown system; nothing of this machine.
            Compression::Gzip(_) => &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255],
        }
    }

    /// What stands behind the last block of content with this CRC-32 and length.
    pub(super) fn tail(self, crc: u32, size: u64) -> Vec<u8> {
        match self {
            Compression::None => Vec::new(),
            Compression::Gzip(_) => {
                // An empty final block (RFC 1951, 3.2.6: fixed codes, end of block), CRC, length modulo 2^32.
                let mut tail = vec![0x03, 0x00];
                tail.extend_from_slice(&crc.to_le_bytes());
                tail.extend_from_slice(&(size as u32).to_le_bytes());
                tail
            }
        }
    }
}

impl FromStr for Compression {
    type Err = Error;

    /// `gzip[:LEVEL]` or `none`.
    fn from_str(text: &str) -> Result<Self> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let wrong = || {
            Error::usage(format!("`{text}` is not a compression"))
                .with_hint("it is gzip, gzip:1 (fast) to gzip:9 (small), or none")
        };
        match (name, level.map(str::parse::<u32>)) {
            ("none", None) => Ok(Compression::None),
            ("gzip", None) => Ok(Compression::default()),
            ("gzip", Some(Ok(level @ 1..=9))) => Ok(Compression::Gzip(level)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::None => write!(f, "none"),
            Compression::Gzip(level) => write!(f, "gzip:{level}"),
        }
    }
}

/// Compresses blocks that can be joined: each is a run of deflate blocks that refers to nothing before it and ends on a
/// byte boundary (RFC 1951, 3.2.4: an empty stored block), so their concatenation is one deflate stream.
pub(super) struct BlockEncoder {
    deflate: Option<Compress>,
}

impl BlockEncoder {
    pub fn new(compression: Compression) -> Self {
        let deflate = match compression {
            Compression::None => None,
            Compression::Gzip(level) => Some(Compress::new(flate2::Compression::new(level), false)),
        };
        BlockEncoder { deflate }
    }

    /// Replaces what `out` holds with the compressed `block`. False: the block stands for itself.
    pub fn encode(&mut self, block: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(deflate) = &mut self.deflate else { return false };
        deflate.reset();
        out.clear();
        // Incompressible data grows by 5 bytes a stored block; the rest is room for the marker at the end.
        out.reserve(block.len() + block.len() / 1000 + 64);
        loop {
            let taken = deflate.total_in() as usize;
            let status = deflate.compress_vec(&block[taken..], out, FlushCompress::Sync);
            let done = deflate.total_in() as usize == block.len() && out.len() < out.capacity();
            match status {
                Ok(Status::Ok | Status::BufError) if done => return true,
                Ok(_) => out.reserve(out.len().max(4096)),
                Err(error) => unreachable!("deflate into a growing buffer cannot fail: {error}"),
            }
        }
    }
}
