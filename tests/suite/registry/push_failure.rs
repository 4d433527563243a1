//! A push that fails: what is tried again, what is said, and what is stopped.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ocibake::error::ErrorKind;
use ocibake::net::HttpOptions;
use ocibake::oci::{Descriptor, media_type};
use ocibake::registry::{Client, RegistryOptions};
use ocibake::store::{Graph, Store};

use crate::support::fake_registry::{FakeRegistry, Reply, Request, digest};
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::port::Port;
use crate::support::registry_client::{News, client, options, push, reference, text};

fn one_image() -> (MemoryStore, Descriptor) {
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a layer"]);
    (store, root)
}

/// Pushes a small image, which has to fail, and returns the kind, text and hint of the error.
fn failing_push(registry: &FakeRegistry, client: &Client) -> (ErrorKind, String, String) {
    let (store, root) = one_image();
    let error = push(client, &registry.address(), &store, &root, &["v1"], &News::default()).unwrap_err();
    let (message, hint) = text(&error, &registry.address());
    (error.kind, message, hint)
}

/// Does `reply` at the first `times` requests that `wanted` holds for.
fn first(
    times: usize,
    wanted: impl Fn(&Request) -> bool + Send + Sync + 'static,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static {
    let seen = AtomicUsize::new(0);
    move |request| (wanted(request) && seen.fetch_add(1, Ordering::SeqCst) < times).then(&reply)
}

#[test]
fn too_many_requests_wait_as_long_as_they_are_told() {
    let registry = FakeRegistry::scripted(first(
        1,
        |request| request.is("PUT", "/manifests/v1"),
        || Reply::refusal(429, "TOOMANYREQUESTS", "slow down").with("retry-after", "1"),
    ));
    let (store, root) = one_image();
    let news = News::default();
    let start = Instant::now();
    push(&client(), &registry.address(), &store, &root, &["v1"], &news).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(news.waits(), [Duration::from_secs(1)]);
    let line = news.lines().into_iter().find(|line| line.starts_with("retrying")).unwrap();
    let line = line.replace(&registry.address(), "HOST");
    assert_eq!(
        line,
        "retrying PUT http://HOST/v2/org/api/manifests/v1: 429 Too Many Requests: TOOMANYREQUESTS: slow down"
    );
}

#[test]
fn bursts_of_server_errors_pass() {
    for status in [408, 500, 502, 503, 504] {
        let registry = FakeRegistry::scripted(first(4, |_| true, move || Reply::status(status)));
        let (store, root) = one_image();
        let news = News::default();
        push(&client(), &registry.address(), &store, &root, &["v1"], &news).unwrap();
        assert_eq!(news.waits().len(), 4, "{status}");
        assert!(registry.manifest("org/api/v1").is_some());
    }
}

#[test]
fn after_five_tries_the_last_failure_is_reported() {
    let registry = FakeRegistry::scripted(|request| {
        request.is("PUT", "/manifests/").then(|| Reply::refusal(500, "UNKNOWN", "the disk is full"))
    });
    let (kind, message, _) = failing_push(&registry, &client());
    assert_eq!(kind, ErrorKind::Registry);
    let (_, root) = one_image();
    assert_eq!(
        message,
        format!(
            "PUT http://HOST/v2/org/api/manifests/{}: 500 Internal Server Error: UNKNOWN: the disk is full",
            root.digest
        )
    );
    assert_eq!(registry.count("PUT", "/manifests/"), 5);
}

#[test]
fn an_upload_that_is_cut_off_begins_again_where_the_registry_cannot_tell_where_it_stands() {
    let layer = noise(1, 2 << 20);
    let size = layer.len().to_string();
    let big = move |request: &Request| request.method == "PUT" && request.header("content-length") == Some(&size);
    let cut = first(2, big.clone(), || Reply::Cut(700_000));
    let registry = FakeRegistry::scripted(move |request| match request.is("GET", "/uploads/") {
        true => Some(Reply::refusal(404, "BLOB_UPLOAD_INVALID", "blob upload invalid")),
        false => cut(request),
    });
    let mut store = MemoryStore::default();
    let root = store.image(&[&layer]);
    let news = News::default();
    let calm = Client::new(RegistryOptions { parallel: 1, ..options() }).unwrap();
    push(&calm, &registry.address(), &store, &root, &["v1"], &news).unwrap();

    let puts: Vec<_> = registry.requests().into_iter().filter(|request| big(request)).collect();
    assert_eq!(puts.iter().map(|put| put.body.len()).collect::<Vec<_>>(), [700_000, 700_000, 2 << 20]);
    let sessions: std::collections::HashSet<_> = puts.iter().map(|put| put.path.clone()).collect();
    assert_eq!(sessions.len(), 3);
    assert_eq!(registry.blob(digest(&layer)).unwrap(), layer);
    let restarted = format!("restarted {} at 0", digest(&layer));
    assert_eq!(news.lines().iter().filter(|line| **line == restarted).count(), 2);
    assert_eq!(news.advanced(), layer.len() as u64, "bytes of the voided tries are not counted after a restart");
}

#[test]
fn damaged_content_is_the_stores_error_and_never_reaches_the_registry() {
    let registry = FakeRegistry::new();
    let mut store = MemoryStore::default();
    let layer = noise(1, 1 << 20);
    let root = store.image(&[&layer]);
    let mut damaged = layer.clone();
    damaged[1 << 19] ^= 1;
    store.damage(Descriptor::of(media_type::LAYER, &layer).digest, &damaged);
    let news = News::default();
    let error = push(&client(), &registry.address(), &store, &root, &["v1"], &news).unwrap_err();

    assert_eq!(error.kind, ErrorKind::Integrity);
    assert_eq!(error.message, format!("blob {} has the digest {}", digest(&layer), digest(&damaged)));
    assert_eq!(news.waits().len(), 0, "it is not tried again");
    let sent = registry.requests().iter().map(|request| request.body.len()).max().unwrap();
    assert!(sent < layer.len(), "the last piece stays here");
    assert!(registry.manifest("org/api/v1").is_none());
}

#[test]
fn a_blob_that_the_store_lacks_is_the_stores_error() {
    struct Empty;
    impl Store for Empty {
        fn open(&self, _: &Descriptor) -> ocibake::error::Result<Box<dyn std::io::Read + Send + '_>> {
            Err(ocibake::error::Error::not_found("the store is empty"))
        }
        fn resolve(&self, _: Option<&str>) -> ocibake::error::Result<Descriptor> {
            unreachable!()
        }
    }
    let registry = FakeRegistry::new();
    let (store, root) = one_image();
    let client = client();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &ocibake::progress::silent);
    let error = repository.upload(&store.graph(&root), &Empty).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::NotFound, "the store is empty"));
}

#[test]
fn a_registry_that_kept_something_else_is_found_out() {
    let registry = FakeRegistry::scripted(|request| {
        let wrong = digest(b"something else");
        request.is("PUT", "/blobs/uploads/").then(|| Reply::status(201).with("docker-content-digest", wrong))
    });
    let mut store = MemoryStore::default();
    let root = store.image(&[]);
    let error = push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Integrity);
    assert_eq!(
        text(&error, &registry.address()).0,
        format!(
            "PUT http://HOST/v2/org/api/blobs/uploads/0: the registry has the digest {}, but {} was expected",
            digest(b"something else"),
            store.graph(&root).blobs[0].digest
        )
    );
}

#[test]
fn a_manifest_that_was_kept_as_something_else_is_found_out() {
    for name in ["sha256:", "v1"] {
        let registry = FakeRegistry::scripted(move |request| {
            let wrong = digest(b"something else");
            let is_it = request.is("PUT", &format!("/manifests/{name}"));
            is_it.then(|| Reply::status(201).with("docker-content-digest", wrong))
        });
        let (kind, message, _) = failing_push(&registry, &client());
        assert_eq!(kind, ErrorKind::Integrity);
        assert!(message.contains(&format!("the registry has the digest {}", digest(b"something else"))), "{message}");
    }
}

#[test]
fn a_refusal_is_told_in_the_registrys_words_and_not_repeated() {
    let cases = [
        (401, ErrorKind::Denied, "401 Unauthorized", "log in with `ocibake login HOST`"),
        (403, ErrorKind::Denied, "403 Forbidden", "log in with `ocibake login HOST`"),
        (
            404,
            ErrorKind::NotFound,
            "404 Not Found",
            "check the name org/api: some registries want a repository to be created before the first push",
        ),
        (400, ErrorKind::Registry, "400 Bad Request", ""),
        (
            413,
            ErrorKind::Registry,
            "413 Payload Too Large",
            "the registry, or a proxy before it, limits the size of uploads (nginx does by client_max_body_size)",
        ),
    ];
    for (status, kind, words, hint) in cases {
        let registry = FakeRegistry::scripted(move |request| {
            let refusal = || Reply::refusal(status, "DENIED", "not for you").with("x-secret", "s3cret");
            request.is("POST", "/blobs/uploads/").then(refusal)
        });
        let calm = Client::new(RegistryOptions { parallel: 1, ..options() }).unwrap();
        let got = failing_push(&registry, &calm);
        let message = format!("POST http://HOST/v2/org/api/blobs/uploads/: {words}: DENIED: not for you");
        assert_eq!(got, (kind, message, hint.to_owned()));
        assert_eq!(registry.count("POST", ""), 1);
    }
}

#[test]
fn a_refusal_before_the_end_of_an_upload_is_heard() {
    let registry = FakeRegistry::scripted(|request| {
        let size: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        (size > 10_000).then_some(Reply::Hasty(413))
    });
    let mut store = MemoryStore::default();
    let root = store.image(&[&noise(1, 8 << 20)]);
    let error = push(&client(), &registry.address(), &store, &root, &[], &News::default()).unwrap_err();
    let (message, hint) = text(&error, &registry.address());
    assert!(message.starts_with("PUT ") && message.ends_with(": 413 Payload Too Large"), "{message}");
    assert!(hint.starts_with("the registry, or a proxy before it, limits the size of uploads"), "{hint}");
}

#[test]
fn the_query_of_an_upload_is_in_no_error() {
    let registry = FakeRegistry::scripted(|request| match request.method.as_str() {
        "POST" => Some(Reply::status(202).with("location", "/upload?signature=s3cret")),
        "PUT" => Some(Reply::status(418)),
        _ => None,
    });
    let (_, message, hint) = failing_push(&registry, &client());
    assert_eq!((message.as_str(), hint.as_str()), ("PUT http://HOST/upload: 418 I'm a teapot", ""));
}

#[test]
fn a_registry_that_is_not_there_is_said_to_be_so() {
    let port = Port::new();
    let address = port.to_string();
    let mut store = MemoryStore::default();
    let root = store.image(&[]);
    let news = News::default();
    let error = push(&client(), &address, &store, &root, &[], &news).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry);
    let (message, hint) = text(&error, &address);
    assert_eq!(
        message,
        format!(
            "HEAD http://HOST/v2/org/api/manifests/{}: cannot connect: Connection refused (os error 111)",
            root.digest
        )
    );
    assert_eq!(hint, "nothing listens at HOST: is the registry running, and are its name and port right?");
    assert_eq!(news.waits().len(), 4);
}

#[test]
fn a_name_that_nobody_knows_is_said_to_be_so() {
    // No name server is asked for a label of more than 63 characters.
    let host = format!("{}.test", "a".repeat(64));
    let mut store = MemoryStore::default();
    let root = store.image(&[]);
    let error = push(&client(), &host, &store, &root, &[], &News::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry);
    let (message, hint) = text(&error, &host);
    assert!(message.starts_with("HEAD https://HOST/v2/org/api/manifests/sha256:"), "{message}");
    assert!(message.contains(": cannot connect: "), "{message}");
    let unknown = "the name HOST cannot be resolved: is it right, and is there a network?";
    assert_eq!(hint, unknown);

    // Without TLS it is the resolver that finds out.
    let elsewhere = format!("http://{host}/key");
    let registry = FakeRegistry::scripted(move |_| Some(Reply::status(307).with("location", elsewhere.clone())));
    let error = push(&client(), &registry.address(), &store, &root, &[], &News::default()).unwrap_err();
    let (message, hint) = text(&error, &host);
    assert!(message.starts_with("HEAD http://HOST/key: cannot connect: "), "{message}");
    assert_eq!(hint, unknown);
}

#[test]
fn a_registry_that_falls_silent_is_given_up() {
    let registry = FakeRegistry::scripted(|request| {
        request.is("PUT", "/manifests/").then(|| Reply::Silence(Duration::from_secs(600)))
    });
    let mut hurried =
        RegistryOptions { http: HttpOptions { patience: Duration::from_millis(200), ..options().http }, ..options() };
    hurried.http.backoff.tries = 2;
    let start = Instant::now();
    let (kind, message, _) = failing_push(&registry, &Client::new(hurried).unwrap());
    assert_eq!(kind, ErrorKind::Registry);
    assert!(message.ends_with(": no answer for 0.2 s"), "{message}");
    assert!(start.elapsed() < Duration::from_secs(300));
}

#[test]
fn the_first_failure_stops_the_other_uploads() {
    // The refusal waits until the other upload is under way.
    let begun = AtomicBool::new(false);
    let registry = FakeRegistry::scripted(move |request| {
        let size = request.header("content-length").unwrap_or_default();
        match (request.method.as_str(), size) {
            ("PUT", "5") => {
                while !begun.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Some(Reply::refusal(403, "DENIED", "not this one"))
            }
            ("PUT", "33554432") => {
                begun.store(true, Ordering::SeqCst);
                Some(Reply::Silence(Duration::from_secs(600)))
            }
            _ => None,
        }
    });
    let mut store = MemoryStore::default();
    let large = noise(1, 32 << 20);
    let root = store.image(&[&large, b"small"]);
    let start = Instant::now();
    let error = push(&client(), &registry.address(), &store, &root, &[], &News::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(start.elapsed() < Duration::from_secs(200), "it took {:?}", start.elapsed());
}

#[test]
fn a_manifest_over_four_mebibytes_is_refused_before_anything_is_sent() {
    let registry = FakeRegistry::new();
    let store = MemoryStore::default();
    let bytes = vec![b' '; (4 << 20) + 1];
    let descriptor = Descriptor::of(media_type::IMAGE_MANIFEST, &bytes);
    let message = format!(
        "application/vnd.oci.image.manifest.v1+json {} has 4194305 bytes, more than the 4194304 that registries take",
        descriptor.digest
    );
    let graph = Graph { blobs: Vec::new(), manifests: vec![(descriptor, bytes)] };
    let client = client();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &ocibake::progress::silent);
    let error = repository.upload(&graph, &store).unwrap_err();
    assert_eq!((error.kind, error.message), (ErrorKind::Input, message));
    assert_eq!(registry.requests().len(), 0);
}
