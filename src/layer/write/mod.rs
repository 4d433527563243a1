//! The pipeline from entries to blobs.
//!
//! Every thread that serves does the same: it takes the next block of any layer, fills it (headers made on the spot,
//! contents read at their offsets), compresses it, and hands it to the layer's two chains, which digest, and write, the
//! blocks in order. No thread is kept for hashing: whoever brings a block drains what is ready. A fixed number of
//! blocks is in flight, so memory does not depend on the size of anything.

mod blocks;
mod chain;
mod completion;
mod compress;
mod deflate;
mod estargz;
mod gate;
mod job;
mod making;
mod pieces;

use std::io::Write;
use std::iter;
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::layer::tar::TimePrecision;
use crate::progress::Progress;
use crate::sync::locked;

use compress::BlockEncoder;
use deflate::Plain;
use gate::{Buffers, Gate};
use making::Making;

pub use compress::Compression;
pub use job::{Job, Written};
pub use pieces::{Earlier, Piece};

/// Writes layers side by side, whenever one comes.
///
/// The bytes of a layer depend on its entries (with the contents they name) and on the compression alone: neither on the
/// number of threads that [serve](Writer::serve) nor on what else is written meanwhile.
pub struct Writer<'a, W> {
    compression: Compression,
    times: TimePrecision,
    progress: Progress<'a>,
    gate: Arc<Gate>,
    layers: Mutex<OpenLayers<'a, W>>,
}

struct OpenLayers<'a, W> {
    /// The layers that have turns left.
    open: Vec<OpenLayer<'a, W>>,
    is_closed: bool,
}

struct OpenLayer<'a, W> {
    making: Arc<Making<'a, W>>,
    /// Its first block that nobody has taken.
    next: usize,
}

impl<'a, W: Write + Send> Writer<'a, W> {
    /// Returns one that so many `threads` are to serve: what it keeps in memory grows with their number.
    pub fn new(compression: Compression, threads: usize, progress: Progress<'a>) -> Self {
        // A few more blocks than threads keep everyone busy while a chain waits for a slow block.
        let bound = BlockEncoder::new(compression).bound(Plain::LONGEST);
        let buffers = iter::repeat_with(|| Buffers::new(bound)).take(threads + threads / 4 + 2).collect();
        let layers = Mutex::new(OpenLayers { open: Vec::new(), is_closed: false });
        Writer { compression, times: TimePrecision::default(), progress, gate: Arc::new(Gate::new(buffers)), layers }
    }

    /// Returns the same, for layers whose times are told to the nanosecond, as far as their entries have them so.
    pub fn with_exact_times(mut self) -> Self {
        self.times = TimePrecision::Exact;
        self
    }

    /// Works at the layers that come until the writer is [closed](Writer::close).
    pub fn serve(&self) {
        let mut encoders: Vec<(Compression, BlockEncoder)> = Vec::new();
        // Turns are taken in order and only with a permit in hand: all blocks before a taken one are taken as well, so
        // the chains always move on and permits always come back.
        while let Some(permit) = self.gate.enter() {
            if let Some((making, block)) = self.turn() {
                let compression = making.compression();
                let known = encoders.iter().position(|(known, _)| *known == compression);
                let known = known.unwrap_or_else(|| {
                    encoders.push((compression, BlockEncoder::new(compression)));
                    encoders.len() - 1
                });
                making.process(block, permit, &mut encoders[known].1);
            }
        }
    }

    /// Writes the blob of `job` to its sink, by the threads that serve, and returns once it is written; others may be
    /// written meanwhile.
    ///
    /// A file that is not, from first byte to last, the one that was walked is an error, and so is a writer that is closed. On
    /// an error the sink is dropped with whatever it took; other layers go on. A panic, of the sink or of the progress, goes
    /// on here.
    pub fn write(&self, job: Job<'a, W>) -> Result<Written<W>> {
        let layer = Arc::new(Making::new(job, self.compression, self.times, self.progress)?);
        self.open(&layer)?;
        let made = layer.wait()?;
        let Compression::Estargz(level) = self.compression else { return Ok(made.finish()) };
        let index = Arc::new(Making::index(&layer, made, Compression::Gzip(level))?);
        self.open(&index)?;
        Ok(index.wait()?.finish())
    }

    /// Ends all that serve, and fails the layers that are not written.
    pub fn close(&self) {
        let open = {
            let mut layers = locked(&self.layers);
            layers.is_closed = true;
            std::mem::take(&mut layers.open)
        };
        self.gate.close();
        open.iter().for_each(|open| open.making.fail(closed()));
    }

    fn open(&self, making: &Arc<Making<'a, W>>) -> Result<()> {
        let mut layers = locked(&self.layers);
        if layers.is_closed {
            return Err(closed());
        }
        // Without entries eStargz has no block before its index.
        if making.blocks() > 0 {
            layers.open.push(OpenLayer { making: making.clone(), next: 0 });
            self.gate.add(making.blocks());
        }
        Ok(())
    }

    /// The next block to be processed. Layers advance in proportion to their length, so that they end together: the digests
    /// of one layer cannot be computed by more than one thread at a time, those of several can.
    fn turn(&self) -> Option<(Arc<Making<'a, W>>, usize)> {
        let OpenLayers { open, .. } = &mut *locked(&self.layers);
        let share = |open: &OpenLayer<'a, W>| open.next as f64 / open.making.blocks() as f64;
        let least = (0..open.len()).min_by(|a, b| share(&open[*a]).total_cmp(&share(&open[*b])))?;
        let OpenLayer { making, next } = &mut open[least];
        let turn = (making.clone(), *next);
        *next += 1;
        if *next == making.blocks() {
            open.swap_remove(least);
        }
        Some(turn)
    }
}

fn closed() -> Error {
    Error::input("the layer was given up")
}
