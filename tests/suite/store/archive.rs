//! Docker archives put together by hand, and archives that are compressed as a whole.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::listing::digest;
use crate::support::program::{Outcome, Program};
use crate::support::tree::Tree;

const LAYER: &[u8] = b"not looked into, so it need not be a tar";

/// What goes into an archive, in its order.
enum Member<'a> {
    File(&'a str, Vec<u8>),
    Link(&'a str, &'a str),
}
use Member::{File, Link};

struct World {
    place: TempDir,
}

impl World {
    fn new(members: &[Member<'_>]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut tar = tar::Builder::new(fs::File::create(place.path().join("x.tar")).unwrap());
        for member in members {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            match member {
                File(name, bytes) => {
                    header.set_size(bytes.len() as u64);
                    tar.append_data(&mut header, name, &bytes[..]).unwrap();
                }
                Link(name, target) => {
                    header.set_size(0);
                    header.set_entry_type(tar::EntryType::Symlink);
                    tar.append_link(&mut header, name, target).unwrap();
                }
            }
        }
        tar.finish().unwrap();
        World { place }
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("x.tar")
    }

    fn inspect(&self) -> Outcome {
        Program::new().run(["inspect", "--json", self.path().to_str().unwrap()])
    }

    fn layers(&self) -> Vec<Value> {
        let report: Value = serde_json::from_str(&self.inspect().success().stdout).unwrap();
        report["images"][0]["layers"].as_array().unwrap().clone()
    }
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", digest(bytes).1)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn config(diff_ids: &[String]) -> Member<'static> {
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    File("config.json", config.to_string().into_bytes())
}

fn manifest(layers: Value) -> Member<'static> {
    let images = json!([{"Config": "config.json", "RepoTags": null, "Layers": layers}]);
    File("manifest.json", images.to_string().into_bytes())
}

#[test]
fn layers_that_their_config_promises_are_read_whatever_their_compression() {
    let zstd = zstd::encode_all(LAYER, 1).unwrap();
    for (stored, kind) in [(LAYER.to_vec(), "tar"), (gzip(LAYER), "tar+gzip"), (zstd, "tar+zstd")] {
        let world = World::new(&[config(&[sha256(LAYER)]), File("layer", stored.clone()), manifest(json!(["layer"]))]);
        let layers = world.layers();
        assert_eq!(layers[0]["digest"], sha256(&stored));
        assert_eq!(layers[0]["size"], stored.len());
        assert_eq!(layers[0]["diffId"], sha256(LAYER));
        assert_eq!(layers[0]["mediaType"], format!("application/vnd.oci.image.layer.v1.{kind}"));
    }
}

#[test]
fn a_layer_that_is_not_the_one_of_its_config_is_refused() {
    let mut broken = gzip(LAYER);
    broken.truncate(broken.len() - 9);
    for stored in [b"another".to_vec(), gzip(b"another"), zstd::encode_all(&b"another"[..], 1).unwrap(), broken] {
        let world =
            World::new(&[config(&[sha256(LAYER)]), File("a/layer.tar", stored), manifest(json!(["a/layer.tar"]))]);
        world.inspect().failure(1).says(&["a/layer.tar", "x.tar", "unpack", "assembled wrongly"]);
        let outcome = Program::new().run(["push", "127.0.0.1:1/x/y:1", world.path().to_str().unwrap()]);
        outcome.failure(1).says(&["a/layer.tar"]);
    }
}

#[test]
fn as_many_layers_as_the_config_has() {
    for diff_ids in [vec![], vec![sha256(LAYER); 2]] {
        let world = World::new(&[config(&diff_ids), File("layer", LAYER.to_vec()), manifest(json!(["layer"]))]);
        world.inspect().failure(1).says(&["1 layers", &format!("{} diff_ids", diff_ids.len())]);
    }
}

#[test]
fn a_config_that_names_no_platform_is_for_linux_amd64_as_anywhere() {
    let config = json!({"rootfs": {"type": "layers", "diff_ids": [sha256(LAYER)]}}).to_string();
    let members = [File("config.json", config.into_bytes()), File("layer", LAYER.to_vec()), manifest(json!(["layer"]))];
    let world = World::new(&members);
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let archive = format!("docker-archive:{}", world.path().display());
    Program::new().run(["copy", &archive, &format!("{}/", layout.display())]).success();
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["platform"], json!({"architecture": "amd64", "os": "linux"}));
}

#[test]
fn no_layers_may_be_null() {
    assert_eq!(World::new(&[config(&[]), manifest(Value::Null)]).layers(), [Value::Null; 0]);
}

#[test]
fn links_are_followed_wherever_they_stand() {
    let id = sha256(LAYER);
    let world = World::new(&[
        manifest(json!(["a/layer.tar", "b/layer.tar", "c/layer.tar"])),
        config(&[id.clone(), id.clone(), id.clone()]),
        Link("a/layer.tar", "../b/layer.tar"),
        Link("b/layer.tar", "../c/layer.tar"),
        File("c/layer.tar", LAYER.to_vec()),
    ]);
    assert!(world.layers().iter().all(|layer| layer["digest"] == id.as_str()));
}

#[test]
fn links_in_a_circle_lead_nowhere() {
    let world = World::new(&[manifest(json!(["a"])), config(&[sha256(LAYER)]), Link("a", "b"), Link("b", "a")]);
    world.inspect().failure(1).says(&["has no `a`"]);
}

#[test]
fn a_small_file_does_not_fill_the_disk() {
    let world = World::new(&[]);
    let mut gzip = GzEncoder::new(fs::File::create(world.path()).unwrap(), Compression::new(6));
    let zeros = vec![0; 1 << 20];
    (0..257).for_each(|_| gzip.write_all(&zeros).unwrap());
    gzip.finish().unwrap();
    world.inspect().failure(1).says(&["x.tar unpacks to more than 268435456 bytes", "gunzip"]);
}

/// Names are read into memory: these would take 64 MiB and more of it.
#[test]
fn a_small_file_does_not_fill_the_memory() {
    for kind in [b'L', b'K', b'x'] {
        let world = World::new(&[]);
        let gzip = GzEncoder::new(fs::File::create(world.path()).unwrap(), Compression::new(6));
        let mut tar = tar::Builder::new(gzip);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(64 << 20);
        tar.append_data(&mut header, "name", std::io::repeat(b'a').take(64 << 20)).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        world.inspect().failure(1).says(&["the names in ", "x.tar have more than 16777216 bytes"]);
    }
}

/// Nobody may ever write to it, and the program would wait.
#[test]
fn a_pipe_is_refused() {
    let place = Tree::new().fifo("pipe").plant();
    for kind in ["oci-archive", "docker-archive"] {
        let outcome = Program::new().directory(place.path()).run(["inspect", &format!("{kind}:pipe")]).failure(1);
        outcome.says(&["pipe is not a regular file", "put it into a file first"]);
    }
}
