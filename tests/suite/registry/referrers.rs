//! Manifests that refer to another, and registries that do not list them.

use ocibake::oci::{Descriptor, media_type};
use ocibake::progress::silent;
use ocibake::store::{Graph, Store};
use serde_json::{Value, json};

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{Abilities, FakeRegistry, Reply};
use crate::support::memory_store::MemoryStore;
use crate::support::registry_client::{News, client, push, reference};
use crate::support::tool;

/// An artifact that refers to `subject`.
fn artifact(store: &mut MemoryStore, subject: &Descriptor, kind: Option<&str>, note: &str) -> Descriptor {
    let config = store.add("application/vnd.oci.empty.v1+json", b"{}");
    let layer = store.add("text/plain", note.as_bytes());
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::IMAGE_MANIFEST,
        "config": config,
        "layers": [layer],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
        "annotations": {"note": note},
    });
    if let Some(kind) = kind {
        manifest["artifactType"] = kind.into();
    }
    store.add(media_type::IMAGE_MANIFEST, manifest.to_string().as_bytes())
}

fn image_and_referrers() -> (MemoryStore, Descriptor, Vec<Descriptor>) {
    let mut store = MemoryStore::default();
    let image = store.image(&[b"layer"]);
    let referrers = vec![
        artifact(&mut store, &image, Some("application/spdx+json"), "one"),
        artifact(&mut store, &image, None, "two"),
    ];
    (store, image, referrers)
}

/// As the distribution-spec has it ("Pushing Manifests with Subject").
fn assert_listed(list: &Value, referrers: &[Descriptor]) {
    assert_eq!(list["schemaVersion"], 2);
    assert_eq!(list["mediaType"], "application/vnd.oci.image.index.v1+json");
    let mut entries = list["manifests"].as_array().unwrap().clone();
    entries.sort_by_key(|entry| entry["annotations"]["note"].as_str().unwrap().to_owned());
    let entry = |descriptor: &Descriptor, kind: &str, note: &str| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": descriptor.digest,
            "size": descriptor.size,
            "artifactType": kind,
            "annotations": {"note": note},
        })
    };
    let wanted = [
        entry(&referrers[0], "application/spdx+json", "one"),
        entry(&referrers[1], "application/vnd.oci.empty.v1+json", "two"),
    ];
    assert_eq!(entries, wanted);
}

#[test]
fn a_list_is_kept_where_the_registry_keeps_none() {
    // It takes its time to answer what is in the list: time to read it twice before it is written once.
    let registry = FakeRegistry::scripted(|request| {
        if request.is("GET", "/manifests/sha256-") {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        None
    });
    let (mut store, image, referrers) = image_and_referrers();
    // In one index, so that both go at the same time; and again: each is listed once.
    let root = store.index(vec![image.clone(), referrers[0].clone(), referrers[1].clone()]);
    let tag = format!("org/api/{}", image.digest.to_string().replace(':', "-"));
    for _ in 0..2 {
        push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
        let (media_type, bytes) = registry.manifest(&tag).unwrap();
        assert_eq!(media_type, "application/vnd.oci.image.index.v1+json");
        assert_listed(&serde_json::from_slice(&bytes).unwrap(), &referrers);
    }
}

#[test]
fn no_list_is_kept_where_the_registry_keeps_one() {
    let registry = FakeRegistry::able(Abilities { referrers: true, ..Abilities::default() }, |_| None);
    let (mut store, image, referrers) = image_and_referrers();
    let root = store.index(vec![image, referrers[0].clone()]);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    assert!(registry.requests().iter().all(|request| !request.path.contains("sha256-")));
}

/// A push that was ended between the manifest and the list makes up for it the next time.
#[test]
fn a_referrer_that_is_there_is_listed_all_the_same() {
    let registry = FakeRegistry::able(Abilities::default(), |_| None);
    let (store, image, referrers) = image_and_referrers();
    push(&client(), &registry.address(), &store, &image, &[], &News::default()).unwrap();
    let only: Graph = store.graph(&referrers[0]);
    for _ in 0..2 {
        let client = client();
        client
            .repository(&reference(&registry.address(), "org/api"), &ocibake::progress::silent)
            .upload(&only, &store)
            .unwrap();
    }
    assert_eq!(registry.count("PUT", "/manifests/sha256-"), 1, "what is listed is not listed again");
    assert_eq!(registry.count("GET", "/manifests/sha256-"), 2);
}

#[test]
fn a_real_registry_without_referrers_gets_the_list() {
    if !tool::require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    let (mut store, image, referrers) = image_and_referrers();
    let root = store.index(vec![image.clone(), referrers[0].clone(), referrers[1].clone()]);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    let tag = image.digest.to_string().replace(':', "-");
    let client = client();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &ocibake::progress::silent);
    let found = ocibake::store::Store::resolve(&repository, Some(&tag)).unwrap();
    let bytes = ocibake::store::read_document(&repository, &found).unwrap();
    assert_listed(&serde_json::from_slice(&bytes).unwrap(), &referrers);
}

#[test]
fn lists_without_end_are_not_kept() {
    let note = "x".repeat(4_000_000);
    let registry = FakeRegistry::scripted(move |request| {
        let number: usize = request.query.strip_prefix("n=").unwrap_or("0").parse().unwrap();
        let list = json!({"schemaVersion": 2, "manifests": [], "annotations": {"note": note}});
        let reply = Reply::Answer(200, Vec::new(), list.to_string().into_bytes());
        request.is("GET", "/referrers/").then(|| reply.with("link", format!(r#"<?n={}>; rel="next""#, number + 1)))
    });
    let client = client();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    let subject = Descriptor::of(media_type::IMAGE_MANIFEST, b"{}");
    let error = repository.referrers(&subject).unwrap_err();
    assert!(error.message.ends_with("the lists of referrers have more than 16777216 bytes"), "{error}");
    assert_eq!(registry.count("GET", "/referrers/"), 5, "16 MiB are reached with the fifth list of 4 MB");
}
