//! Blobs that a registry has in another repository, and those that go to several repositories at once.

use ocibake::error::Result;
use ocibake::oci::{Descriptor, Reference};
use ocibake::progress::{Event, silent};
use ocibake::registry::Client;
use ocibake::store::Store;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, Request, digest};
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{client, reference};
use crate::support::tool;

/// A store that says where its content comes from.
struct From<'a>(&'a MemoryStore, Reference);

impl Store for From<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn std::io::Read + Send + '_>> {
        self.0.open(descriptor)
    }

    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        self.0.resolve(name)
    }

    fn origin(&self, _: &Descriptor) -> Option<&Reference> {
        Some(&self.1)
    }
}

pub(super) fn upload(
    client: &Client,
    address: &str,
    name: &str,
    store: &dyn Store,
    graph: &ocibake::store::Graph,
) -> Vec<String> {
    let outcomes = std::sync::Mutex::new(Vec::new());
    let tell = |event: Event<'_>| {
        if let Event::BlobFinished { outcome, .. } = event {
            outcomes.lock().unwrap().push(format!("{outcome:?}"));
        }
    };
    client.repository(&reference(address, name), &tell).upload(graph, store).unwrap();
    outcomes.into_inner().unwrap()
}

#[test]
fn what_another_repository_got_is_mounted_from_there() {
    if !tool::require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    let mut store = MemoryStore::default();
    let root = store.image(&[&noise(1, 1 << 20), b"small"]);
    let graph = store.graph(&root);
    let client = client();
    assert_eq!(upload(&client, &registry.address(), "org/one", &store, &graph), ["Sent"; 3]);
    assert_eq!(upload(&client, &registry.address(), "org/two", &store, &graph), ["Mounted"; 3]);
    // Whoever finds it all in one repository, takes it from there for another, too.
    let other = self::client();
    assert_eq!(upload(&other, &registry.address(), "org/two", &store, &graph), ["Present"; 3]);
    assert_eq!(upload(&other, &registry.address(), "org/three", &store, &graph), ["Mounted"; 3]);
    let repository = reference(&registry.address(), "org/two");
    let found = client.repository(&repository, &silent).resolve(Some(&root.digest.to_string())).unwrap();
    assert_eq!(found.digest, root.digest);
}

#[test]
fn a_mount_names_the_blob_and_its_repository_and_each_refusal_means_upload() {
    type Answer = fn() -> Reply;
    let answers: [(Answer, usize); 8] = [
        (|| Reply::status(201), 0),
        (|| Reply::status(202).with("location", "/v2/org/api/blobs/uploads/mine?_state=1"), 0),
        (|| Reply::status(401), 1),
        (|| Reply::status(403), 1),
        (|| Reply::status(404), 1),
        (|| Reply::status(405), 1),
        (|| Reply::status(500), 1),
        (|| Reply::Cut(0), 1),
    ];
    for (number, (answer, further)) in answers.into_iter().enumerate() {
        let registry = FakeRegistry::scripted(move |request: &Request| {
            if request.is("POST", "/uploads/") && !request.query.is_empty() {
                return Some(answer());
            }
            let is_mine = request.path.ends_with("/mine") || request.path.contains("/manifests/");
            (is_mine && request.method == "PUT").then(|| Reply::status(201))
        });
        let mut store = MemoryStore::default();
        let root = store.image(&[]);
        let graph = store.graph(&root);
        let origin = reference(&registry.address(), "org/base:1");
        let outcomes = upload(&client(), &registry.address(), "org/api", &From(&store, origin), &graph);
        assert_eq!(outcomes, [if number == 0 { "Mounted" } else { "Sent" }], "answer {number}");
        let posts: Vec<_> = registry.requests().into_iter().filter(|request| request.method == "POST").collect();
        let blob = graph.blobs[0].digest.to_string().replace(':', "%3A");
        assert_eq!(posts[0].query, format!("mount={blob}&from=org%2Fbase"), "answer {number}");
        assert_eq!(posts.len(), 1 + further, "answer {number}");
        // The session that a registry opens in the place of a mount is used.
        let into_mine = registry.requests().iter().filter(|r| r.method == "PUT" && r.path.ends_with("/mine")).count();
        assert_eq!(into_mine, usize::from(number == 1));
    }
}

#[test]
fn a_repository_of_another_registry_is_not_mounted_from() {
    let registry = FakeRegistry::new();
    let mut store = MemoryStore::default();
    let root = store.image(&[b"layer"]);
    let origin = reference("registry.example.com", "org/base:1");
    upload(&client(), &registry.address(), "org/api", &From(&store, origin), &store.graph(&root));
    assert!(registry.requests().iter().all(|request| !request.query.contains("mount")));
}

/// Both begin at the same time; the one that comes second waits, and has the registry mount it.
#[test]
fn a_blob_in_flight_is_not_sent_for_another_repository() {
    let layer = noise(1, 4 << 20);
    let mounted = digest(&layer).replace(':', "%3A");
    let registry = FakeRegistry::scripted(move |request| {
        let is_mount = request.is("POST", "/uploads/") && request.query.contains(&mounted);
        // What this one has, it has in all repositories, and is not to say so.
        let is_question = request.is("HEAD", "/blobs/");
        (is_mount || is_question).then(|| Reply::status(if is_mount { 201 } else { 404 }))
    });
    let mut store = MemoryStore::default();
    let root = store.image(&[&layer]);
    let graph = store.graph(&root);
    let client = client();
    std::thread::scope(|scope| {
        for name in ["org/one", "org/two", "org/three"] {
            let (client, store, graph, address) = (&client, &store, &graph, registry.address());
            scope.spawn(move || upload(client, &address, name, store, graph));
        }
    });
    let sent = registry.requests().iter().filter(|request| request.body.len() == layer.len()).count();
    assert_eq!(sent, 1);
}

/// The same client and repository, for another image: nothing is asked of what it has put there itself.
#[test]
fn a_blob_that_went_there_is_not_asked_for_again() {
    let registry = FakeRegistry::new();
    let mut store = MemoryStore::default();
    let images = [store.image(&[b"base", b"one"]), store.image(&[b"base", b"two"])];
    let client = client();
    for image in &images {
        upload(&client, &registry.address(), "org/api", &store, &store.graph(image));
    }
    assert_eq!(registry.count("HEAD", &format!("/blobs/{}", digest(b"base"))), 1);
}
