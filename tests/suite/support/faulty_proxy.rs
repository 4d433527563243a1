//! A proxy before a registry that damages a share of the requests.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::http::{Request, read_head};
use super::server::Server;

/// What becomes of a request.
const FAULTS: [&str; 8] =
    ["request cut", "answer lost", "answer cut", "answer truncated", "500", "429", "503", "delay"];

pub struct FaultyProxy {
    server: Server,
    state: Arc<State>,
}

struct State {
    registry: String,
    /// Of requests, out of 1,000.
    share: u64,
    /// How many blobs are let through.
    blobs: usize,
    /// How many have come.
    sent: AtomicUsize,
    /// What becomes of the Nth request of a kind, the same in each run whatever the order in which the kinds come.
    short: Fate,
    long: Fate,
    requests: AtomicUsize,
    resumed: AtomicUsize,
    faults: Mutex<BTreeMap<&'static str, usize>>,
}

impl FaultyProxy {
    /// One before the registry at this address that damages `share` of 1,000 requests.
    pub fn before(registry: &str, share: u64, seed: u64) -> Self {
        Self::start(registry, share, usize::MAX, seed)
    }

    /// One that damages nothing, and is stuck with all blobs that come after so many.
    pub fn stuck_after(registry: &str, blobs: usize) -> Self {
        Self::start(registry, 0, blobs, 0)
    }

    fn start(registry: &str, share: u64, blobs: usize, seed: u64) -> Self {
        let state = Arc::new(State {
            registry: registry.to_owned(),
            share,
            blobs,
            sent: AtomicUsize::new(0),
            short: Fate::new(seed),
            long: Fate::new(!seed),
            requests: AtomicUsize::new(0),
            resumed: AtomicUsize::new(0),
            faults: Mutex::default(),
        });
        let shared = state.clone();
        // A connection that ends early is what this is for.
        let server = Server::new(move |stream| shared.serve(&stream).unwrap_or(()));
        FaultyProxy { server, state }
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// How often an upload went on at another byte than the first.
    pub fn resumed(&self) -> usize {
        self.state.resumed.load(Ordering::SeqCst)
    }

    /// How many blobs it is stuck with.
    pub fn stuck(&self) -> usize {
        self.state.sent.load(Ordering::SeqCst).saturating_sub(self.state.blobs)
    }

    pub fn faults(&self) -> BTreeMap<&'static str, usize> {
        self.state.faults.lock().unwrap().clone()
    }
}

impl State {
    /// One request, and the end of the connection.
    fn serve(&self, mut client: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client);
        let Some(request) = read_head(&mut reader)? else { return Ok(()) };
        self.requests.fetch_add(1, Ordering::SeqCst);
        let length: u64 = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        if request.header("content-range").is_some_and(|range| !range.starts_with("0-")) {
            self.resumed.fetch_add(1, Ordering::SeqCst);
        }
        if request.is("PUT", "/blobs/uploads/") && self.sent.fetch_add(1, Ordering::SeqCst) >= self.blobs {
            std::thread::sleep(Duration::from_secs(600));
            return Ok(());
        }
        let is_long = length > 1000;
        let fate = if is_long { &self.long } else { &self.short }.next();
        let fault = (fate.draw(1000) < self.share).then(|| match fate.draw(2) {
            // What takes long is cut more often than what does not.
            0 if is_long => "request cut",
            _ => FAULTS[fate.draw(FAULTS.len() as u64) as usize],
        });
        if let Some(fault) = fault {
            *self.faults.lock().unwrap().entry(fault).or_default() += 1;
        }
        match fault {
            Some("500") => return refuse(client, &mut reader, length, "500 Internal Server Error"),
            Some("429") => return refuse(client, &mut reader, length, "429 Too Many Requests\r\nretry-after: 0"),
            Some("503") => return refuse(client, &mut reader, length, "503 Service Unavailable\r\nretry-after: 0"),
            Some("delay") => std::thread::sleep(Duration::from_millis(fate.draw(40))),
            _ => {}
        }
        let mut registry = TcpStream::connect(&self.registry)?;
        registry.write_all(head_of(&request).as_bytes())?;
        if fault == Some("request cut") {
            io::copy(&mut reader.take(fate.draw(length + 1)), &mut registry)?;
            return Ok(());
        }
        io::copy(&mut reader.take(length), &mut registry)?;
        let answer = read_answer(&mut BufReader::new(registry), &request.method)?;
        let length = match fault {
            Some("answer lost") => 0,
            Some("answer cut") => answer.head.min(fate.draw(answer.head as u64) as usize),
            Some("answer truncated") => fate.draw(answer.bytes.len() as u64) as usize,
            _ => answer.bytes.len(),
        };
        client.write_all(&answer.bytes[..length])
    }
}

/// Unpredictable numbers: splitmix64.
struct Fate(AtomicU64);

impl Fate {
    fn new(seed: u64) -> Self {
        Fate(AtomicU64::new(seed))
    }

    /// One of its own for the next request.
    fn next(&self) -> Self {
        Fate::new(self.draw(u64::MAX))
    }

    /// A number below `limit`.
    fn draw(&self, limit: u64) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

fn refuse(mut client: &TcpStream, body: &mut impl Read, length: u64, status: &str) -> io::Result<()> {
    io::copy(&mut body.take(length), &mut io::sink())?;
    client.write_all(format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").as_bytes())
}

fn head_of(request: &Request) -> String {
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let mut head = format!("{} {}{query} HTTP/1.1\r\nconnection: close\r\n", request.method, request.path);
    for (name, value) in request.headers.iter().filter(|(name, _)| name != "connection") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

struct Answer {
    bytes: Vec<u8>,
    /// Length of the head.
    head: usize,
}

fn read_answer(reader: &mut impl BufRead, method: &str) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
        if line == "\r\n" {
            bytes.extend_from_slice(b"connection: close\r\n\r\n");
            break;
        }
        if !lower.starts_with("connection:") {
            bytes.extend_from_slice(line.as_bytes());
        }
    }
    let head = bytes.len();
    let has_no_body = method == "HEAD" || bytes.starts_with(b"HTTP/1.1 204");
    let length = if has_no_body { 0 } else { length.unwrap_or(u64::MAX) };
    reader.take(length).read_to_end(&mut bytes)?;
    Ok(Answer { bytes, head })
}
