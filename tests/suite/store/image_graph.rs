//! What a root reaches, where the documents are not as one would have written them.

use ocibake::error::ErrorKind;
use ocibake::oci::{Descriptor, Digest, ImageConfig, ImageIndex, ImageManifest, from_json, media_type};
use ocibake::store::Graph;

use crate::support::memory_store::MemoryStore;

const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

#[test]
fn indexes_in_indexes_are_followed_to_a_depth_that_is_used() {
    let mut store = MemoryStore::default();
    let image = store.image(&[b"layer"]);
    let inner = store.index(vec![image.clone()]);
    let root = store.index(vec![inner.clone()]);
    let order: Vec<Digest> = store.graph(&root).manifests.iter().map(|(descriptor, _)| descriptor.digest).collect();
    assert_eq!(order, [image.digest, inner.digest, root.digest]);
}

#[test]
fn a_long_chain_of_indexes_is_an_error_and_not_the_end_of_the_stack() {
    let mut store = MemoryStore::default();
    let mut root = store.image(&[b"layer"]);
    for _ in 0..20_000 {
        root = store.index(vec![root]);
    }
    let error = Graph::of(&store, &root).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Input);
    assert!(error.message.contains("indexes"), "{error}");
}

#[test]
fn a_root_that_is_neither_manifest_nor_index_is_refused() {
    let mut store = MemoryStore::default();
    let root = store.add("application/x-\u{1b}nonsense", b"{}");
    let error = Graph::of(&store, &root).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Input);
    assert!(error.message.contains(r"application/x-\u{1b}nonsense"), "{error}");
}

#[test]
fn what_can_be_read_as_manifest_and_as_index_is_refused() {
    let mut store = MemoryStore::default();
    let image = store.image(&[b"layer"]);
    let mut both: serde_json::Value = serde_json::from_slice(store.bytes(image.digest)).unwrap();
    both["manifests"] = serde_json::json!([]);
    let bytes = serde_json::to_vec(&both).unwrap();
    for media_type in [media_type::IMAGE_MANIFEST, media_type::IMAGE_INDEX] {
        let root = store.add(media_type, &bytes);
        assert!(Graph::of(&store, &root).unwrap_err().message.contains("at once"), "{media_type}");
    }
}

#[test]
fn layers_that_are_not_to_be_given_on_are_no_blobs() {
    let mut store = MemoryStore::default();
    let image = store.image(&[b"layer"]);
    let manifest: ImageManifest = from_json("manifest", store.bytes(image.digest)).unwrap();
    let mut blobs = |urls: serde_json::Value| -> Vec<Digest> {
        let mut foreign = Descriptor::new(FOREIGN, Digest::of(b"elsewhere"), 9);
        foreign.other.insert("urls".to_owned(), urls);
        let mut manifest = manifest.clone();
        manifest.layers.insert(0, foreign);
        let root = store.add(media_type::IMAGE_MANIFEST, &ocibake::oci::to_json(&manifest));
        store.graph(&root).blobs.iter().map(|blob| blob.digest).collect()
    };
    let plain = [manifest.config.digest, Digest::of(b"layer")];
    assert_eq!(blobs(serde_json::json!(["https://example.com/elsewhere"])), plain);
    // Where it does not say from where else it is to be had, it goes along.
    let all = [manifest.config.digest, Digest::of(b"elsewhere"), Digest::of(b"layer")];
    for urls in [serde_json::json!([]), serde_json::json!(null)] {
        assert_eq!(blobs(urls), all);
    }
}

/// Go's `encoding/json` writes a nil slice or map as `null`; umoci, docker and others leave such behind.
#[test]
fn lists_and_maps_that_are_null_are_empty() {
    let index: ImageIndex = from_json("i", br#"{"schemaVersion":2,"manifests":null,"annotations":null}"#).unwrap();
    assert!(index.manifests.is_empty() && index.annotations.is_empty());

    let digest = Digest::of(b"");
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{digest}","size":0,"annotations":null}},"layers":null}}"#
    );
    let manifest: ImageManifest = from_json("m", manifest.as_bytes()).unwrap();
    assert!(manifest.layers.is_empty() && manifest.config.annotations.is_empty());

    let config = br#"{"architecture":"amd64","os":"linux","os.features":null,"history":null,
        "config":{"Env":null,"Labels":null,"Healthcheck":{"Test":null}},"rootfs":{"type":"layers","diff_ids":null}}"#;
    let config: ImageConfig = from_json("c", config).unwrap();
    assert!(config.history.is_empty() && config.rootfs.diff_ids.is_empty() && config.config.env.is_none());
    let bare = br#"{"architecture":"amd64","os":"linux","config":null,"rootfs":{"type":"layers","diff_ids":[]}}"#;
    assert!(from_json::<ImageConfig>("c", bare).is_ok());
}

#[test]
fn a_list_that_must_be_there_is_missed() {
    assert!(from_json::<ImageIndex>("i", br#"{"schemaVersion":2}"#).is_err());
}

#[test]
fn a_digest_of_another_algorithm_is_named_as_such() {
    let error = format!("sha512:{}", "0".repeat(128)).parse::<Digest>().unwrap_err();
    assert!(error.message.contains("`sha512` is not supported"), "{error}");
}
