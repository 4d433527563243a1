//! A real registry that lets in only who has a token of its token server.

use std::io::Read;
use std::time::Duration;

use ocibake::error::{Error, ErrorKind, Result};
use ocibake::oci::Descriptor;
use ocibake::progress::silent;
use ocibake::registry::{Client, RegistryOptions};
use ocibake::store::Store;

use crate::support::docker_registry::DockerRegistry;
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{News, logged_in, options, push, reference, text};
use crate::support::token_server::TokenServer;
use crate::support::tool;

/// A store that takes its time, so that a token ends between the requests of a push.
struct Slow(MemoryStore);

impl Store for Slow {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        std::thread::sleep(Duration::from_millis(600));
        self.0.open(descriptor)
    }

    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        self.0.resolve(name)
    }
}

fn has_the_tools() -> bool {
    tool::require("docker-registry") && tool::require("openssl")
}

fn client(registry: &DockerRegistry, password: &str) -> (tempfile::TempDir, Client) {
    let (directory, credentials) = logged_in(&registry.address(), "ada", password);
    (directory, Client::new(RegistryOptions { credentials, parallel: 1, ..options() }).unwrap())
}

#[test]
fn tokens_that_end_in_the_middle_are_renewed_whether_their_end_is_known_or_not() {
    if !has_the_tools() {
        return;
    }
    for told in [1, 3600] {
        let server = TokenServer::new(4, told, &["pull", "push"]);
        let registry = DockerRegistry::with_configuration(&server.configuration());
        let mut store = MemoryStore::default();
        let layers: Vec<Vec<u8>> = (0..8).map(|seed| noise(seed, 100_000)).collect();
        let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
        let root = store.image(&layers);
        let (graph, slow) = (store.graph(&root), Slow(store));
        let (_directory, client) = client(&registry, "s3cret");
        let news = News::default();
        let tell = |event: ocibake::progress::Event<'_>| news.tell(event);
        let repository = client.repository(&reference(&registry.address(), "org/api:v1"), &tell);
        repository.upload(&graph, &slow).unwrap();
        repository.tag(&graph, &["v1".to_owned()]).unwrap();
        assert!(server.requests().len() >= 2, "nine blobs took five seconds and a token lasts for four");
        assert_eq!(news.waits().len(), 0, "{:?}", news.lines());

        assert_eq!(repository.resolve(None).unwrap().digest, root.digest);
        for blob in &graph.blobs {
            let mut got = Vec::new();
            repository.open(blob).unwrap().read_to_end(&mut got).unwrap();
            assert!(got == slow.0.bytes(blob.digest));
        }
        assert_eq!(repository.tags().unwrap(), ["v1"]);
    }
}

#[test]
fn a_wrong_password_and_a_missing_right_are_told_apart() {
    if !has_the_tools() {
        return;
    }
    let server = TokenServer::new(60, 60, &["pull"]);
    let registry = DockerRegistry::with_configuration(&server.configuration());
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a layer"]);
    let pushed = |password: &str| -> Error {
        let (_directory, client) = client(&registry, password);
        push(&client, &registry.address(), &store, &root, &["v1"], &News::default()).unwrap_err()
    };
    let error = pushed("s3cret");
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(
        text(&error, &registry.address()),
        (
            "POST http://HOST/v2/org/api/blobs/uploads/: 401 Unauthorized: UNAUTHORIZED: authentication required"
                .to_owned(),
            "logged in to HOST as ada: check that this user may push to org/api, or log in again with `ocibake login \
             HOST`"
                .to_owned()
        )
    );
    let error = pushed("wr0ng");
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(
        text(&error, &registry.address()),
        (
            format!("GET http://{}/token: 401 Unauthorized: incorrect password", server.address()),
            "the credentials for ada at HOST are wrong or have expired: log in again with `ocibake login HOST`"
                .to_owned()
        )
    );
    let (_directory, client) = client(&registry, "s3cret");
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    assert_eq!(repository.find("v1").unwrap(), None, "the user may pull");
}
