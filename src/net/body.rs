//! Bodies whose pieces are read by a thread: what they are read from blocks.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::sync::locked;

/// In bytes; this many of them may wait to be sent.
const PIECE: usize = 8 << 10;
const AHEAD: usize = 4;

/// Pieces on their way into one body, or into several that follow one another. Their thread ends when this is dropped:
/// the HTTP library may keep a body whose request nobody waits for any more.
pub(crate) struct Pieces(Arc<Mutex<ArrivedPieces>>);

struct ArrivedPieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    /// The rest of a piece that the last body left.
    rest: Bytes,
    taken: u64,
    /// How many bodies there were: only the last one gets anything.
    bodies: u64,
}

/// The end that a thread sends them into.
pub(crate) struct PieceSender(mpsc::Sender<io::Result<Bytes>>);

impl PieceSender {
    /// Returns true once there is room for the piece, and false if nobody takes any more. An error ends the body, and
    /// with it the request.
    pub fn send(&self, piece: io::Result<Bytes>) -> bool {
        self.0.blocking_send(piece).is_ok()
    }

    /// Returns whether somebody may take further pieces.
    pub fn is_open(&self) -> bool {
        !self.0.is_closed()
    }
}

/// A body that is read while it is sent.
pub(crate) struct StreamedBody(pub(super) reqwest::Body);

impl Pieces {
    pub fn channel() -> (PieceSender, Pieces) {
        let (sender, receiver) = mpsc::channel(AHEAD);
        (
            PieceSender(sender),
            Pieces(Arc::new(Mutex::new(ArrivedPieces { receiver, rest: Bytes::new(), taken: 0, bodies: 0 }))),
        )
    }

    /// Returns a body of the next `length` bytes, or of fewer if no more come; none if it is not to begin where the bodies
    /// before it have got to. Those get nothing more: the HTTP library may still hold one.
    pub fn body(&self, from: u64, length: u64) -> Option<StreamedBody> {
        let mut begun = locked(&self.0);
        if begun.taken != from {
            return None;
        }
        begun.bodies += 1;
        let (number, arrived) = (begun.bodies, self.0.clone());
        let mut left = length;
        let next = move |context: &mut Context<'_>| {
            if left == 0 {
                return Poll::Ready(None);
            }
            let mut arrived = locked(&arrived);
            if arrived.bodies != number {
                return Poll::Ready(Some(Err(io::ErrorKind::Interrupted.into())));
            }
            if arrived.rest.is_empty() {
                match ready!(arrived.receiver.poll_recv(context)) {
                    Some(Ok(piece)) => arrived.rest = piece,
                    end => return Poll::Ready(end),
                }
            }
            let count = left.min(arrived.rest.len() as u64);
            left -= count;
            arrived.taken += count;
            Poll::Ready(Some(Ok(arrived.rest.split_to(count as usize))))
        };
        Some(StreamedBody(reqwest::Body::wrap_stream(stream::poll_fn(next))))
    }

    /// Tells that nobody takes further pieces: the thread need not wait for that.
    pub fn stop(&self) {
        locked(&self.0).receiver.close();
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads as much as fits into a piece; empty only at the end.
pub(crate) fn read_piece(reader: &mut impl Read) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(PIECE);
    reader.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}
