use std::time::Duration;

use ocibake::oci::{Descriptor, media_type};
use ocibake::store::{Graph, Store, read_document};

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, digest};
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::registry_client::{News, client, push, reference};
use crate::support::tool;

fn one_image() -> (MemoryStore, Descriptor) {
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a layer"]);
    (store, root)
}

#[test]
fn blobs_go_first_then_manifests_children_first_then_tags_in_order() {
    let registry = FakeRegistry::new();
    let mut store = MemoryStore::default();
    let images = vec![store.image(&[b"base", b"amd64"]), store.image(&[b"base", b"arm64"])];
    let root = store.index(images.clone());
    let news = News::default();
    push(&client(), &registry.address(), &store, &root, &["v1.2", "latest", "1"], &news).unwrap();

    let puts: Vec<_> = registry.requests().into_iter().filter(|request| request.method == "PUT").collect();
    let (blobs, manifests) = puts.split_at(5);
    assert!(blobs.iter().all(|put| put.path.contains("/blobs/uploads/")), "three layers and two configs come first");
    let mut names: Vec<_> = manifests.iter().map(|put| put.path.rsplit('/').next().unwrap().to_owned()).collect();
    let mut children = images.iter().map(|image| image.digest.to_string()).collect::<Vec<_>>();
    let root_digest = root.digest.to_string();
    children.sort();
    names[..2].sort();
    // The second time that the index goes by its digest, its tags go with it.
    assert_eq!(names[..2], children);
    assert_eq!(names[2..], [&*root_digest, &*root_digest, "v1.2", "latest", "1"]);
    assert_eq!(manifests[3].query, "tag=v1.2&tag=latest&tag=1");
    for tag in ["v1.2", "latest", "1"] {
        let (media_type, bytes) = registry.manifest(&format!("org/api/{tag}")).unwrap();
        assert_eq!(media_type, "application/vnd.oci.image.index.v1+json");
        assert_eq!(bytes, store.bytes(root.digest));
    }
    let told: Vec<_> =
        news.lines().into_iter().filter_map(|l| l.strip_prefix("manifest ").map(str::to_owned)).collect();
    assert_eq!(told[2..], [&*root_digest, "v1.2", "latest", "1"]);
}

#[test]
fn an_upload_is_one_stream_with_its_length_and_type() {
    let registry = FakeRegistry::new();
    let mut store = MemoryStore::default();
    let layer = noise(1, 3 << 20);
    let root = store.image(&[&layer]);
    push(&client(), &registry.address(), &store, &root, &[], &News::default()).unwrap();

    let put = registry.requests().into_iter().find(|request| request.body.len() == layer.len()).unwrap();
    assert_eq!((put.method.as_str(), put.header("content-length")), ("PUT", Some("3145728")));
    assert_eq!(put.header("content-type"), Some("application/octet-stream"));
    assert_eq!(registry.blob(digest(&layer)).unwrap(), layer);
}

#[test]
fn a_digest_is_sent_once_however_often_it_is_named() {
    let registry = FakeRegistry::new();
    let mut store = MemoryStore::default();
    let images = vec![store.image(&[b"same", b"same", b"one"]), store.image(&[b"two", b"same"])];
    let root = store.index(images);
    push(&client(), &registry.address(), &store, &root, &[], &News::default()).unwrap();
    let same = registry.requests().iter().filter(|request| request.method == "PUT" && request.body == b"same").count();
    assert_eq!(same, 1);
}

#[test]
fn blobs_that_are_there_are_not_sent() {
    let registry = FakeRegistry::new();
    let mut store = MemoryStore::default();
    let root = store.image(&[b"there", b"missing"]);
    registry.put_blob(b"there");
    let news = News::default();
    push(&client(), &registry.address(), &store, &root, &["v1"], &news).unwrap();
    assert!(news.lines().contains(&format!("present {}", digest(b"there"))));
    assert!(news.lines().contains(&format!("sent {}", digest(b"missing"))));
    assert_eq!(registry.count("POST", "/blobs/uploads/"), 2, "the missing layer and the config");

    let before = registry.requests().len();
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    let again = registry.requests().split_off(before);
    assert!(again.iter().all(|request| !request.path.contains("/blobs/uploads/")), "nothing is sent twice");
}

#[test]
fn a_blob_that_post_finds_is_done() {
    let (store, root) = one_image();
    // It cannot be asked for blobs, and says of each on POST that it has it.
    let registry = FakeRegistry::scripted(|request| match request.method.as_str() {
        "HEAD" => Some(Reply::status(405)),
        "POST" => Some(Reply::status(201)),
        _ if request.path.contains("/manifests/") => Some(Reply::status(201)),
        _ => None,
    });
    let news = News::default();
    push(&client(), &registry.address(), &store, &root, &["v1"], &news).unwrap();
    assert_eq!(news.lines().iter().filter(|line| line.starts_with("present ")).count(), 2);
    assert_eq!(registry.count("PUT", "/blobs/"), 0);
}

#[test]
fn a_location_may_be_relative_or_absolute_and_keeps_its_query() {
    for absolute in [false, true] {
        let registry = FakeRegistry::scripted(move |request| {
            let host = if absolute { format!("http://{}", request.header("host").unwrap()) } else { String::new() };
            let location = format!("{host}/v2/other/blobs/uploads/7?_state=a%2Fb%3D&x=%20");
            match request.method.as_str() {
                "POST" => Some(Reply::status(202).with("location", location)),
                "PUT" => Some(Reply::status(201)),
                _ => None,
            }
        });
        let (store, root) = one_image();
        push(&client(), &registry.address(), &store, &root, &[], &News::default()).unwrap();
        let put = registry.requests().into_iter().find(|request| request.body == b"a layer").unwrap();
        assert_eq!(put.path, "/v2/other/blobs/uploads/7");
        let digest = digest(b"a layer").replace(':', "%3A");
        assert_eq!(put.query, format!("_state=a%2Fb%3D&x=%20&digest={digest}"));
    }
}

#[test]
fn an_empty_blob_is_pushed() {
    let registry = FakeRegistry::new();
    let mut store = MemoryStore::default();
    let root = store.image(&[b""]);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    assert_eq!(registry.blob(digest(b"")).unwrap(), b"");
}

/// Some registries look at the digest in the query and have the blob already.
#[test]
fn an_upload_that_is_taken_before_its_end_is_done() {
    let mut store = MemoryStore::default();
    let layer = noise(1, 16 << 20);
    let root = store.image(&[&layer]);
    let registry = FakeRegistry::scripted(|request| match request.method.as_str() {
        "HEAD" => Some(Reply::status(404)),
        "PUT" if request.header("content-length").is_some_and(|length| length.len() > 7) => Some(Reply::Hasty(201)),
        _ => None,
    });
    registry.put_blob(&layer);
    let (sender, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let outcome = push(&client(), &registry.address(), &store, &root, &["v1"], &News::default());
        sender.send(outcome.map_err(|error| error.to_string())).unwrap();
    });
    done.recv_timeout(Duration::from_secs(300)).expect("the push comes to an end").unwrap();
}

#[test]
fn what_is_pushed_to_a_real_registry_comes_back_the_same() {
    if !tool::require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    let mut store = MemoryStore::default();
    let layer = noise(1, 5 << 20);
    let images = vec![store.image(&[&layer, b"amd64"]), store.image(&[&layer, b"arm64"])];
    let root = store.index(images);
    push(&client(), &registry.address(), &store, &root, &["v1", "latest"], &News::default()).unwrap();

    let client = client();
    let repository = client.repository(&reference(&registry.address(), "org/api:v1"), &ocibake::progress::silent);
    let found = repository.resolve(None).unwrap();
    assert_eq!(found, root);
    assert_eq!(repository.resolve(Some("latest")).unwrap(), root);
    let graph = Graph::of(&repository, &found).unwrap();
    assert_eq!(graph.manifests.len(), 3);
    assert_eq!(graph.blobs.len(), 5);
    for blob in &graph.blobs {
        let mut bytes = Vec::new();
        repository.open(blob).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, store.bytes(blob.digest));
    }
    assert_eq!(read_document(&repository, &found).unwrap(), store.bytes(root.digest));
}

/// Another client's opinion.
#[test]
fn oci_client_pulls_what_was_pushed() {
    use oci_client::client::{ClientConfig, ClientProtocol};
    if !tool::require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    let mut store = MemoryStore::default();
    let layer = noise(1, 1 << 20);
    let root = store.image(&[&layer]);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();

    let config = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
    let other = oci_client::Client::try_from(config).unwrap();
    let name: oci_client::Reference = format!("{}/org/api:v1", registry.address()).parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let anonymous = oci_client::secrets::RegistryAuth::Anonymous;
    let pulled = runtime.block_on(other.pull(&name, &anonymous, vec![media_type::LAYER])).unwrap();
    assert_eq!(pulled.digest.unwrap(), root.digest.to_string());
    assert_eq!(pulled.layers[0].data, layer);
    assert_eq!(pulled.config.data, store.bytes(store.graph(&root).blobs[0].digest));
}
