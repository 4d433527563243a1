//! Threads that write small files while others read what is to be written: neither wait for the disk while they could
//! decompress.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::target::{Cursor, UnpackRoot};
use crate::error::{Error, ErrorKind, Result};
use crate::layer::read::start;
use crate::sync::locked;

/// What is written together: so many bytes, or so many files.
const BATCH: usize = 128 << 10;
const BATCH_FILES: usize = 64;

/// Sends things to be written, several at a time. All are sent once it is gone.
pub(super) struct Batches<T> {
    send: SyncSender<Vec<T>>,
    batch: Vec<T>,
    bytes: usize,
}

impl<T> Batches<T> {
    /// Sends `item`, which has so many `bytes` of content.
    pub fn send(&mut self, item: T, bytes: usize) {
        self.batch.push(item);
        self.bytes += bytes;
        if self.bytes >= BATCH || self.batch.len() >= BATCH_FILES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.bytes = 0;
        let _ = self.send.send(std::mem::take(&mut self.batch)); // if nobody receives any more, that has an error of its own
    }
}

impl<T> Clone for Batches<T> {
    fn clone(&self) -> Self {
        Batches { send: self.send.clone(), batch: Vec::new(), bytes: 0 }
    }
}

impl<T> Drop for Batches<T> {
    fn drop(&mut self) {
        if !self.batch.is_empty() {
            self.flush();
        }
    }
}

/// Does `read`, and so many as `count` threads `write` what it sends; returns once all is written, or has failed.
pub(super) fn side_by_side<T: Send>(
    count: usize,
    target: &UnpackRoot,
    failure: &FirstFailure,
    write: impl Fn(&mut Cursor<'_>, T) -> Result<()> + Sync,
    read: impl FnOnce(Batches<T>) -> Result<()>,
) -> Result<()> {
    let (send, receive) = sync_channel(2 * count);
    let receive = Arc::new(Mutex::new(receive));
    std::thread::scope(|scope| {
        for _ in 0..count {
            let (receive, write) = (receive.clone(), &write);
            failure.note(start(scope, move || serve(&receive, target, failure, write)));
        }
        // Theirs alone: should all of them end, nobody waits for them to take what is sent.
        drop(receive);
        // They are done when the last sender is gone, which is given away here.
        failure.note(read(Batches { send, batch: Vec::new(), bytes: 0 }));
    });
    failure.outcome()
}

fn serve<T>(
    receive: &Mutex<Receiver<Vec<T>>>,
    target: &UnpackRoot,
    failure: &FirstFailure,
    write: &impl Fn(&mut Cursor<'_>, T) -> Result<()>,
) {
    let mut cursor = Cursor::new(target);
    loop {
        let Ok(batch) = locked(receive).recv() else { return };
        for item in batch {
            if !failure.is_noted() {
                failure.note(write(&mut cursor, item));
            }
        }
    }
}

/// The first failure of several threads.
#[derive(Default)]
pub(super) struct FirstFailure {
    first: Mutex<Option<Error>>,
    is_noted: AtomicBool,
}

impl FirstFailure {
    pub fn note(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            locked(&self.first).get_or_insert(error);
            self.is_noted.store(true, Ordering::Relaxed);
        }
    }

    pub fn is_noted(&self) -> bool {
        self.is_noted.load(Ordering::Relaxed)
    }

    /// Fails if something has failed, for those who need not go on.
    pub fn check(&self) -> Result<()> {
        if self.is_noted() { Err(Self::another()) } else { Ok(()) }
    }

    /// Returns an error that nobody will hear of: the first failure is what is told.
    pub fn another() -> Error {
        Error::new(ErrorKind::Io, "another part has failed")
    }

    fn outcome(&self) -> Result<()> {
        locked(&self.first).take().map_or(Ok(()), Err)
    }
}
