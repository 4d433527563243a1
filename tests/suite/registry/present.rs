//! What a registry has already, and how little it is asked then.

use std::time::Instant;

use ocibake::store::Store;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, digest};
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{News, alone, client, push, reference};
use crate::support::tool;

const TAGS: [&str; 5] = ["v1.2.3", "1.2.3", "1.2", "1", "latest"];

/// An image of 20 layers.
fn image(store: &mut MemoryStore) -> ocibake::oci::Descriptor {
    let layers: Vec<_> = (0..20).map(|seed| noise(seed, 20_000)).collect();
    store.image(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

#[test]
fn a_push_of_what_is_there_asks_for_the_manifest_and_puts_the_tags() {
    let registry = FakeRegistry::new();
    let mut store = MemoryStore::default();
    let root = image(&mut store);
    push(&client(), &registry.address(), &store, &root, &TAGS, &News::default()).unwrap();
    let before = registry.requests().len();
    let news = News::default();
    push(&client(), &registry.address(), &store, &root, &TAGS, &news).unwrap();
    let again: Vec<_> = registry.requests().split_off(before).iter().map(|request| request.line()).collect();
    let at = |name: &str| format!("/v2/org/api/manifests/{name}");
    let by_digest = at(&root.digest.to_string());
    let mut wanted = vec![format!("HEAD {by_digest}"), format!("PUT {by_digest}")];
    wanted.extend(TAGS.map(|tag| format!("PUT {}", at(tag))));
    assert_eq!(again, wanted);
    assert_eq!(news.lines().iter().filter(|line| line.starts_with("present ")).count(), 21);
}

#[test]
fn a_real_registry_that_has_it_all_is_asked_little() {
    if !tool::require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    let mut store = MemoryStore::default();
    let images = vec![image(&mut store), store.image(&[b"arm64"])];
    let root = store.index(images);
    push(&client(), &registry.address(), &store, &root, &TAGS, &News::default()).unwrap();
    let client = client();
    let news = News::default();
    let start = Instant::now();
    push(&client, &registry.address(), &store, &root, &TAGS, &news).unwrap();
    eprintln!("a push of what is there took {:?}", start.elapsed());
    assert!(news.lines().iter().all(|line| !line.starts_with("sent ") && !line.starts_with("retrying ")));
    let repository = reference(&registry.address(), "org/api");
    for tag in TAGS {
        let found = client.repository(&repository, &ocibake::progress::silent).resolve(Some(tag)).unwrap();
        assert_eq!(found.digest, root.digest);
    }
}

#[test]
fn each_manifest_vouches_for_what_it_names_and_for_no_more() {
    let registry = FakeRegistry::new();
    let mut store = MemoryStore::default();
    let old = store.image(&[b"base", b"old"]);
    push(&client(), &registry.address(), &store, &old, &["v1"], &News::default()).unwrap();
    let new = store.image(&[b"base", b"new"]);
    let root = store.index(vec![old.clone(), new]);
    let before = registry.requests().len();
    push(&client(), &registry.address(), &store, &root, &["v2"], &News::default()).unwrap();
    let again = registry.requests().split_off(before);
    let heads = again.iter().filter(|request| request.is("HEAD", "/blobs/"));
    assert_eq!(heads.count(), 2, "the new layer and the new config");
    assert!(!again.iter().any(|request| request.is("PUT", &format!("/manifests/{}", old.digest))));
    assert!(registry.blob(digest(b"new")).is_some());
}

/// The index is there, a child of it is not, as after a clean-up that went wrong.
#[test]
fn an_index_does_not_vouch_for_the_blobs_of_its_children() {
    let mut store = MemoryStore::default();
    let child = store.image(&[b"layer"]);
    let root = store.index(vec![child.clone()]);
    let (lost, whole) = (child.digest.to_string(), root.digest.to_string());
    let registry = FakeRegistry::scripted(move |request| {
        let is_root = request.is("HEAD", &format!("/manifests/{whole}"));
        is_root.then(|| Reply::status(200).with("docker-content-digest", whole.clone()))
    });
    push(&client(), &registry.address(), &store, &root, &[], &News::default()).unwrap();
    assert!(registry.blob(digest(b"layer")).is_some());
    assert!(registry.manifest(&format!("org/api/{lost}")).is_some());
}

#[test]
fn an_answer_that_does_not_name_the_manifest_vouches_for_nothing() {
    let answers: [fn() -> Reply; 5] = [
        || Reply::status(200),
        || Reply::status(200).with("docker-content-digest", digest(b"other")),
        || Reply::status(403),
        || Reply::status(405),
        || Reply::status(406),
    ];
    for answer in answers {
        let registry = FakeRegistry::scripted(move |request| request.is("HEAD", "/manifests/").then(answer));
        let mut store = MemoryStore::default();
        let root = store.image(&[b"layer"]);
        push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
        assert!(registry.blob(digest(b"layer")).is_some() && registry.manifest("org/api/v1").is_some());
    }
}

/// Artifactory answers 403 for what it does not have.
#[test]
fn what_is_forbidden_to_be_asked_for_is_sent() {
    let registry = FakeRegistry::scripted(|request| (request.method == "HEAD").then(|| Reply::status(403)));
    let mut store = MemoryStore::default();
    let root = store.image(&[b"layer"]);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    assert!(registry.manifest("org/api/v1").is_some());
}

/// Levels go one after the other, and the manifests of one level at once.
#[test]
fn an_index_of_indexes_arrives() {
    let registry = FakeRegistry::new();
    let mut store = MemoryStore::default();
    let images: Vec<_> = (0..6u8).map(|number| store.image(&[&[number]])).collect();
    let inner = store.index(images[..3].to_vec());
    let root = store.index(vec![images[4].clone(), inner, images[5].clone()]);
    push(&alone(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    // The fake registry takes a manifest only after all that it names.
    assert!(registry.manifest("org/api/v1").is_some());
    assert_eq!(registry.requests().iter().filter(|request| request.is("PUT", "/manifests/sha256")).count(), 7);
}
