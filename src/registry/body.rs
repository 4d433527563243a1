//! Bodies whose pieces are read by a thread: what they are read from blocks.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::thread::{self, Scope};

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::error::{Error, ErrorKind, Result};

/// In bytes; this many of them may wait to be sent.
const PIECE: usize = 128 << 10;
const AHEAD: usize = 4;

/// The pieces of one body on their way. Their thread ends when this is dropped: the HTTP library may keep a body whose
/// request nobody waits for any more.
pub(super) struct Pieces(Arc<Mutex<mpsc::Receiver<io::Result<Bytes>>>>);

/// The end that a thread sends them into.
pub(super) type PieceSender = mpsc::Sender<io::Result<Bytes>>;

impl Pieces {
    pub fn channel() -> (PieceSender, Pieces) {
        let (sender, receiver) = mpsc::channel(AHEAD);
        (sender, Pieces(Arc::new(Mutex::new(receiver))))
    }

    pub fn body(&self) -> reqwest::Body {
        let pieces = self.0.clone();
        let next =
            move |context: &mut Context<'_>| pieces.lock().unwrap_or_else(PoisonError::into_inner).poll_recv(context);
        reqwest::Body::wrap_stream(stream::poll_fn(next))
    }

    /// Nobody takes further pieces: the thread need not wait for that.
    pub fn stop(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).close();
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.stop();
    }
}

/// As much as fits into a piece; empty only at the end.
pub(super) fn read_piece(reader: &mut impl Read) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(PIECE);
    reader.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}

pub(super) fn spawn<'scope>(scope: &'scope Scope<'scope, '_>, work: impl FnOnce() + Send + 'scope) -> Result<()> {
    let spawned = thread::Builder::new().name("upload".to_owned()).spawn_scoped(scope, work);
    spawned.map(drop).map_err(|source| Error::new(ErrorKind::Io, "cannot start a thread").with_source(source))
}
