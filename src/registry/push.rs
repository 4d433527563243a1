//! A graph into a repository (distribution-spec, "Push"): blobs, then the manifests that name them, then the tags.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::thread::{self, Scope};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::oneshot;

use super::auth::Access;
use super::body::{Pieces, read_piece, spawn};
use super::client::Repository;
use super::connection::{Activity, Body, Request, UNSETTLED, check_digest, location};
use super::failure::Failure;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, MANIFEST_LIMIT, Reference, is_valid_tag};
use crate::progress::{BlobOutcome, Event, Progress};
use crate::store::{Graph, Store};

impl Repository<'_> {
    /// Brings `graph`, whose blobs are in `store`, to this repository: first the blobs that it does not have, several
    /// at once; then the manifests by digest, children before parents. No tag is touched. Of a blob that the repository
    /// has, progress hears no more than [`Event::BlobFinished`].
    ///
    /// The first failure ends it and is the one returned; what has arrived stays. A failure of `store` is returned as
    /// it is, and damaged content never becomes a blob of the registry.
    pub fn upload(&self, graph: &Graph, store: &dyn Store) -> Result<()> {
        check(graph)?;
        let access = self.access.push();
        let mut seen = HashSet::new();
        let blobs: Vec<_> = graph.blobs.iter().filter(|blob| seen.insert(blob.digest)).collect();
        let parallel = self.client.connection.options.parallel.clamp(1, 64);
        thread::scope(|scope| {
            self.client.runtime.block_on(async {
                stream::iter(blobs)
                    .map(Ok)
                    .try_for_each_concurrent(parallel, |blob| self.push_blob(&access, scope, store, blob))
                    .await?;
                for (descriptor, bytes) in &graph.manifests {
                    self.push_manifest(&access, &descriptor.digest.to_string(), descriptor, bytes).await?;
                }
                Ok(())
            })
        })
    }

    /// Lets each of `tags`, in their order, stand for the root of `graph`, which has been [uploaded](Self::upload): a tag
    /// never stands for something that is not all there. The first failure ends it.
    pub fn tag(&self, graph: &Graph, tags: &[String]) -> Result<()> {
        if let Some(tag) = tags.iter().find(|tag| !is_valid_tag(tag)) {
            return Err(Error::input(format!("`{tag}` is not a tag")));
        }
        let Some((root, bytes)) = graph.manifests.last() else { return Ok(()) };
        let access = self.access.push();
        self.client.runtime.block_on(async {
            for tag in tags {
                self.push_manifest(&access, tag, root, bytes).await?;
            }
            Ok(())
        })
    }

    async fn push_blob<'scope, 'env>(
        &'env self,
        access: &Access,
        scope: &'scope Scope<'scope, 'env>,
        store: &'env dyn Store,
        descriptor: &'env Descriptor,
    ) -> Result<()> {
        let backoff = self.client.connection.options.backoff;
        let upload = Upload::new(scope, store, descriptor, self.progress);
        let outcome = backoff
            .run(self.progress, async || {
                if self.has_blob(access, descriptor).await? {
                    return Ok(BlobOutcome::Present);
                }
                if self.mount(access, store, descriptor).await {
                    return Ok(BlobOutcome::Mounted);
                }
                self.send_blob(access, &upload).await
            })
            .await?;
        (self.progress)(Event::BlobFinished { digest: descriptor.digest, outcome });
        Ok(())
    }

    pub(super) async fn has_blob(&self, access: &Access, descriptor: &Descriptor) -> Result<bool, Failure> {
        let url = self.url(access, &format!("blobs/{}", descriptor.digest)).await?;
        // A registry that cannot tell, or does not want to, is sent the blob: what is wrong, it says to that.
        let request = Request { expected: UNSETTLED, ..Request::new(Method::HEAD, url) };
        let answer = self.client.connection.exchange(access, &request).await?;
        if answer.status().is_success() {
            check_digest(&request.method, &answer, descriptor.digest)?;
        }
        Ok(answer.status().is_success())
    }

    /// Has the registry take the blob from another of its repositories, if one is known to have it (distribution-spec,
    /// "Mounting a blob from another repository"). No registry need do so, nor tell why not.
    async fn mount(&self, access: &Access, store: &dyn Store, descriptor: &Descriptor) -> bool {
        let is_other = |origin: &&Reference| {
            origin.registry() == self.reference.registry() && origin.repository() != self.reference.repository()
        };
        let Some(origin) = store.origin(descriptor).filter(is_other) else { return false };
        let mount = [("mount", descriptor.digest.to_string()), ("from", origin.repository().to_owned())];
        matches!(self.begin_upload(&access.mounting(origin.repository()), &mount).await, Ok(None))
    }

    /// Where to upload a blob to; nowhere, if it is there by now.
    pub(super) async fn begin_upload(&self, access: &Access, query: &[(&str, String)]) -> Result<Option<Url>, Failure> {
        let mut url = self.url(access, "blobs/uploads/").await?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut post = Request::new(Method::POST, url);
        post.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let answer = self.client.connection.exchange(access, &post).await?;
        if answer.status() == StatusCode::CREATED {
            return Ok(None);
        }
        Ok(Some(location(&post.method, &answer)?))
    }

    /// POST, then PUT (distribution-spec, "Monolithic upload").
    async fn send_blob(&self, access: &Access, upload: &Upload<'_, '_>) -> Result<BlobOutcome, Failure> {
        let digest = upload.descriptor.digest;
        let Some(mut url) = self.begin_upload(access, &[]).await? else { return Ok(BlobOutcome::Present) };
        url.query_pairs_mut().append_pair("digest", &digest.to_string());

        let make_body = || upload.body();
        let mut put = Request::new(Method::PUT, url);
        put.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        put.headers.insert(CONTENT_LENGTH, HeaderValue::from(upload.descriptor.size));
        put.body = Body::Stream(&make_body, &upload.activity);
        let answer = self.client.connection.exchange(access, &put).await;
        upload.read_to_end(answer.is_ok()).await?;
        check_digest(&put.method, &answer?, digest)?;
        Ok(BlobOutcome::Sent)
    }

    async fn push_manifest(&self, access: &Access, name: &str, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        let content_type = HeaderValue::from_str(&descriptor.media_type)
            .map_err(|_| Error::input(format!("manifest {} has a malformed media type", descriptor.digest)))?;
        let bytes = Bytes::copy_from_slice(bytes);
        let backoff = self.client.connection.options.backoff;
        backoff
            .run(self.progress, async || {
                let mut put = Request::new(Method::PUT, self.url(access, &format!("manifests/{name}")).await?);
                put.headers.insert(CONTENT_TYPE, content_type.clone());
                put.body = Body::Bytes(bytes.clone());
                let answer = self.client.connection.exchange(access, &put).await?;
                Ok(check_digest(&put.method, &answer, descriptor.digest)?)
            })
            .await?;
        (self.progress)(Event::ManifestPushed { name, digest: descriptor.digest });
        Ok(())
    }
}

/// What can be refused before anything is sent.
fn check(graph: &Graph) -> Result<()> {
    match graph.manifests.iter().find(|(_, bytes)| bytes.len() as u64 > MANIFEST_LIMIT) {
        Some((descriptor, bytes)) => Err(Error::input(format!(
            "{} {} has {} bytes, more than the {MANIFEST_LIMIT} that registries take",
            descriptor.media_type,
            descriptor.digest,
            bytes.len()
        ))),
        None => Ok(()),
    }
}

/// One blob on its way out of a store. Stores block, so each attempt reads on a thread of its own.
struct Upload<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    store: &'env dyn Store,
    descriptor: &'env Descriptor,
    progress: Progress<'env>,
    activity: Arc<Activity>,
    begun: Cell<bool>,
    reading: RefCell<Option<Reading>>,
}

/// What is read for one body.
struct Reading {
    pieces: Pieces,
    outcome: oneshot::Receiver<Result<()>>,
}

impl<'scope, 'env> Upload<'scope, 'env> {
    fn new(
        scope: &'scope Scope<'scope, 'env>,
        store: &'env dyn Store,
        descriptor: &'env Descriptor,
        progress: Progress<'env>,
    ) -> Self {
        Upload {
            scope,
            store,
            descriptor,
            progress,
            activity: Arc::default(),
            begun: Cell::new(false),
            reading: RefCell::new(None),
        }
    }

    /// A body from the first byte.
    fn body(&self) -> Result<reqwest::Body> {
        let (sender, pieces) = Pieces::channel();
        let (ended, outcome) = oneshot::channel();
        let body = pieces.body();
        self.reading.replace(Some(Reading { pieces, outcome }));
        let digest = self.descriptor.digest;
        (self.progress)(match self.begun.replace(true) {
            false => Event::BlobStarted { descriptor: self.descriptor },
            true => Event::BlobRestarted { digest },
        });
        let (store, descriptor, progress, activity) =
            (self.store, self.descriptor, self.progress, self.activity.clone());
        let send = move |piece: io::Result<Bytes>| {
            if let Ok(piece) = &piece {
                // Told before it goes: the far side may answer the last piece, and the blob be finished, at once.
                progress(Event::BlobAdvanced { digest, bytes: piece.len() as u64 });
            }
            let sent = sender.blocking_send(piece).is_ok();
            activity.note();
            sent
        };
        spawn(self.scope, move || feed(store, descriptor, ended, send))?;
        Ok(body)
    }

    /// The failure of the store, if it is what ended the last body. `wait` for an outcome that is sure to come.
    async fn read_to_end(&self, wait: bool) -> Result<()> {
        let Some(mut reading) = self.reading.take() else { return Ok(()) };
        // A registry may have answered before the end of the body, which then waits to be sent for ever.
        reading.pieces.stop();
        let outcome = if wait { (&mut reading.outcome).await.ok() } else { reading.outcome.try_recv().ok() };
        outcome.unwrap_or(Ok(()))
    }
}

/// Reads a blob and sends it in pieces. Its last piece is held back until the store has vouched for the whole, so that damaged
/// content is never completed at the far side; and `outcome` is told before that side can know of the end.
fn feed(
    store: &dyn Store,
    descriptor: &Descriptor,
    outcome: oneshot::Sender<Result<()>>,
    send: impl Fn(io::Result<Bytes>) -> bool,
) {
    let mut held: Option<Bytes> = None;
    let mut read = || -> Result<bool> {
        let mut reader = store.open(descriptor)?;
        loop {
            let piece = read_piece(&mut reader)
                .map_err(|source| Error::from_read("read", descriptor.digest.to_string(), source))?;
            if piece.is_empty() {
                return Ok(true);
            }
            if let Some(before) = held.replace(piece)
                && !send(Ok(before))
            {
                return Ok(false);
            }
        }
    };
    match read() {
        Ok(complete) => {
            let _ = outcome.send(Ok(()));
            if let Some(last) = held.filter(|_| complete) {
                send(Ok(last));
            }
        }
        Err(error) => {
            let _ = outcome.send(Err(error));
            send(Err(io::Error::other("the blob could not be read")));
        }
    }
}
