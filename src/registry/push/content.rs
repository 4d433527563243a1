//! One blob on its way out of a store. Stores block, so it is read by a thread of its own.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Scope;
use std::time::Instant;

use bytes::{Buf, Bytes};

use super::super::parallel::spawn;
use crate::error::{Error, Result};
use crate::net::{Activity, LeastSpeed, PieceSender, Pieces, StreamedBody, read_piece};
use crate::oci::{Descriptor, Digest};
use crate::progress::{Event, Progress};
use crate::store::Store;
use crate::sync::locked;

pub(crate) struct StreamedContent<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    store: &'env dyn Store,
    pub descriptor: &'env Descriptor,
    progress: Progress<'env>,
    pub activity: Arc<Activity>,
    least_speed: LeastSpeed,
    begun: Cell<bool>,
    reading: RefCell<Option<Reading>>,
}

/// The blob from byte `from` on, for the bodies of as many requests as follow one another without a gap.
struct Reading {
    from: u64,
    pieces: Pieces,
    outcome: Receiver<Result<()>>,
    /// Its thread tells of what goes, until the blob is read again by another.
    tells: Arc<Mutex<bool>>,
}

impl Reading {
    /// Its thread tells of nothing more: the blob may be read again, and be counted from there.
    fn silence(&self) {
        *locked(&self.tells) = false;
    }
}

impl<'scope, 'env> StreamedContent<'scope, 'env> {
    pub fn new(
        scope: &'scope Scope<'scope, 'env>,
        store: &'env dyn Store,
        descriptor: &'env Descriptor,
        progress: Progress<'env>,
        least_speed: LeastSpeed,
    ) -> Self {
        StreamedContent {
            scope,
            store,
            descriptor,
            progress,
            activity: Arc::default(),
            least_speed,
            begun: Cell::new(false),
            reading: RefCell::new(None),
        }
    }

    /// Returns a body of `length` bytes from byte `from` on. Where that is not what is read next, the blob is read again from
    /// its first byte, for it is verified as a whole.
    pub fn body(&self, from: u64, length: u64) -> Result<StreamedBody> {
        let mut reading = self.reading.borrow_mut();
        let body_of = |reading: &Reading| reading.pieces.body(from.checked_sub(reading.from)?, length);
        if let Some(body) = reading.as_ref().and_then(body_of) {
            return Ok(body);
        }
        reading.take().iter().for_each(Reading::silence);
        let begun = self.read(from)?;
        let body = body_of(&begun).expect("nobody has had any of it");
        *reading = Some(begun);
        Ok(body)
    }

    /// Ends what is read; the failure of the store, if it is what ended the last body. `wait` for an outcome that is
    /// sure to come.
    pub fn end(&self, wait: bool) -> Result<()> {
        let Some(reading) = self.reading.take() else { return Ok(()) };
        // A registry may have answered before the end of the body, which then waits to be sent for ever.
        reading.pieces.stop();
        reading.silence();
        let outcome = if wait { reading.outcome.recv().ok() } else { reading.outcome.try_recv().ok() };
        outcome.unwrap_or(Ok(()))
    }

    fn read(&self, from: u64) -> Result<Reading> {
        let (sender, pieces) = Pieces::channel();
        let (ended, outcome) = sync_channel(1);
        let digest = self.descriptor.digest;
        match self.begun.replace(true) {
            false => (self.progress)(Event::BlobStarted { descriptor: self.descriptor }),
            true => (self.progress)(Event::BlobRestarted { digest, from }),
        }
        let (store, descriptor) = (self.store, self.descriptor);
        let (activity, least_speed) = (self.activity.clone(), self.least_speed);
        let tells = Arc::new(Mutex::new(true));
        let sending = Sending { digest, sender, progress: self.progress, tells: tells.clone(), activity, least_speed };
        spawn(self.scope, move || feed(store, descriptor, from, &sending, ended))?;
        Ok(Reading { from, pieces, outcome, tells })
    }
}

/// Where the pieces of a blob go.
struct Sending<'env> {
    digest: Digest,
    sender: PieceSender,
    progress: Progress<'env>,
    tells: Arc<Mutex<bool>>,
    activity: Arc<Activity>,
    least_speed: LeastSpeed,
}

impl Sending<'_> {
    /// Waits until there is room; false once nobody takes any more.
    fn send(&self, piece: Bytes) -> bool {
        // Told before it goes: the far side may answer the last piece, and the blob be finished, at once.
        let tells = locked(&self.tells);
        if *tells {
            (self.progress)(Event::BlobAdvanced { digest: self.digest, bytes: piece.len() as u64 });
        }
        drop(tells);
        let (length, begun) = (piece.len(), Instant::now());
        let sent = self.sender.send(Ok(piece));
        self.activity.note_taken(self.least_speed, begun.elapsed(), length);
        sent
    }

    /// A piece that need not go; false once nobody takes any more.
    fn skip(&self) -> bool {
        self.activity.note();
        self.sender.is_open()
    }
}

/// Reads a blob and sends it in pieces, without its first `from` bytes. The last piece is held back until the store has
/// vouched for the whole, so that damaged content is never completed at the far side; and `outcome` is told before that
/// side can know of the end.
fn feed(store: &dyn Store, descriptor: &Descriptor, from: u64, sending: &Sending<'_>, outcome: SyncSender<Result<()>>) {
    let mut held: Option<Bytes> = None;
    let mut skip = from;
    let mut read = || -> Result<bool> {
        let mut reader = store.open(descriptor)?;
        loop {
            let mut piece = read_piece(&mut reader)
                .map_err(|source| Error::from_read("read", descriptor.digest.to_string(), source))?;
            if piece.is_empty() {
                return Ok(true);
            }
            let skipped = skip.min(piece.len() as u64);
            skip -= skipped;
            piece.advance(skipped as usize);
            let goes_on = match piece.is_empty() {
                true => sending.skip(),
                false => held.replace(piece).is_none_or(|before| sending.send(before)),
            };
            if !goes_on {
                return Ok(false);
            }
        }
    };
    match read() {
        Ok(complete) => {
            let _ = outcome.send(Ok(()));
            if let Some(last) = held.filter(|_| complete) {
                sending.send(last);
            }
        }
        Err(error) => {
            let _ = outcome.send(Err(error));
            sending.sender.send(Err(io::Error::other("the blob could not be read")));
        }
    }
}
