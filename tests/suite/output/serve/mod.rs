//! `ocibake serve`: a place of images as a registry.

mod clients;
mod hostile;
mod live;
mod names;
mod protocol;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::noise::noise;
use crate::support::traces::names_in;
use crate::support::tree::Tree;
use crate::support::world::World;

/// For two platforms, with a layer of several hundred kilobytes.
const LARGE: &str = r#"
name = "registry.example/org/api"
platforms = ["linux/amd64", "linux/arm64"]
[[layer]]
add = [{ from = "files", to = "/srv/" }]
[config]
entrypoint = ["/bin/app"]
"#;

/// In bytes: more than the kernel holds of a connection.
const LARGE_SIZE: usize = 64 << 20;

fn world() -> World {
    World::of(&Tree::new().file("ocibake.toml", LARGE).file("files/a", noise(1, 400_000)))
}

/// A layout `api` of `registry.example/org/api:v1`.
fn layout() -> World {
    let world = world();
    world.build(&["-t", "registry.example/org/api:v1", "-o", "api/"]).success();
    world
}

/// The digest of the first root of a layout, which is an index, that of the first manifest in it, and that of its layer.
fn digests(layout: &Path) -> [String; 3] {
    let root = text(&read(layout.join("index.json"))["manifests"][0]);
    let manifest = text(&read(blob(layout, &root))["manifests"][0]);
    let layer = text(&read(blob(layout, &manifest))["layers"][0]);
    [root, manifest, layer]
}

/// A layout `large` of `registry.example/org/large:1`, whose layer has 64 MiB.
fn large() -> World {
    let world = World::of(&Tree::new().file("ocibake.toml", LARGE).file("files/a", vec![7; LARGE_SIZE]));
    let flags = ["-t", "registry.example/org/large:1", "-o", "large/", "--compression=none", "--platform=linux/amd64"];
    world.build(&flags).success();
    world
}

/// The digest of the layer of `large`.
fn large_layer(world: &World) -> String {
    let root = text(&read(world.path("large/index.json"))["manifests"][0]);
    text(&read(blob(&world.path("large"), &root))["layers"][0])
}

fn read(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn text(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap().to_owned()
}

fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn blobs(layout: &Path) -> Vec<String> {
    names_in(&layout.join("blobs/sha256"))
}
