//! Gzip in pieces: a member (RFC 1952) whose deflate stream can be taken up anew behind many of its blocks, as that of layers
//! that are made here. Nothing tells where. But such a piece ends with an empty stored block (RFC 1951, 3.2.4), whose last four
//! bytes can be looked for, and one that was decompressed alone is known to have begun and ended between two blocks. What
//! cannot be decompressed so is decompressed as one stream from there on.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crc32fast::Hasher as Crc;
use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Decompressor;

use super::chunk::{AHEAD, CHUNK, Chunks, InflatedChunk, Pumped, pump};
use crate::sync::locked;

/// Deflate, and no flags: nothing else stands between this and the stream but the time and two bytes that say nothing of it
/// (RFC 1952, 2.3).
const PLAIN_MEMBER: [u8; 4] = [0x1f, 0x8b, 8, 0];
const MEMBER_HEADER: usize = 10;

/// How an empty stored block ends.
const MARKER: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A piece holds so many bytes at most, and what is stored as it is has five bytes more for each 64 KiB.
const LONGEST_PLAIN: usize = 1 << 20;
const LONGEST_PACKED: usize = LONGEST_PLAIN + (32 << 10);

/// The last stored block of a stream, with eight bytes in it. Put behind a piece, it comes out behind its content if, and only
/// if, the piece ends where a block does and no block in it was the last.
const LAST: [u8; 13] = [1, 8, 0, 0xf7, 0xff, b'p', b'i', b'e', b'c', b'e', b'e', b'n', b'd'];
const LAST_CONTENT: usize = 8;

/// So far back a repeat may reach (RFC 1951, 2).
const WINDOW: usize = 32 << 10;

/// Returns whether `head`, the first bytes of a blob, may be followed by a stream in pieces.
pub(super) fn may_be_in_pieces(head: &[u8]) -> bool {
    head.starts_with(&PLAIN_MEMBER)
}

/// Sends what the gzip members in `blob` hold, whose first is one that [may be in pieces](may_be_in_pieces). As long as it is,
/// `threads` decompress it.
pub(super) fn pump_pieces(blob: impl Read, threads: usize, chunks: &mut Chunks) -> io::Result<Pumped> {
    let mut blob = blob;
    let mut header = [0; MEMBER_HEADER];
    blob.read_exact(&mut header)?;
    let mut packed = PackedPiece { blob, bytes: Vec::new(), start: 0, searched: 0, is_at_end: false };
    chunks.limit(threads + 1);
    let begun = thread::scope(|scope| {
        let (send, jobs) = channel::<PieceJob>();
        if threads > 1 {
            let jobs = Arc::new(Mutex::new(jobs));
            for _ in 0..threads {
                let jobs = jobs.clone();
                let started =
                    thread::Builder::new().name("unpack".to_owned()).spawn_scoped(scope, move || serve(&jobs));
                started?;
            }
            Begun::read(&mut packed, chunks, &|job| drop(send.send(job)), threads + 1)
        } else {
            let decompressor = Mutex::new(Decompressor::new());
            Begun::read(&mut packed, chunks, &|job| job.run(&mut locked(&decompressor)), 1)
        }
    })?;
    let Some(Begun { window, crc, size, left }) = begun else { return Ok(Pumped::Abandoned) };
    if size == 0 {
        chunks.limit(AHEAD);
    }
    let left = Cursor::new([&left[..], &packed.bytes[packed.start..]].concat()).chain(packed.blob);
    let mut packed = BufReader::with_capacity(CHUNK, left);
    let mut inflate = Decompress::new(false);
    if !window.is_empty() {
        inflate.set_dictionary(&window)?;
    }
    let rest = Rest { packed: &mut packed, inflate, crc, size, is_over: false };
    match pump(rest, chunks)? {
        Pumped::ToTheEnd if !packed.fill_buf()?.is_empty() => pump(MultiGzDecoder::new(packed), chunks),
        pumped => Ok(pumped),
    }
}

/// A member as far as it came in pieces.
struct Begun {
    /// The last bytes of its content.
    window: Vec<u8>,
    crc: Crc,
    /// The length of its content, modulo 2^32.
    size: u32,
    /// What was read behind that.
    left: Vec<u8>,
}

impl Begun {
    /// Sends what the pieces of `packed` hold, of which so many as `ahead` are at `work` at a time, until there are no more.
    /// Returns none if nobody wants the rest.
    fn read(
        packed: &mut PackedPiece<impl Read>,
        chunks: &mut Chunks,
        work: &dyn Fn(PieceJob),
        ahead: usize,
    ) -> io::Result<Option<Begun>> {
        let mut begun = Begun { window: Vec::new(), crc: Crc::new(), size: 0, left: Vec::new() };
        let mut pending: VecDeque<Receiver<Done>> = VecDeque::new();
        let mut is_over = false;
        loop {
            while !is_over && pending.len() < ahead {
                let chunk = match chunks.ready() {
                    Some(chunk) => chunk,
                    None if !pending.is_empty() => break,
                    None => match chunks.wait() {
                        Some(chunk) => chunk,
                        None => return Ok(None),
                    },
                };
                let Some(piece) = packed.piece()? else {
                    chunks.give_back(chunk);
                    is_over = true;
                    break;
                };
                let (done, outcome) = sync_channel(1);
                work(PieceJob { piece, chunk, done });
                pending.push_back(outcome);
            }
            let Some(done) = pending.pop_front() else { return Ok(Some(begun)) };
            let done = done.recv().map_err(|_| io::Error::other("a thread that decompresses is gone"))?;
            let Some(done) = begun.whole(done, packed, chunks, &mut pending)? else { return Ok(Some(begun)) };
            if !begun.send(done, chunks) {
                return Ok(None);
            }
        }
    }

    /// What looked like the end of a piece may have been its content: then it is a piece with some of those behind it. Returns
    /// none if it is not, and leaves all that was read.
    fn whole(
        &mut self,
        mut done: Done,
        packed: &mut PackedPiece<impl Read>,
        chunks: &mut Chunks,
        pending: &mut VecDeque<Receiver<Done>>,
    ) -> io::Result<Option<Done>> {
        let mut decompressor = None;
        while done.crc.is_none() {
            let next = match pending.pop_front() {
                Some(next) => next.recv().ok().map(|next| {
                    chunks.give_back(next.chunk);
                    next.piece
                }),
                None => packed.piece()?,
            };
            let is_longest = next.as_ref().is_none_or(|next| done.piece.len() + next.len() > LONGEST_PACKED);
            done.piece.extend_from_slice(next.as_deref().unwrap_or_default());
            if is_longest {
                self.left = done.piece;
                chunks.give_back(done.chunk);
                for next in pending.drain(..).filter_map(|next| next.recv().ok()) {
                    self.left.extend_from_slice(&next.piece);
                    chunks.give_back(next.chunk);
                }
                return Ok(None);
            }
            let decompressor = decompressor.get_or_insert_with(Decompressor::new);
            done.crc = decompress(decompressor, &mut done.piece, &mut done.chunk);
        }
        Ok(Some(done))
    }

    /// Returns whether somebody wants more.
    fn send(&mut self, done: Done, chunks: &Chunks) -> bool {
        let content = done.chunk.content();
        self.size = self.size.wrapping_add(content.len() as u32);
        self.crc.combine(&done.crc.unwrap_or_default());
        self.window.extend_from_slice(&content[content.len().saturating_sub(WINDOW)..]);
        self.window.drain(..self.window.len().saturating_sub(WINDOW));
        chunks.send(Ok(done.chunk))
    }
}

/// A piece that is to be decompressed into the chunk.
struct PieceJob {
    piece: Vec<u8>,
    chunk: InflatedChunk,
    done: SyncSender<Done>,
}

/// The same, and the CRC-32 of its content; none if it is not a piece.
struct Done {
    piece: Vec<u8>,
    chunk: InflatedChunk,
    crc: Option<Crc>,
}

impl PieceJob {
    fn run(self, decompressor: &mut Decompressor) {
        let PieceJob { mut piece, mut chunk, done } = self;
        let crc = decompress(decompressor, &mut piece, &mut chunk);
        let _ = done.send(Done { piece, chunk, crc }); // who has asked may have gone by now
    }
}

fn serve(jobs: &Mutex<Receiver<PieceJob>>) {
    let mut decompressor = Decompressor::new();
    loop {
        let Ok(job) = locked(jobs).recv() else { return };
        job.run(&mut decompressor);
    }
}

/// Fills `chunk` with what `piece` holds and returns the CRC-32 of that; none if it is not a piece.
fn decompress(decompressor: &mut Decompressor, piece: &mut Vec<u8>, chunk: &mut InflatedChunk) -> Option<Crc> {
    let length = piece.len();
    piece.extend_from_slice(&LAST);
    let out = chunk.room(LONGEST_PLAIN + LAST_CONTENT);
    let written = decompressor.deflate_decompress(piece, out);
    piece.truncate(length);
    let content = out[..written.ok()?].strip_suffix(&LAST[LAST.len() - LAST_CONTENT..])?;
    let (mut crc, length) = (Crc::new(), content.len());
    crc.update(content);
    chunk.filled = length;
    Some(crc)
}

/// What is read of a blob to find pieces in it.
struct PackedPiece<R> {
    blob: R,
    bytes: Vec<u8>,
    /// Where the next piece begins.
    start: usize,
    /// No end of it begins before.
    searched: usize,
    is_at_end: bool,
}

impl<R: Read> PackedPiece<R> {
    /// Returns what may be a piece; none if its end is too far away.
    fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = marker_end(&self.bytes, self.searched) {
                let piece = self.bytes[self.start..end].to_vec();
                (self.start, self.searched) = (end, end);
                return Ok(Some(piece));
            }
            self.searched = self.start.max(self.bytes.len().saturating_sub(MARKER.len() - 1));
            if self.is_at_end || self.bytes.len() - self.start >= LONGEST_PACKED {
                return Ok(None);
            }
            self.bytes.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
            self.is_at_end = self.blob.by_ref().take(CHUNK as u64).read_to_end(&mut self.bytes)? == 0;
        }
    }
}

/// Returns where the first marker from `from` on ends.
fn marker_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(four) = bytes.get(at..at + MARKER.len()) {
        at += match four[3] {
            0xff if four == MARKER => return Some(at + MARKER.len()),
            0xff => 1,
            0x00 => 2,
            _ => MARKER.len(),
        };
    }
    None
}

/// The rest of a member, from between two blocks of its stream on.
struct Rest<'a, R> {
    packed: &'a mut R,
    inflate: Decompress,
    crc: Crc,
    size: u32,
    is_over: bool,
}

impl<R: BufRead> Rest<'_, R> {
    /// Reads what stands behind the stream (RFC 1952, 2.3.1).
    fn check(&mut self) -> io::Result<()> {
        let mut trailer = [0; 8];
        self.packed.read_exact(&mut trailer)?;
        let expected = [self.crc.clone().finalize().to_le_bytes(), self.size.to_le_bytes()].concat();
        match trailer[..] == expected {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum of the gzip member does not match")),
        }
    }
}

impl<R: BufRead> Read for Rest<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.is_over && !buffer.is_empty() {
            let packed = self.packed.fill_buf()?;
            let is_at_end = packed.is_empty();
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(packed, buffer, FlushDecompress::None)?;
            let (taken, given) = (self.inflate.total_in() - before.0, self.inflate.total_out() - before.1);
            self.packed.consume(taken as usize);
            let content = &buffer[..given as usize];
            self.crc.update(content);
            self.size = self.size.wrapping_add(content.len() as u32);
            if status == Status::StreamEnd {
                self.check()?;
                self.is_over = true;
            }
            if given > 0 {
                return Ok(given as usize);
            }
            if is_at_end && !self.is_over {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(0)
    }
}
