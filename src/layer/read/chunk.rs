//! What one thread decompresses for another, chunk by chunk, in buffers that come back.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender};

/// How much is decompressed at a time, and how many times that ahead: together 1 MiB for a layer.
pub(super) const CHUNK: usize = 256 << 10;
pub(super) const AHEAD: usize = 4;

/// A buffer, and how much of it is filled.
#[derive(Default)]
pub(super) struct InflatedChunk {
    bytes: Vec<u8>,
    pub filled: usize,
}

impl InflatedChunk {
    /// Returns so many bytes of room; what is in them is not said.
    pub fn room(&mut self, length: usize) -> &mut [u8] {
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
        &mut self.bytes[..length]
    }

    /// Returns whether there is no buffer at all.
    pub fn is_none(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn content(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

/// The side of the one who fills the chunks.
pub(super) struct Chunks {
    /// Those that are empty again. None comes back once nobody wants any more.
    pub empty: Receiver<InflatedChunk>,
    pub full: Sender<io::Result<InflatedChunk>>,
    /// Those that are at hand.
    pub spare: Vec<InflatedChunk>,
}

impl Chunks {
    /// Lets so many be in use at a time instead of [`AHEAD`], of which none is yet.
    pub fn limit(&mut self, count: usize) {
        self.spare.resize_with(count, InflatedChunk::default);
    }

    /// Returns an empty one, if there is one at once.
    pub fn ready(&mut self) -> Option<InflatedChunk> {
        self.spare.pop().or_else(|| self.empty.try_recv().ok())
    }

    /// Waits for an empty one. Returns none if nobody wants any more.
    pub fn wait(&mut self) -> Option<InflatedChunk> {
        self.ready().or_else(|| self.empty.recv().ok())
    }

    /// Takes one that nothing came into.
    pub fn give_back(&mut self, chunk: InflatedChunk) {
        self.spare.push(chunk);
    }

    /// Returns whether somebody wants more.
    pub fn send(&self, chunk: io::Result<InflatedChunk>) -> bool {
        self.full.send(chunk).is_ok()
    }
}

pub(super) enum Pumped {
    ToTheEnd,
    /// Nobody wants the rest.
    Abandoned,
}

/// Sends what `tar` holds.
pub(super) fn pump(mut tar: impl Read, chunks: &mut Chunks) -> io::Result<Pumped> {
    while let Some(mut chunk) = chunks.wait() {
        let room = chunk.room(CHUNK);
        let mut filled = 0;
        while filled < CHUNK {
            match tar.read(&mut room[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        chunk.filled = filled;
        if !chunks.send(Ok(chunk)) {
            return Ok(Pumped::Abandoned);
        }
        if filled < CHUNK {
            return Ok(Pumped::ToTheEnd);
        }
    }
    Ok(Pumped::Abandoned)
}
