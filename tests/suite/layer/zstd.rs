//! Layers of zstd, as other tools read them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::docker_daemon::DockerDaemon;
use crate::support::layout::{Image, Layout};
use crate::support::listing::{Listing, digest};
use crate::support::noise::noise;
use crate::support::program::Program;
use crate::support::tool::{checked, require, require_root};
use crate::support::tree::Tree;

const MEDIA_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

#[test]
fn layers_say_what_they_are() {
    for compression in ["zstd", "zstd:1", "zstd:19"] {
        let place = built(compression);
        let image = image(&place);
        for layer in image.manifest["layers"].as_array().unwrap() {
            assert_eq!(layer["mediaType"], MEDIA_TYPE);
        }
        image.listing().assert_is(&Listing::of_directory(&files().path().join("files")).normalised());
    }
}

#[test]
fn zstd_and_tar_read_them() {
    if !require("zstd") || !require("tar") {
        return;
    }
    let place = built("zstd");
    let context = files();
    for layer in image(&place).layers {
        checked(Command::new("zstd").args(["-t", "-q"]).arg(&layer));
        let unpacked = place.path().join("unpacked");
        std::fs::create_dir(&unpacked).unwrap();
        checked(Command::new("tar").args(["--zstd", "-xpf"]).arg(&layer).arg("-C").arg(&unpacked));
        let expected = Listing::of_directory(&context.path().join("files")).normalised();
        Listing::of_directory(&unpacked).normalised().assert_is(&expected);
    }
}

#[test]
fn skopeo_copies_them() {
    if !require("skopeo") {
        return;
    }
    let place = built("zstd");
    let copy = |from: &str, to: &str| {
        let mut skopeo = Command::new("skopeo");
        checked(skopeo.args(["--insecure-policy", "copy", "-q", from, to]).current_dir(place.path()));
    };
    let expected = image(&place);
    copy("oci:layout", "oci:copy:it");
    assert_eq!(Layout::open(place.path().join("copy")).images()[0].digest, expected.digest);
    // Unpacked by skopeo, each layer is the tar that the config promises.
    let mut skopeo = Command::new("skopeo");
    let options = ["--insecure-policy", "copy", "-q", "--dest-decompress", "oci:copy:it", "dir:plain"];
    checked(skopeo.args(options).current_dir(place.path()));
    for diff_id in expected.config["rootfs"]["diff_ids"].as_array().unwrap() {
        let sha256 = diff_id.as_str().unwrap().trim_start_matches("sha256:");
        let tar = std::fs::File::open(place.path().join("plain").join(sha256)).unwrap();
        assert_eq!(digest(tar).1, sha256);
    }
}

#[test]
fn podman_loads_them() {
    if !require_root() || !require("podman") {
        return;
    }
    let place = built("zstd");
    let at = |name: &str| place.path().join(name).display().to_string();
    let podman = |arguments: &[&str]| {
        let options = ["--storage-driver=vfs", "--events-backend=none", "--root", &at("root"), "--runroot", &at("run")];
        checked(Command::new("podman").args(options).args(arguments).current_dir(place.path()))
    };
    podman(&["load", "-q", "-i", "archive.tar"]);
    let report: Value = serde_json::from_str(&podman(&["image", "inspect", "example/zstd"])).unwrap();
    assert_eq!(report[0]["RootFS"]["Layers"], image(&place).config["rootfs"]["diff_ids"]);
}

#[test]
fn docker_loads_them() {
    if !require_root() || !require("dockerd") || !require("docker") {
        return;
    }
    let place = built("zstd");
    let daemon = DockerDaemon::start();
    let version = daemon.docker(&["version", "--format", "{{.Server.Version}}"]);
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    // Before 23 it knew no zstd.
    if major < 23 {
        return;
    }
    daemon.docker(&["load", "-i", &place.path().join("docker.tar").display().to_string()]);
    let report: Value = serde_json::from_str(&daemon.docker(&["image", "inspect", "example/zstd"])).unwrap();
    assert_eq!(report[0]["RootFS"]["Layers"], image(&place).config["rootfs"]["diff_ids"]);
}

/// A layout, an OCI archive and a docker archive of one image.
fn built(compression: &str) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    let context = files();
    let outputs = ["-o", "layout/", "-o", "archive.tar", "-o", "type=docker,dest=docker.tar"];
    let words = ["build", context.path().to_str().unwrap(), "--compression", compression];
    program.run(words.iter().chain(&outputs)).success();
    place
}

fn image(place: &TempDir) -> Image {
    let layout: &Path = &place.path().join("layout");
    let image = Layout::open(layout).images().remove(0);
    let (_, diff_id) = digest(crate::support::layout::tar_of(&image.layers[0]));
    assert_eq!(image.config["rootfs"]["diff_ids"][0], format!("sha256:{diff_id}"));
    image
}

/// Several blocks, so several frames.
fn files() -> TempDir {
    let spec = "name = \"example/zstd\"\nplatforms = [\"linux/amd64\"]\n\
                [[layer]]\nadd = [{ from = \"files\", to = \"/\" }]\n";
    let tree = Tree::new().file("ocibake.toml", spec).file("files/noise", noise(5, 2_600_000));
    let tree = tree.file("files/text", "many words\n".repeat(300_000)).hole("files/hole", 1_500_000);
    tree.hard_link("files/hard", "files/text").symlink("files/link", "text").directory("files/empty").plant()
}
