//! Registries that ask to be left alone for a while.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use ocibake::error::ErrorKind;
use ocibake::oci::{Descriptor, media_type};
use ocibake::progress::{Event, silent};
use ocibake::registry::Client;
use ocibake::store::Store;

use crate::support::fake_registry::{FakeRegistry, Reply, Request, token_auth};
use crate::support::memory_store::MemoryStore;
use crate::support::registry_client::{News, client, options, push, reference, text};

fn many_layers() -> (MemoryStore, Descriptor) {
    let layers: Vec<Vec<u8>> = (0..24u8).map(|number| vec![number; 100]).collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let mut store = MemoryStore::default();
    let root = store.image(&layers);
    (store, root)
}

fn too_many(wait: &str) -> Reply {
    Reply::refusal(429, "TOOMANYREQUESTS", "slow down").with("retry-after", wait)
}

#[test]
fn all_requests_wait_when_one_is_told_to_and_it_is_said_once() {
    for status in [429, 503] {
        let (begin, arrivals) = (OnceLock::new(), Arc::new(Mutex::new(Vec::new())));
        let seen = arrivals.clone();
        let registry = FakeRegistry::scripted(move |_: &Request| {
            let since = begin.get_or_init(Instant::now).elapsed();
            seen.lock().unwrap().push(since);
            (since < Duration::from_millis(200)).then(|| Reply::status(status).with("retry-after", "2"))
        });
        let (store, root) = many_layers();
        let news = News::default();
        push(&client(), &registry.address(), &store, &root, &["v1"], &news).unwrap();
        let early = arrivals.lock().unwrap().iter().filter(|since| **since < Duration::from_secs(2)).count();
        assert!(early <= 8, "{early} requests came in the time of the wait, and only 8 were on their way at once");
        assert_eq!(news.waits(), [Duration::from_secs(2)], "{status}");
        assert!(registry.manifest("org/api/v1").is_some());
    }
}

#[test]
fn waits_that_the_registry_asks_for_do_not_use_up_the_tries() {
    let refused = |refusals: usize, wait: &'static str| {
        let asked = AtomicUsize::new(0);
        let registry = FakeRegistry::scripted(move |request| {
            let is_one = request.is("PUT", "/manifests/") && asked.fetch_add(1, Ordering::SeqCst) < refusals;
            is_one.then(|| too_many(wait))
        });
        let mut hurried = options();
        hurried.http.backoff.tries = 2;
        let mut store = MemoryStore::default();
        let root = store.image(&[]);
        let client = Client::new(hurried).unwrap();
        (push(&client, &registry.address(), &store, &root, &[], &News::default()), registry.count("PUT", "/manifests/"))
    };
    let (pushed, requests) = refused(3, "1");
    pushed.unwrap();
    assert_eq!(requests, 4);
    // Without a time to wait it is a failure like any other.
    let (pushed, requests) = refused(3, "0");
    assert!(pushed.unwrap_err().message.ends_with(": 429 Too Many Requests: TOOMANYREQUESTS: slow down"));
    assert_eq!(requests, 2);
}

#[test]
fn a_wait_without_end_ends_it_after_a_short_one_too() {
    let (asked, forever) = (AtomicUsize::new(0), u64::MAX.to_string());
    let registry = FakeRegistry::scripted(move |request| {
        let is_first = || asked.fetch_add(1, Ordering::SeqCst) == 0;
        request.is("PUT", "/manifests/").then(|| too_many(if is_first() { "1" } else { &forever }))
    });
    let mut store = MemoryStore::default();
    let root = store.index(Vec::new());
    let error = push(&client(), &registry.address(), &store, &root, &[], &News::default()).unwrap_err();
    assert!(error.hint.unwrap().contains("wait for 5124095576030432 h"));
    assert_eq!(registry.count("PUT", "/manifests/"), 2);
}

#[test]
fn a_token_server_is_waited_for_as_well() {
    let (asked, auth) = (AtomicUsize::new(0), token_auth(usize::MAX));
    let registry = FakeRegistry::scripted(move |request| {
        let is_first = request.path == "/token" && asked.fetch_add(1, Ordering::SeqCst) == 0;
        if is_first { Some(too_many("1")) } else { auth(request) }
    });
    let (store, root) = many_layers();
    let news = News::default();
    push(&client(), &registry.address(), &store, &root, &["v1"], &news).unwrap();
    assert_eq!(news.waits(), [Duration::from_secs(1)]);
    assert_eq!(registry.count("GET", "/token"), 2);
}

#[test]
fn the_storage_that_a_registry_sends_to_is_waited_for() {
    let asked = AtomicUsize::new(0);
    let storage = FakeRegistry::scripted(move |_| {
        let is_first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        Some(match is_first {
            true => Reply::status(503).with("retry-after", "1"),
            false => Reply::Answer(200, Vec::new(), b"a layer".to_vec()),
        })
    });
    let target = format!("http://{}/bucket?signature=s3cret", storage.address());
    let registry = FakeRegistry::scripted(move |_| Some(Reply::status(307).with("location", target.clone())));
    let (client, news) = (client(), News::default());
    let tell = |event: Event<'_>| news.tell(event);
    let repository = client.repository(&reference(&registry.address(), "org/api"), &tell);
    let start = Instant::now();
    let layer = Descriptor::of(media_type::LAYER, b"a layer");
    std::io::copy(&mut repository.open(&layer).unwrap(), &mut std::io::sink()).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(news.waits(), [Duration::from_secs(1)]);
    let retried: Vec<String> = news.lines().into_iter().filter(|line| line.starts_with("retrying ")).collect();
    assert!(retried[0].ends_with("/bucket: 503 Service Unavailable"), "{retried:?}");
}

#[test]
fn a_used_up_pull_limit_ends_at_once_with_the_time_to_wait() {
    // As Docker Hub tells of it.
    let auth = token_auth(usize::MAX);
    let registry = FakeRegistry::scripted(move |request| {
        auth(request).or_else(|| {
            let reply = Reply::refusal(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.");
            Some(reply.with("ratelimit-limit", "100;w=21600").with("ratelimit-remaining", "0;w=21600"))
        })
    });
    let client = client();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    let manifest = Descriptor::of(media_type::IMAGE_MANIFEST, b"{}");
    let Err(error) = repository.open(&manifest) else { panic!("it was refused") };
    assert_eq!(error.kind, ErrorKind::Registry);
    assert_eq!(
        text(&error, &registry.address()),
        (
            format!(
                "GET http://HOST/v2/org/api/manifests/{}: 429 Too Many Requests: TOOMANYREQUESTS: You have reached \
                 your pull rate limit.",
                manifest.digest
            ),
            "the registry limits the rate of requests: wait for 6 h before the next try, or log in with \
             `ocibake login HOST`"
                .to_owned()
        )
    );
    assert_eq!(registry.count("GET", "/manifests/"), 2, "once without a token and once with it");
}

#[test]
fn a_wait_that_is_too_long_holds_nobody_up() {
    let asked = AtomicUsize::new(0);
    let registry = FakeRegistry::scripted(move |request| {
        (request.is("HEAD", "") && asked.fetch_add(1, Ordering::SeqCst) == 0).then(|| too_many("61"))
    });
    let client = client();
    let find = || client.repository(&reference(&registry.address(), "org/api"), &silent).find("v1");
    let error = find().unwrap_err();
    let hint = "the registry limits the rate of requests: wait for 61 s before the next try";
    assert_eq!(text(&error, &registry.address()).1, hint);
    assert_eq!(find().unwrap(), None, "whoever asks again is not held back by a wait that was not waited for");
}
