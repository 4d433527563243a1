//! Damaged content, odd requests, and clients that would keep others from theirs.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ocibake::net::Stop;
use ocibake::serve::{AnsweredRequest, Listening, ServeLimits, Stock};
use ocibake::source::image::Location;

use crate::support::damage::flip;
use crate::support::registry_client::on_demand;
use crate::support::served::{Reply, Served, exchange, request};
use crate::support::tool::require;

use super::{LARGE_SIZE, blob, digests, large, large_layer, layout};

#[test]
fn a_damaged_blob_never_arrives_whole() {
    let world = layout();
    world.build(&["-t", "registry.example/org/api:v1", "-o", "api.tar"]).success();
    let [root, _, layer] = digests(&world.path("api"));
    let content = fs::read(blob(&world.path("api"), &layer)).unwrap();
    let mut archive = fs::read(world.path("api.tar")).unwrap();
    let at = archive.windows(64).position(|window| window == &content[..64]).unwrap();
    archive[at + 100] ^= 1;
    fs::write(world.path("api.tar"), archive).unwrap();
    flip(&blob(&world.path("api"), &layer), 100);
    let path = format!("/v2/org/api/blobs/{layer}");
    for place in ["./api", "./api.tar"] {
        let served = Served::start(&world.program, &[place]);
        let reply = served.get(&path);
        assert_eq!(reply.status, 200, "it begins well");
        assert!(!reply.is_whole() && !reply.body.is_empty(), "{} bytes", reply.body.len());
        served.says("has the digest sha256:");
        // What fits into one piece is refused before it begins; whatever the part, all of it is looked at.
        for range in ["bytes=0-9", "bytes=300000-300009"] {
            served.request("GET", &path, &[&format!("Range: {range}")]).refuses(500, "UNKNOWN");
        }
        let refusal = String::from_utf8(served.request("GET", &path, &["Range: bytes=0-9"]).body).unwrap();
        assert!(!refusal.contains(world.place.path().to_str().unwrap()), "no path of this machine: {refusal}");
        let copied = world.program.run(["copy", &format!("{}/org/api:v1", served.address()), "-o", "back/"]);
        copied.failure(1).says(&[&layer]);
        // The rest is served as ever.
        assert_eq!(served.get("/v2/org/api/manifests/v1").status, 200);
    }
    // A blob that has another size, and a manifest that is another.
    fs::write(blob(&world.path("api"), &layer), &content[..content.len() - 1]).unwrap();
    let served = Served::start(&world.program, &["./api"]);
    assert!(!served.get(&path).is_whole());
    flip(&blob(&world.path("api"), &root), 50);
    served.get("/v2/org/api/manifests/v1").refuses(500, "UNKNOWN");
    assert_eq!(served.get("/v2/org/api/tags/list").status, 200);
}

/// A part costs no more than itself, once all of the blob was read; and nothing is given out that has changed since.
#[test]
fn of_a_blob_that_was_read_a_part_is_read_and_checked_alone() {
    const DAMAGE: u64 = 10 << 20;
    let world = large();
    let flags = ["-t", "registry.example/org/large:1", "--compression=none", "--platform=linux/amd64"];
    world.build(&flags).success();
    world.build(&[&flags[..], &["-o", "large.tar"]].concat()).success();
    let layer = large_layer(&world);
    let content = fs::read(blob(&world.path("large"), &layer)).unwrap();
    let archive = fs::read(world.path("large.tar")).unwrap();
    let offset = archive.windows(512).position(|window| window == &content[..512]).unwrap() as u64;
    let in_store = world.program.store().join("blobs").join(layer.replace(':', "/"));
    let path = format!("/v2/org/large/blobs/{layer}");
    for (place, file, offset) in [
        (&["./large"][..], blob(&world.path("large"), &layer), 0),
        (&["./large.tar"], world.path("large.tar"), offset),
        (&[], in_store, 0),
    ] {
        let served = Served::start(&world.program, place);
        let part = |first: usize, last: usize| {
            let reply = served.request("GET", &path, &[&format!("Range: bytes={first}-{last}")]);
            if reply.status == 206 {
                assert!(reply.is_whole() && reply.body == content[first..=last], "{place:?}: {first}-{last}");
            }
            reply
        };
        assert_eq!(part(5, 9).status, 206);
        flip(&file, offset + DAMAGE);
        let damaged = DAMAGE as usize;
        for (first, last) in [(5, 9), (damaged - 300_000, damaged - 70_000), (damaged + 70_000, content.len() - 1)] {
            assert_eq!(part(first, last).status, 206, "{place:?}: {first}-{last}");
        }
        part(damaged + 1, damaged + 2).refuses(500, "UNKNOWN");
        served.says("is not what it was when it was read before");
        // From then on it is known by its digest alone.
        part(5, 9).refuses(500, "UNKNOWN");
        served.says("has the digest sha256:");
    }
}

#[test]
fn others_notice_a_damaged_blob() {
    if !require("curl") {
        return;
    }
    let world = layout();
    let [_, _, layer] = digests(&world.path("api"));
    flip(&blob(&world.path("api"), &layer), 100);
    let served = Served::start(&world.program, &["./api"]);
    let url = format!("{}/v2/org/api/blobs/{layer}", served.url());
    let status = std::process::Command::new("curl").args(["-sf", "-o", "/dev/null", &url]).status().unwrap();
    assert_eq!(status.code(), Some(18), "curl's code for a transfer that ended before its end");
}

#[test]
fn odd_requests_are_refused_and_harm_nobody() {
    let world = layout();
    let served = Served::start(&world.program, &["./api"]);
    let address = served.address();
    let head = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for target in [
        "/v2/../../../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/etc/passwd",
        "/v2/..%2f..%2fetc/manifests/passwd",
        "/v2/org/api/manifests/..%2f..%2f..%2findex.json",
        "/v2/org/api/blobs/..%2f..%2findex.json",
        "/v2/org/api/blobs/sha256:../../index.json",
        "/v2/org/api%00/manifests/v1",
        "//v2/",
        "/v2/org/api/manifests/",
        "/index.json",
        "http://other.example/v2/nothing/tags/list",
        "/v2/%E2%80%AE%0d%0a::error::x/tags/list",
        "/v2/org/\u{202e}\u{85}/tags/list",
    ] {
        let reply = exchange(address, head(target).as_bytes()).unwrap_or_else(|| panic!("no answer to {target}"));
        assert!((400..500).contains(&reply.status), "{target}: {reply:?}");
    }
    let long = "a".repeat(100_000);
    let many: String = (0..5000).map(|number| format!("X-{number}: y\r\n")).collect();
    for (bytes, what) in [
        (head(&format!("/v2/{long}/tags/list")).into_bytes(), "a long target"),
        (format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n").into_bytes(), "a long header"),
        (format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{many}\r\n").into_bytes(), "many headers"),
        (b"GET /v2/\0 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "a null"),
        (b"GET /v2/ HTTP/9.9\r\n\r\n".to_vec(), "another version"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(100), "TLS"),
        (b"\n\n\n\r\n\x1b[2J\r\n\r\n".to_vec(), "no request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "HTTP/2"),
    ] {
        let status = exchange(address, &bytes).map(|reply| reply.status);
        assert!(status.is_none_or(|status| (400..600).contains(&status)), "{what}: {status:?}");
    }
    assert_eq!(served.get("/v2/org/api/manifests/v1").status, 200);
    served.says("GET /v2/org/api/manifests/v1 200 ");
    let log = served.log();
    assert!(!log.chars().any(|c| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{85}')), "{log:?}");
    assert!(!log.lines().any(|line| line.starts_with("::") || line.len() > 1000), "{log}");
    let quiet = Served::start(&world.program, &["./api", "--quiet"]);
    let start = quiet.log();
    assert_eq!(quiet.get("/v2/").status, 200);
    assert_eq!(quiet.log(), start);
}

/// One that is served here, with little patience, and what it has told of.
struct Impatient {
    address: String,
    stop: Stop,
    told: Arc<Mutex<Vec<String>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Impatient {
    fn start(layout: &std::path::Path, connections: usize, blobs: usize) -> Self {
        let stock = Stock::open(&Location::Layout(layout.to_owned(), None), on_demand()).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listening = Listening::on(&[any], None).unwrap();
        let address = listening.address().to_string();
        let limits = ServeLimits { connections, blobs, patience: Duration::from_secs(1) };
        let (stop, told) = (Stop::default(), Arc::new(Mutex::new(Vec::new())));
        let (ended, list) = (stop.clone(), told.clone());
        let note = move |exchange: &AnsweredRequest| {
            let end = if exchange.is_whole { "whole" } else { "cut" };
            list.lock().unwrap().push(format!("{} {end}", exchange.status));
        };
        let thread = thread::spawn(move || listening.serve(stock, limits, &ended, Arc::new(note)).unwrap());
        Impatient { address, stop, told, thread: Some(thread) }
    }

    fn get(&self, path: &str) -> Reply {
        request(&self.address, "GET", path, &[])
    }
}

impl Drop for Impatient {
    fn drop(&mut self) {
        self.stop.end();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Waits until the other side has closed, and returns how much it had sent.
fn closed(mut stream: TcpStream) -> usize {
    stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
    let mut left = Vec::new();
    match stream.read_to_end(&mut left) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    left.len()
}

#[test]
fn who_is_silent_is_left() {
    let world = layout();
    let served = Impatient::start(&world.path("api"), 8, 4);
    let silent = TcpStream::connect(&served.address).unwrap();
    let mut half = TcpStream::connect(&served.address).unwrap();
    half.write_all(b"GET /v2/ HTTP/1.1\r\nHost:").unwrap();
    // A word now and then is no request either.
    let mut slow = TcpStream::connect(&served.address).unwrap();
    slow.write_all(b"GET /v2/ HTTP/1.1\r\n").unwrap();
    let since = Instant::now();
    while slow.write_all(b"X: y\r\n").is_ok() {
        assert!(since.elapsed() < Duration::from_secs(200), "it listens for ever");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(closed(silent), 0);
    closed(half);
    assert_eq!(served.get("/v2/").status, 200);
}

#[test]
fn who_takes_nothing_is_left_and_others_get_theirs() {
    let world = large();
    let path = format!("/v2/org/large/blobs/{}", large_layer(&world));
    let served = Impatient::start(&world.path("large"), 8, 2);
    let idle: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(&served.address).unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
            stream
        })
        .collect();
    // Both blobs that are read at a time are theirs; all else is answered, and in time a third one, too.
    assert_eq!(served.get("/v2/org/large/tags/list").status, 200);
    let deadline = Instant::now() + Duration::from_secs(300);
    while served.get(&path).status != 200 {
        assert!(Instant::now() < deadline, "nobody else gets anything");
    }
    // Whoever begins to take before that gets all of it.
    while served.told.lock().unwrap().iter().filter(|line| *line == "200 cut").count() < 2 {
        assert!(Instant::now() < deadline, "{:?}", served.told);
        thread::sleep(Duration::from_millis(20));
    }
    for stream in idle {
        let length = closed(stream);
        assert!(length > 0 && length < LARGE_SIZE, "{length}");
    }
}

#[test]
fn connections_have_a_bound_beyond_which_they_wait() {
    let world = layout();
    let served = Impatient::start(&world.path("api"), 3, 4);
    let idle: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&served.address).unwrap()).collect();
    assert_eq!(served.get("/v2/").status, 200);
    drop(idle);
}

#[test]
fn memory_does_not_grow_with_blobs_or_with_who_asks() {
    let world = large();
    let layer = large_layer(&world);
    let path = format!("/v2/org/large/blobs/{layer}");
    let content = fs::read(blob(&world.path("large"), &layer)).unwrap();
    let served = Served::start(&world.program, &["./large"]);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let reply = served.get(&path);
                assert!(reply.body == content);
            });
        }
    });
    let memory = served.largest_memory();
    assert!(memory < 64 << 10, "{memory} KiB");
}
