//! What other programs make of an image with everything in it that an image can hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest};
use ocibake::source::modified::FILES_TIME;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::layout::Layout;
use crate::support::listing::Listing;
use crate::support::program::Program;
use crate::support::tool::{self, checked, require, require_root};
use crate::support::tree::Tree;

const SPEC: &str = r#"
name = "example/peers"
platforms = ["linux/amd64"]
title = "peers"

[[layer]]
name = "rich"
add = [{ from = "rich", to = "/", owner = "preserve" }]

[[layer]]
name = "plain"
add = [{ from = "plain", to = "/plain/" }]

[config]
entrypoint = ["/bin/run"]
cmd = ["--fast"]
env = { PLACE = "here" }
user = "1000:1000"
workdir = "/plain"
ports = ["8080/tcp"]
volumes = ["/data"]
stop-signal = "SIGINT"

[labels]
"org.example.kind" = "test"
"#;

/// An image, built once for a test, and the tree that it has to equal.
struct Built {
    place: TempDir,
    program: Program,
    digest: String,
}

#[test]
fn every_digest_and_size_holds() {
    let Some(built) = Built::new() else { return };
    let images = Layout::open(built.layout()).images();
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].digest, built.digest);
    assert_eq!(images[0].platform(), "linux/amd64");
    for layer in images[0].manifest["layers"].as_array().unwrap() {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    }
    images[0].listing().assert_is(&built.expected());
}

#[test]
fn oci_spec_reads_the_documents() {
    let Some(built) = Built::new() else { return };
    let layout = Layout::open(built.layout());
    let index = ImageIndex::from_file(built.layout().join("index.json")).unwrap();
    assert_eq!(index.manifests().len(), 1);
    assert_eq!(index.manifests()[0].digest().to_string(), built.digest);
    let manifest = ImageManifest::from_file(layout.blob(&built.digest)).unwrap();
    assert_eq!(manifest.layers().len(), 2);
    let config = ImageConfiguration::from_file(layout.blob(manifest.config().digest().as_ref())).unwrap();
    assert_eq!((config.os().to_string(), config.architecture().to_string()), ("linux".into(), "amd64".into()));
    assert_eq!(config.created().as_deref(), Some("1970-01-01T00:00:00Z"));
    let settings = config.config().as_ref().unwrap();
    assert_eq!(settings.entrypoint().as_deref(), Some(&["/bin/run".to_owned()][..]));
    assert_eq!(settings.cmd().as_deref(), Some(&["--fast".to_owned()][..]));
    assert!(settings.env().as_ref().unwrap().contains(&"PLACE=here".to_owned()));
    assert_eq!(settings.user().as_deref(), Some("1000:1000"));
    assert_eq!(settings.working_dir().as_deref(), Some("/plain"));
    assert_eq!(settings.exposed_ports().as_deref(), Some(&["8080/tcp".to_owned()][..]));
    assert_eq!(settings.volumes().as_deref(), Some(&["/data".to_owned()][..]));
    assert_eq!(settings.stop_signal().as_deref(), Some("SIGINT"));
    let labels = settings.labels().as_ref().unwrap();
    assert_eq!(labels.get("org.example.kind").map(String::as_str), Some("test"));
    assert_eq!(labels.get("org.opencontainers.image.title").map(String::as_str), Some("peers"));
    let layers = config.history().as_deref().unwrap_or_default();
    let layers = layers.iter().filter(|entry| !entry.empty_layer().unwrap_or(false)).count();
    assert_eq!(layers, 2, "one entry of the history for each layer");
}

#[test]
fn gzip_and_tar_read_each_layer() {
    if !require("tar") || !require("gzip") {
        return;
    }
    let Some(built) = Built::new() else { return };
    let image = &Layout::open(built.layout()).images()[0];
    let target = tempfile::tempdir().unwrap();
    for layer in &image.layers {
        let layer = layer.to_str().unwrap();
        checked(Command::new("gzip").arg("-t").stdin(fs::File::open(layer).unwrap()));
        let listed = tool::run("tar", ["--list", "--quoting-style=escape", "--gzip", "--file", layer]);
        assert!(listed.lines().count() > 2, "{listed}");
        let keep = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--preserve-permissions", "--same-owner"];
        checked(
            Command::new("tar")
                .args(["--extract", "--gzip"])
                .args(keep)
                .arg("-C")
                .arg(target.path())
                .args(["-f", layer]),
        );
    }
    Listing::of_directory(target.path()).assert_is(&built.expected());
}

#[test]
fn skopeo_inspects_the_layout() {
    if !require("skopeo") {
        return;
    }
    let Some(built) = Built::new() else { return };
    let report: Value =
        serde_json::from_str(&tool::run("skopeo", ["inspect", &format!("oci:{}", built.layout().display())])).unwrap();
    assert_eq!(report["Digest"], built.digest);
    assert_eq!((&report["Os"], &report["Architecture"]), (&"linux".into(), &"amd64".into()));
    assert_eq!(report["Created"], "1970-01-01T00:00:00Z");
    assert_eq!(report["Labels"]["org.example.kind"], "test");
    assert_eq!(report["Layers"].as_array().unwrap().len(), 2);
}

#[test]
fn skopeo_copies_it_and_umoci_unpacks_it() {
    if !require("skopeo") || !require("umoci") {
        return;
    }
    let Some(built) = Built::new() else { return };
    let copy = built.place.path().join("copy");
    let names = [format!("oci:{}", built.layout().display()), format!("oci:{}:it", copy.display())];
    tool::run("skopeo", ["copy", "--insecure-policy", "--quiet", &names[0], &names[1]]);
    assert_eq!(Layout::open(&copy).images()[0].digest, built.digest, "the copy is the same bytes");

    let bundle = built.place.path().join("bundle");
    let image = format!("{}:it", copy.display());
    tool::run("umoci", ["unpack", "--image", &image, bundle.to_str().unwrap()]);
    Listing::of_directory(&bundle.join("rootfs")).assert_is(&built.expected());
}

#[test]
fn skopeo_reads_the_docker_archive_with_all_its_tags() {
    if !require("skopeo") {
        return;
    }
    let Some(built) = Built::new() else { return };
    let archive = built.place.path().join("docker.tar");
    let output = format!("type=docker,dest={}", archive.display());
    let context = built.context();
    let tags = ["-t", "example/peers:one", "-t", "registry.example:5000/other:two"];
    let arguments = ["build", context.to_str().unwrap(), "-o", &output].into_iter().chain(tags);
    built.program.run(arguments).success();

    let source = format!("docker-archive:{}", archive.display());
    let listed: Value = serde_json::from_str(&tool::run("skopeo", ["list-tags", &source])).unwrap();
    let mut listed: Vec<_> = listed["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    listed.sort_unstable();
    // As `docker save` writes them.
    assert_eq!(listed, ["example/peers:one", "registry.example:5000/other:two"]);
    for (number, name) in listed.into_iter().enumerate() {
        let copy = built.place.path().join(format!("copy {number}"));
        let names = [format!("{source}:{name}"), format!("oci:{}:it", copy.display())];
        tool::run("skopeo", ["copy", "--insecure-policy", "--quiet", &names[0], &names[1]]);
        Layout::open(&copy).images()[0].listing().assert_is(&built.expected());
    }
}

#[test]
fn skopeo_makes_a_docker_archive_of_it() {
    if !require("skopeo") {
        return;
    }
    let Some(built) = Built::new() else { return };
    let archive = built.place.path().join("theirs.tar");
    let names = [
        format!("oci:{}", built.layout().display()),
        format!("docker-archive:{}:example/peers:one", archive.display()),
    ];
    tool::run("skopeo", ["copy", "--insecure-policy", "--quiet", &names[0], &names[1]]);
    assert!(archive.is_file());
}

impl Built {
    /// None where the machine cannot make such a tree.
    fn new() -> Option<Self> {
        if !require_root() || !require("setcap") {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        let context = place.path().join("context");
        tree().plant_in(&context);
        tool::run("setcap", ["cap_net_bind_service=+ep", context.join("rich/bin/capable").to_str().unwrap()]);
        let program = Program::new();
        let layout = format!("{}/", place.path().join("layout").display());
        let digest = program.run(["build", context.to_str().unwrap(), "-o", &layout]).digest();
        Some(Built { place, program, digest })
    }

    fn context(&self) -> PathBuf {
        self.place.path().join("context")
    }

    fn layout(&self) -> PathBuf {
        self.place.path().join("layout")
    }

    /// The tree as the image has to have it: all at the time that files of layers have, and what is of `plain` owned by root below `plain/`.
    fn expected(&self) -> Listing {
        let merged = tempfile::tempdir().unwrap();
        let copy = |from: &str, to: &Path| {
            let from = self.context().join(from).join(".");
            fs::create_dir_all(to).unwrap();
            checked(Command::new("cp").arg("--archive").arg(from).arg(to));
        };
        copy("rich", merged.path());
        copy("plain", &merged.path().join("plain"));
        let mut listing = Listing::of_directory(merged.path()).at_time(FILES_TIME);
        for (path, record) in &mut listing.0 {
            if path.starts_with(b"plain") {
                (record.user, record.group) = (0, 0);
            }
        }
        listing
    }
}

fn tree() -> Tree {
    let mut tree = Tree::new()
        .file("ocibake.toml", SPEC)
        .file("rich/bin/run", "#!/bin/sh\n")
        .mode(0o755)
        .file("rich/bin/set-user", "x")
        .mode(0o4755)
        .owner(1000, 1000)
        .file("rich/bin/set-group", "x")
        .mode(0o2755)
        .owner(0, 50)
        .file("rich/bin/capable", "x")
        .mode(0o755)
        .directory("rich/tmp")
        .mode(0o1777)
        .directory("rich/shared")
        .mode(0o2770)
        .owner(3, 2_000_000)
        .file("rich/shared/far", "an id that ustar's field cannot hold")
        .owner(3_000_000, 4_000_000_000)
        .file("rich/secret", "s")
        .mode(0o400)
        .file("rich/nothing", "")
        .mode(0o000)
        .directory("rich/empty")
        .file("rich/noted", "with attributes")
        .attribute("user.note", "hello")
        .attribute("user.bytes", [0, 255, b'\n', b'=', 7])
        .directory("rich/noted.d")
        .attribute("user.place", "directory")
        .symlink("rich/absolute", "/bin/run")
        .symlink("rich/dangling", "nowhere/at all")
        .symlink("rich/up", "../../outside")
        .hard_link("rich/run again", "rich/bin/run")
        .hard_link("rich/zzz/run once more", "rich/bin/run")
        .file(b"rich/not \xff\xfe utf-8", "x")
        .file(b"rich/d\xe9j\xe0/vu", "x")
        .symlink("rich/to bytes", b"d\xe9j\xe0/vu")
        .file("rich/ün\u{301}ïcödé — 日本", "x")
        .file("rich/line\nbreak", "x")
        .hole("rich/hole", 3_000_000)
        .file("plain/read.me", "mine")
        .owner(1234, 1234)
        .directory("plain/sub")
        .owner(1234, 1234)
        .symlink("plain/link", "read.me");
    for length in [98, 99, 100, 101, 155, 255, 256, 257, 300, 1000] {
        let path = path_of(length);
        tree = tree
            .file(format!("rich/{path}"), length.to_string())
            .hard_link(format!("rich/l{length}"), format!("rich/{path}"));
        tree = tree.symlink(format!("rich/s{length}"), &path);
    }
    // As long as ustar's two fields go, and one that they cannot part.
    let prefix = "p".repeat(155);
    let (whole, odd) = ("n".repeat(100), "m".repeat(101));
    let tree = tree.file(format!("rich/{prefix}/{whole}"), "256 bytes").file(format!("rich/{prefix}/{odd}"), "257");
    tree.directory(format!("rich/{}", "d".repeat(100))).directory(format!(
        "rich/{}/{}",
        "e".repeat(200),
        "f".repeat(200)
    ))
}

/// A path of exactly `length` bytes with parts of no more than 60.
fn path_of(length: usize) -> String {
    let mut path: String = (0..length).map(|at| if at % 61 == 60 { '/' } else { 'a' }).collect();
    // A length of its own in the first part keeps the paths apart; the last byte is never a slash.
    path.replace_range(..5, &format!("{length:05}"));
    if path.ends_with('/') {
        path.replace_range(length - 2.., "aa");
    }
    path
}
