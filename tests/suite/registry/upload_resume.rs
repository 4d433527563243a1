//! Uploads that are cut off and taken up again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::fake_registry::{FakeRegistry, Reply, Request, digest};
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{News, alone, push, text};

const SIZE: usize = 3 << 20;

/// Has bytes of a layer of [`SIZE`] in it: the config is smaller.
fn carries(request: &Request) -> bool {
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.path.contains("/uploads/") && length > 10_000
}

/// Does what `replies` has for them to the requests that [carry](carries) a part of the layer.
fn at_each_part(
    replies: impl Fn(usize) -> Option<Reply> + Send + Sync + 'static,
) -> impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static {
    let seen = AtomicUsize::new(0);
    move |request| carries(request).then(|| replies(seen.fetch_add(1, Ordering::SeqCst))).flatten()
}

/// Pushes an image with one layer of [`SIZE`], which arrives as it is. Returns the methods and lengths of the requests that carry it.
#[track_caller]
fn pushed(registry: &FakeRegistry) -> (News, Vec<(String, usize)>) {
    let mut store = MemoryStore::default();
    let layer = noise(1, SIZE);
    let root = store.image(&[&layer]);
    let news = News::default();
    push(&alone(), &registry.address(), &store, &root, &["v1"], &news).unwrap();
    assert!(registry.blob(digest(&layer)) == Some(layer.clone()));
    assert!(registry.manifest("org/api/v1").is_some());
    assert_eq!(news.advanced_of(&layer), SIZE as u64);
    let parts = registry.requests().into_iter().filter(carries);
    (news, parts.map(|part| (part.method, part.body.len())).collect())
}

fn parts(wanted: &[(&str, usize)]) -> Vec<(String, usize)> {
    wanted.iter().map(|(method, size)| (method.to_string(), *size)).collect()
}

#[test]
fn an_upload_goes_on_where_it_was_cut_off() {
    let registry = FakeRegistry::scripted(at_each_part(|part| (part < 2).then_some(Reply::Cut(1_000_000))));
    let (news, sent) = pushed(&registry);
    assert_eq!(sent, parts(&[("PUT", 1_000_000), ("PATCH", 1_000_000), ("PATCH", SIZE - 2_000_000)]));
    assert_eq!(registry.count("POST", "/uploads/"), 2, "one for the layer and one for the config");
    assert_eq!(registry.count("GET", "/uploads/"), 2);
    let restarts: Vec<_> = news.lines().into_iter().filter(|line| line.starts_with("restarted")).collect();
    let at = |from: usize| format!("restarted {} at {from}", digest(&noise(1, SIZE)));
    assert_eq!(restarts, [at(1_000_000), at(2_000_000)]);
}

#[test]
fn it_is_cut_more_often_than_there_are_tries_and_gets_further_each_time() {
    let registry = FakeRegistry::scripted(at_each_part(|part| (part < 20).then_some(Reply::Cut(100_000))));
    let (_, sent) = pushed(&registry);
    assert_eq!(sent.len(), 21);
    assert_eq!(sent.iter().map(|(_, size)| size).sum::<usize>(), SIZE, "no byte goes twice");
}

#[test]
fn an_answer_that_was_lost_is_not_needed() {
    // All bytes have come, the answer has not; the second time it is that to the PATCH.
    let registry = FakeRegistry::scripted(at_each_part(|part| (part < 1).then_some(Reply::Cut(SIZE))));
    let (_, sent) = pushed(&registry);
    assert_eq!(sent, parts(&[("PUT", SIZE)]));
    let registry = FakeRegistry::scripted(at_each_part(|part| match part {
        0 => Some(Reply::Cut(1_000_000)),
        1 => Some(Reply::Cut(SIZE - 1_000_000)),
        _ => None,
    }));
    let (_, sent) = pushed(&registry);
    assert_eq!(sent, parts(&[("PUT", 1_000_000), ("PATCH", SIZE - 1_000_000)]));
}

/// The registry took the blob, and only its answer was cut off: HEAD tells.
#[test]
fn a_blob_that_arrived_unheard_is_not_sent_again() {
    let missed = AtomicUsize::new(0);
    let blob = format!("/blobs/{}", digest(&noise(1, SIZE)));
    let registry = FakeRegistry::scripted(move |request| {
        let first = request.is("HEAD", &blob) && missed.fetch_add(1, Ordering::SeqCst) == 0;
        match carries(request) {
            true => Some(Reply::Cut(0)),
            false => first.then(|| Reply::status(404)),
        }
    });
    registry.put_blob(&noise(1, SIZE));
    let mut store = MemoryStore::default();
    let root = store.image(&[&noise(1, SIZE)]);
    push(&alone(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    assert_eq!(registry.requests().iter().filter(|request| carries(request)).count(), 1);
}

#[test]
fn a_failure_of_the_server_in_the_middle_is_taken_up_too() {
    for status in [500, 502, 503, 504, 429] {
        let registry = FakeRegistry::scripted(at_each_part(move |part| match part {
            0 => Some(Reply::Cut(2_000_000)),
            1 => Some(Reply::status(status)),
            _ => None,
        }));
        let (_, sent) = pushed(&registry);
        let rest = SIZE - 2_000_000;
        assert_eq!(sent, parts(&[("PUT", 2_000_000), ("PATCH", rest), ("PATCH", rest)]), "{status}");
    }
}

#[test]
fn a_registry_that_falls_silent_in_the_middle_is_asked_where_it_stands() {
    let registry = FakeRegistry::scripted(at_each_part(|part| match part {
        0 => Some(Reply::Cut(2_000_000)),
        1 => Some(Reply::Silence(Duration::from_secs(600))),
        _ => None,
    }));
    let mut store = MemoryStore::default();
    let root = store.image(&[&noise(1, SIZE)]);
    let client = crate::support::registry_client::with_patience(Duration::from_millis(500));
    push(&client, &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    assert!(registry.blob(digest(&noise(1, SIZE))).is_some());
}

#[test]
fn where_the_registry_cannot_tell_the_upload_begins_anew() {
    let answers: [fn() -> Reply; 8] = [
        || Reply::refusal(404, "BLOB_UPLOAD_INVALID", "blob upload invalid"),
        || Reply::status(405),
        || Reply::status(500),
        || Reply::status(204),
        || Reply::status(204).with("range", "0-0"),
        || Reply::status(204).with("range", "0-99999999"),
        || Reply::status(204).with("range", "5-100000"),
        || Reply::status(307).with("location", "."),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let cut = at_each_part(|part| (part == 0).then_some(Reply::Cut(1_000_000)));
        let registry = FakeRegistry::scripted(move |request| match request.is("GET", "/uploads/") {
            true => Some(answer()),
            false => cut(request),
        });
        let (news, sent) = pushed(&registry);
        assert_eq!(sent, parts(&[("PUT", 1_000_000), ("PUT", SIZE)]), "answer {number}");
        assert_eq!(news.waits().len(), 1, "answer {number}");
    }
}

#[test]
fn where_the_rest_is_refused_the_upload_begins_anew() {
    for status in [400, 404, 405, 416] {
        let registry = FakeRegistry::scripted(at_each_part(move |part| match part {
            0 => Some(Reply::Cut(1_000_000)),
            1 => Some(Reply::status(status)),
            _ => None,
        }));
        let (_, sent) = pushed(&registry);
        let wanted = [("PUT", 1_000_000), ("PATCH", SIZE - 1_000_000), ("PUT", SIZE)];
        assert_eq!(sent, parts(&wanted), "{status}");
    }
}

#[test]
fn a_registry_that_wants_other_bytes_than_it_said_gets_them() {
    let cut = at_each_part(|part| (part == 0).then_some(Reply::Cut(1_000_000)));
    let registry = FakeRegistry::scripted(move |request| match request.is("GET", "/uploads/") {
        true => {
            let reply = Reply::status(204).with("range", "0-899999");
            Some(reply.with("location", format!("{}?_state=a%2Bb%3D1", request.path)))
        }
        false => cut(request),
    });
    let (_, sent) = pushed(&registry);
    let wanted = [("PUT", 1_000_000), ("PATCH", SIZE - 900_000), ("PATCH", SIZE - 1_000_000)];
    assert_eq!(sent, parts(&wanted));
}

/// What it has is not what it was sent: its own check of the digest fails, and what is sent anew passes.
#[test]
fn a_registry_that_lost_some_bytes_gets_all_of_them_again() {
    let cut = at_each_part(|part| (part == 0).then_some(Reply::Cut(1_000_000)));
    let refused = AtomicUsize::new(0);
    let registry = FakeRegistry::scripted(move |request| {
        let completes = request.is("PUT", "/uploads/1") && !carries(request);
        let refuses = completes && refused.fetch_add(1, Ordering::SeqCst) == 0;
        match refuses {
            true => Some(Reply::refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")),
            false => cut(request),
        }
    });
    let (_, sent) = pushed(&registry);
    assert_eq!(sent, parts(&[("PUT", 1_000_000), ("PATCH", SIZE - 1_000_000), ("PUT", SIZE)]));
}

#[test]
fn a_chunk_that_was_cut_off_goes_on_in_chunks() {
    let cut = at_each_part(|part| (part == 3).then_some(Reply::Cut(65_536)));
    let registry = FakeRegistry::scripted(move |request| {
        let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        let reply = cut(request);
        reply.or_else(|| (length > 1 << 20).then_some(Reply::Hasty(413)))
    });
    let (_, sent) = pushed(&registry);
    let taken: Vec<_> = sent.iter().map(|(_, size)| *size).filter(|size| *size > 0).collect();
    // The whole and 4 MiB are refused unread; then 1 MiB, 64 KiB of the second chunk, and the rest of all.
    assert_eq!(taken, [1 << 20, 65_536, 1 << 20, (1 << 20) - 65_536]);
}

#[test]
fn an_upload_that_gets_nowhere_ends_with_the_last_reason() {
    let registry = FakeRegistry::scripted(|request| carries(request).then_some(Reply::Cut(0)));
    let mut store = MemoryStore::default();
    let root = store.image(&[&noise(1, SIZE)]);
    let error = push(&alone(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap_err();
    let (message, _) = text(&error, &registry.address());
    assert!(message.starts_with("PUT http://HOST/v2/org/api/blobs/uploads/"), "{message}");
    assert_eq!(registry.requests().iter().filter(|request| carries(request)).count(), 5);
}
