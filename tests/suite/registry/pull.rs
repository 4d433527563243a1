use std::io::Read;

use ocibake::error::{Error, ErrorKind};
use ocibake::oci::{Descriptor, media_type};
use ocibake::progress::silent;
use ocibake::store::Store;

use crate::support::fake_registry::{FakeRegistry, Reply, Request, digest};
use crate::support::memory_store::MemoryStore;
use crate::support::registry_client::{News, client, push, reference, text};

/// A registry that holds a small image under `org/api:v1`, and then follows `script`.
fn with_image(
    script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
) -> (FakeRegistry, MemoryStore, Descriptor) {
    let registry = FakeRegistry::scripted(move |request| match request.method.as_str() {
        // The push looks for blobs with HEAD; only pulls ask for manifests or get blobs.
        "GET" => script(request),
        "HEAD" if request.path.contains("/manifests/") => script(request),
        _ => None,
    });
    let mut store = MemoryStore::default();
    let root = store.image(&[b"a layer"]);
    push(&client(), &registry.address(), &store, &root, &["v1"], &News::default()).unwrap();
    (registry, store, root)
}

fn resolve(registry: &FakeRegistry, name: &str) -> ocibake::error::Result<Descriptor> {
    client().repository(&reference(&registry.address(), "org/api"), &silent).resolve(Some(name))
}

/// All of a blob, or the error of its opening or reading.
fn read(registry: &FakeRegistry, descriptor: &Descriptor) -> ocibake::error::Result<Vec<u8>> {
    let client = client();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    let mut bytes = Vec::new();
    let mut reader = repository.open(descriptor)?;
    reader.read_to_end(&mut bytes).map_err(|source| Error::from_read("read", "blob", source))?;
    Ok(bytes)
}

fn layer() -> Descriptor {
    Descriptor::of(media_type::LAYER, b"a layer")
}

#[test]
fn a_tag_and_a_digest_resolve_with_one_head_request() {
    let (registry, _, root) = with_image(|_| None);
    let wanted = Descriptor { platform: None, ..root.clone() };
    for name in ["v1".to_owned(), root.digest.to_string()] {
        let before = registry.requests().len();
        assert_eq!(resolve(&registry, &name).unwrap(), wanted);
        let requests = registry.requests().split_off(before);
        assert_eq!(
            requests.iter().map(|r| r.line()).collect::<Vec<_>>(),
            [format!("HEAD /v2/org/api/manifests/{name}")]
        );
        let accept: Vec<_> = requests[0].headers.iter().filter(|(name, _)| name == "accept").collect();
        assert_eq!(accept.len(), 4, "all that an image or index can be is accepted: {accept:?}");
    }
}

#[test]
fn a_registry_that_does_not_describe_manifests_is_asked_for_the_content() {
    for status in [405, 200] {
        let (registry, _, root) = with_image(move |request| (request.method == "HEAD").then(|| Reply::status(status)));
        assert_eq!(resolve(&registry, "v1").unwrap(), Descriptor { platform: None, ..root });
    }
}

#[test]
fn a_manifest_with_another_digest_than_was_asked_for_is_found_out() {
    let wrong = b"{}";
    let (registry, _, root) = with_image(move |request| match request.method.as_str() {
        "HEAD" => Some(Reply::status(405)),
        _ => Some(Reply::Answer(200, Vec::new(), wrong.to_vec()).with("content-type", media_type::IMAGE_MANIFEST)),
    });
    let error = resolve(&registry, &root.digest.to_string()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Integrity);
    assert_eq!(
        text(&error, &registry.address()).0,
        format!("GET http://HOST/v2/org/api/manifests/{}: the manifest has the digest {}", root.digest, digest(wrong))
    );

    let (registry, ..) = with_image(|request| {
        let other = Reply::status(200).with("docker-content-digest", digest(b"other")).with("content-length", "7");
        (request.method == "HEAD").then(|| other.with("content-type", media_type::IMAGE_MANIFEST))
    });
    assert_eq!(resolve(&registry, &root.digest.to_string()).unwrap_err().kind, ErrorKind::Integrity);
}

#[test]
fn what_is_not_there_is_not_found() {
    let (registry, ..) = with_image(|_| None);
    let error = resolve(&registry, "v2").unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(
        text(&error, &registry.address()),
        (
            "GET http://HOST/v2/org/api/manifests/v2: 404 Not Found: MANIFEST_UNKNOWN: manifest unknown".to_owned(),
            "check the name org/api, and the tag or digest".to_owned()
        )
    );
    let missing = Descriptor::of(media_type::LAYER, b"missing");
    let error = read(&registry, &missing).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(
        text(&error, &registry.address()).0,
        format!(
            "GET http://HOST/v2/org/api/blobs/{}: 404 Not Found: BLOB_UNKNOWN: blob unknown to registry",
            digest(b"missing")
        )
    );
}

#[test]
fn a_name_that_is_no_tag_is_not_sent() {
    let (registry, ..) = with_image(|_| None);
    let before = registry.requests().len();
    let error = resolve(&registry, "../../secret?x").unwrap_err();
    assert_eq!(error.message, "`../../secret?x` is neither a tag nor a digest");
    assert_eq!(registry.requests().len(), before);
}

#[test]
fn other_content_under_a_digest_is_found_out() {
    let (registry, ..) = with_image(|request| {
        request.path.contains("/blobs/").then(|| Reply::Answer(200, Vec::new(), b"a liver".to_vec()))
    });
    let error = read(&registry, &layer()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Integrity);
    assert_eq!(error.message, format!("blob {} has the digest {}", digest(b"a layer"), digest(b"a liver")));
}

#[test]
fn a_body_that_is_shorter_than_the_descriptor_is_found_out() {
    let (registry, ..) = with_image(|request| {
        request.path.contains("/blobs/").then(|| Reply::Answer(200, Vec::new(), b"a la".to_vec()))
    });
    let error = read(&registry, &layer()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Integrity);
    assert_eq!(error.message, format!("blob {} ends after 4 of 7 bytes", digest(b"a layer")));
}

#[test]
fn a_request_for_a_blob_is_tried_again() {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let (registry, ..) = with_image(move |request| {
        let fails = request.path.contains("/blobs/") && tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2;
        fails.then(|| Reply::status(503))
    });
    assert_eq!(read(&registry, &layer()).unwrap(), b"a layer");
    assert_eq!(registry.count("GET", "/blobs/"), 3);
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let storage = FakeRegistry::scripted(|_| Some(Reply::Answer(200, Vec::new(), b"a layer".to_vec())));
    let target = format!("http://{}/bucket/key?signature=s3cret", storage.address());
    let (registry, ..) = with_image(move |request| {
        request.path.contains("/blobs/").then(|| Reply::status(307).with("location", target.clone()))
    });
    assert_eq!(read(&registry, &layer()).unwrap(), b"a layer");

    let (registry, ..) =
        with_image(|request| request.path.contains("/blobs/").then(|| Reply::status(302).with("location", "?again")));
    let error = read(&registry, &layer()).unwrap_err();
    let message = format!("GET http://HOST/v2/org/api/blobs/{}: more than 10 redirects", digest(b"a layer"));
    assert_eq!(text(&error, &registry.address()).0, message);
    assert_eq!(registry.count("GET", "/blobs/"), 11);
}
