//! A layer on its way: the blocks of its tar, filled and compressed in any order, and the two chains that bring them into
//! theirs.

use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::slice;
use std::sync::Arc;

use super::blocks::Geometry;
use super::chain::Chain;
use super::completion::{Completion, Share};
use super::compress::{BlockEncoder, Compression};
use super::deflate::Plain;
use super::estargz::{self, Chunk, Members, Placed};
use super::gate::{Buffers, Permit};
use super::job::{Job, Written};
use super::pieces::{Earlier, Fingerprint, Piece, SHORTEST_PIECE};
use crate::error::{Error, Result};
use crate::layer::tar::{TimePrecision, header, padded};
use crate::oci::{Digest, Hasher, Map};
use crate::progress::{Event, Progress, silent};
use crate::tree::{Entry, Kind};

/// A layer that is being written, or the last part of one.
pub struct Making<'a, W> {
    compression: Compression,
    times: TimePrecision,
    entries: Arc<Vec<Entry>>,
    geometry: Geometry,
    /// The chunks that blocks begin with, where the blob tells of them.
    chunks: Vec<Chunk>,
    earlier: Option<Earlier>,
    /// Another layer may take blocks over.
    is_reusable: bool,
    tar: Chain<Arc<SharedBlock>, TarState<'a>>,
    blob: Chain<Arc<SharedBlock>, BlobState<'a, W>>,
    completion: Arc<Completion>,
}

/// The outcome of the blocks of a layer.
pub struct Made<'a, W> {
    tar: TarState<'a>,
    blob: BlobState<'a, W>,
}

/// A block that both chains work on. When the last of them is done with it, the permit goes back.
struct SharedBlock {
    permit: Permit,
    /// The CRC-32 of the tar's bytes.
    crc: crc32fast::Hasher,
    /// The part of the block that goes into the blob.
    stored: Stored,
    /// The chunk that it begins with, and the digest of that.
    chunk: Option<(Chunk, Digest)>,
    _share: Share,
}

enum Stored {
    /// The tar's bytes.
    AsIs,
    /// So many compressed bytes; for them to be taken over, the fingerprints of the block and of themselves.
    Compressed { length: usize, fingerprints: Option<(Fingerprint, Fingerprint)> },
}

struct TarState<'a> {
    layer: usize,
    hasher: Hasher,
    size: u64,
    progress: Progress<'a>,
}

struct BlobState<'a, W> {
    sink: W,
    /// None if the blob is the tar, which has its digest already.
    hasher: Option<Hasher>,
    /// How much the sink has taken.
    offset: u64,
    pieces: Vec<Piece>,
    placed: Placed,
    annotations: Map<String>,
    destination: &'a Path,
    part: Part,
}

/// A blob, or what was not known before the rest of it was written.
struct Part {
    compression: Compression,
    crc: crc32fast::Hasher,
    tar_size: u64,
    blocks_left: usize,
    /// Comes behind all that belongs to the compression.
    footer: Vec<u8>,
}

impl<'a, W: Write> Making<'a, W> {
    /// Begins the layer of `job`: its sink has what stands before the first block.
    pub fn new(
        job: Job<'a, W>,
        compression: Compression,
        times: TimePrecision,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let Members { geometry, chunks } = match compression {
            Compression::Estargz(_) => Members::of(&job.entries, times)?,
            _ => Members { geometry: Geometry::of(&job.entries, times)?, chunks: Vec::new() },
        };
        progress(Event::LayerStarted { layer: job.number, title: job.title, size: geometry.size() });
        let mut tar = TarState { layer: job.number, hasher: Hasher::new(), size: 0, progress };
        let mut blob = BlobState {
            sink: job.sink,
            hasher: (compression != Compression::None).then(Hasher::new),
            offset: 0,
            pieces: Vec::new(),
            placed: Placed::default(),
            annotations: Map::new(),
            destination: job.destination,
            part: Part::new(compression, &geometry),
        };
        blob.take(compression.head())?;
        if let Compression::Estargz(level) = compression {
            let (landmark, members) = estargz::landmark(level, &mut blob.placed)?;
            tar.take(&landmark);
            blob.take(&members)?;
        }
        let making = Made { tar, blob }.going_on(job.entries, geometry);
        Ok(Making { times, chunks, earlier: job.earlier, is_reusable: true, ..making })
    }

    /// Begins what comes behind the entries of `first`, a layer of eStargz which came to `made`: its table of contents, the
    /// last entry of the tar, and the footer. They are stored by `compression`.
    pub fn index(first: &Self, made: Made<'a, W>, compression: Compression) -> Result<Self> {
        let Made { mut tar, mut blob } = made;
        let (table, digest) = estargz::table(&first.entries, &first.chunks, &blob.placed);
        let geometry = Geometry::of(slice::from_ref(&table), TimePrecision::Seconds)?;
        blob.annotations = estargz::annotations(digest, tar.size + geometry.size());
        blob.part = Part::new(compression, &geometry);
        blob.part.footer = estargz::footer(blob.offset);
        blob.take(compression.head())?;
        tar.progress = &silent; // its size was not known when the layer was begun
        Ok(Made { tar, blob }.going_on(Arc::new(vec![table]), geometry))
    }

    /// Returns how its blocks are stored: other encoders make the index of eStargz than what is before it.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Returns how many blocks there are to process.
    pub fn blocks(&self) -> usize {
        self.geometry.blocks.len()
    }

    /// Fills block `number` and brings it into the layer. A failure, or a panic, ends the layer.
    pub fn process(&self, number: usize, permit: Permit, encoder: &mut BlockEncoder) {
        let _held = self.completion.hold();
        let share = self.completion.share();
        if self.completion.has_failed() {
            return;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| self.bring(number, permit, share, encoder)));
        match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => self.completion.fail(error),
            Err(panic) => self.completion.panic(panic),
        }
        // What waits for a block that never comes would keep its buffers.
        self.tar.give_up();
        self.blob.give_up();
    }

    /// Ends the layer with `error`, unless it has ended.
    pub fn fail(&self, error: Error) {
        self.completion.fail(error);
    }

    /// Waits for all blocks. Fails as soon as one has failed; what panicked goes on here.
    pub fn wait(&self) -> Result<Made<'a, W>> {
        self.completion.wait()?;
        let made = self.tar.take().zip(self.blob.take()).map(|(tar, blob)| Made { tar, blob });
        made.ok_or_else(|| Error::input("the layer was taken by another"))
    }

    fn bring(&self, number: usize, mut permit: Permit, share: Share, encoder: &mut BlockEncoder) -> Result<()> {
        let Buffers { tar, blob } = &mut *permit;
        self.fill(self.geometry.blocks[number].clone(), tar)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(tar);
        let stored = if encoder.compresses() {
            let block = (self.is_reusable && tar.len() >= SHORTEST_PIECE).then(|| Fingerprint::of(tar));
            let known = block.zip(self.earlier.as_ref()).and_then(|(block, earlier)| earlier.find(&block, blob));
            let length = known.unwrap_or_else(|| encoder.encode(tar, blob));
            let fingerprints = block.map(|block| (block, Fingerprint::of(&blob[..length])));
            Stored::Compressed { length, fingerprints }
        } else {
            Stored::AsIs
        };
        let chunk = self.chunks.binary_search_by_key(&number, |chunk| chunk.block).ok().map(|at| self.chunks[at]);
        let chunk = chunk.map(|chunk| (chunk, Digest::of(&tar[chunk.range()])));
        let block = Arc::new(SharedBlock { permit, crc, stored, chunk, _share: share });
        self.tar.push(number, block.clone())?;
        self.blob.push(number, block)
    }

    /// Replaces what `out` holds with the bytes of the tar in `range`.
    fn fill(&self, range: Range<u64>, out: &mut Plain) -> Result<()> {
        let offsets = &self.geometry.offsets;
        out.resize((range.end - range.start) as usize);
        let mut rest = &mut out[..];
        // The first offset is 0, so at least one is not behind the beginning.
        let first = offsets.partition_point(|offset| *offset <= range.start) - 1;
        for (entry, offset) in self.entries.iter().zip(offsets).skip(first) {
            if *offset >= range.end {
                break;
            }
            let header = header(entry, self.times)?;
            let content = offset + header.len() as u64;
            let head = overlap(&range, *offset..content);
            let (room, behind) = rest.split_at_mut((head.end - head.start) as usize);
            room.copy_from_slice(&header[(head.start - offset) as usize..(head.end - offset) as usize]);
            rest = behind;
            if let Kind::File(source) = &entry.kind {
                let body = overlap(&range, content..content + source.size());
                let padding = overlap(&range, content + source.size()..content + padded(source.size()));
                let (room, behind) = rest.split_at_mut((body.end - body.start) as usize);
                // An empty file is looked at too: it may be empty no longer.
                if !body.is_empty() || source.size() == 0 {
                    source.read(body.start - content, room)?;
                }
                let (room, behind) = behind.split_at_mut((padding.end - padding.start) as usize);
                room.fill(0);
                rest = behind;
            }
        }
        rest.fill(0); // the trailer, if it is in the range
        Ok(())
    }
}

impl<'a, W: Write> Made<'a, W> {
    pub fn finish(self) -> Written<W> {
        let BlobState { sink, hasher, offset, annotations, pieces, .. } = self.blob;
        let diff_id = self.tar.hasher.finish();
        let digest = hasher.map_or(diff_id, Hasher::finish);
        Written { sink, diff_id, digest, size: offset, annotations, pieces }
    }

    /// Returns what comes next: `entries`, which stand as `geometry` says.
    fn going_on(self, entries: Arc<Vec<Entry>>, geometry: Geometry) -> Making<'a, W> {
        let completion = Arc::new(Completion::new(geometry.blocks.len()));
        let compression = self.blob.part.compression;
        let (tar, blob) = (Chain::new(self.tar, TarState::block), Chain::new(self.blob, BlobState::block));
        Making {
            compression,
            times: TimePrecision::Seconds,
            entries,
            geometry,
            chunks: Vec::new(),
            earlier: None,
            is_reusable: false,
            tar,
            blob,
            completion,
        }
    }
}

impl TarState<'_> {
    fn block(&mut self, block: Arc<SharedBlock>) -> Result<()> {
        let tar = &block.permit.tar;
        self.take(tar);
        (self.progress)(Event::LayerAdvanced { layer: self.layer, bytes: tar.len() as u64 });
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.hasher.update(bytes);
    }
}

impl Part {
    fn new(compression: Compression, geometry: &Geometry) -> Self {
        Part {
            compression,
            crc: crc32fast::Hasher::new(),
            tar_size: geometry.size(),
            blocks_left: geometry.blocks.len(),
            footer: Vec::new(),
        }
    }
}

impl<W: Write> BlobState<'_, W> {
    fn block(&mut self, block: Arc<SharedBlock>) -> Result<()> {
        self.part.crc.combine(&block.crc);
        let Buffers { tar, blob } = &*block.permit;
        if let Some((chunk, digest)) = &block.chunk {
            self.placed.note(chunk, self.offset, *digest, &tar[chunk.range()]);
        }
        match block.stored {
            Stored::AsIs => self.take(tar)?,
            Stored::Compressed { length, fingerprints } => {
                if let Some((block, compressed)) = fingerprints {
                    self.pieces.push(Piece { block, offset: self.offset, length: length as u64, compressed });
                }
                self.take(&blob[..length])?;
            }
        }
        self.part.blocks_left -= 1;
        if self.part.blocks_left == 0 {
            let Part { compression, crc, tar_size, .. } = &self.part;
            let tail = compression.tail(crc.clone().finalize(), *tar_size);
            self.take(&tail)?;
            let footer = std::mem::take(&mut self.part.footer);
            self.take(&footer)?;
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.offset += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.sink.write_all(bytes).map_err(|source| Error::io("write", self.destination, source))
    }
}

/// The part of `part` that lies in `range`; empty at `part`'s near end if none does.
fn overlap(range: &Range<u64>, part: Range<u64>) -> Range<u64> {
    let start = range.start.clamp(part.start, part.end);
    start..range.end.clamp(start, part.end.max(start))
}
