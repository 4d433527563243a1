//! Layers that are on their way before they are whole.
//!
//! A layer is sent while it is compressed, in one request of unknown length, as docker does it (distribution-spec,
//! "Pushing a blob in chunks", without a range). This only saves time: it fails without a word, and the push that
//! follows asks for each blob and sends what is not there.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope};
use std::time::Instant;

use super::access::Access;
use super::answer::{check_digest, location};
use super::parallel::spawn;
use super::repository::Repository;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::Compression;
use crate::net::header::{CONTENT_TYPE, HeaderValue};
use crate::net::{Activity, Body, Failure, LeastSpeed, Method, PieceSender, Pieces, Request, Stop, Url, read_piece};
use crate::oci::{Descriptor, Digest};
use crate::progress::{BlobOutcome, Event, Progress};
use crate::store::{Follow, Follower};
use crate::sync::locked;

/// In bytes. For less it is not worth the risk that the registry has the blob already.
const WORTHWHILE: u64 = 4 << 20;

/// The news that a layer on its way is waited for.
enum News {
    /// The work that it comes from is over; true if it has succeeded.
    Done(bool),
    /// All of it is at the registry, which is to be told of the end at this URL; or it has failed.
    Arrived(Result<Url, Failure>),
}

/// The threads that wait for the end of the work, be it a panic.
#[derive(Default)]
struct Waiting(Mutex<Vec<Sender<News>>>);

impl Waiting {
    fn join(&self, sender: Sender<News>) {
        locked(&self.0).push(sender);
    }

    /// Tells each of them once.
    fn tell(&self, has_succeeded: bool) {
        for sender in locked(&self.0).drain(..) {
            // Who has ended before need not know.
            let _ = sender.send(News::Done(has_succeeded));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.tell(false);
    }
}

/// Ends what was begun with it when it goes.
struct Ending(Stop);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Repository<'_> {
    /// Does `work`, and meanwhile sends the layers that it tells of to this repository. If it fails, that ends at once.
    /// If not, what the registry turns out to have is given up, and the rest is sent to its end.
    pub fn send_ahead<T>(&self, work: impl FnOnce(Follow<'_>) -> Result<T>) -> Result<T> {
        let under_way = &AtomicUsize::new(0);
        thread::scope(|scope| {
            let waiting = Waiting::default();
            let result = work(&|follower: Follower, compression| {
                let (sender, news) = channel();
                waiting.join(sender.clone());
                let send = move || {
                    if !follower.reaches(WORTHWHILE) {
                        return;
                    }
                    if under_way.fetch_add(1, Ordering::Relaxed) < self.client.parallel {
                        // Whatever has failed is found out, and told, by the push.
                        let _ = self.send_growing(scope, follower, compression, sender, &news);
                    }
                    under_way.fetch_sub(1, Ordering::Relaxed);
                };
                // Without a thread it is not sent ahead, that is all.
                let _ = spawn(scope, send);
            });
            waiting.tell(result.is_ok());
            result
        })
    }

    /// POST, PATCH while the blob grows, and PUT once the work is done, if it is.
    fn send_growing<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        follower: Follower,
        compression: Compression,
        sender: Sender<News>,
        news: &Receiver<News>,
    ) -> Result<(), Failure> {
        let access = self.access.push().until(&Stop::default());
        // However this ends, so does the upload.
        let _ending = Ending(access.stop.clone());
        let transfer = Arc::new(Ahead::new(self.progress, self.client.connection.http.options().least_speed));
        let (growing, patching, patched) = (follower.clone(), access.clone(), transfer.clone());
        spawn(scope, move || {
            let _ = sender.send(News::Arrived(self.patch(&patching, scope, growing, patched)));
        })?;
        let mut arrived = None;
        loop {
            match news.recv() {
                Ok(News::Done(true)) => break,
                Ok(News::Done(false)) | Err(_) => return Ok(()),
                Ok(News::Arrived(url)) => arrived = Some(url?),
            }
        }
        let Some((digest, size)) = follower.outcome() else { return Ok(()) };
        let descriptor = compression.descriptor(digest, size);
        if arrived.is_none() && self.has_blob(&access, &descriptor)? {
            return Ok(());
        }
        transfer.tell(&descriptor);
        let url = match arrived {
            Some(url) => url,
            None => match news.recv() {
                Ok(News::Arrived(url)) => url?,
                _ => return Ok(()),
            },
        };
        let answer = self.complete(&access, &url, digest, &[])?;
        check_digest(&answer, digest)?;
        (self.progress)(Event::BlobFinished { digest, outcome: BlobOutcome::Sent });
        Ok(())
    }

    /// Sends what `follower` reads; returns where the upload is to be completed.
    fn patch<'scope, 'env>(
        &'env self,
        access: &Access,
        scope: &'scope Scope<'scope, 'env>,
        follower: Follower,
        transfer: Arc<Ahead<'env>>,
    ) -> Result<Url, Failure> {
        let again = || Error::new(ErrorKind::Registry, "a layer is sent ahead only once");
        let url = self.begin_upload(access, &[])?.ok_or_else(again)?.url;
        let (sender, pieces) = Pieces::channel();
        let body = Cell::new(pieces.body(0, u64::MAX));
        let make_body = || body.take().ok_or_else(again);
        let feeding = transfer.clone();
        spawn(scope, move || feed(follower, sender, &feeding))?;
        let mut patch = Request::new(Method::PATCH, url);
        patch.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        patch.body = Body::Stream(&make_body, &transfer.activity);
        let answer = self.client.connection.exchange(access, &patch)?;
        Ok(location(&answer)?)
    }
}

/// How much of a blob has been sent. Progress can be told of it only once the blob has a digest.
struct Ahead<'a> {
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

impl<'a> Ahead<'a> {
    fn new(progress: Progress<'a>, least_speed: LeastSpeed) -> Self {
        Ahead { progress, activity: Activity::default(), least_speed, sent: Mutex::default() }
    }

    fn tell(&self, descriptor: &Descriptor) {
        let mut sent = locked(&self.sent);
        sent.told_as = Some(descriptor.digest);
        (self.progress)(Event::BlobStarted { descriptor });
        // These went at their own time, and not in this instant.
        (self.progress)(Event::BlobRestarted { digest: descriptor.digest, from: sent.bytes });
    }

    fn advance(&self, bytes: u64) {
        let mut sent = locked(&self.sent);
        sent.bytes += bytes;
        if let Some(digest) = sent.told_as {
            (self.progress)(Event::BlobAdvanced { digest, bytes });
        }
    }
}

/// Sends a blob in pieces as it grows. If it comes to nothing, so does the request.
fn feed(mut follower: Follower, sender: PieceSender, transfer: &Ahead<'_>) {
    loop {
        match read_piece(&mut follower) {
            Ok(piece) if piece.is_empty() => return,
            Ok(piece) => {
                // Told before it goes: the far side may answer the last piece, and the blob be finished, at once.
                transfer.advance(piece.len() as u64);
                let (length, begun) = (piece.len(), Instant::now());
                if !sender.send(Ok(piece)) {
                    return;
                }
                transfer.activity.note_taken(transfer.least_speed, begun.elapsed(), length);
            }
            Err(error) => {
                sender.send(Err(error));
                return;
            }
        }
    }
}
