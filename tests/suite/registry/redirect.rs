//! Requests that are sent elsewhere.

use ocibake::error::ErrorKind;
use ocibake::oci::Descriptor;
use ocibake::progress::silent;

use crate::support::fake_registry::{FakeRegistry, Reply, Request, digest};
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{News, client, push, reference, text};

fn image(layer: &[u8]) -> (MemoryStore, Descriptor) {
    let mut store = MemoryStore::default();
    let root = store.image(&[layer]);
    (store, root)
}

#[test]
fn a_push_follows_redirects_that_keep_method_and_body() {
    for status in [307, 308] {
        let real = FakeRegistry::new();
        let there = real.address();
        // All but the question whether somebody is there is sent on, path and query as they are.
        let front = FakeRegistry::scripted(move |request| {
            let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
            Some(Reply::status(status).with("location", format!("http://{there}{}{query}", request.path)))
        });
        let layer = noise(1, 300_000);
        let (store, root) = image(&layer);
        push(&client(), &front.address(), &store, &root, &["v1"], &News::default()).unwrap();
        assert!(real.blob(digest(&layer)).unwrap() == layer);
        assert_eq!(real.manifest("org/api/v1").unwrap().1, store.bytes(root.digest));
        assert!(front.count("POST", "") > 0 && front.count("PUT", "/manifests/") > 0);
    }
}

#[test]
fn an_upload_follows_redirects_of_its_own_with_the_whole_body() {
    let real = FakeRegistry::scripted(|request| (request.path == "/bucket").then(|| Reply::status(201)));
    let there = format!("http://{}/bucket", real.address());
    let size = "300000";
    let registry = FakeRegistry::scripted(move |request| {
        let is_layer = request.method == "PUT" && request.header("content-length") == Some(size);
        is_layer.then(|| Reply::status(307).with("location", there.clone()))
    });
    let layer = noise(2, 300_000);
    let (store, root) = image(&layer);
    let client = client();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    // The registry does not learn of the layer, and so refuses the manifest; what counts is what came to the bucket.
    repository.upload(&store.graph(&root), &store).unwrap_err();
    let put = real.requests().into_iter().find(|request| request.path == "/bucket").unwrap();
    assert!(put.body == layer);
    assert_eq!(put.header("content-length"), Some(size));
}

#[test]
fn a_push_is_not_turned_into_another_request_by_a_redirect() {
    for status in [301, 302, 303] {
        let registry = FakeRegistry::scripted(move |request: &Request| {
            let location = "https://elsewhere.invalid/v2/?key=s3cret";
            (request.method == "POST").then(|| Reply::status(status).with("location", location))
        });
        let (store, root) = image(b"a layer");
        let error = push(&client(), &registry.address(), &store, &root, &[], &News::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Registry);
        let (message, hint) = text(&error, &registry.address());
        let wanted = format!("POST http://HOST/v2/org/api/blobs/uploads/: {status} ");
        assert!(message.starts_with(&wanted), "{message}");
        assert_eq!(hint, "it sends to https://elsewhere.invalid: is that the registry's address?");
    }
}

#[test]
fn uploads_that_lead_in_a_circle_end() {
    let registry = FakeRegistry::scripted(|request| {
        (request.method == "POST").then(|| Reply::status(307).with("location", "?again"))
    });
    let (store, root) = image(b"a layer");
    let calm = client();
    let error = push(&calm, &registry.address(), &store, &root, &[], &News::default()).unwrap_err();
    let message = "POST http://HOST/v2/org/api/blobs/uploads/: more than 10 redirects";
    assert_eq!(text(&error, &registry.address()).0, message);
}
