//! The geometry of a layer's tar, known from the entries before a byte of content is read: where each entry begins and
//! where the stream is cut into the blocks that are compressed one by one.

use std::ops::Range;

use rayon::prelude::*;

use super::tar::{TRAILER, header, padded};
use super::{Entry, Kind};
use crate::error::Result;
use crate::oci::Digest;

/// No block is longer.
pub const LONGEST_BLOCK: u64 = 3 << 19;

/// A file of this size or more begins a block of its own and is cut at every multiple of it.
const LARGE_FILE: u64 = 1 << 20;

/// On average a block ends after this many bytes of small entries, and never before the second number.
const USUAL_BLOCK: u64 = 3 << 18;
const SHORTEST_BLOCK: u64 = 1 << 17;

/// Where everything stands in the tar of a layer. Offsets are in bytes from its beginning.
pub struct Geometry {
    /// Of each entry's header, and behind the last the offset of the trailer.
    pub offsets: Vec<u64>,
    /// One behind the other, without a gap, from 0 to the end of the trailer.
    pub blocks: Vec<Range<u64>>,
}

impl Geometry {
    /// Cuts depend on entries near them and not on offsets, so that a layer in which one file changed keeps nearly all
    /// of its blocks: small entries end a block with a chance that grows with their length and is drawn from the
    /// digest of their path, large files are cut from their own beginning.
    pub fn of(entries: &[Entry]) -> Result<Geometry> {
        let lengths: Vec<u64> = entries
            .par_iter()
            .map(|entry| Ok(header(entry)?.len() as u64 + padded(entry.content_size())))
            .collect::<Result<_>>()?;
        let mut offsets = Vec::with_capacity(entries.len() + 1);
        let mut cuts = Cuts { start: 0, blocks: Vec::new() };
        let mut at = 0;
        for (entry, length) in entries.iter().zip(lengths) {
            offsets.push(at);
            let end = at + length;
            if length >= LARGE_FILE && matches!(entry.kind, Kind::File(_)) {
                cuts.cut(at);
                (1..=length / LARGE_FILE).for_each(|nth| cuts.cut(at + nth * LARGE_FILE));
            } else {
                if end - cuts.start > LONGEST_BLOCK {
                    cuts.cut(at);
                }
                if end - cuts.start >= SHORTEST_BLOCK && draw(&entry.path) < length as f64 / USUAL_BLOCK as f64 {
                    cuts.cut(end);
                }
            }
            at = end;
        }
        offsets.push(at);
        let end = at + TRAILER;
        if end - cuts.start > LONGEST_BLOCK {
            cuts.cut(at);
        }
        cuts.cut(end);
        Ok(Geometry { offsets, blocks: cuts.blocks })
    }

    /// Of the whole tar, in bytes.
    pub fn size(&self) -> u64 {
        self.blocks.last().map_or(0, |last| last.end)
    }
}

struct Cuts {
    start: u64,
    blocks: Vec<Range<u64>>,
}

impl Cuts {
    fn cut(&mut self, at: u64) {
        if at > self.start {
            self.blocks.push(self.start..at);
            self.start = at;
        }
    }
}

/// A number from 0 to 1 that is the same for a path everywhere and always.
fn draw(path: &[u8]) -> f64 {
    let digest = Digest::of(path);
    let [a, b, c, d, ..] = *digest.as_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
}
