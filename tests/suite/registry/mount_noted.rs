//! The repositories that a local store has noted of blobs, which a registry is asked to take them from.

use std::io::Read;

use ocibake::oci::Digest;
use ocibake::registry::{Client, RegistryOptions};
use ocibake::store::{Graph, LocalStore, Store};
use serde_json::json;

use super::mount::upload;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, Request};
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{alone, client, logged_in, options, reference};
use crate::support::token_server::TokenServer;
use crate::support::tool::require;
use crate::support::traces::names_in;

/// A local store with an image, its own blobs and what is remembered of them.
struct Kept {
    place: tempfile::TempDir,
    graph: Graph,
}

impl Kept {
    fn new(layers: &[&[u8]]) -> Self {
        let mut memory = MemoryStore::default();
        let root = memory.image(layers);
        let graph = memory.graph(&root);
        let place = tempfile::tempdir().unwrap();
        let store = LocalStore::open(place.path()).unwrap();
        for blob in &graph.blobs {
            store.put(&blob.media_type, memory.bytes(blob.digest)).unwrap();
        }
        Kept { place, graph }
    }

    /// As by processes that have pushed to these repositories, one after the other.
    fn went_to(self, address: &str, names: &[&str]) -> Self {
        for name in names {
            let store = self.store();
            self.graph.blobs.iter().for_each(|blob| store.note_repository(blob, &reference(address, name)));
        }
        self
    }

    /// As another process has it.
    fn store(&self) -> LocalStore {
        LocalStore::open(self.place.path()).unwrap()
    }

    fn push(&self, client: &Client, address: &str, name: &str) -> Vec<String> {
        upload(client, address, name, &self.store(), &self.graph)
    }
}

/// The repositories that were asked for blobs, in the order in which that was done.
fn asked(requests: &[Request]) -> Vec<String> {
    let posts = requests.iter().filter(|request| request.method == "POST");
    let from = posts.filter_map(|post| post.query.split('&').find_map(|pair| pair.strip_prefix("from=")));
    from.map(|from| from.replace("%2F", "/")).collect()
}

#[test]
fn three_repositories_are_asked_at_the_most_the_last_one_first() {
    let registry = FakeRegistry::scripted(|request| {
        let is_mount = request.is("POST", "/uploads/") && request.query.contains("mount=");
        // What this one has, it has in all repositories, and is not to say so.
        (is_mount || request.is("HEAD", "/blobs/")).then(|| Reply::status(404))
    });
    let kept = Kept::new(&[]).went_to(&registry.address(), &["org/a", "org/b", "org/c", "org/d", "org/e", "org/c"]);
    assert_eq!(kept.push(&client(), &registry.address(), "org/new"), ["Sent"]);
    assert_eq!(asked(&registry.requests()), ["org/c", "org/e", "org/d"]);
    let posts = registry.count("POST", "/uploads/");
    assert_eq!(posts, 4);
    // It stands for itself now.
    let before = registry.requests().len();
    kept.push(&client(), &registry.address(), "org/newer");
    assert_eq!(asked(&registry.requests()[before..]), ["org/new", "org/c", "org/e"]);
}

#[test]
fn a_refusal_that_opens_an_upload_costs_no_request() {
    let requests = |went_to: &[&str]| {
        // This one does not mount, and opens an upload each time.
        let registry = FakeRegistry::new();
        let kept = Kept::new(&[b"one", b"two"]).went_to(&registry.address(), went_to);
        assert_eq!(kept.push(&client(), &registry.address(), "org/api"), ["Sent"; 3]);
        (registry.requests().len(), asked(&registry.requests()))
    };
    let (all, none) = requests(&[]);
    assert_eq!(none, [""; 0]);
    assert_eq!(requests(&["org/a", "org/b"]), (all, vec!["org/b".to_owned(); 3]));
}

#[test]
fn a_repository_that_one_may_not_read_is_asked_for_once_and_fails_nothing() {
    for status in [401, 403, 405] {
        let registry = FakeRegistry::scripted(move |request| {
            let is_mount = request.is("POST", "/uploads/") && request.query.contains("from=org%2Fsecret");
            is_mount.then(|| Reply::status(status))
        });
        let layers: Vec<Vec<u8>> = (0..6).map(|seed| noise(seed, 1000)).collect();
        let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
        let kept = Kept::new(&layers).went_to(&registry.address(), &["org/secret"]);
        assert_eq!(kept.push(&alone(), &registry.address(), "org/api"), ["Sent"; 7]);
        assert_eq!(asked(&registry.requests()), ["org/secret"], "status {status}");
    }
}

/// Gives tokens for what is not secret: for that part of what is asked for, or, if it is `strict`, for all of it or nothing.
fn with_tokens(strict: bool) -> FakeRegistry {
    FakeRegistry::scripted(move |request| with_token(strict, request))
}

fn with_token(strict: bool, request: &Request) -> Option<Reply> {
    let words = format!("{}&{}", request.query, String::from_utf8_lossy(&request.body));
    if request.path == "/token" {
        let token = if words.contains("org%2Fother") { "both" } else { "own" };
        let body = format!(r#"{{"token":"{token}","expires_in":60}}"#);
        return Some(match strict && words.contains("org%2Fsecret") {
            true => Reply::refusal(403, "DENIED", "org/secret is not yours"),
            false => Reply::Answer(200, Vec::new(), body.into_bytes()),
        });
    }
    let mounts = request.query.contains("mount=");
    let wanted = if mounts { "Bearer both" } else { "Bearer own" };
    if request.header("authorization") != Some(wanted) {
        let host = request.header("host").unwrap();
        let scope = "repository:org/api:pull,push";
        let challenge = format!(r#"Bearer realm="http://{host}/token",service="it",scope="{scope}""#);
        return Some(Reply::refusal(401, "UNAUTHORIZED", "who is it?").with("www-authenticate", challenge));
    }
    // What this one has, it has in all repositories, and is not to say so.
    let is_question = request.is("HEAD", "/blobs/");
    (mounts || is_question).then(|| Reply::status(if mounts { 201 } else { 404 }))
}

#[test]
fn a_token_is_asked_for_both_repositories_and_without_one_it_is_sent() {
    let registry = with_tokens(true);
    let kept = Kept::new(&[]).went_to(&registry.address(), &["org/other"]);
    for blob in &kept.graph.blobs {
        let mut content = Vec::new();
        kept.store().open(blob).unwrap().read_to_end(&mut content).unwrap();
        registry.put_blob(&content);
    }
    let scope = "scope=repository%3Aorg%2Fapi%3Apull%2Cpush&scope=repository%3Aorg%2Fother%3Apull";
    assert_eq!(kept.push(&client(), &registry.address(), "org/api"), ["Mounted"]);
    let tokens: Vec<_> = registry.requests().into_iter().filter(|request| request.path == "/token").collect();
    assert!(tokens.iter().any(|token| token.query.contains(scope)), "{:?}", tokens.last().map(|token| &token.query));
    assert_eq!(registry.count("PUT", "/uploads/"), 0);

    for (strict, posts) in [(true, 1), (false, 2)] {
        let registry = with_tokens(strict);
        let layers: [&[u8]; 4] = [b"one", b"two", b"three", b"four"];
        let kept = Kept::new(&layers).went_to(&registry.address(), &["org/secret"]);
        assert_eq!(kept.push(&alone(), &registry.address(), "org/api"), ["Sent"; 5]);
        let requests = registry.requests();
        let tokens = requests.iter().filter(|request| request.path == "/token");
        assert_eq!(tokens.filter(|token| token.query.contains("org%2Fsecret")).count(), 1, "strict: {strict}");
        assert_eq!(asked(&requests), vec!["org/secret"; posts], "with a token and without: once for all blobs");
    }
}

#[test]
fn a_real_registry_mounts_with_a_token_for_both() {
    if !["docker-registry", "openssl"].into_iter().all(require) {
        return;
    }
    let server = TokenServer::new(300, 300, &["pull", "push"]);
    let registry = DockerRegistry::with_configuration(&server.configuration());
    let kept = Kept::new(&[b"one", b"two"]);
    let (_directory, credentials) = logged_in(&registry.address(), "ada", "s3cret");
    for (name, outcome) in [("org/one", "Sent"), ("org/two", "Mounted")] {
        // Another process each time.
        let client = Client::new(RegistryOptions { credentials: credentials.clone(), ..options() }).unwrap();
        assert_eq!(kept.push(&client, &registry.address(), name), [outcome; 3]);
    }
}

#[test]
fn records_that_are_damaged_or_of_another_registry_lead_nowhere() {
    let registry = FakeRegistry::new();
    let address = registry.address();
    let names = |names: &[&str]| json!({ "repositories": names }).to_string().into_bytes();
    let long = format!("{address}/{}", "a".repeat(256));
    let contents: Vec<Vec<u8>> = vec![
        names(&["registry.example.com/org/base"]),
        names(&["org/base", "docker.io/org/base", "base"]),
        names(&[&format!("{address}/org/base:1"), &format!("{address}/org/base?mount=x"), &format!("{address}/../x")]),
        names(&[&format!("{address}/org/Base"), &format!("{address}/org/base\n"), &format!("{address}/"), &long]),
        names(&[&format!("x@{address}/org/base"), &format!("http://{address}/org/base")]),
        b"{\"repositories\": \"org/base\"}".to_vec(),
        b"[]".to_vec(),
        b"\xff\x00{".to_vec(),
        Vec::new(),
    ];
    for (number, content) in contents.into_iter().enumerate() {
        let kept = Kept::new(&[format!("layer {number}").as_bytes()]).went_to(&address, &["org/base"]);
        rewrite(&kept, &content);
        assert_eq!(kept.push(&client(), &address, &format!("org/api{number}")), ["Sent"; 2], "{number}");
    }
    // What is no record any more is none.
    let kept = Kept::new(&[b"layer"]).went_to(&address, &["org/base"]);
    for file in names_in(&kept.place.path().join("records")) {
        let file = kept.place.path().join("records").join(file);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(file, bytes).unwrap();
    }
    assert_eq!(kept.push(&client(), &address, "org/app"), ["Sent"; 2]);
    // And one that is whole is of the registry of its name, by that name.
    let kept = Kept::new(&[b"other"]).went_to(&registry.other_address(), &["org/base"]);
    assert_eq!(kept.push(&client(), &address, "org/apt"), ["Sent"; 2]);
    assert_eq!(asked(&registry.requests()), [""; 0]);
    let kept = Kept::new(&[b"another"]).went_to(&address, &["org/base"]);
    kept.push(&client(), &address, "org/apz");
    assert_eq!(asked(&registry.requests()), ["org/base"; 2], "so it was asked for where nothing is wrong");
}

/// Puts another content into each record, which is whole apart from that.
fn rewrite(kept: &Kept, content: &[u8]) {
    let records = names_in(&kept.place.path().join("records"));
    assert_eq!(records.len(), kept.graph.blobs.len());
    let store = kept.store();
    for record in records {
        let key: Digest = format!("sha256:{record}").parse().unwrap();
        let (blob, _) = store.record(&key).unwrap();
        store.put_record(&key, &blob, content).unwrap();
    }
}

/// A store that nobody can write to any more.
#[test]
fn what_cannot_be_noted_fails_no_push() {
    let registry = FakeRegistry::new();
    let kept = Kept::new(&[b"layer"]);
    let records = kept.place.path().join("records");
    let store = kept.store();
    std::fs::remove_dir(&records).unwrap();
    assert_eq!(upload(&client(), &registry.address(), "org/api", &store, &kept.graph), ["Sent"; 2]);
    assert!(!records.exists());
}
