//! Connections: how many there may be, how long each may take, and how they end.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::answer::{AnswerContent, ServedAnswer, answer};
use super::exchange::{AnswerBody, AnsweredRequest, RequestListener, Telling};
use super::paced::PacedStream;
use super::read::{BlobPiece, BlobRead};
use super::refusal::RequestRefusal;
use super::stock::Stock;
use crate::error::{Error, ErrorKind, Result};
use crate::net::Stop;

/// How much is done at a time, and for how long is waited.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// Connections that are open at a time. Others wait until one of these ends.
    pub connections: usize,
    /// Blobs that are read at a time, each on a thread of its own. Others wait.
    pub blobs: usize,
    /// For how long a client may be silent, or wait for another one. For four times as long it may take nothing.
    pub patience: Duration,
}

/// An address that is listened on.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
}

/// What all connections share.
struct Counter {
    stock: Arc<Stock>,
    limits: ServeLimits,
    listener: RequestListener,
    lookups: Arc<Semaphore>,
    blobs: Arc<Semaphore>,
    stop: Stop,
}

/// In bytes, of the line of a request and its headers together.
const LONGEST_HEAD: usize = 32 << 10;
const MOST_HEADERS: usize = 100;
/// Threads that answer all but blobs.
const LOOKUPS: usize = 4;
const WORKERS: usize = 2;
/// Pieces of a blob that are ready before they are wanted.
const READY: usize = 1;
/// For how long answers may go on once it is to end.
const GRACE: Duration = Duration::from_secs(3);
/// For how long nobody is let in where there are no more files or no memory for that.
const BREATH: Duration = Duration::from_millis(100);

const API_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0"));

impl Default for ServeLimits {
    fn default() -> Self {
        ServeLimits { connections: 256, blobs: 64, patience: Duration::from_secs(30) }
    }
}

impl Listening {
    /// Listens on the first of `addresses` that can be listened on; with TLS alone if there is a configuration of it.
    pub fn on(addresses: &[SocketAddr], tls: Option<Arc<ServerConfig>>) -> io::Result<Listening> {
        let listener = TcpListener::bind(addresses)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Listening { listener, address, tls })
    }

    /// Returns the address, with its port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns whether TLS is spoken.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Gives out what `stock` has, until `stop` ends; answers under way then have a moment to go on. `listener` is told of each
    /// request.
    pub fn serve(self, stock: Stock, limits: ServeLimits, stop: &Stop, listener: RequestListener) -> Result<()> {
        let failed = |source| Error::new(ErrorKind::Io, "cannot start to serve").with_source(source);
        let runtime = runtime(&limits).map_err(failed)?;
        let semaphore = |count| Arc::new(Semaphore::new(count));
        let (lookups, blobs) = (semaphore(LOOKUPS), semaphore(limits.blobs));
        // It may have a client with a runtime of its own, which must not end within this one.
        let stock = Arc::new(stock);
        let counter = Counter { stock: stock.clone(), limits, listener, lookups, blobs, stop: stop.clone() };
        let served = runtime.block_on(self.accept(Arc::new(counter)));
        // Threads that still read find that nobody takes it any more.
        runtime.shutdown_timeout(GRACE);
        drop(stock);
        served.map_err(failed)
    }

    async fn accept(self, counter: Arc<Counter>) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let acceptor = self.tls.map(TlsAcceptor::from);
        let connections = Arc::new(Semaphore::new(counter.limits.connections));
        let stop = counter.stop.clone();
        let next = async || {
            let permit = connections.clone().acquire_owned().await;
            (permit.ok(), listener.accept().await)
        };
        while let Some((permit, accepted)) = stop.race(next()).await {
            match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connected(stream, acceptor.clone(), counter.clone(), permit))),
                Err(_) => sleep(BREATH).await,
            }
        }
        drop(listener);
        let all = u32::try_from(counter.limits.connections).unwrap_or(u32::MAX);
        let _ = timeout(GRACE, connections.acquire_many(all)).await;
        Ok(())
    }
}

fn runtime(limits: &ServeLimits) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(LOOKUPS + limits.blobs)
        .thread_name("serve")
        .enable_all()
        .build()
}

/// Answers all requests of one connection. How it ends is nobody's concern but that of who is at the other end.
async fn connected(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    counter: Arc<Counter>,
    _permit: Option<OwnedSemaphorePermit>,
) {
    let _ = stream.set_nodelay(true);
    let patience = counter.limits.patience;
    // The kernel takes much at a time: of a slow client it may say nothing for long.
    let stream = PacedStream::new(stream, 4 * patience);
    match acceptor {
        None => converse(stream, counter).await,
        Some(acceptor) => {
            if let Ok(Ok(stream)) = timeout(patience, acceptor.accept(stream)).await {
                converse(stream, counter).await;
            }
        }
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, counter: Arc<Counter>) {
    let (stop, patience) = (counter.stop.clone(), counter.limits.patience);
    let service = service_fn(move |request| {
        let counter = counter.clone();
        async move { Ok::<_, Infallible>(counter.respond(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(LONGEST_HEAD).max_headers(MOST_HEADERS);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    if stop.race(connection.as_mut()).await.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(GRACE, connection).await;
    }
}

impl Counter {
    async fn respond(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let since = Instant::now();
        // Whatever content a request has is not looked at.
        let (asked, _) = request.into_parts();
        let exchange = AnsweredRequest {
            method: asked.method.to_string(),
            target: asked.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            status: 0,
            bytes: 0,
            is_whole: false,
            elapsed: Duration::ZERO,
            fault: None,
        };
        let telling = Telling { exchange, since, listener: self.listener.clone() };
        let is_head = asked.method == Method::HEAD;
        let stock = self.stock.clone();
        let answer = self.with_thread(&self.lookups, move || answer(&stock, &asked)).await;
        match answer.unwrap_or_else(ServedAnswer::refused) {
            ServedAnswer { content: AnswerContent::Blob(read), status, headers, .. } => {
                let size = read.part.end - read.part.start;
                match self.begin(*read).await {
                    Ok((first, rest)) => response(status, headers, size, first, Some(rest), telling),
                    Err(refusal) => plain(ServedAnswer::refused(refusal), is_head, telling),
                }
            }
            answer => plain(answer, is_head, telling),
        }
    }

    /// Begins to read a blob. Returns its first piece, once that is there, and where the others come from.
    async fn begin(&self, read: BlobRead) -> Result<(Bytes, mpsc::Receiver<BlobPiece>), RequestRefusal> {
        let permit = self.permit(&self.blobs).await?;
        let (sender, mut receiver) = mpsc::channel(READY);
        spawn_blocking(move || {
            read.run(&sender);
            drop(permit);
        });
        match receiver.recv().await {
            Some(first) => Ok((first?, receiver)),
            None => Err(RequestRefusal::failed("a thread that reads a blob has ended".to_owned())),
        }
    }

    async fn with_thread<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RequestRefusal> {
        let permit = self.permit(permits).await?;
        let done = spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.map_err(|_| RequestRefusal::failed("a thread that answers has ended".to_owned()))
    }

    async fn permit(&self, permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, RequestRefusal> {
        match timeout(self.limits.patience, permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(RequestRefusal::busy()),
        }
    }
}

/// Returns the response for all but blobs.
fn plain(answer: ServedAnswer, is_head: bool, mut telling: Telling) -> Response<AnswerBody> {
    let ServedAnswer { status, headers, content, fault } = answer;
    telling.exchange.fault = fault;
    let (size, bytes) = match content {
        AnswerContent::Bytes(bytes) if !is_head => (bytes.len() as u64, bytes),
        AnswerContent::Bytes(bytes) => (bytes.len() as u64, Vec::new()),
        AnswerContent::Size(size) => (size, Vec::new()),
        AnswerContent::Blob(_) => (0, Vec::new()),
    };
    response(status, headers, size, bytes.into(), None, telling)
}

/// Returns the response that has `size` bytes, though there may be none here, where only the size was asked for.
fn response(
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    size: u64,
    first: Bytes,
    rest: Option<mpsc::Receiver<BlobPiece>>,
    mut telling: Telling,
) -> Response<AnswerBody> {
    telling.exchange.status = status.as_u16();
    let is_empty = rest.is_none() && first.is_empty();
    telling.exchange.is_whole = is_empty || size == 0;
    let left = if is_empty { 0 } else { size };
    let mut response = Response::new(AnswerBody::new(first, rest, left, telling));
    *response.status_mut() = status;
    let (name, value) = API_VERSION;
    response.headers_mut().insert(name, value);
    if status != StatusCode::NOT_MODIFIED {
        response.headers_mut().insert(CONTENT_LENGTH, size.into());
    }
    response.headers_mut().extend(headers);
    response
}
