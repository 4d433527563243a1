//! Files that ADD downloads, and what the store knows of them later.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ocibake::error::{Error, ErrorKind};
use ocibake::net::Stop;
use ocibake::oci::Digest;
use ocibake::progress::silent;
use ocibake::source::download::{Downloaded, download};
use ocibake::store::LocalStore;
use tempfile::TempDir;

use crate::support::fake_registry::{FakeRegistry, Reply, Request};
use crate::support::port::Port;
use crate::support::registry_client::{on_demand, text};

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 09:49:37 GMT";

fn store() -> (TempDir, LocalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path()).unwrap();
    (directory, store)
}

fn get(server: &FakeRegistry, path: &str, checksum: Option<&[u8]>, store: &LocalStore) -> Result<Downloaded, Error> {
    let url = format!("http://{}{path}", server.address());
    download(&url, checksum.map(Digest::of), store, &on_demand(), &Stop::default(), &silent)
}

fn answer(content: &[u8]) -> Reply {
    Reply::Answer(200, Vec::new(), content.to_vec())
}

/// The conditions of all requests, in their order.
fn conditions(server: &FakeRegistry) -> Vec<Option<String>> {
    let condition =
        |request: &Request| request.header("if-none-match").or(request.header("if-modified-since")).map(str::to_owned);
    server.requests().iter().map(condition).collect()
}

#[test]
fn a_file_is_downloaded_with_its_name_and_time() {
    let server = FakeRegistry::scripted(|request| {
        let known = request.path == "/a/tool-1.0.tar.gz" && request.query == "token=x";
        known.then(|| answer(b"content").with("last-modified", MODIFIED))
    });
    let (_directory, store) = store();
    let found = get(&server, "/a/tool-1.0.tar.gz?token=x#part", None, &store).unwrap();
    assert_eq!((found.name.as_str(), found.modified), ("tool-1.0.tar.gz", 784_111_777));
    assert_eq!(found.digest, Digest::of(b"content"));
    assert_eq!(found.content.bytes().unwrap(), b"content");
    let error = get(&server, "/none?token=s3cret", None, &store).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("/none") && !format!("{error:?}").contains("s3cret"), "{error:?}");
}

#[test]
fn what_has_not_changed_is_not_downloaded_again() {
    let content = Arc::new(Mutex::new(("\"1\"", b"one".to_vec())));
    let served = content.clone();
    let server = FakeRegistry::scripted(move |request| {
        let (etag, content) = served.lock().unwrap().clone();
        let known = request.header("if-none-match") == Some(etag);
        Some(if known {
            Reply::status(304)
        } else {
            answer(&content).with("etag", etag).with("last-modified", MODIFIED)
        })
    });
    let (_directory, store) = store();
    let read = || get(&server, "/f", None, &store).unwrap();
    assert_eq!(read().content.bytes().unwrap(), b"one");
    let again = read();
    assert_eq!((again.content.bytes().unwrap(), again.modified), (b"one".to_vec(), 784_111_777));
    *content.lock().unwrap() = ("\"2\"", b"two".to_vec());
    assert_eq!(read().content.bytes().unwrap(), b"two");
    let sent = |etag: &str| Some(etag.to_owned());
    assert_eq!(conditions(&server), [None, sent("\"1\""), sent("\"1\"")]);
}

#[test]
fn a_time_is_trusted_only_where_another_change_would_show() {
    for (date, condition) in [(LATER, Some(MODIFIED)), (MODIFIED, None)] {
        let server = FakeRegistry::scripted(move |request| {
            let known = request.header("if-modified-since").is_some();
            let whole = || answer(b"one").with("last-modified", MODIFIED).with("date", date);
            Some(if known { Reply::status(304) } else { whole() })
        });
        let (_directory, store) = store();
        for _ in 0..2 {
            assert_eq!(get(&server, "/f", None, &store).unwrap().content.bytes().unwrap(), b"one");
        }
        assert_eq!(conditions(&server), [None, condition.map(str::to_owned)], "sent at {date}");
    }
}

#[test]
fn a_checksum_that_is_known_needs_no_request_and_another_is_an_error() {
    let server = FakeRegistry::scripted(|_| Some(answer(b"content")));
    let (_directory, store) = store();
    for _ in 0..3 {
        get(&server, "/f", Some(b"content"), &store).unwrap();
    }
    assert_eq!(server.requests().len(), 1);
    let error = get(&server, "/f", Some(b"other"), &store).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Integrity);
    let (actual, expected) = (Digest::of(b"content").to_string(), Digest::of(b"other").to_string());
    assert!(error.message.contains(&actual) && error.message.contains(&expected), "{error}");
}

#[test]
fn what_breaks_off_goes_on_or_begins_again() {
    let whole: Vec<u8> = (0..40_000_u32).flat_map(u32::to_le_bytes).collect();
    for has_tag in [true, false] {
        let (served, asked) = (whole.clone(), Arc::new(AtomicUsize::new(0)));
        let server = FakeRegistry::scripted(move |request| {
            let etag = |reply: Reply| if has_tag { reply.with("etag", "\"x\"") } else { reply };
            let from: usize = request.header("range").map_or(0, |range| range[6..range.len() - 1].parse().unwrap());
            assert_eq!(request.header("if-range"), (from > 0).then_some("\"x\""));
            if asked.fetch_add(1, Ordering::SeqCst) == 0 {
                let length = served.len().to_string();
                return Some(etag(answer(&served[..100_000])).with("content-length", length));
            }
            let status = if from > 0 { 206 } else { 200 };
            let range = format!("bytes {from}-{}/{}", served.len() - 1, served.len());
            Some(etag(Reply::Answer(status, vec![("content-range".to_owned(), range)], served[from..].to_vec())))
        });
        let (_directory, store) = store();
        let found = get(&server, "/f", None, &store).unwrap();
        assert_eq!(found.content.bytes().unwrap(), whole, "{has_tag}");
        let resumed = server.requests().iter().filter(|request| request.header("range").is_some()).count();
        assert_eq!((server.requests().len(), resumed), (2, usize::from(has_tag)));
    }
}

#[test]
fn a_server_in_trouble_is_asked_again_and_one_that_refuses_is_not() {
    let asked = AtomicUsize::new(0);
    let server = FakeRegistry::scripted(move |request| {
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        Some(match request.path.as_str() {
            "/later" if first => Reply::status(503),
            "/later" => answer(b"now"),
            _ => Reply::status(403),
        })
    });
    let (_directory, store) = store();
    assert_eq!(get(&server, "/later", None, &store).unwrap().content.bytes().unwrap(), b"now");
    assert_eq!(get(&server, "/never", None, &store).unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(server.count("GET", "/never"), 1);
}

#[test]
fn a_password_in_the_url_goes_to_its_own_host_alone() {
    let other = FakeRegistry::scripted(|_| Some(answer(b"content")));
    let to = format!("http://{}/elsewhere", other.address());
    let server = FakeRegistry::scripted(move |_| Some(Reply::status(302).with("location", to.clone())));
    let (_directory, store) = store();
    let url = format!("http://me:s3%40cret@{}/file", server.address());
    let found = download(&url, None, &store, &on_demand(), &Stop::default(), &silent).unwrap();
    assert_eq!((found.name.as_str(), found.content.bytes().unwrap()), ("file", b"content".to_vec()));
    // echo -n 'me:s3@cret' | base64
    assert_eq!(server.requests()[0].header("authorization"), Some("Basic bWU6czNAY3JldA=="));
    assert_eq!(other.requests()[0].header("authorization"), None);
}

#[test]
fn a_refusal_is_told_in_the_servers_words_without_the_password() {
    let server = FakeRegistry::scripted(|request| {
        let sent = request.header("authorization").unwrap_or_default();
        let body = format!("not for {sent}, nor for s3@cret\n").into_bytes();
        Some(Reply::Answer(403, Vec::new(), body).with("content-type", "text/plain"))
    });
    let (_directory, store) = store();
    let url = format!("http://me:s3%40cret@{}/file", server.address());
    let error = download(&url, None, &store, &on_demand(), &Stop::default(), &silent).unwrap_err();
    let (message, hint) = text(&error, &server.address());
    assert_eq!(message, "GET http://HOST/file: 403 Forbidden: not for Basic …, nor for …");
    assert_eq!(hint, "the server requires a login: download the file into the context");
}

#[test]
fn a_server_that_is_not_there_is_not_called_a_registry() {
    let port = Port::new();
    let address = port.to_string();
    let (_directory, store) = store();
    let error =
        download(&format!("http://{address}/file"), None, &store, &on_demand(), &Stop::default(), &silent).unwrap_err();
    let hint = text(&error, &address).1;
    assert_eq!(hint, "nothing listens at HOST: is the server running, and are its name and port right?");
}

#[test]
fn a_blob_that_was_damaged_is_noticed_and_fetched_anew() {
    let server = FakeRegistry::scripted(|request| {
        let known = request.header("if-none-match").is_some();
        Some(if known { Reply::status(304) } else { answer(b"content").with("etag", "\"1\"") })
    });
    let (directory, store) = store();
    get(&server, "/f", None, &store).unwrap();
    let blob = directory.path().join("blobs/sha256").join(Digest::of(b"content").hex());
    std::fs::write(&blob, b"CONTENT").unwrap();
    let error = get(&server, "/f", None, &store).unwrap().content.bytes().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Integrity, "{error}");
    assert_eq!(get(&server, "/f", None, &store).unwrap().content.bytes().unwrap(), b"content");
}
