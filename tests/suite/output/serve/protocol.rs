//! What stands on the wire, held against the distribution specification 1.1.

use std::fs;

use serde_json::json;

use crate::support::fake_registry::digest;
use crate::support::served::Served;
use crate::support::world::{APP, World};

use super::super::copy_referrers::signed;
use super::{blob, digests, layout};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn manifests_are_had_by_tag_and_digest() {
    let world = layout();
    let served = Served::start(&world.program, &["./api"]);
    let [root, manifest, _] = digests(&world.path("api"));
    let base = served.get("/v2/");
    assert_eq!((base.status, base.header("docker-distribution-api-version")), (200, Some("registry/2.0")));
    for (key, wanted, kind) in [("v1", &root, INDEX), (&root, &root, INDEX), (&manifest, &manifest, MANIFEST)] {
        let path = format!("/v2/org/api/manifests/{key}");
        let whole = served.get(&path);
        assert_eq!(whole.body, fs::read(blob(&world.path("api"), wanted)).unwrap());
        let head = served.request("HEAD", &path, &[]);
        assert_eq!(head.body, b"");
        for reply in [&whole, &head] {
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("content-type"), Some(kind));
            assert_eq!(reply.header("content-length"), Some(whole.body.len().to_string().as_str()));
            assert_eq!(reply.header("docker-content-digest"), Some(wanted.as_str()));
            assert_eq!(reply.header("etag"), Some(format!("\"{wanted}\"").as_str()));
            assert_eq!(reply.header("docker-distribution-api-version"), Some("registry/2.0"));
        }
        let known = format!("If-None-Match: \"x\", W/\"{wanted}\"");
        let same = served.request("GET", &path, &[&known]);
        assert_eq!(
            (same.status, same.body.len(), same.header("docker-content-digest")),
            (304, 0, Some(wanted.as_str()))
        );
        assert_eq!(served.request("GET", &path, &["If-None-Match: \"sha256:0\""]).status, 200);
    }
    served.get("/v2/org/api/manifests/v2").refuses(404, "MANIFEST_UNKNOWN");
    served.get("/v2/org/web/manifests/v1").refuses(404, "NAME_UNKNOWN");
    served.get(&format!("/v2/org/api/manifests/{}", digest(b""))).refuses(404, "MANIFEST_UNKNOWN");
    served.get("/v2/org/api/manifests/sha256:0").refuses(400, "DIGEST_INVALID");
    served.get("/v2/Org/api%00/manifests/v1").refuses(400, "NAME_INVALID");
    let head = served.request("HEAD", "/v2/org/api/manifests/v2", &[]);
    assert_eq!((head.status, head.body.len()), (404, 0));
}

#[test]
fn blobs_are_had_in_whole_and_in_part() {
    let world = layout();
    let start = || Served::start(&world.program, &["./api"]);
    let served = start();
    let [root, manifest, layer] = digests(&world.path("api"));
    let content = fs::read(blob(&world.path("api"), &layer)).unwrap();
    let size = content.len();
    assert!(size > 300_000, "of several pieces");
    let path = format!("/v2/org/api/blobs/{layer}");
    let whole = served.get(&path);
    assert_eq!((whole.status, whole.body == content), (200, true));
    for reply in [&whole, &served.request("HEAD", &path, &[])] {
        assert_eq!(reply.header("content-length"), Some(size.to_string().as_str()));
        assert_eq!(reply.header("accept-ranges"), Some("bytes"));
        assert_eq!(reply.header("docker-content-digest"), Some(layer.as_str()));
    }
    let last = size - 1;
    for (range, part) in [
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=1-9".to_owned(), 1..10),
        ("bytes=65530-131100".to_owned(), 65530..131_101),
        (format!("bytes=100000-{}", 2 * size), 100_000..size),
        ("bytes=200000-".to_owned(), 200_000..size),
        ("bytes=-7".to_owned(), size - 7..size),
        (format!("bytes={last}-{last}"), last..size),
    ] {
        // The first part that is asked of a server, and one of a blob that was read before.
        for served in [&start(), &served] {
            let reply = served.request("GET", &path, &[&format!("Range: {range}")]);
            assert_eq!((reply.status, reply.body == content[part.clone()]), (206, true), "{range}");
            let place = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            assert_eq!(reply.header("content-range"), Some(place.as_str()));
            assert_eq!(reply.header("content-length"), Some(part.len().to_string().as_str()));
        }
    }
    let outside = served.request("GET", &path, &[&format!("Range: bytes={size}-")]);
    assert_eq!((outside.status, outside.header("content-range")), (416, Some(format!("bytes */{size}").as_str())));
    // What is not understood, and several parts, are answered by all there is.
    for headers in [
        &["Range: bytes=0-1,5-6"][..],
        &["Range: lines=1-2"],
        &["Range: bytes=5-2"],
        &["Range: bytes=0-1", "If-Range: \"sha256:other\""],
    ] {
        let reply = served.request("GET", &path, headers);
        assert_eq!((reply.status, reply.body == content), (200, true), "{headers:?}");
    }
    let own = format!("If-Range: \"{layer}\"");
    assert_eq!(served.request("GET", &path, &["Range: bytes=0-1", &own]).status, 206);
    assert_eq!(served.request("GET", &path, &[&format!("If-None-Match: \"{layer}\"")]).status, 304);
    // A manifest is a blob to whoever asks for one; a blob is no manifest.
    assert_eq!(served.get(&format!("/v2/org/api/blobs/{manifest}")).status, 200);
    assert_eq!(served.get(&format!("/v2/org/api/blobs/{root}")).status, 200);
    served.get(&format!("/v2/org/api/manifests/{layer}")).refuses(404, "MANIFEST_UNKNOWN");
    served.get(&format!("/v2/org/api/blobs/{}", digest(b"x"))).refuses(404, "BLOB_UNKNOWN");
    served.says(&format!("GET {path} 206 7 bytes "));
}

#[test]
fn what_another_repository_has_is_not_given_out() {
    let world = layout();
    world.change("of another");
    world.build(&["-t", "registry.example/org/web:v1", "-o", "web/"]).success();
    world.program.run(["copy", "./api", "./web", "-o", "both/"]).success();
    let served = Served::start(&world.program, &["./both"]);
    let [root, manifest, layer] = digests(&world.path("api"));
    for (kind, digest) in [("manifests", &root), ("manifests", &manifest), ("blobs", &layer)] {
        assert_eq!(served.get(&format!("/v2/org/api/{kind}/{digest}")).status, 200);
        assert_eq!(served.get(&format!("/v2/org/web/{kind}/{digest}")).status, 404);
    }
}

#[test]
fn names_and_tags_come_page_by_page() {
    let world = layout();
    let tags: Vec<String> = ["org/web:v1", "org/web:v10", "org/web:v2", "org/web:latest", "a/b:1", "org/api:v1"]
        .iter()
        .map(|name| format!("registry.example/{name}"))
        .collect();
    let flags: Vec<&str> = tags.iter().flat_map(|tag| ["-t", tag]).collect();
    world.build(&[&flags[..], &["-o", "pages/"]].concat()).success();
    let served = Served::start(&world.program, &["./pages"]);
    assert_eq!(served.get("/v2/_catalog").json(), json!({"repositories": ["a/b", "org/api", "org/web"]}));
    let list = served.get("/v2/org/web/tags/list");
    assert_eq!(list.json(), json!({"name": "org/web", "tags": ["latest", "v1", "v10", "v2"]}));
    assert_eq!(list.header("link"), None);
    for (start, key, expected) in [
        ("/v2/_catalog?n=2", "repositories", &[&["a/b", "org/api"][..], &["org/web"]][..]),
        ("/v2/org/web/tags/list?n=1", "tags", &[&["latest"], &["v1"], &["v10"], &["v2"]]),
        ("/v2/org/web/tags/list?n=3&last=latest", "tags", &[&["v1", "v10", "v2"]]),
        ("/v2/registry.example/org/web/tags/list?n=3", "tags", &[&["latest", "v1", "v10"], &["v2"]]),
        ("/v2/org/web/tags/list?n=2&ns=registry.example", "tags", &[&["latest", "v1"], &["v10", "v2"]]),
        ("/v2/org/web/tags/list?n=9999999", "tags", &[&["latest", "v1", "v10", "v2"]]),
        ("/v2/org/web/tags/list?last=zzz", "tags", &[&[]]),
        ("/v2/org/web/tags/list?n=0", "tags", &[&[]]),
    ] {
        let mut next = Some(start.to_owned());
        for page in expected {
            let reply = served.get(&next.expect("there is a page more"));
            assert_eq!(reply.json()[key], json!(page), "{start}");
            let link = reply.header("link").map(|link| link.strip_suffix(">; rel=\"next\"").unwrap());
            next = link.map(|link| link.strip_prefix('<').unwrap().to_owned());
        }
        assert_eq!(next, None, "{start}");
    }
    served.get("/v2/org/web/tags/list?n=x").refuses(400, "PAGINATION_NUMBER_INVALID");
    served.get("/v2/nothing/tags/list").refuses(404, "NAME_UNKNOWN");
}

#[test]
fn referrers_are_listed_by_subject() {
    let world = World::new(APP);
    let [signature, bill, second] = signed(&world);
    world.program.run(["copy", "oci:from:1", "-o", "bundle.tar", "--referrers"]).success();
    let root = digests(&world.path("from"))[0].clone();
    for place in ["./from", "./bundle.tar"] {
        let served = Served::start(&world.program, &[place]);
        let list = |subject: &str, query: &str| served.get(&format!("/v2/example/app/referrers/{subject}{query}"));
        let of = |subject: &str| {
            let reply = list(subject, "");
            assert_eq!((reply.status, reply.header("content-type")), (200, Some(INDEX)));
            let document = reply.json();
            assert_eq!((&document["schemaVersion"], &document["mediaType"]), (&json!(2), &json!(INDEX)));
            document["manifests"].clone()
        };
        let found = of(&root);
        assert_eq!(found.as_array().unwrap().len(), 1);
        assert_eq!(found[0]["digest"], json!(signature));
        assert_eq!(found[0]["mediaType"], MANIFEST);
        assert_eq!(found[0]["artifactType"], "example/signature");
        assert_eq!(found[0]["annotations"], json!({"about": "example/signature"}));
        assert_eq!(of(&bill)[0]["digest"], json!(second));
        assert_eq!(of(&signature), json!([]));
        assert_eq!(of(&crate::support::fake_registry::digest(b"nothing")), json!([]));
        let filtered = list(&root, "?artifactType=example%2Fsbom");
        assert_eq!(filtered.json()["manifests"], json!([]));
        assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
        let filtered = list(&root, "?artifactType=example/signature");
        assert_eq!(filtered.json()["manifests"][0]["digest"], json!(signature));
        assert_eq!(list(&root, "").header("oci-filters-applied"), None);
        // The documents themselves, and what is in them.
        for digest in [&signature, &bill, &second] {
            let manifest = served.get(&format!("/v2/example/app/manifests/{digest}")).json();
            let content = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
            assert_eq!(served.get(&format!("/v2/example/app/blobs/{content}")).status, 200);
        }
        // Our own client, which asks by this list.
        let address = served.address();
        world.program.run(["copy", &format!("{address}/example/app:1"), "-o", "back/", "--referrers"]).success();
        assert_eq!(super::blobs(&world.path("back")), super::blobs(&world.path("from")));
        fs::remove_dir_all(world.path("back")).unwrap();
        assert!(served.log().contains("serving 1 image at"), "what refers to it is none: {}", served.log());
    }
}

#[test]
fn nothing_can_be_written() {
    let world = layout();
    let before = super::blobs(&world.path("api"));
    let served = Served::start(&world.program, &["./api"]);
    let [root, _, layer] = digests(&world.path("api"));
    for (method, path) in [
        ("POST", "/v2/org/api/blobs/uploads/".to_owned()),
        ("POST", format!("/v2/org/api/blobs/uploads/?mount={layer}&from=org/web")),
        ("PATCH", "/v2/org/api/blobs/uploads/1".to_owned()),
        ("PUT", "/v2/org/api/manifests/v1".to_owned()),
        ("DELETE", format!("/v2/org/api/manifests/{root}")),
        ("DELETE", "/v2/org/api/manifests/v1".to_owned()),
        ("DELETE", format!("/v2/org/api/blobs/{layer}")),
        ("OPTIONS", "/v2/".to_owned()),
    ] {
        let reply = served.request(method, &path, &["Content-Length: 5", "", "hello"]);
        reply.refuses(405, "UNSUPPORTED");
        assert_eq!(reply.header("allow"), Some("GET, HEAD"));
    }
    let name = format!("{}/org/api:v2", served.address());
    world.program.run(["copy", "./api", &name]).failure(1).says(&["405", "read-only"]);
    assert_eq!(super::blobs(&world.path("api")), before);
    assert_eq!(served.get("/v2/org/api/tags/list").json()["tags"], json!(["v1"]));
}
