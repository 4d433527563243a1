//! A real registry behind a proxy that limits the size of bodies.

use std::io::Read;

use ocibake::error::ErrorKind;
use ocibake::progress::silent;
use ocibake::store::Store;

use crate::support::docker_registry::DockerRegistry;
use crate::support::memory_store::MemoryStore;
use crate::support::nginx::Nginx;
use crate::support::noise::noise;
use crate::support::registry_client::{News, client, push, reference, text};
use crate::support::tool;

#[test]
fn a_limit_that_is_too_small_is_named_and_one_that_is_not_is_no_matter() {
    if !tool::require("docker-registry") || !tool::require("nginx") {
        return;
    }
    let registry = DockerRegistry::open();
    let mut store = MemoryStore::default();
    let layer = noise(1, 3 << 20);
    let root = store.image(&[&layer]);

    let narrow = Nginx::before(&registry.address(), "1k");
    let error = push(&client(), &narrow.address(), &store, &root, &["v1"], &News::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry);
    let (message, hint) = text(&error, &narrow.address());
    assert!(message.contains(" http://HOST/v2/org/api/blobs/uploads/"), "{message}");
    assert!(message.ends_with(": 413 Payload Too Large"), "{message}");
    let wanted = "the registry, or a proxy before it, limits the size of uploads (nginx does by client_max_body_size)";
    assert_eq!(hint, wanted);

    let wide = Nginx::before(&registry.address(), "4m");
    let client = client();
    push(&client, &wide.address(), &store, &root, &["v1"], &News::default()).unwrap();
    let repository = client.repository(&reference(&wide.address(), "org/api"), &silent);
    let mut got = Vec::new();
    repository.open(&store.graph(&root).blobs[1]).unwrap().read_to_end(&mut got).unwrap();
    assert!(got == layer);
}
