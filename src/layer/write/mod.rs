//! The pipeline from entries to blobs.
//!
//! Every thread of the pool does the same: it takes the next block of any layer, fills it (headers made on the spot,
//! contents read at their offsets), compresses it, and hands it to the layer's two chains, which digest, and write, the
//! blocks in order. No thread is kept for hashing: whoever brings a block drains what is ready. A fixed number of
//! blocks is in flight, so memory does not depend on the size of anything.

mod blocks;
mod chain;
mod compress;
mod deflate;
mod estargz;
mod pieces;

use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::ThreadPool;

use super::tar::{header, padded};
use crate::error::{Error, Result};
use crate::oci::{Digest, Hasher, Map};
use crate::progress::{Event, Progress, silent};
use crate::tree::{Entry, Kind};

use blocks::Geometry;
use chain::{Buffers, Chain, Gate, Permit};
use compress::BlockEncoder;
use deflate::Plain;
use estargz::{Chunk, Members, Placed};
use pieces::{Fingerprint, SHORTEST_PIECE};

pub use compress::Compression;
pub use pieces::{Earlier, Piece};

/// One layer to write.
pub struct Job<'a, W> {
    /// For progress, as is the title.
    pub number: usize,
    pub title: &'a str,
    /// Sorted by path, each path once, parents before children, a hard link after its target.
    pub entries: &'a [Entry],
    /// Takes the blob.
    pub sink: W,
    /// For errors: where the sink leads.
    pub destination: &'a Path,
    /// A layer of the same compression that may have some of the blocks already.
    pub earlier: Option<&'a Earlier>,
}

/// What became of a job.
#[derive(Debug)]
pub struct Written<W> {
    pub sink: W,
    /// Of the tar.
    pub diff_id: Digest,
    /// Of the blob.
    pub digest: Digest,
    /// Of the blob, in bytes.
    pub size: u64,
    /// What the blob's descriptor has to say, for readers to make use of its form.
    pub annotations: Map<String>,
    /// The blob's blocks that are worth taking over, in their order; none if they are not compressed.
    pub pieces: Vec<Piece>,
}

/// Writes every job's blob to its sink, all of them side by side on the threads of `pool`, and returns them in order.
///
/// The bytes depend on the entries (with the contents they name) and on `compression` alone. A file that is not, from
/// first byte to last, the one that was walked is an error. On an error the sinks are dropped with whatever they took.
/// A panic, of a sink or of `progress`, ends all threads and is passed on.
pub fn write<W: Write + Send>(
    jobs: Vec<Job<'_, W>>,
    compression: Compression,
    pool: &ThreadPool,
    progress: Progress<'_>,
) -> Result<Vec<Written<W>>> {
    // A few more blocks than threads keep everyone busy while a chain waits for a slow block.
    let threads = pool.current_num_threads();
    let bound = BlockEncoder::new(compression).bound(Plain::LONGEST);
    let buffers = || Buffers::new(bound);
    let gate = Gate::new(std::iter::repeat_with(buffers).take(threads + threads / 4 + 2).collect());
    let mut layers: Vec<Layer<'_, W>> =
        pool.install(|| jobs.into_iter().map(|job| Layer::new(job, compression, progress)).collect::<Result<_>>())?;
    run(&layers, compression, pool, &gate)?;
    if let Compression::Estargz(level) = compression {
        let compression = Compression::Gzip(level);
        layers = pool.install(|| layers.into_iter().map(|layer| layer.indexed(compression)).collect::<Result<_>>())?;
        run(&layers, compression, pool, &gate)?;
    }
    Ok(layers.into_iter().map(Layer::finish).collect())
}

/// Brings every block of `layers` through its chains.
fn run<'a, W: Write + Send>(
    layers: &[Layer<'a, W>],
    compression: Compression,
    pool: &ThreadPool,
    gate: &'a Gate,
) -> Result<()> {
    let turns = turns(layers);
    let next = AtomicUsize::new(0);
    pool.broadcast(|_| {
        let _presence = gate.presence();
        let mut encoder = BlockEncoder::new(compression);
        // Turns are taken in order and only with a permit in hand: all blocks before a taken one are taken as well, so
        // the chains always move on and permits always come back.
        while let Some(permit) = gate.enter() {
            let Some(turn) = turns.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            if let Err(error) = layers[turn.layer].process(turn.block, permit, &mut encoder) {
                gate.fail(error);
            }
        }
    });
    gate.outcome()
}

struct Layer<'a, W> {
    entries: Cow<'a, [Entry]>,
    geometry: Geometry,
    /// Those that blocks begin with, where the blob tells of them.
    chunks: Vec<Chunk>,
    earlier: Option<&'a Earlier>,
    /// Whether another layer may take blocks over.
    is_reusable: bool,
    tar: Chain<Arc<Block<'a>>, TarState<'a>>,
    blob: Chain<Arc<Block<'a>>, BlobState<'a, W>>,
}

/// A block that both chains work on. When the last of them is done with it, the permit goes back.
struct Block<'a> {
    permit: Permit<'a>,
    /// Of the tar's bytes.
    crc: crc32fast::Hasher,
    /// What of the block goes into the blob.
    stored: Stored,
    /// What it begins with, and the digest of that.
    chunk: Option<(Chunk, Digest)>,
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

struct Turn {
    layer: usize,
    block: usize,
}

/// Layers advance in proportion to their length, so that they end together: the digests of one layer cannot be
/// computed by more than one thread at a time, those of several can.
fn turns<W>(layers: &[Layer<'_, W>]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = layers
        .iter()
        .enumerate()
        .flat_map(|(layer, each)| (0..each.geometry.blocks.len()).map(move |block| Turn { layer, block }))
        .collect();
    let share = |turn: &Turn| turn.block as f64 / layers[turn.layer].geometry.blocks.len() as f64;
    turns.sort_by(|a, b| share(a).total_cmp(&share(b)));
    turns
}

impl<'a, W: Write> Layer<'a, W> {
    fn new(job: Job<'a, W>, compression: Compression, progress: Progress<'a>) -> Result<Self> {
        let Members { geometry, chunks } = match compression {
            Compression::Estargz(_) => Members::of(job.entries)?,
            _ => Members { geometry: Geometry::of(job.entries)?, chunks: Vec::new() },
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
        let (tar, blob) = (Chain::new(tar, TarState::block), Chain::new(blob, BlobState::block));
        Ok(Layer { entries: job.entries.into(), geometry, chunks, earlier: job.earlier, is_reusable: true, tar, blob })
    }

    /// The rest of a layer of eStargz whose entries are all written: its table of contents, the last entry of the tar,
    /// and the footer.
    fn indexed(self, compression: Compression) -> Result<Self> {
        let (mut tar, mut blob) = (self.tar.into_state(), self.blob.into_state());
        let (table, digest) = estargz::table(&self.entries, &self.chunks, &blob.placed);
        let geometry = Geometry::of(std::slice::from_ref(&table))?;
        blob.annotations = estargz::annotations(digest, tar.size + geometry.size());
        blob.part = Part::new(compression, &geometry);
        blob.part.footer = estargz::footer(blob.offset);
        blob.take(compression.head())?;
        tar.progress = &silent; // its size was not known when the layer was begun
        let (tar, blob) = (Chain::new(tar, TarState::block), Chain::new(blob, BlobState::block));
        Ok(Layer {
            entries: vec![table].into(),
            geometry,
            chunks: Vec::new(),
            earlier: None,
            is_reusable: false,
            tar,
            blob,
        })
    }

    fn process(&self, number: usize, mut permit: Permit<'a>, encoder: &mut BlockEncoder) -> Result<()> {
        let Buffers { tar, blob } = &mut *permit;
        self.fill(self.geometry.blocks[number].clone(), tar)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(tar);
        let stored = if encoder.compresses() {
            let block = (self.is_reusable && tar.len() >= SHORTEST_PIECE).then(|| Fingerprint::of(tar));
            let known = block.zip(self.earlier).and_then(|(block, earlier)| earlier.find(&block, blob));
            let length = known.unwrap_or_else(|| encoder.encode(tar, blob));
            let fingerprints = block.map(|block| (block, Fingerprint::of(&blob[..length])));
            Stored::Compressed { length, fingerprints }
        } else {
            Stored::AsIs
        };
        let chunk = self.chunks.binary_search_by_key(&number, |chunk| chunk.block).ok().map(|at| self.chunks[at]);
        let chunk = chunk.map(|chunk| (chunk, Digest::of(&tar[chunk.range()])));
        let block = Arc::new(Block { permit, crc, stored, chunk });
        self.tar.push(number, block.clone())?;
        self.blob.push(number, block)
    }

    fn finish(self) -> Written<W> {
        let BlobState { sink, hasher, offset, annotations, pieces, .. } = self.blob.into_state();
        let diff_id = self.tar.into_state().hasher.finish();
        let digest = hasher.map_or(diff_id, Hasher::finish);
        Written { sink, diff_id, digest, size: offset, annotations, pieces }
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
            let header = header(entry)?;
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

impl TarState<'_> {
    fn block(&mut self, block: Arc<Block<'_>>) -> Result<()> {
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
    fn block(&mut self, block: Arc<Block<'_>>) -> Result<()> {
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
