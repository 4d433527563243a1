//! Registries, and proxies before them, that do not take a blob in one piece.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::fake_registry::{FakeRegistry, Reply, Request, digest};
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{News, alone, client, push, text};

const MIB: usize = 1 << 20;

fn length(request: &Request) -> usize {
    request.header("content-length").map_or(0, |length| length.parse().unwrap())
}

/// A PUT that carries a blob.
fn is_whole(request: &Request) -> bool {
    request.is("PUT", "/blobs/uploads/") && length(request) > 0
}

/// Pushes images with these layers, one after the other; each arrives as it is.
#[track_caller]
fn pushed(registry: &FakeRegistry, layers: &[&[u8]]) -> News {
    let (client, news) = (alone(), News::default());
    for layer in layers {
        let mut store = MemoryStore::default();
        let root = store.image(&[layer]);
        push(&client, &registry.address(), &store, &root, &["v1"], &news).unwrap();
        assert!(registry.blob(digest(layer)).as_deref() == Some(layer));
    }
    assert_eq!(news.waits().len(), 0, "a refusal is not tried again");
    news
}

/// Length and `Content-Range` of the chunks that came.
fn chunks(registry: &FakeRegistry) -> Vec<(usize, String)> {
    let patches = registry.requests().into_iter().filter(|request| request.method == "PATCH");
    patches.map(|patch| (patch.body.len(), patch.header("content-range").unwrap_or_default().to_owned())).collect()
}

#[test]
fn what_is_refused_in_one_piece_goes_in_chunks_and_so_does_the_next() {
    for status in [400, 404, 405, 411, 413, 416] {
        let registry = FakeRegistry::scripted(move |request| is_whole(request).then(|| Reply::status(status)));
        let layer = noise(1, 9 * MIB + 5);
        let config_and_layers = 4;
        pushed(&registry, &[&layer, b"small"]);
        let sizes: Vec<_> = chunks(&registry).into_iter().filter(|(size, _)| *size > 1000).collect();
        let wanted = [(4 * MIB, "0-4194303"), (4 * MIB, "4194304-8388607"), (MIB + 5, "8388608-9437188")];
        assert_eq!(sizes, wanted.map(|(size, range)| (size, range.to_owned())), "{status}");
        assert_eq!(registry.requests().iter().filter(|request| is_whole(request)).count(), 1, "{status}: only once");
        assert_eq!(registry.count("POST", "/uploads/"), config_and_layers + 1, "{status}: anew for the chunks");
    }
}

/// The body limit of a proxy; nginx has one of 1 MiB if nobody sets another.
#[test]
fn chunks_shrink_until_they_pass_a_limit() {
    for (limit, size) in [(4 * MIB, 4 * MIB), (MIB, MIB), (MIB - 1, MIB / 4), (100_000, 65_536)] {
        let registry = FakeRegistry::scripted(move |request| (length(request) > limit).then_some(Reply::Hasty(413)));
        pushed(&registry, &[&noise(1, 6 * MIB), &noise(2, 5 * MIB)]);
        let taken = chunks(&registry).iter().filter(|(length, _)| *length == size).count();
        assert_eq!(taken, 6 * MIB / size + 5 * MIB / size, "{limit}");
    }
}

#[test]
fn chunks_are_as_large_as_the_registry_wants_them() {
    let asks = |request: &Request| match request.method.as_str() {
        "POST" => {
            let path = format!("{}7", request.path);
            Some(Reply::status(202).with("location", path).with("oci-chunk-min-length", "5242880"))
        }
        "PUT" if is_whole(request) => Some(Reply::status(405)),
        // ECR answers a chunk with 201.
        "PATCH" => {
            let last = request.header("content-range").unwrap().split('-').nth(1).unwrap();
            Some(Reply::status(201).with("range", format!("0-{last}")).with("location", request.path.clone()))
        }
        "PUT" => Some(Reply::status(201)),
        _ => None,
    };
    let registry = FakeRegistry::scripted(asks);
    let mut store = MemoryStore::default();
    let root = store.image(&[&noise(1, 12 * MIB)]);
    push(&alone(), &registry.address(), &store, &root, &[], &News::default()).unwrap();
    let sizes: Vec<_> = chunks(&registry).into_iter().map(|(size, _)| size).filter(|size| *size > 1000).collect();
    assert_eq!(sizes, [5 * MIB, 5 * MIB, 2 * MIB]);
}

/// One that wants at least 5 MiB, and does not say so.
#[test]
fn chunks_grow_where_they_are_too_small() {
    let total = 21 * MIB;
    let registry = FakeRegistry::scripted(move |request| {
        let last = request.header("content-range").is_some_and(|range| range.ends_with(&format!("-{}", total - 1)));
        let is_too_small = request.method == "PATCH" && length(request) < 5 * MIB && length(request) > 1000 && !last;
        (is_too_small || is_whole(request)).then(|| Reply::status(400))
    });
    pushed(&registry, &[&noise(1, total)]);
    let sizes: Vec<_> = chunks(&registry).into_iter().map(|(size, _)| size).filter(|size| *size > 1000).collect();
    assert_eq!(sizes, [4 * MIB, 16 * MIB, 5 * MIB]);
}

/// A small blob that goes up whole after that does not undo what a large one has found out.
#[test]
fn a_form_that_was_found_is_kept() {
    let registry = FakeRegistry::scripted(|request| {
        let size = length(request);
        if request.method == "PUT" && size == 7 {
            std::thread::sleep(std::time::Duration::from_secs(2));
        }
        (size > 4 * MIB).then_some(Reply::Hasty(413))
    });
    let client = client();
    for layers in [[noise(1, 5 * MIB), b"7 bytes".to_vec()], [noise(2, 5 * MIB), b"other".to_vec()]] {
        let mut store = MemoryStore::default();
        let root = store.image(&[&layers[0], &layers[1]]);
        push(&client, &registry.address(), &store, &root, &[], &News::default()).unwrap();
    }
    let refused = registry.requests().into_iter().filter(|request| length(request) > 4 * MIB);
    assert_eq!(refused.count(), 1);
}

/// As GHCR does it with what is over 4 MiB; Google's takes no chunks at all.
#[test]
fn a_registry_that_takes_no_chunks_gets_none() {
    let registry = FakeRegistry::scripted(|request| (request.method == "PATCH").then(|| Reply::status(416)));
    pushed(&registry, &[&noise(1, 9 * MIB), b"small"]);
    assert_eq!(registry.count("PATCH", ""), 0);
}

#[test]
fn where_nothing_helps_the_first_refusal_is_told() {
    let registry = FakeRegistry::scripted(|request| match request.method.as_str() {
        "PUT" => Some(Reply::refusal(400, "BLOB_UPLOAD_INVALID", "not like this")),
        "PATCH" => Some(Reply::refusal(405, "UNSUPPORTED", "nor like that")),
        _ => None,
    });
    let mut store = MemoryStore::default();
    let root = store.image(&[]);
    let error = push(&client(), &registry.address(), &store, &root, &[], &News::default()).unwrap_err();
    let (message, _) = text(&error, &registry.address());
    assert_eq!(
        message,
        "PUT http://HOST/v2/org/api/blobs/uploads/0: 400 Bad Request: BLOB_UPLOAD_INVALID: not like this"
    );
    assert_eq!(registry.count("PATCH", ""), 2, "in two sizes");
}

#[test]
fn a_registry_that_takes_less_than_it_is_given_gets_the_rest_again() {
    // Of each chunk it keeps a half, and says so.
    let kept = AtomicUsize::new(0);
    let total = 8 * MIB;
    let registry = FakeRegistry::scripted(move |request| match request.method.as_str() {
        "PATCH" if length(request) > 1000 => {
            let start: usize = request.header("content-range").unwrap().split('-').next().unwrap().parse().unwrap();
            assert_eq!(start, kept.load(Ordering::SeqCst));
            let has = if total - start > MIB { start + length(request) / 2 } else { total };
            kept.store(has, Ordering::SeqCst);
            let range = format!("bytes=0-{}", has - 1);
            Some(Reply::status(202).with("location", request.path.clone()).with("range", range))
        }
        "PUT" if is_whole(request) => Some(Reply::status(413)),
        "PUT" => Some(Reply::status(201)),
        _ => None,
    });
    let mut store = MemoryStore::default();
    let layer = noise(1, total);
    let root = store.image(&[&layer]);
    let news = News::default();
    push(&alone(), &registry.address(), &store, &root, &[], &news).unwrap();
    assert_eq!(news.advanced_of(&layer), total as u64);
    for patch in registry.requests().into_iter().filter(|request| request.method == "PATCH" && length(request) > 1000) {
        let range = patch.header("content-range").unwrap().split('-').map(|at| at.parse().unwrap());
        let range: Vec<usize> = range.collect();
        assert!(patch.body == layer[range[0]..=range[1]]);
    }
}

#[test]
fn an_upload_that_never_moves_on_is_an_error() {
    let registry = FakeRegistry::scripted(|request| match request.method.as_str() {
        "PUT" if is_whole(request) => Some(Reply::status(413)),
        "PATCH" => Some(Reply::status(202).with("location", request.path.clone()).with("range", "0-9")),
        _ => None,
    });
    let mut store = MemoryStore::default();
    let root = store.image(&[&noise(1, 6 * MIB)]);
    let error = push(&alone(), &registry.address(), &store, &root, &[], &News::default()).unwrap_err();
    let (message, _) = text(&error, &registry.address());
    assert!(message.ends_with(" bytes and has 10 of them"), "{message}");
}

#[test]
fn each_request_goes_where_the_answer_before_it_points() {
    let registry = FakeRegistry::scripted(|request| is_whole(request).then(|| Reply::status(405)));
    let layer = noise(1, 9 * MIB);
    pushed(&registry, &[&layer]);
    let uploads = registry.requests().into_iter().filter(|request| ["PATCH", "PUT"].contains(&&*request.method));
    // The first session is that of the refused config, the second that of its chunks.
    let of_layer: Vec<_> = uploads.filter(|request| request.path.ends_with("/2")).collect();
    let states: HashSet<_> = of_layer.iter().map(|request| request.query.split('&').next().unwrap()).collect();
    assert_eq!((of_layer.len(), states.len()), (4, 4), "the fake registry changes it each time: {states:?}");
}

#[test]
fn damaged_content_is_not_completed_in_chunks_either() {
    let registry = FakeRegistry::scripted(|request| is_whole(request).then(|| Reply::status(405)));
    let mut store = MemoryStore::default();
    let layer = noise(1, 9 * MIB);
    let root = store.image(&[&layer]);
    let mut damaged = layer.clone();
    damaged[7] ^= 1;
    store.damage(digest(&layer).parse().unwrap(), &damaged);
    let error = push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap_err();
    assert_eq!(error.message, format!("blob {} has the digest {}", digest(&layer), digest(&damaged)));
    let sent: usize = registry.requests().iter().filter(|r| r.method == "PATCH").map(|r| r.body.len()).sum();
    assert!(sent < layer.len() + 1000, "the last piece stays here");
    assert!(registry.blob(digest(&damaged)).is_none() && registry.manifest("org/api/v1").is_none());
}
