//! When a registry is asked for a base, and what is kept of the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use ocibake::error::ErrorKind;
use ocibake::oci::Descriptor;
use ocibake::source::base::{Holding, Pins, Pull};
use serde_json::json;

use crate::support::base::{INDEX, Machine, image, index, layer, read};
use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::handmade::{GZIP, file};
use crate::support::memory_store::MemoryStore;
use crate::support::registry_client::{News, client, push};

const AMD64: &str = "linux/amd64";
const ARM64: &str = "linux/arm64";

/// An index for two platforms, of one layer each with `content`.
fn base(store: &mut MemoryStore, content: &str) -> Descriptor {
    let images = [AMD64, ARM64].map(|of| {
        let layer = layer(file("content", format!("{content} for {of}")), GZIP);
        image(store, of, &[layer], json!({}), false)
    });
    index(store, INDEX, &images)
}

/// A registry with such an image under `org/api:v1`; it answers every request with this status, while it is not 0.
fn registry(content: &str) -> (FakeRegistry, Arc<AtomicU16>, Descriptor, String) {
    let status = Arc::new(AtomicU16::new(0));
    let given = status.clone();
    let registry = FakeRegistry::scripted(move |_| match given.load(Ordering::Relaxed) {
        0 => None,
        status => Some(Reply::status(status)),
    });
    let mut store = MemoryStore::default();
    let root = base(&mut store, content);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    let name = format!("{}/org/api:v1", registry.address());
    (registry, status, root, name)
}

/// Moves the tag.
fn renew(registry: &FakeRegistry, content: &str) -> Descriptor {
    let mut store = MemoryStore::default();
    let root = base(&mut store, content);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    root
}

#[test]
fn a_tag_is_asked_for_in_each_build_and_once() {
    let (registry, _, first, name) = registry("old");
    let machine = Machine::new();
    machine.build(Pull::Usual, Pins::default(), |bases| {
        let amd64 = bases.find(&name, &AMD64.parse().unwrap()).unwrap();
        let second = renew(&registry, "new");
        assert_ne!(first.digest, second.digest);
        let arm64 = bases.find(&name, &ARM64.parse().unwrap()).unwrap();
        assert_eq!((amd64.root, arm64.root), (first.digest, first.digest), "a build has one base for all platforms");
    });
    let heads = registry.count("HEAD", "/manifests/v1");
    assert_ne!(machine.find(&name, AMD64).unwrap().root, first.digest);
    assert_eq!(registry.count("HEAD", "/manifests/v1"), heads + 1);
}

#[test]
fn a_base_is_pulled_once() {
    let (registry, _, root, name) = registry("content");
    let machine = Machine::new();
    let pulled = machine.build(Pull::Usual, Pins::default(), |bases| {
        let image = bases.find(&name, &AMD64.parse().unwrap()).unwrap();
        assert_eq!(registry.count("GET", "/blobs/"), 1, "the config; a layer is read when it is needed");
        read(bases, &image.layers[0]).unwrap()
    });
    let gets = (registry.count("GET", "/manifests/"), registry.count("GET", "/blobs/"));
    assert_eq!(gets, (2, 2), "index, manifest; config, layer; and nothing of the other platform");
    machine.build(Pull::Usual, Pins::default(), |bases| {
        let image = bases.find(&name, &AMD64.parse().unwrap()).unwrap();
        assert_eq!(read(bases, &image.layers[0]).unwrap(), pulled);
    });
    assert_eq!((registry.count("GET", "/manifests/"), registry.count("GET", "/blobs/")), gets);
    let requests = registry.requests().len();
    let by_digest = format!("{}@{}", name.replace(":v1", ""), root.digest);
    for pull in [Pull::Usual, Pull::Always, Pull::Missing] {
        machine.find_pulling(pull, &by_digest, AMD64).unwrap();
    }
    assert_eq!(registry.requests().len(), requests, "what stands under a digest is known");
}

#[test]
fn a_layer_that_went_wrong_on_its_way_is_not_kept() {
    let (registry, _, _, name) = registry("content");
    let machine = Machine::new();
    machine.build(Pull::Usual, Pins::default(), |bases| {
        let image = bases.find(&name, &AMD64.parse().unwrap()).unwrap();
        let mut lie = image.layers[0].clone();
        lie.size += 1;
        assert!(read(bases, &lie).is_err());
        assert!(machine.store().blob(&lie.digest).is_none());
        read(bases, &image.layers[0]).unwrap();
        assert!(machine.store().blob(&lie.digest).is_some());
    });
    drop(registry);
}

#[test]
fn without_a_registry_the_usual_build_takes_what_it_was_and_says_so() {
    let (_registry, status, root, name) = registry("content");
    let machine = Machine::new();
    machine.find(&name, AMD64).unwrap();
    status.store(503, Ordering::Relaxed);
    assert_eq!(machine.find(&name, AMD64).unwrap().root, root.digest);
    let warnings = machine.warnings().join("\n");
    assert!(warnings.contains(&format!("{name} is taken as it was when it was last pulled: ")), "{warnings}");
    let error = machine.find_pulling(Pull::Always, &name, AMD64).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry);
    assert!(error.hint.unwrap().contains("--pull=never"));
    let error = Machine::new().find(&name, AMD64).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry);
    assert!(!error.hint.unwrap().contains("--pull"), "nothing is known here");
}

/// A registry that says no has been reached.
#[test]
fn a_tag_that_is_gone_or_denied_is_not_taken_as_it_was() {
    let (_registry, status, _, name) = registry("content");
    let machine = Machine::new();
    machine.find(&name, AMD64).unwrap();
    for (answer, kind) in [(404, ErrorKind::NotFound), (403, ErrorKind::Denied)] {
        status.store(answer, Ordering::Relaxed);
        assert_eq!(machine.find(&name, AMD64).unwrap_err().kind, kind);
    }
}

#[test]
fn never_pulling_asks_nobody() {
    let (registry, _, root, name) = registry("content");
    let machine = Machine::new();
    let error = machine.find_pulling(Pull::Never, &name, AMD64).unwrap_err();
    assert_eq!(error.message, format!("{name} is not in the local store"));
    assert!(registry.requests().iter().all(|request| request.method != "GET"), "it was pushed to");
    machine.build(Pull::Usual, Pins::default(), |bases| {
        let image = bases.find(&name, &AMD64.parse().unwrap()).unwrap();
        read(bases, &image.layers[0]).unwrap();
    });
    let requests = registry.requests().len();
    machine.build(Pull::Never, Pins::default(), |bases| {
        let image = bases.find(&name, &AMD64.parse().unwrap()).unwrap();
        assert_eq!(image.root, root.digest);
        read(bases, &image.layers[0]).unwrap();
    });
    let error = machine.find_pulling(Pull::Never, &name, ARM64).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "only the other platform was pulled");
    assert!(error.hint.unwrap().contains("--pull=missing"));
    assert_eq!(registry.requests().len(), requests);
}

#[test]
fn pulling_what_is_missing_asks_for_that_alone() {
    let (registry, _, first, name) = registry("old");
    let machine = Machine::new();
    assert_eq!(machine.find_pulling(Pull::Missing, &name, AMD64).unwrap().root, first.digest);
    renew(&registry, "new");
    let requests = registry.requests().len();
    let root = || machine.find_pulling(Pull::Missing, &name, AMD64).unwrap().root;
    assert_eq!(root(), first.digest);
    assert_eq!(registry.requests().len(), requests);
    let image = machine.find_pulling(Pull::Missing, &name, ARM64).unwrap();
    assert_eq!((image.root, image.config.platform.architecture.as_str()), (first.digest, "arm64"));
    assert_eq!(registry.requests().len(), requests + 2, "a manifest and a config");
}

#[test]
fn many_threads_find_one_base() {
    let (registry, _, _, name) = registry("content");
    let machine = Machine::new();
    machine.build(Pull::Usual, Pins::default(), |bases| {
        let before = registry.count("HEAD", "/manifests/v1");
        let roots: Vec<_> = std::thread::scope(|scope| {
            let find = |number: usize| {
                let of = if number.is_multiple_of(2) { AMD64 } else { ARM64 };
                let (name, bases) = (&name, &bases);
                scope.spawn(move || bases.find(name, &of.parse().unwrap()).unwrap())
            };
            let threads: Vec<_> = (0..8).map(find).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(roots.iter().all(|image| image.root == roots[0].root));
        assert_ne!(roots[0].manifest, roots[1].manifest);
        assert_eq!(registry.count("HEAD", "/manifests/v1"), before + 1);
    });
}

#[test]
fn a_locked_base_stays_what_it_was() {
    let (registry, _, first, name) = registry("old");
    let machine = Machine::new();
    let find = |pins: Pins| {
        machine.build(Pull::Usual, pins, |bases| {
            let root = bases.find(&name, &AMD64.parse().unwrap())?.root;
            Ok::<_, ocibake::error::Error>((root, bases.lock()))
        })
    };
    let (_, lock) = find(Pins::new(None, Holding::Completed)).unwrap();
    let lock = lock.unwrap();
    let text = lock.to_string();
    assert!(text.contains(&format!("\"{name}\" = \"{}\"\n", first.digest)), "{text}");

    let second = renew(&registry, "new");
    for holding in [Holding::Obeyed, Holding::Completed] {
        assert_eq!(find(Pins::new(Some(lock.clone()), holding)).unwrap(), (first.digest, None), "{holding:?}");
        // As if this machine had never seen it.
        let elsewhere = Machine::new().build(Pull::Usual, Pins::new(Some(lock.clone()), holding), |bases| {
            bases.find(&name, &ARM64.parse().unwrap()).unwrap()
        });
        assert_eq!((elsewhere.root, &elsewhere.name), (first.digest, &name));
    }
    let (root, renewed) = find(Pins::new(Some(lock.clone()), Holding::Renewed)).unwrap();
    assert_eq!(root, second.digest);
    assert_eq!(renewed.unwrap().get(&name.parse().unwrap()), Some(second.digest));
    assert_eq!(find(Pins::default()).unwrap(), (second.digest, None), "without a lock nothing is written");
}

#[test]
fn a_base_that_is_not_in_the_lock_is_an_error() {
    let (_registry, _, _, name) = registry("content");
    let lock = ocibake::plan::BaseLock::default();
    let pins = Pins::new(Some(lock), Holding::Obeyed);
    let found = Machine::new().build(Pull::Usual, pins, |bases| bases.find(&name, &AMD64.parse().unwrap()));
    let error = found.unwrap_err();
    assert_eq!(error.message, format!("the base {name} is not locked"));
    assert!(error.hint.unwrap().contains("--lock"));
}

#[test]
fn a_locked_digest_that_the_registry_has_lost_is_an_error() {
    let (_registry, _, _, name) = registry("content");
    let mut lock = ocibake::plan::BaseLock::default();
    let gone = ocibake::oci::Digest::of(b"gone");
    lock.insert(&name.parse().unwrap(), gone);
    let pins = Pins::new(Some(lock), Holding::Completed);
    let found = Machine::new().build(Pull::Usual, pins, |bases| bases.find(&name, &AMD64.parse().unwrap()));
    let error = found.unwrap_err();
    let expected = format!("{name} is locked to {}@{gone}, which is gone", name.replace(":v1", ""));
    assert_eq!(error.message, expected);
    assert!(error.hint.unwrap().contains("--update-lock"));
}

/// The lock is not renewed by what a registry said in the past.
#[test]
fn a_lock_is_renewed_by_the_registry_alone() {
    let (_registry, status, first, name) = registry("content");
    let machine = Machine::new();
    machine.find(&name, AMD64).unwrap();
    status.store(503, Ordering::Relaxed);
    let mut lock = ocibake::plan::BaseLock::default();
    lock.insert(&name.parse().unwrap(), first.digest);
    let pins = Pins::new(Some(lock), Holding::Renewed);
    let found = machine.build(Pull::Usual, pins, |bases| bases.find(&name, &AMD64.parse().unwrap()));
    assert_eq!(found.unwrap_err().kind, ErrorKind::Registry);
}
