//! The members that the tar of a layer is cut into.

use std::ops::Range;

use rayon::prelude::*;

use super::reserved;
use crate::error::Result;
use crate::layer::tar::{TimePrecision, header_size, padded};
use crate::layer::write::blocks::{Cuts, Geometry, LONGEST_BLOCK};
use crate::tree::Entry;

/// Files are cut at every multiple of this. The format leaves the size open; this is what a reader has to fetch for a
/// single byte, and as a chunk is one block, what a block needs of memory.
const CHUNK: u64 = 1 << 20;

/// How the tar of a layer is cut: each block becomes a member.
pub struct Members {
    pub geometry: Geometry,
    /// In the order of the blocks, each of which has one at its beginning or none.
    pub chunks: Vec<Chunk>,
}

/// A part of a file's content, or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// The number of the block that begins with it.
    pub block: usize,
    /// The number of the entry that it belongs to.
    pub entry: usize,
    /// Where it begins in the file, and how long it is, in bytes.
    pub offset: u64,
    pub length: u64,
    /// Nothing of the file follows.
    pub is_last: bool,
}

impl Members {
    /// Returns the members of `entries`. No trailer ends this tar: that of the TOC does, which follows.
    pub fn of(entries: &[Entry], times: TimePrecision) -> Result<Members> {
        reserved::check(entries)?;
        let heads: Vec<u64> = entries.par_iter().map(|entry| header_size(entry, times)).collect::<Result<_>>()?;
        let mut offsets = Vec::with_capacity(entries.len() + 1);
        let mut cuts = Cuts::default();
        let mut chunks = Vec::new();
        let mut at = 0;
        for (number, (entry, head)) in entries.iter().zip(heads).enumerate() {
            offsets.push(at);
            let (content, size) = (at + head, entry.content_size());
            // Headers may follow a content in any number.
            if content - cuts.start > LONGEST_BLOCK {
                cuts.cut(at);
            }
            for offset in (0..size).step_by(CHUNK as usize) {
                cuts.cut(content + offset);
                let length = CHUNK.min(size - offset);
                let is_last = offset + length == size;
                chunks.push(Chunk { block: cuts.blocks.len(), entry: number, offset, length, is_last });
            }
            at = content + padded(size);
        }
        offsets.push(at);
        cuts.cut(at);
        Ok(Members { geometry: Geometry { offsets, blocks: cuts.blocks }, chunks })
    }
}

impl Chunk {
    /// Returns whether it is all that the file has.
    pub fn is_whole(&self) -> bool {
        self.offset == 0 && self.is_last
    }

    /// Returns where it is in its block.
    pub fn range(&self) -> Range<usize> {
        0..self.length as usize
    }
}
