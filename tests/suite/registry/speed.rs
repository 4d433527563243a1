//! Registries that send or take a little now and then, for ever.

use std::io::Read;
use std::time::Duration;

use ocibake::error::{Error, ErrorKind};
use ocibake::net::Stop;
use ocibake::net::{Backoff, HttpOptions, LeastSpeed};
use ocibake::oci::{Descriptor, media_type};
use ocibake::progress::silent;
use ocibake::registry::{Client, RegistryOptions};
use ocibake::store::Store;

use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{News, options, push, reference, text};

/// Far less than the patience, which waits for a silence and never meets one.
const LEAST: LeastSpeed = LeastSpeed { bytes: 1 << 20, within: Duration::from_millis(200) };
const PAUSE: Duration = Duration::from_millis(10);

fn hurried(least_speed: LeastSpeed) -> Client {
    let backoff = Backoff { tries: 2, ..options().http.backoff };
    Client::new(RegistryOptions { http: HttpOptions { least_speed, backoff, ..options().http }, ..options() }).unwrap()
}

#[track_caller]
fn is_slow(error: &Error, address: &str, wanted: &str) {
    assert_eq!(error.kind, ErrorKind::Registry);
    let (message, _) = text(error, address);
    assert!(message.contains(wanted), "{message}");
    assert!(message.ends_with(": too slow: fewer than 1048576 bytes passed in 0.2 s"), "{message}");
}

#[test]
fn a_blob_that_trickles_is_asked_for_again_and_then_given_up() {
    let blob = noise(1, 100_000);
    let bytes = blob.clone();
    let registry = FakeRegistry::scripted(move |request| {
        request.is("GET", "/blobs/").then(|| Reply::Trickle(bytes.clone(), PAUSE))
    });
    let client = hurried(LEAST);
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    let descriptor = Descriptor::of(media_type::LAYER, &blob);
    let read = repository.open(&descriptor).unwrap().read_to_end(&mut Vec::new());
    let error = Error::from_read("read", "blob", read.unwrap_err());
    let cause = std::error::Error::source(&error).map_or(error.message.clone(), ToString::to_string);
    assert!(cause.contains("too slow: fewer than 1048576 bytes passed in 0.2 s"), "{error:?}");
    assert_eq!(registry.count("GET", "/blobs/"), 2);
}

#[test]
fn a_document_that_trickles_is_given_up() {
    let registry = FakeRegistry::scripted(|request| {
        request.is("GET", "/tags/list").then(|| Reply::Trickle(vec![b' '; 100_000], PAUSE))
    });
    let client = hurried(LEAST);
    let error = client.repository(&reference(&registry.address(), "org/api"), &silent).tags().unwrap_err();
    is_slow(&error, &registry.address(), "GET http://HOST/v2/org/api/tags/list");
    assert_eq!(registry.count("GET", "/tags/list"), 2);
}

#[test]
fn a_file_that_trickles_is_given_up() {
    let server = FakeRegistry::scripted(|_| Some(Reply::Trickle(vec![b'x'; 100_000], PAUSE)));
    let url = format!("http://{}/file", server.address());
    let error = hurried(LEAST).http().download(&url, None, || Ok(Vec::new()), &Stop::default(), &silent).unwrap_err();
    is_slow(&error, &server.address(), "GET http://HOST/file");
}

#[test]
fn an_upload_that_is_hardly_taken_is_given_up() {
    let registry = FakeRegistry::scripted(|request| {
        let is_upload = request.is("PUT", "/blobs/uploads/") || request.is("PATCH", "/blobs/uploads/");
        is_upload.then(|| Reply::Sip(Duration::from_millis(1)))
    });
    let mut store = MemoryStore::default();
    // More than the two sides keep for the connection. They take much at once, and then nothing for a while.
    let root = store.image(&[&noise(2, 32 << 20)]);
    let client = hurried(LeastSpeed { bytes: 1 << 40, ..LEAST });
    let error = push(&client, &registry.address(), &store, &root, &["v1"], &News::default()).unwrap_err();
    let (message, _) = text(&error, &registry.address());
    assert!(message.contains(" http://HOST/v2/org/api/blobs/uploads/"), "{message}");
    assert!(message.ends_with(": too slow: fewer than 1099511627776 bytes passed in 0.2 s"), "{message}");
}

#[test]
fn what_is_fast_enough_is_not_given_up() {
    let blob = noise(3, 8 << 20);
    let registry = FakeRegistry::new();
    registry.put_blob(&blob);
    let least_speed = LeastSpeed { bytes: 1, within: Duration::from_millis(1) };
    let client =
        Client::new(RegistryOptions { http: HttpOptions { least_speed, ..options().http }, ..options() }).unwrap();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    let mut got = Vec::new();
    repository.open(&Descriptor::of(media_type::LAYER, &blob)).unwrap().read_to_end(&mut got).unwrap();
    assert!(got == blob);
}
