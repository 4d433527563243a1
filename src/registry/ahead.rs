//! Layers that are on their way before they are whole.
//!
//! A layer is sent while it is compressed, in one request of unknown length, as docker does it (distribution-spec,
//! "Pushing a blob in chunks", without a range). This only saves time: it fails without a word, and the push that
//! follows asks for each blob and sends what is not there.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::Instant;

use futures_util::future::{Either, ready, select};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use tokio::sync::watch;

use super::access::Access;
use crate::net::body::{PieceSender, Pieces, read_piece, spawn};
use super::client::Repository;
use super::connection::{Activity, Body, Request, check_digest, location};
use crate::net::failure::Failure;
use crate::net::pace::LeastSpeed;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::Compression;
use crate::oci::{Descriptor, Digest};
use crate::progress::{BlobOutcome, Event, Progress};
use crate::store::{Follow, Follower};

/// In bytes. For less it is not worth the risk that the registry has the blob already.
const WORTHWHILE: u64 = 4 << 20;

impl Repository<'_> {
    /// Does `work`, and meanwhile sends the layers that it tells of to this repository. If it fails, that ends at once.
    /// If not, what the registry turns out to have is given up, and the rest is sent to its end.
    pub fn send_ahead<T>(&self, work: impl FnOnce(Follow<'_>) -> Result<T>) -> Result<T> {
        let (done, outcome) = watch::channel(None);
        let under_way = &AtomicUsize::new(0);
        let most = self.client.connection.options.parallel.clamp(1, 64);
        thread::scope(|scope| {
            let done = done; // gone, should `work` panic
            let result = work(&|follower: Follower, compression| {
                let mut outcome = outcome.clone();
                let send = move || {
                    if !follower.reaches(WORTHWHILE) {
                        return;
                    }
                    if under_way.fetch_add(1, Ordering::Relaxed) < most {
                        let done =
                            async { matches!(outcome.wait_for(Option::is_some).await.as_deref(), Ok(Some(true))) };
                        // Whatever has failed is found out, and told, by the push.
                        let _ = self.client.runtime.block_on(self.send_growing(scope, follower, compression, done));
                    }
                    under_way.fetch_sub(1, Ordering::Relaxed);
                };
                // Without a thread it is not sent ahead, that is all.
                let _ = spawn(scope, send);
            });
            let _ = done.send(Some(result.is_ok()));
            result
        })
    }

    /// POST, PATCH while the blob grows, and PUT once all blobs are `done`, if they are.
    async fn send_growing<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        follower: Follower,
        compression: Compression,
        done: impl Future<Output = bool>,
    ) -> Result<(), Failure> {
        let access = self.access.push();
        let transfer = Arc::new(Transfer::new(self.progress, self.client.connection.options.least_speed));
        let patch = std::pin::pin!(self.patch(&access, scope, follower.clone(), transfer.clone()));
        let done = std::pin::pin!(done);
        let (is_done, patch) = match select(patch, done).await {
            Either::Left((url, done)) => (url.is_ok() && done.await, Either::Left(ready(url))),
            Either::Right((is_done, patch)) => (is_done, Either::Right(patch)),
        };
        let Some((digest, size)) = follower.outcome().filter(|_| is_done) else { return Ok(()) };
        let descriptor = compression.descriptor(digest, size);
        let is_under_way = matches!(patch, Either::Right(_));
        if is_under_way && self.has_blob(&access, &descriptor).await? {
            return Ok(());
        }
        transfer.tell(&descriptor);
        let url = patch.await?;
        let answer = self.complete(&access, &url, digest, &[]).await?;
        check_digest(&Method::PUT, &answer, digest)?;
        (self.progress)(Event::BlobFinished { digest, outcome: BlobOutcome::Sent });
        Ok(())
    }

    /// Sends what `follower` reads; returns where the upload is to be completed.
    async fn patch<'scope, 'env>(
        &'env self,
        access: &Access,
        scope: &'scope Scope<'scope, 'env>,
        follower: Follower,
        transfer: Arc<Transfer<'env>>,
    ) -> Result<Url, Failure> {
        let again = || Error::new(ErrorKind::Registry, "a layer is sent ahead only once");
        let url = self.begin_upload(access, &[]).await?.ok_or_else(again)?.url;
        let (sender, pieces) = Pieces::channel();
        let body = Cell::new(pieces.body(0, u64::MAX));
        let make_body = || body.take().ok_or_else(again);
        let feeding = transfer.clone();
        spawn(scope, move || feed(follower, sender, &feeding))?;
        let mut patch = Request::new(Method::PATCH, url);
        patch.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        patch.body = Body::Stream(&make_body, &transfer.activity);
        let answer = self.client.connection.exchange(access, &patch).await?;
        Ok(location(&patch.method, &answer)?)
    }
}

/// How much of a blob has been sent. Progress can be told of it only once the blob has a digest.
struct Transfer<'a> {
    progress: Progress<'a>,
    activity: Activity,
    least_speed: LeastSpeed,
    sent: Mutex<Sent>,
}

#[derive(Default)]
struct Sent {
    bytes: u64,
    told_as: Option<Digest>,
}

impl<'a> Transfer<'a> {
    fn new(progress: Progress<'a>, least_speed: LeastSpeed) -> Self {
        Transfer { progress, activity: Activity::default(), least_speed, sent: Mutex::default() }
    }

    fn tell(&self, descriptor: &Descriptor) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.told_as = Some(descriptor.digest);
        (self.progress)(Event::BlobStarted { descriptor });
        (self.progress)(Event::BlobAdvanced { digest: descriptor.digest, bytes: sent.bytes });
    }

    fn advance(&self, bytes: u64) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.bytes += bytes;
        if let Some(digest) = sent.told_as {
            (self.progress)(Event::BlobAdvanced { digest, bytes });
        }
    }
}

/// Sends a blob in pieces as it grows. If it comes to nothing, so does the request.
fn feed(mut follower: Follower, sender: PieceSender, transfer: &Transfer<'_>) {
    loop {
        match read_piece(&mut follower) {
            Ok(piece) if piece.is_empty() => return,
            Ok(piece) => {
                // Told before it goes: the far side may answer the last piece, and the blob be finished, at once.
                transfer.advance(piece.len() as u64);
                let (length, begun) = (piece.len(), Instant::now());
                if sender.blocking_send(Ok(piece)).is_err() {
                    return;
                }
                transfer.activity.note_taken(transfer.least_speed, begun.elapsed(), length);
            }
            Err(error) => {
                let _ = sender.blocking_send(Err(error));
                return;
            }
        }
    }
}
