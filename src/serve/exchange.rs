//! What is told of a request once it has been answered, and the body that counts what of the answer was taken.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc::Receiver;

use super::read::BlobPiece;

/// A request that has been answered. All text of it is foreign.
#[derive(Debug)]
pub struct AnsweredRequest {
    /// As in `GET`.
    pub method: String,
    /// The path and the query, as they were written.
    pub target: String,
    /// As in 200.
    pub status: u16,
    /// So many bytes of content went out.
    pub bytes: u64,
    /// All that was to go out went out.
    pub is_whole: bool,
    /// The time from the request to the end of the answer.
    pub elapsed: Duration,
    /// What went wrong here.
    pub fault: Option<String>,
}

/// Who is told of what has been answered.
pub type RequestListener = Arc<dyn Fn(&AnsweredRequest) + Send + Sync>;

/// What of an exchange is known once its answer begins. It is told of when it goes.
pub(super) struct Telling {
    pub exchange: AnsweredRequest,
    pub since: Instant,
    pub listener: RequestListener,
}

/// The body of an answer.
pub(super) struct AnswerBody {
    first: Bytes,
    rest: Option<Receiver<BlobPiece>>,
    left: u64,
    telling: Telling,
}

impl AnswerBody {
    /// Returns the body of `size` bytes, of which `first` are the first.
    pub fn new(first: Bytes, rest: Option<Receiver<BlobPiece>>, size: u64, telling: Telling) -> AnswerBody {
        AnswerBody { first, rest, left: size, telling }
    }

    fn give(&mut self, piece: Bytes) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let length = piece.len() as u64;
        self.left = self.left.saturating_sub(length);
        self.telling.exchange.bytes += length;
        self.telling.exchange.is_whole = self.left == 0;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// Ends the connection, for what is missing cannot be made up for.
    fn cut(&mut self, why: Option<String>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.telling.exchange.fault = why;
        self.rest = None;
        Poll::Ready(Some(Err(io::Error::other("the content ends before its end"))))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return self.give(first);
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        match rest.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(piece))) => self.give(piece),
            Poll::Ready(Some(Err(refusal))) => self.cut(refusal.fault),
            Poll::Ready(None) if self.left > 0 => self.cut(None),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.exchange.elapsed = self.since.elapsed();
        (self.listener)(&self.exchange);
    }
}
