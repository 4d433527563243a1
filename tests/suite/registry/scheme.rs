//! Which scheme a registry is spoken to in, and that nothing goes on less safely than it began.

use ocibake::error::{Error, ErrorKind};
use ocibake::progress::silent;
use ocibake::registry::{Client, RegistryOptions};

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::FakeRegistry;
use crate::support::memory_store::MemoryStore;
use crate::support::registry_client::{News, basic, client, options, push, text};
use crate::support::tool;

fn insecure() -> Client {
    Client::new(RegistryOptions { insecure: true, ..options() }).unwrap()
}

fn try_push(client: &Client, address: &str) -> Result<(), Error> {
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a layer"]);
    push(client, address, &store, &root, &["v1"], &News::default())
}

#[test]
fn other_hosts_than_this_one_are_not_spoken_to_in_plain_http() {
    let registry = FakeRegistry::new();
    let address = registry.other_address();
    let error = try_push(&client(), &address).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry);
    let (message, _) = text(&error, &address);
    assert!(message.starts_with("HEAD https://HOST/v2/org/api/manifests/sha256:"), "{message}");
    assert_eq!(registry.requests().len(), 0);
}

#[test]
fn insecure_allows_plain_http() {
    let registry = FakeRegistry::new();
    for address in [registry.other_address(), registry.address()] {
        try_push(&insecure(), &address).unwrap();
    }
    assert_eq!(registry.count("GET", "/v2/"), 2, "the scheme is decided once for a registry");
}

#[test]
fn a_registry_without_tls_is_told_apart() {
    if !tool::require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    let address = registry.other_address();
    let (message, hint) = text(&try_push(&client(), &address).unwrap_err(), &address);
    assert!(message.contains(": no TLS connection: "), "{message}");
    assert_eq!(hint, "0.0.0.0 does not speak TLS: --insecure allows plain HTTP");
}

#[test]
fn a_registry_on_this_machine_that_wants_tls_is_told_apart() {
    if !tool::require("docker-registry") || !tool::require("openssl") {
        return;
    }
    let registry = DockerRegistry::with_tls("", "");
    let address = registry.address();
    let (message, hint) = text(&try_push(&client(), &address).unwrap_err(), &address);
    assert!(message.starts_with("HEAD http://HOST/") && message.ends_with(": 400 Bad Request"), "{message}");
    assert!(hint.starts_with("HOST was asked in plain HTTP, "), "{hint}");
    assert!(hint.contains("certs.d/HOST/ca.crt") && hint.ends_with("--insecure"), "{hint}");
    try_push(&insecure(), &address).unwrap();
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_taken_with_insecure_alone() {
    if !tool::require("docker-registry") || !tool::require("openssl") {
        return;
    }
    let registry = DockerRegistry::with_tls("", "");
    let address = registry.other_address();
    let error = try_push(&client(), &address).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry);
    let (message, hint) = text(&error, &address);
    assert!(message.contains(": no TLS connection: invalid peer certificate: "), "{message}");
    assert!(hint.starts_with("the certificate of 0.0.0.0 is not trusted: "), "{hint}");
    try_push(&insecure(), &address).unwrap();
}

#[test]
fn no_credential_goes_to_a_token_server_in_the_clear_for_a_registry_with_tls() {
    if !tool::require("docker-registry") || !tool::require("openssl") {
        return;
    }
    let token_server = FakeRegistry::new();
    let realm = format!("http://{}/token", token_server.address());
    let registry = DockerRegistry::with_tls(
        "",
        &format!(
            "auth: {{token: {{realm: '{realm}', service: s, issuer: i, rootcertbundle: DIRECTORY/certificate}}}}\n"
        ),
    );
    let address = registry.other_address();
    let error = insecure().check(&address, &basic("ada", "s3cret"), &silent).unwrap_err();
    assert_eq!(
        text(&error, &address).0,
        format!(
            "HOST refers to a token server in plain HTTP, {realm}, but speaks HTTPS itself: no credentials are sent there"
        )
    );
    assert_eq!(token_server.requests().len(), 0);
}

#[test]
fn an_upload_does_not_go_on_in_plain_http() {
    if !tool::require("docker-registry") || !tool::require("openssl") {
        return;
    }
    let registry = DockerRegistry::with_tls(", host: 'http://0.0.0.0:PORT'", "");
    let address = registry.other_address();
    let (message, hint) = text(&try_push(&insecure(), &address).unwrap_err(), &address);
    assert_eq!(message, "POST https://HOST/v2/org/api/blobs/uploads/: the answer leads from HTTPS to plain HTTP");
    assert_eq!(hint, "if the registry is behind a proxy, the proxy must tell it the scheme (X-Forwarded-Proto)");
}
