//! Builds on images of a registry, from end to end.

use std::fs;

use ocibake::oci::Descriptor;
use ocibake::progress::silent;
use serde_json::{Value, json};

use crate::support::base::{INDEX, image, index, layer};
use crate::support::container::Bundle;
use crate::support::docker_registry::DockerRegistry;
use crate::support::handmade::{Blob, DOCKER, GZIP, file};
use crate::support::layout::Layout;
use crate::support::memory_store::MemoryStore;
use crate::support::registry_client::client;
use crate::support::tool::{require, require_root};
use crate::support::tree::Tree;
use crate::support::world::World;

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

fn layers(content: &str, of: &str) -> [Blob; 2] {
    [
        layer(file("base", format!("{content} for {of}")), DOCKER),
        layer(file("more", format!("more {content} for {of}")), GZIP),
    ]
}

/// Lets `org/base:13` stand for such an image.
fn put(registry: &DockerRegistry, content: &str) -> Descriptor {
    let mut store = MemoryStore::default();
    let config = json!({"Env": ["PATH=/bin", "BASE=1"], "Cmd": ["serve"], "User": "7"});
    let images = PLATFORMS.map(|of| image(&mut store, of, &layers(content, of), config.clone(), false));
    let root = index(&mut store, INDEX, &images);
    let (client, graph) = (client(), store.graph(&root));
    let name = format!("{}/org/base:13", registry.address()).parse().unwrap();
    let repository = client.repository(&name, &silent);
    repository.upload(&graph, &store).unwrap();
    repository.tag(&graph, &["13".to_owned()]).unwrap();
    root
}

/// A spec on that base, for both platforms.
fn world(registry: &DockerRegistry) -> World {
    let base = format!("{}/org/base:13", registry.address());
    World::new(&format!(
        "base = \"{base}\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n[[layer]]\nadd = [{{ from = \"files\", to = \"/srv/\" }}]\n\
         [config]\nenv = {{ MINE = \"1\" }}\n"
    ))
}

/// What the annotations of all images in a layout say they stand on.
fn base_digests(world: &World, layout: &str) -> Vec<Value> {
    let images = Layout::open(world.path(layout)).images();
    images.iter().map(|it| it.manifest["annotations"]["org.opencontainers.image.base.digest"].clone()).collect()
}

#[test]
fn a_spec_is_built_on_an_image() {
    if !require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    let root = put(&registry, "old");
    let world = world(&registry);
    world.build(&["-o", "layout/"]).success();
    let images = Layout::open(world.path("layout")).images();
    assert_eq!(images.iter().map(|image| image.platform()).collect::<Vec<_>>(), PLATFORMS);
    for (image, of) in images.iter().zip(PLATFORMS) {
        let lower: Vec<Vec<u8>> = image.layers[..2].iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(lower, layers("old", of).map(|blob| blob.bytes), "layers of the base pass through untouched");
        assert_eq!(image.layers.len(), 3);
        assert_eq!(image.config["config"]["Env"], json!(["PATH=/bin", "BASE=1", "MINE=1"]));
        assert_eq!(image.config["config"]["User"], "7");
        assert_eq!(image.config["config"]["Cmd"], json!(["serve"]));
        let annotations = &image.manifest["annotations"];
        let base = format!("{}/org/base:13", registry.address());
        assert_eq!(annotations["org.opencontainers.image.base.name"], base);
        assert_eq!(annotations["org.opencontainers.image.base.digest"], root.digest.to_string());
    }
    if require_root() && require("skopeo") && require("umoci") {
        let place = tempfile::tempdir().unwrap();
        let layout = format!("oci:{}", world.path("layout").display());
        let root = Bundle::unpack(&layout, "arm64", place.path()).root();
        assert_eq!(fs::read_to_string(root.join("base")).unwrap(), "old for linux/arm64");
        assert_eq!(fs::read_to_string(root.join("srv/a")).unwrap(), "content");
    }
}

#[test]
fn a_push_to_the_registry_of_the_base_pulls_no_layer_that_nothing_is_put_over() {
    if !require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    put(&registry, "old");
    let world = World::new(&format!(
        "base = \"{}/org/base:13\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n[config]\nenv = {{ MINE = \"1\" }}\n",
        registry.address()
    ));
    let name = format!("{}/org/app:v1", registry.address());
    let outcome = world.build(&["-t", &name, "--push", "--progress=json"]).success();
    assert_eq!(outcome.stderr.matches("\"outcome\":\"mounted\"").count(), 4, "{}", outcome.stderr);
    for of in PLATFORMS {
        for blob in layers("old", of) {
            let (_, hex) = crate::support::listing::digest(&blob.bytes[..]);
            assert!(!world.program.store().join("blobs/sha256").join(hex).exists());
        }
    }
}

#[test]
fn a_build_without_the_registry_takes_what_is_in_the_store() {
    if !require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    put(&registry, "old");
    let world = world(&registry);
    let digest = world.build(&["-o", "one.tar"]).digest();
    drop(registry);
    assert_eq!(world.build(&["-o", "two.tar", "--pull=never"]).digest(), digest);
    assert_eq!(world.build(&["-o", "two.tar", "--pull=missing"]).digest(), digest);
    assert_eq!(fs::read(world.path("one.tar")).unwrap(), fs::read(world.path("two.tar")).unwrap());
    let outcome = world.build(&["-o", "three.tar"]).success();
    outcome.says(&["is taken as it was when it was last pulled"]);
    let events = world.build(&["-o", "three.tar", "--progress=json"]).success();
    events.says(&[r#""event":"warning","kind":"base-not-checked""#]);
    world.build(&["-o", "three.tar", "--pull"]).failure(1).says(&["--pull=never"]);
    world.build(&["--pull=sometimes"]).failure(2);
    for blob in PLATFORMS.iter().flat_map(|of| layers("old", of)) {
        let (_, hex) = crate::support::listing::digest(&blob.bytes[..]);
        fs::remove_file(world.program.store().join("blobs/sha256").join(hex)).unwrap();
    }
    world.build(&["-o", "four.tar", "--pull=never"]).failure(1).says(&["is not in the local store", "--pull=missing"]);
}

#[test]
fn a_lock_holds_a_base_until_it_is_renewed() {
    if !require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    let old = put(&registry, "old").digest.to_string();
    let world = world(&registry);
    let lock = world.context.path().join("ocibake.lock");
    world.build(&["-o", "a/"]).success();
    assert!(!lock.exists(), "nobody asked for it");
    world.build(&["--lock", "-o", "a/"]).success();
    let text = fs::read_to_string(&lock).unwrap();
    let read: toml::Table = text.parse().unwrap();
    let name = format!("{}/org/base:13", registry.address());
    assert_eq!(read["base"][&name].as_str(), Some(old.as_str()));

    let new = put(&registry, "new").digest.to_string();
    world.build(&["-o", "b/"]).success();
    assert_eq!(base_digests(&world, "b"), [old.as_str(); 2]);
    world.build(&["--lock", "-o", "b/"]).success();
    assert_eq!(fs::read_to_string(&lock).unwrap(), text, "it is complete");
    world.build(&["--update-lock", "-o", "c/"]).success();
    assert_eq!(base_digests(&world, "c"), [new.as_str(); 2]);
    assert_eq!(fs::read_to_string(&lock).unwrap(), text.replace(&old, &new));

    fs::write(&lock, "version = 1\n[base]\n").unwrap();
    world.build(&["-o", "d/"]).failure(1).says(&["is not locked", "--lock"]);
    fs::write(&lock, format!("version = 1\n[base]\n\"{name}\" = \"sha256:{}\"\n", "0".repeat(64))).unwrap();
    world.build(&["-o", "d/"]).failure(1).says(&["is gone", "--update-lock"]);
    fs::write(&lock, "version = 1\nbses = {}\n").unwrap();
    world.build(&["-o", "d/"]).failure(1).says(&["unknown key `bses`", "ocibake.lock:2:1"]);
    world.build(&["--update-lock", "--pull=never"]).failure(2).says(&["--update-lock"]);
    assert!(!world.path("d").exists());
}

/// Every name that a Dockerfile takes an image by is locked, and found again.
#[test]
fn a_dockerfile_is_locked_beside_it() {
    if !require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    let old = put(&registry, "old").digest.to_string();
    let name = format!("{}/org/base:13", registry.address());
    let text = format!("FROM {name}\nCOPY --from={name} /more /copied\nCOPY file /file\n");
    let world = World::of(&Tree::new().file("build/Dockerfile", &text).file("file", "content"));
    let flags = ["-f", &format!("{}/build/Dockerfile", world.context()), "--platform=linux/amd64"];
    let build = |more: &[&str]| world.build(&[&flags[..], more].concat());
    build(&["--lock", "-o", "one.tar"]).success();
    let lock = fs::read_to_string(world.context.path().join("build/ocibake.lock")).unwrap();
    assert!(lock.contains(&format!("\"{name}\" = \"{old}\"")), "{lock}");
    put(&registry, "new");
    build(&["-o", "two/"]).success();
    assert_eq!(base_digests(&world, "two"), [old.as_str()]);
}

#[test]
fn a_base_that_is_not_there_is_an_error() {
    if !require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    put(&registry, "old");
    let world = world(&registry);
    let base = |name: &str| format!("--base={}/org/{name}", registry.address());
    world.build(&[&base("base:14"), "-o", "a/"]).failure(1).says(&["org/base/manifests/14"]);
    let platform = "--platform=linux/s390x";
    world
        .build(&[&base("base:13"), platform, "-o", "a/"])
        .failure(1)
        .says(&["linux/s390x", "linux/amd64, linux/arm64"]);
    world.build(&["--base=Not a name", "-o", "a/"]).failure(1).says(&["is not an image name"]);
    world.build(&["--base=scratch", "-o", "a/"]).success();
}
