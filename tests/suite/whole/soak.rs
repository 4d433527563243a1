//! Two hundred pushes through a proxy that damages one request in twenty.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ocibake::error::ErrorKind;
use ocibake::net::{Backoff, HttpOptions};
use ocibake::oci::Descriptor;
use ocibake::progress::{Event, silent};
use ocibake::registry::{Client, RegistryOptions, Repository};
use ocibake::store::{Graph, Store};

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::FakeRegistry;
use crate::support::faulty_proxy::FaultyProxy;
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{client, reference};
use crate::support::tool;

const PUSHES: usize = 200;
/// Out of 1,000.
const FAULTS: u64 = 50;
const REPOSITORIES: [&str; 3] = ["org/one", "org/two", "org/three"];

#[derive(Debug, Default)]
struct Figures {
    retries: AtomicUsize,
    restarts: AtomicUsize,
    failed: AtomicUsize,
    watched: AtomicUsize,
}

/// A registry, and the bad way to it.
struct Side<'a> {
    registry: String,
    proxy: FaultyProxy,
    figures: &'a Figures,
}

#[test]
fn no_fault_gets_into_the_registry() {
    if !tool::require("docker-registry") {
        return;
    }
    let start = Instant::now();
    let figures = Figures::default();
    // One that forgets an upload that is cut off, and one that takes it up again.
    let (real, fake) = (DockerRegistry::open(), FakeRegistry::new());
    let sides = [(real.address(), 1), (fake.address(), 2)].map(|(registry, seed)| {
        let proxy = FaultyProxy::before(&registry, FAULTS, seed);
        Side { registry, proxy, figures: &figures }
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watchers = sides.each_ref().map(|side| scope.spawn(|| side.watch(&done)));
        let pushers = sides.each_ref().map(|side| scope.spawn(|| side.push_all(PUSHES / 2)));
        let outcomes = pushers.map(|pusher| pusher.join());
        done.store(true, Ordering::SeqCst);
        outcomes.into_iter().chain(watchers.map(|watcher| watcher.join())).for_each(|outcome| outcome.unwrap());
    });

    let mut faults = BTreeMap::new();
    for (kind, count) in sides.iter().flat_map(|side| side.proxy.faults()) {
        *faults.entry(kind).or_insert(0) += count;
    }
    let total = |of: fn(&FaultyProxy) -> usize| sides.iter().map(|side| of(&side.proxy)).sum::<usize>();
    let (requests, resumed) = (total(FaultyProxy::requests), total(FaultyProxy::resumed));
    let injected: usize = faults.values().sum();
    eprintln!(
        "{PUSHES} pushes, {requests} requests, {injected} faults {faults:?}, resumed {resumed} uploads, {figures:?}, {:?}",
        start.elapsed()
    );
    assert!(faults.len() == 8 && injected > requests / 40, "{faults:?} in {requests} requests");
    assert!(resumed > 0 && figures.retries.load(Ordering::SeqCst) > 0 && figures.failed.load(Ordering::SeqCst) > 0);
}

impl Side<'_> {
    fn push_all(&self, pushes: usize) {
        let mut store = MemoryStore::default();
        let direct = client();
        for number in 0..pushes {
            let root = image(&mut store, number as u64);
            let graph = store.graph(&root);
            let repository = REPOSITORIES[number % REPOSITORIES.len()];
            let tags = [format!("v{number}"), format!("1.{number}"), "latest".to_owned()];
            // With two tries alone some of them fail.
            let client = self.client(if number % 2 == 0 { 2 } else { 5 });
            while !self.push(&client, repository, &graph, &store, &tags) {
                self.figures.failed.fetch_add(1, Ordering::SeqCst);
            }
            self.pull_back(&direct, repository, &tags, &root, &store);
        }
    }

    fn client(&self, tries: u32) -> Client {
        let backoff = Backoff { tries, base: Duration::from_millis(2) };
        Client::new(RegistryOptions {
            http: HttpOptions { backoff, patience: Duration::from_secs(300), ..RegistryOptions::default().http },
            ..RegistryOptions::default()
        })
        .unwrap()
    }

    /// Whether the push reports success.
    fn push(&self, client: &Client, repository: &str, graph: &Graph, store: &MemoryStore, tags: &[String]) -> bool {
        let tell = |event: Event<'_>| match event {
            Event::Retrying { .. } => drop(self.figures.retries.fetch_add(1, Ordering::SeqCst)),
            Event::BlobRestarted { .. } => drop(self.figures.restarts.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        };
        let repository = client.repository(&reference(&self.proxy.address(), repository), &tell);
        match repository.upload(graph, store).and_then(|()| repository.tag(graph, tags)) {
            Ok(()) => true,
            Err(error) => {
                let may_be = [ErrorKind::Registry, ErrorKind::NotFound].contains(&error.kind);
                assert!(may_be, "the faults are the registry's: {error:?}");
                false
            }
        }
    }

    /// Gets what `tags` stand for, past the proxy; it is what was pushed.
    fn pull_back(&self, client: &Client, repository: &str, tags: &[String], root: &Descriptor, store: &MemoryStore) {
        let repository = client.repository(&reference(&self.registry, repository), &silent);
        for tag in tags {
            assert_eq!(repository.resolve(Some(tag)).unwrap().digest, root.digest);
        }
        for (digest, bytes) in content(&repository, root).unwrap() {
            assert!(bytes == store.bytes(digest), "{digest}");
        }
    }

    /// Looks again and again at what the floating tags stand for: it is all there at any time.
    fn watch(&self, done: &AtomicBool) {
        let client = client();
        let seen = Mutex::new(BTreeMap::new());
        while !done.load(Ordering::SeqCst) {
            for name in REPOSITORIES {
                let repository = client.repository(&reference(&self.registry, name), &silent);
                let Ok(found) = repository.resolve(Some("latest")) else { continue };
                let before = seen.lock().unwrap().insert(name, found.digest);
                if before != Some(found.digest) {
                    content(&repository, &found).expect("a tag stands for something that is all there");
                    self.figures.watched.fetch_add(1, Ordering::SeqCst);
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// All that `root` reaches, verified.
fn content(
    repository: &Repository<'_>,
    root: &Descriptor,
) -> ocibake::error::Result<Vec<(ocibake::oci::Digest, Vec<u8>)>> {
    let graph = Graph::of(repository, root)?;
    let mut content: Vec<_> = graph.manifests.into_iter().map(|(at, bytes)| (at.digest, bytes)).collect();
    for blob in &graph.blobs {
        let mut bytes = Vec::new();
        let read = repository.open(blob)?.read_to_end(&mut bytes);
        read.map_err(|source| ocibake::error::Error::from_read("read", blob.digest.to_string(), source))?;
        content.push((blob.digest, bytes));
    }
    Ok(content)
}

/// One platform or two, with a layer that others have too and one of its own, between nothing and 600 KB.
fn image(store: &mut MemoryStore, number: u64) -> Descriptor {
    let shared = noise(number % 7, 50_000);
    let own = noise(1_000 + number, (number as usize * 7_919) % 600_000);
    let first = store.image(&[&shared, &own]);
    if !number.is_multiple_of(3) {
        return first;
    }
    let second = store.image(&[&shared, &noise(5_000 + number, 3_000)]);
    store.index(vec![first, second])
}
