//! A connection whose far side has to take what it is sent: who takes nothing, or next to nothing, for too long is left.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// So many bytes must be taken within the patience, if so many are there: a modem is faster.
const LEAST: usize = 32 << 10;

/// A stream that fails if what is written to it is not taken.
pub(super) struct PacedStream<S> {
    inner: S,
    patience: Duration,
    /// While somebody waits for the far side to take something.
    waiting: Option<Pin<Box<Sleep>>>,
    taken: usize,
}

impl<S: AsyncWrite + Unpin> PacedStream<S> {
    pub fn new(inner: S, patience: Duration) -> PacedStream<S> {
        PacedStream { inner, patience, waiting: None, taken: 0 }
    }

    fn paced<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let done = write(Pin::new(&mut self.inner), context);
        if done.is_pending() {
            let patience = self.patience;
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
            if waiting.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        done
    }

    fn note(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = &written {
            self.taken += count;
            if self.taken >= LEAST {
                self.rest();
            }
        }
        written
    }

    /// Begins to count anew.
    fn rest(&mut self) {
        (self.waiting, self.taken) = (None, 0);
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.paced(context, |inner, context| inner.poll_write(context, bytes));
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.paced(context, |inner, context| inner.poll_write_vectored(context, bytes));
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.paced(context, |inner, context| inner.poll_flush(context));
        if flushed.is_ready() {
            self.rest();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.paced(context, |inner, context| inner.poll_shutdown(context))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}
