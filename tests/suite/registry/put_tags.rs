//! Tags: several in one request, and those that do not move.

use ocibake::error::ErrorKind;
use ocibake::oci::Descriptor;

use crate::support::fake_registry::{Abilities, FakeRegistry, Reply, Request};
use crate::support::memory_store::MemoryStore;
use crate::support::registry_client::{News, client, push, text};

const TAGS: [&str; 3] = ["v1.2", "1", "latest"];

fn image(content: &[u8]) -> (MemoryStore, Descriptor) {
    let mut store = MemoryStore::default();
    let root = store.image(&[content]);
    (store, root)
}

/// The PUTs of manifests: path behind the repository, and query.
fn puts(registry: &FakeRegistry) -> Vec<(String, String)> {
    let puts = registry.requests().into_iter().filter(|request| request.is("PUT", "/manifests/"));
    puts.map(|put| (put.path.rsplit('/').next().unwrap().to_owned(), put.query)).collect()
}

fn put(name: &str, query: &str) -> (String, String) {
    (name.to_owned(), query.to_owned())
}

#[test]
fn tags_go_in_one_request_where_the_registry_confirms_them() {
    let registry = FakeRegistry::able(Abilities { tags: true, ..Abilities::default() }, |_| None);
    let (store, root) = image(b"layer");
    let news = News::default();
    push(&client(), &registry.address(), &store, &root, &TAGS, &news).unwrap();
    let digest = root.digest.to_string();
    // First without: no tag is to change before all of every repository is there.
    assert_eq!(puts(&registry), [put(&digest, ""), put(&digest, "tag=v1.2&tag=1&tag=latest")]);
    for tag in TAGS {
        assert_eq!(registry.manifest(&format!("org/api/{tag}")).unwrap().1, store.bytes(root.digest));
    }
    let told: Vec<_> = news.lines().into_iter().filter(|line| line.starts_with("manifest ")).collect();
    assert_eq!(told[1..], TAGS.map(|tag| format!("manifest {tag}")));
}

#[test]
fn a_registry_that_does_not_confirm_them_is_asked_for_that_once() {
    let registry = FakeRegistry::new();
    let client = client();
    for content in [b"one", b"two"] {
        let (store, root) = image(content);
        push(&client, &registry.address(), &store, &root, &TAGS, &News::default()).unwrap();
    }
    let together: Vec<_> = puts(&registry).into_iter().filter(|(_, query)| !query.is_empty()).collect();
    assert_eq!(together.len(), 1, "{together:?}");
    for tag in TAGS {
        assert_eq!(puts(&registry).iter().filter(|(name, _)| name == tag).count(), 2);
    }
}

#[test]
fn tags_that_are_not_confirmed_get_a_request_of_their_own() {
    let registry = FakeRegistry::scripted(|request| {
        (!request.query.is_empty() && request.is("PUT", "/manifests/"))
            .then(|| Reply::status(201).with("oci-tag", "v1.2, latest"))
    });
    let (store, root) = image(b"layer");
    push(&client(), &registry.address(), &store, &root, &TAGS, &News::default()).unwrap();
    let names: Vec<_> = puts(&registry).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names[2..], ["1"]);
}

#[test]
fn a_refusal_of_all_is_judged_tag_by_tag() {
    for answer in [400, 404, 500] {
        let registry = FakeRegistry::scripted(move |request| {
            (!request.query.is_empty() && request.is("PUT", "/manifests/")).then(|| Reply::status(answer))
        });
        let (store, root) = image(b"layer");
        push(&client(), &registry.address(), &store, &root, &TAGS, &News::default()).unwrap();
        assert!(TAGS.iter().all(|tag| registry.manifest(&format!("org/api/{tag}")).is_some()), "{answer}");
    }
}

#[test]
fn many_tags_go_ten_at_a_time_and_one_alone_goes_by_its_name() {
    let registry = FakeRegistry::able(Abilities { tags: true, ..Abilities::default() }, |_| None);
    let (store, root) = image(b"layer");
    let tags: Vec<_> = (0..21).map(|number| format!("t{number}")).collect();
    let tags: Vec<_> = tags.iter().map(String::as_str).collect();
    push(&client(), &registry.address(), &store, &root, &tags, &News::default()).unwrap();
    let counts: Vec<_> = puts(&registry).iter().map(|(_, query)| query.matches("tag=").count()).collect();
    assert_eq!(counts, [0, 10, 10, 0]);
    assert_eq!(puts(&registry)[3].0, "t20");
}

/// A registry that refuses to move the tag `v1` once it has it.
fn immutable(refusal: impl Fn() -> Reply + Send + Sync + 'static) -> FakeRegistry {
    let puts = std::sync::atomic::AtomicUsize::new(0);
    FakeRegistry::scripted(move |request: &Request| {
        let again = request.is("PUT", "/manifests/v1") && puts.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0;
        again.then(&refusal)
    })
}

type Refusal = fn() -> Reply;

const REFUSALS: [Refusal; 4] = [
    || Reply::refusal(400, "TAG_INVALID", "The image tag 'v1' already exists and cannot be overwritten"),
    || Reply::refusal(403, "DENIED", "not enough permissions to delete/overwrite artifact"),
    || Reply::refusal(409, "CONFLICT", "tag v1 exists"),
    || Reply::refusal(412, "PRECONDITION", "configured as immutable"),
];

#[test]
fn the_same_image_under_an_immutable_tag_is_no_failure() {
    for refusal in REFUSALS {
        let registry = immutable(refusal);
        let (store, root) = image(b"layer");
        for _ in 0..2 {
            let news = News::default();
            push(&client(), &registry.address(), &store, &root, &["v1"], &news).unwrap();
            assert_eq!(news.waits().len(), 0);
            assert!(news.lines().contains(&"manifest v1".to_owned()));
        }
        assert_eq!(registry.count("PUT", "/manifests/v1"), 2);
    }
}

#[test]
fn another_image_under_an_immutable_tag_is_refused_with_what_it_stands_for() {
    for (refusal, kind) in
        REFUSALS.into_iter().zip([ErrorKind::Registry, ErrorKind::Denied, ErrorKind::Registry, ErrorKind::Registry])
    {
        let registry = immutable(refusal);
        let (store, old) = image(b"old");
        push(&client(), &registry.address(), &store, &old, &["v1"], &News::default()).unwrap();
        let (store, new) = image(b"new");
        let error =
            push(&client(), &registry.address(), &store, &new, &["v1", "latest"], &News::default()).unwrap_err();
        assert_eq!(error.kind, kind);
        let (message, hint) = text(&error, &registry.address());
        let start = format!(
            "cannot move the tag v1, which stands for {}: PUT http://HOST/v2/org/api/manifests/v1: 4",
            old.digest
        );
        assert!(message.starts_with(&start), "{message}");
        assert_eq!(hint, "the tags of this repository seem to be immutable: push v1 under a new name");
        assert!(registry.manifest("org/api/latest").is_none(), "the tags after it stay");
    }
}

#[test]
fn a_tag_that_is_refused_and_not_there_is_the_registrys_own_error() {
    let refusal = || Reply::refusal(403, "DENIED", "requested access to the resource is denied");
    let registry = FakeRegistry::scripted(move |request| request.is("PUT", "/manifests/v1").then(refusal));
    let (store, root) = image(b"layer");
    let error = push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap_err();
    let (message, hint) = text(&error, &registry.address());
    let said = "403 Forbidden: DENIED: requested access to the resource is denied";
    assert_eq!(message, format!("PUT http://HOST/v2/org/api/manifests/v1: {said}"));
    assert_eq!(hint, "log in with `ocibake login HOST`");
}

/// More than go into one request: those of a later one are set only after all of an earlier one.
#[test]
fn a_tag_that_is_refused_holds_back_all_that_come_after_its_request() {
    let tags: Vec<String> = (0..14).map(|number| format!("t{number}")).collect();
    let named: Vec<&str> = tags.iter().map(String::as_str).collect();
    let change = |request: &Request, reply: Reply| {
        let others: Vec<&str> = request.query.split('&').filter_map(|pair| pair.strip_prefix("tag=")).collect();
        let others = others.into_iter().filter(|tag| *tag != "t0").collect::<Vec<_>>().join(", ");
        if others.is_empty() { reply } else { reply.with("oci-tag", others) }
    };
    let registry = FakeRegistry::changed(
        |request| request.is("PUT", "/manifests/t0").then(|| Reply::refusal(409, "DENIED", "it is immutable")),
        change,
    );
    let (store, root) = image(b"layer");
    push(&client(), &registry.address(), &store, &root, &named, &News::default()).unwrap_err();
    let later: Vec<_> =
        puts(&registry).into_iter().filter(|(name, query)| name == "t13" || query.contains("t13")).collect();
    assert_eq!(later, []);
}
