//! Under which names images are served.

use std::fs;

use serde_json::json;

use crate::support::program::Program;
use crate::support::served::Served;
use crate::support::world::World;

use super::{digests, layout};

/// A layout `both` of two images that are `org/api:v1` of two registries, and `same:1`, which is one of them in both.
fn both() -> World {
    let world = layout();
    world
        .build(&["-t", "a.example/org/api:v1", "-t", "a.example/same:1", "-t", "b.example/same:1", "-o", "a/"])
        .success();
    world.change("another");
    world.build(&["-t", "b.example:5000/org/api:v1", "-t", "b.example:5000/org/api:v2", "-o", "b/"]).success();
    world.program.run(["copy", "./a", "./b", "-o", "both/"]).success();
    world
}

#[test]
fn one_path_of_two_registries_is_never_the_wrong_one() {
    let world = both();
    let (a, b) = (digests(&world.path("a"))[0].clone(), digests(&world.path("b"))[0].clone());
    let served = Served::start(&world.program, &["./both"]);
    let log = served.log();
    assert!(
        log.contains("warning: org/api:v1 is a.example/org/api:v1 and b.example:5000/org/api:v1: only the full names"),
        "{log}"
    );
    let address = served.address();
    for name in ["a.example/org/api:v1", "b.example:5000/org/api:v1", "org/api:v2", "same:1"] {
        assert!(log.contains(&format!("docker pull {address}/{name}\n")), "{name} is not in {log}");
    }
    served.get("/v2/org/api/manifests/v1").refuses(404, "MANIFEST_UNKNOWN");
    let digest =
        |path: &str| served.get(path).header("docker-content-digest").unwrap_or_else(|| panic!("{path}")).to_owned();
    assert_eq!(digest("/v2/a.example/org/api/manifests/v1"), a);
    assert_eq!(digest("/v2/b.example:5000/org/api/manifests/v1"), b);
    assert_eq!(digest("/v2/org/api/manifests/v1?ns=a.example"), a);
    assert_eq!(digest("/v2/org/api/manifests/v1?ns=b.example%3A5000"), b);
    assert_eq!(digest("/v2/org/api/manifests/v2"), b);
    assert_eq!(digest("/v2/same/manifests/1"), a);
    served.get("/v2/org/api/manifests/v1?ns=c.example").refuses(404, "NAME_UNKNOWN");
    served.get("/v2/org/api/manifests/v2?ns=a.example").refuses(404, "MANIFEST_UNKNOWN");
    // By digest all of both are had.
    for wanted in [&a, &b] {
        assert_eq!(digest(&format!("/v2/org/api/manifests/{wanted}")), *wanted);
    }
    assert_eq!(served.get("/v2/org/api/tags/list").json()["tags"], json!(["v2"]));
    assert_eq!(served.get("/v2/a.example/org/api/tags/list").json()["tags"], json!(["v1"]));
    let names = served.get("/v2/_catalog").json()["repositories"].clone();
    assert_eq!(
        names,
        json!(["a.example/org/api", "a.example/same", "b.example/same", "b.example:5000/org/api", "org/api", "same"])
    );
    // Who asks the registry by its own name asks for no mirror.
    assert_eq!(digest(&format!("/v2/org/api/manifests/v2?ns={address}")), b);
}

#[test]
fn what_has_no_repository_goes_by_the_name_of_its_file() {
    let world = layout();
    let root = digests(&world.path("api"))[0].clone();
    // As skopeo writes it: no more than a tag.
    let index = world.path("api/index.json");
    let set = |annotations: serde_json::Value| {
        let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
        document["manifests"][0]["annotations"] = annotations;
        fs::write(&index, document.to_string()).unwrap();
    };
    for (annotations, path) in [
        (json!({"org.opencontainers.image.ref.name": "v7"}), "my-images/manifests/v7"),
        (json!({}), "my-images/manifests/latest"),
        (json!({"org.opencontainers.image.ref.name": "nginx:1"}), "library/nginx/manifests/1"),
        (json!({"org.opencontainers.image.ref.name": "\u{1b}[2J odd"}), "my-images/manifests/sha256"),
    ] {
        set(annotations);
        let place = world.path("My_Images.oci");
        fs::rename(world.path("api"), &place).unwrap();
        let served = Served::start(&world.program, &["./My_Images.oci"]);
        let path = if path.ends_with("sha256") { format!("my-images/manifests/{root}") } else { path.to_owned() };
        assert_eq!(served.get(&format!("/v2/{path}")).header("docker-content-digest"), Some(root.as_str()), "{path}");
        assert!(!served.log().contains('\u{1b}'));
        fs::rename(place, world.path("api")).unwrap();
    }
}

#[test]
fn one_image_of_several_is_served_alone() {
    let world = both();
    let b = digests(&world.path("b"))[0].clone();
    let served = Served::start(&world.program, &["oci:both:b.example:5000/org/api:v1"]);
    assert_eq!(served.get("/v2/org/api/manifests/v1").header("docker-content-digest"), Some(b.as_str()));
    assert_eq!(served.get("/v2/_catalog").json(), json!({"repositories": ["org/api"]}));
    // Of the local store, too.
    let served = Served::start(&world.program, &["a.example/same:1"]);
    assert_eq!(served.get("/v2/_catalog").json(), json!({"repositories": ["same"]}));
    // And a store by its directory.
    let store = world.program.store();
    let served = Served::start(&Program::new(), &[store.to_str().unwrap()]);
    assert_eq!(served.get("/v2/same/tags/list").json()["tags"], json!(["1"]));
}

#[test]
fn what_cannot_be_served_is_refused_at_once() {
    let world = layout();
    let serve = |arguments: &[&str]| world.program.run([&["serve"], arguments].concat());
    serve(&["nowhere.example/org/api:v1"]).failure(2).says(&["is in a registry, or nowhere"]);
    serve(&["./nothing"]).failure(1).says(&["there is no ./nothing"]);
    serve(&["./api", "--addr", "somewhere"]).failure(2).says(&["not an address", "127.0.0.1:5000"]);
    serve(&["./api", "--tlscert", "x"]).failure(2).says(&["--tlskey"]);
    serve(&["./api", "--tlscert", "x", "--tlskey", "y"]).failure(1).says(&["cannot read x"]);
    serve(&["./api", "--addr", "203.0.113.1:0"]).failure(1).says(&["cannot listen on 203.0.113.1:0", "--addr"]);
    let served = Served::start(&world.program, &["./api"]);
    serve(&["./api", "--addr", served.address()]).failure(1).says(&["something listens there already"]);
}

#[test]
fn what_is_not_whole_is_said_at_the_start() {
    let world = layout();
    let [_, manifest, layer] = digests(&world.path("api"));
    fs::remove_file(super::blob(&world.path("api"), &layer)).unwrap();
    let served = Served::start(&world.program, &["./api"]);
    assert!(served.log().contains("warning: org/api:v1: 1 blob is missing"), "{}", served.log());
    served.get(&format!("/v2/org/api/blobs/{layer}")).refuses(404, "BLOB_UNKNOWN");
    assert_eq!(served.request("HEAD", &format!("/v2/org/api/blobs/{layer}"), &[]).status, 404);
    fs::remove_file(super::blob(&world.path("api"), &manifest)).unwrap();
    let served = Served::start(&world.program, &["./api"]);
    assert!(served.log().contains(&format!("warning: org/api:v1: there is no blob {manifest}")), "{}", served.log());
}
