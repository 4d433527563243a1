//! eStargz (stargz-snapshotter, docs/estargz.md): a gzip layer out of which single files can be read.
//!
//! The content of each file, or each chunk of it, begins a gzip member of its own, which goes on with the headers that
//! follow. The last entry of the tar is a table of contents (TOC) that says where the members are and what is in them,
//! in a member of its own, and a member of fixed size with nothing in it, the footer, says where that is.

mod toc;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::blocks::{Cuts, Geometry, LONGEST_BLOCK};
use super::compress::BlockEncoder;
use super::compress::Compression;
use super::deflate::Plain;
use crate::error::{Error, Result};
use crate::layer::tar::{header, header_size, padded};
use crate::oci::{Digest, Hasher, Map};
use crate::tree::{Attributes, Content, Entry, Kind};

use toc::TOC_NAME;

/// Annotations of the layer's descriptor: the digest of the TOC, and the size of the whole tar in bytes.
const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
const UNCOMPRESSED_SIZE: &str = "io.containers.estargz.uncompressed-size";

/// Says that no file is to be fetched before it is asked for ("Prioritized Files and Landmark Files").
const LANDMARK: &str = ".no.prefetch.landmark";
const LANDMARK_CONTENT: &[u8] = &[0x0f];

/// Says that what stands before it is to be fetched at once. We write none, and nobody else is to.
const PREFETCH_LANDMARK: &str = ".prefetch.landmark";

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

/// What the TOC says of the blob, noted as it is written.
#[derive(Default)]
pub struct Placed {
    /// Where the landmark's content begins in the blob.
    landmark: u64,
    /// Where each chunk begins in the blob, and its digest; in the order of the chunks.
    chunks: Vec<(u64, Digest)>,
    /// The digests of the files that have several chunks, in their order.
    files: Vec<Digest>,
    /// Of the file whose last chunk is still to come.
    file: Hasher,
}

impl Members {
    /// No trailer ends this tar: that of the TOC does, which follows.
    pub fn of(entries: &[Entry]) -> Result<Members> {
        check(entries)?;
        let heads: Vec<u64> = entries.par_iter().map(header_size).collect::<Result<_>>()?;
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
    /// It is all that the file has.
    pub fn is_whole(&self) -> bool {
        self.offset == 0 && self.is_last
    }

    /// Where it is in its block.
    pub fn range(&self) -> Range<usize> {
        0..self.length as usize
    }
}

impl Placed {
    /// Notes that the member with `chunk`, whose bytes are `content`, begins at `offset`.
    pub fn note(&mut self, chunk: &Chunk, offset: u64, digest: Digest, content: &[u8]) {
        self.chunks.push((offset, digest));
        if !chunk.is_whole() {
            self.file.update(content);
            if chunk.is_last {
                self.files.push(std::mem::take(&mut self.file).finish());
            }
        }
    }
}

/// What a layer begins with: the landmark's tar, and its two members.
pub fn landmark(level: i32, placed: &mut Placed) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut tar = header(&landmark_entry())?;
    let head = tar.len();
    tar.extend_from_slice(LANDMARK_CONTENT);
    tar.resize(padded(tar.len() as u64) as usize, 0);
    let mut encoder = BlockEncoder::new(Compression::Estargz(level));
    let mut blob = vec![0; 2 * encoder.bound(tar.len())];
    let first = encoder.encode(&Plain::from(&tar[..head]), &mut blob);
    placed.landmark = first as u64;
    let second = encoder.encode(&Plain::from(&tar[head..]), &mut blob[first..]);
    blob.truncate(first + second);
    Ok((tar, blob))
}

/// The last entry of the tar, and the digest of its content, the TOC. That is in memory whole: a few hundred bytes for
/// each entry and each chunk.
///
/// `chunks` are those of `entries`, and all of them are placed.
pub fn table(entries: &[Entry], chunks: &[Chunk], placed: &Placed) -> (Entry, Digest) {
    let toc = toc::json(entries, chunks, placed);
    let digest = Digest::of(&toc);
    (file(TOC_NAME, toc), digest)
}

/// What the descriptor of a layer with this TOC and a tar of `size` bytes has to say.
pub fn annotations(toc: Digest, size: u64) -> Map<String> {
    let annotations = [(TOC_DIGEST, toc.to_string()), (UNCOMPRESSED_SIZE, size.to_string())];
    annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The blob's last 51 bytes ("Footer"): a gzip member (RFC 1952, 2.3) that holds one empty stored block and says in its
/// extra field at which `offset` the TOC's member begins.
pub fn footer(offset: u64) -> Vec<u8> {
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
    footer.extend_from_slice(&[26, 0, b'S', b'G', 22, 0]);
    footer.extend_from_slice(format!("{offset:016x}STARGZ").as_bytes());
    footer.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    footer.extend_from_slice(&[0; 8]); // the CRC-32 and the length of nothing
    footer
}

fn landmark_entry() -> Entry {
    file(LANDMARK, LANDMARK_CONTENT)
}

fn file(path: &str, content: impl Into<Arc<[u8]>>) -> Entry {
    let kind = Kind::File(Content::Bytes(content.into()));
    Entry { path: path.into(), kind, attributes: Attributes { mode: 0o644, ..Attributes::implied() } }
}

/// Refuses what would be taken for a part of the format, and what its JSON cannot hold.
fn check(entries: &[Entry]) -> Result<()> {
    for entry in entries {
        let path = String::from_utf8_lossy(&entry.path);
        if [TOC_NAME, LANDMARK, PREFETCH_LANDMARK].contains(&&*path) {
            return Err(Error::input(format!("`{path}` at the root of a layer has a meaning of its own in eStargz"))
                .with_hint("exclude it, or choose another compression"));
        }
        let target = match &entry.kind {
            Kind::Symlink { target } | Kind::HardLink { target } => &target[..],
            _ => &[],
        };
        if std::str::from_utf8(&entry.path).and(std::str::from_utf8(target)).is_err() {
            return Err(Error::input(format!("the name or the target of `{path}` is not UTF-8, as eStargz wants it"))
                .with_hint("rename it, or choose another compression"));
        }
    }
    Ok(())
}
