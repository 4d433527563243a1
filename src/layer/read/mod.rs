//! From blobs to what is in them: decompressed on a thread of its own, digested and counted as it passes.

mod archive;
mod blob;
mod change;
mod chunk;
mod content;
mod field;
mod header;
mod limits;
mod member;
mod pieces;
mod sparse;

use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope};

use flate2::bufread::MultiGzDecoder;
use rayon::ThreadPool;
use rayon::prelude::*;

use super::Layer;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Descriptor, Digest, Hasher, media_type};
use crate::tree::{Budget, Files, Limits, Spool, Whole};

use chunk::{AHEAD, CHUNK, Chunks, InflatedChunk, Pumped, pump};
use member::{TakeContent, members};
use pieces::{may_be_in_pieces, pump_pieces};

pub use archive::read_archive;
pub use blob::LayerReader;
pub(super) use change::OPAQUE;
pub use change::{Overlay, WHITEOUT};
pub(super) use content::{FileContent, TakePart};
pub use header::is_header;
pub use member::{Extent, Member};
pub(super) use sparse::Filled;

/// Opens the blob of a layer. The reader checks digest and size and fails, at the latest in place of the end of file, if
/// they do not hold.
pub type Open<'a> = dyn Fn(&Descriptor) -> Result<Box<dyn Read + Send + 'a>> + Sync + 'a;

/// Reads the headers of all of `layers`, side by side on the threads of `pool`, and puts them together to the root file
/// system that they make, the first being the lowest.
///
/// When it returns, every layer has been read to its end, and the digests of its blob and of its tar hold.
pub fn read(layers: &[Layer], open: &Open<'_>, limits: Limits, pool: &ThreadPool) -> Result<Files> {
    put_together(read_members(layers, open, limits, pool)?, layers)
}

/// Puts the members of `layers` together to the root file system that they make.
pub(super) fn put_together(all: Vec<Vec<Member>>, layers: &[Layer]) -> Result<Files> {
    let mut overlay = Overlay::new();
    for (number, (members, layer)) in all.into_iter().zip(layers).enumerate() {
        let spool = Arc::new(Spool::new(layer.diff_id));
        overlay.apply(number, members, &spool).map_err(|error| Error {
            message: format!("layer {}: {}", layer.descriptor.digest, error.message),
            ..error
        })?;
    }
    Ok(overlay.into_files())
}

/// Reads the headers of all of `layers`, side by side on the threads of `pool`: the members of each, as they stand in its
/// tar.
///
/// When it returns, every layer has been read to its end, and the digests of its blob and of its tar hold.
pub fn read_members(layers: &[Layer], open: &Open<'_>, limits: Limits, pool: &ThreadPool) -> Result<Vec<Vec<Member>>> {
    let budget = Budget::new(limits, Whole::Image);
    let threads = threads_for_each(layers.len(), pool);
    let read = |layer| read_one(layer, open, &budget, threads, &mut |_, _| Ok(()));
    pool.install(|| layers.par_iter().map(read).collect())
}

/// Returns how many threads may decompress one of `layers`, of which the threads of `pool` each read one at a time.
pub fn threads_for_each(layers: usize, pool: &ThreadPool) -> usize {
    pool.current_num_threads().div_ceil(layers.max(1))
}

/// Reads the members of one layer on this thread, and gives the files among them to `take`; see [`read_members`].
pub(super) fn read_one(
    layer: &Layer,
    open: &Open<'_>,
    budget: &Budget,
    threads: usize,
    take: &mut TakeContent<'_>,
) -> Result<Vec<Member>> {
    let failed = |source| Error::from_read("read", format!("layer {}", layer.descriptor.digest), source);
    std::thread::scope(|scope| {
        let blob = opened(&layer.descriptor, open)?;
        let tar = TarStream::start(scope, layer.descriptor.digest, blob, threads)?;
        let mut tar = Checked { tar, hasher: Hasher::new(), budget, is_broken: false };
        let members = members(&mut tar, &format!("layer {}", layer.descriptor.digest), budget, take);
        // What this machine has refused says nothing about the layer.
        if tar.is_broken || members.as_ref().is_err_and(|error| error.kind == ErrorKind::Io) {
            return members;
        }
        // If the digests do not hold, that is what is wrong, and not what was found in the bytes.
        io::copy(&mut tar, &mut io::sink()).map_err(failed)?;
        layer.check_diff_id(tar.hasher.finish())?;
        members
    })
}

/// Returns the blob of a layer of files; what else a manifest may list as a layer is refused.
pub(super) fn opened<'a>(descriptor: &Descriptor, open: &Open<'a>) -> Result<Box<dyn Read + Send + 'a>> {
    if !media_type::is_layer(&descriptor.media_type) {
        let kind = descriptor.media_type.escape_debug();
        return Err(Error::input(format!("layer {} has the type `{kind}`", descriptor.digest))
            .with_hint("only tars can be unpacked, as they are or compressed with gzip or zstd"));
    }
    open(descriptor)
}

/// Does `work` on a thread of its own, unless the system has no more of them.
pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, work: impl FnOnce() + Send + 'scope) -> Result<()> {
    let started = Builder::new().name("unpack".to_owned()).spawn_scoped(scope, work);
    started.map(drop).map_err(|source| Error::new(ErrorKind::Io, "cannot start a thread to unpack").with_source(source))
}

/// The tar in a blob, decompressed ahead on a thread of its own. The blob is read to its end, so that its reader can
/// check it; if the blob turns out to be another, that is the error, and not what was wrong with its compression.
pub(super) struct TarStream {
    full: Receiver<io::Result<InflatedChunk>>,
    empty: Sender<InflatedChunk>,
    chunk: InflatedChunk,
    at: usize,
}

impl TarStream {
    /// Starts to read the tar in `blob`. As many as `threads` decompress what can be decompressed side by side.
    pub fn start<'scope, 'a: 'scope>(
        scope: &'scope Scope<'scope, '_>,
        layer: Digest,
        blob: Box<dyn Read + Send + 'a>,
        threads: usize,
    ) -> Result<TarStream> {
        let ((send, full), (empty, buffers)) = (channel(), channel());
        start(scope, move || {
            let mut blob = blob;
            let mut chunks = Chunks { empty: buffers, full: send, spare: Vec::new() };
            chunks.limit(AHEAD);
            let outcome = pump_blob(&mut blob, threads, &mut chunks);
            if matches!(outcome, Ok(Pumped::Abandoned)) {
                return;
            }
            let verified = io::copy(&mut blob, &mut io::sink()).map(drop);
            let error = verified.err().or(outcome.err().map(|error| undecompressed(layer, error)));
            if let Some(error) = error {
                chunks.send(Err(error)); // the reader of the tar may have gone by now
            }
        })?;
        Ok(TarStream { full, empty, chunk: InflatedChunk::default(), at: 0 })
    }

    /// Returns what has been decompressed and not been read. Empty at the end.
    fn fill(&mut self) -> io::Result<&[u8]> {
        while self.at == self.chunk.filled {
            let spent = std::mem::take(&mut self.chunk);
            self.at = 0;
            if !spent.is_none() {
                let _ = self.empty.send(spent); // at the end nobody takes it
            }
            match self.full.recv() {
                Ok(chunk) => self.chunk = chunk?,
                Err(_) => return Ok(&[]),
            }
        }
        Ok(&self.chunk.content()[self.at..])
    }
}

impl Read for TarStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill()?;
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.at += count;
        Ok(count)
    }
}

/// Digests and counts what is read of a tar, a chunk at a time.
struct Checked<'a> {
    tar: TarStream,
    hasher: Hasher,
    budget: &'a Budget,
    /// Nothing more is available from it.
    is_broken: bool,
}

impl Checked<'_> {
    fn next(&mut self) -> io::Result<()> {
        let chunk = self.tar.fill()?;
        self.hasher.update(chunk);
        self.budget.size(chunk.len() as u64).map_err(io::Error::other)
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.tar.at == self.tar.chunk.filled {
            self.next().inspect_err(|_| self.is_broken = true)?;
        }
        self.tar.read(buffer)
    }
}

/// The first bytes of a gzip member (RFC 1952, 2.3.1).
pub const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The first bytes of a zstd frame (RFC 8878, 3.1.1), which is 0xFD2FB528 in little-endian order.
pub const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The last three bytes of the magic number of a zstd frame without content; such as zstd:chunked has may come first
/// (RFC 8878, 3.1.2).
pub const ZSTD_SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// The largest window of a zstd frame, 2^27 bytes: what the zstd program takes without being told to, and the most that
/// its highest level uses. It is memory that the frame's author decides about.
pub const ZSTD_WINDOW: u32 = 27;

/// Returns the tar in `blob`. What the bytes look like decides and not the media type, which is often wrong; containerd does the
/// same, and the diff_id tells whether it was right.
pub fn decompressed<'a>(mut blob: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
    blob.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
    let packing = Packing::of(&magic);
    let blob = BufReader::with_capacity(CHUNK, Cursor::new(magic).chain(blob));
    Ok(match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(blob)),
        Packing::Zstd => {
            let mut frames = zstd::stream::read::Decoder::with_buffer(blob)?;
            frames.window_log_max(ZSTD_WINDOW)?;
            Box::new(frames)
        }
        Packing::None => Box::new(blob),
    })
}

/// Returns the media type of a layer that begins with `magic`, at least four bytes if there are as many: as [`decompressed`] reads
/// it.
pub fn media_type_of(magic: &[u8]) -> &'static str {
    match Packing::of(magic) {
        Packing::Gzip => media_type::LAYER_GZIP,
        Packing::Zstd => media_type::LAYER_ZSTD,
        Packing::None => media_type::LAYER,
    }
}

/// How a tar is packed, by the look of its first bytes.
enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    fn of(head: &[u8]) -> Self {
        if head.starts_with(&GZIP_MAGIC) {
            Packing::Gzip
        } else if head.starts_with(&ZSTD_MAGIC) || head.get(1..4) == Some(&ZSTD_SKIPPABLE) {
            Packing::Zstd
        } else {
            Packing::None
        }
    }
}

/// Sends the tar in `blob`, as [`decompressed`] has it.
fn pump_blob(blob: &mut (impl Read + ?Sized), threads: usize, chunks: &mut Chunks) -> io::Result<Pumped> {
    let mut head = Vec::with_capacity(ZSTD_MAGIC.len());
    blob.take(ZSTD_MAGIC.len() as u64).read_to_end(&mut head)?;
    let is_in_pieces = may_be_in_pieces(&head);
    let blob = Cursor::new(head).chain(blob);
    if is_in_pieces { pump_pieces(blob, threads, chunks) } else { pump(decompressed(blob)?, chunks) }
}

/// Errors of the blob's reader are what they are; all others come from the decoder.
fn undecompressed(layer: Digest, error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() || error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        return error;
    }
    io::Error::other(Error::input(format!("layer {layer} cannot be decompressed")).with_source(error))
}
