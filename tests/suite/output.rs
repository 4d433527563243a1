//! What `-o` writes, and what it leaves alone.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::docker_daemon::DockerDaemon;
use crate::support::fake_registry::FakeRegistry;
use crate::support::layout::Layout;
use crate::support::listing::digest;
use crate::support::program::{NOBODY, Outcome, Program};
use crate::support::tool::{self, require, require_root};
use crate::support::tree::Tree;

const SPEC: &str = r#"
name = "example/app"
platforms = ["linux/amd64", "linux/arm64"]
[[layer]]
add = [{ from = "files", to = "/srv/" }]
[config]
entrypoint = ["/bin/app"]
env = { A = "1" }
user = "1000"
"#;

/// A context, a place to write to, and the program that runs there.
struct World {
    context: TempDir,
    place: TempDir,
    program: Program,
}

impl World {
    fn new() -> Self {
        let context = Tree::new().file("ocibake.toml", SPEC).file("files/a", "content").plant();
        let place = tempfile::tempdir().unwrap();
        let program = Program::new().directory(place.path());
        World { context, place, program }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn build(&self, flags: &[&str]) -> Outcome {
        self.program.run([&["build", self.context.path().to_str().unwrap()], flags].concat())
    }

    /// Makes what is built from now on another image.
    fn change(&self, content: &str) {
        fs::write(self.context.path().join("files/a"), content).unwrap();
    }

    fn names(&self) -> Vec<String> {
        names_in(self.place.path())
    }
}

#[test]
fn a_layout_with_all_the_parents_that_it_lacks() {
    let world = World::new();
    let digest = world.build(&["-o", "a/b/layout/"]).digest();
    let layout = Layout::open(world.path("a/b/layout"));
    assert_eq!(layout.images().len(), 2);
    assert_eq!(layout.roots()[0]["digest"], digest.as_str());
    assert_eq!(names_in(&world.path("a/b")), ["layout"]);
}

#[test]
fn an_empty_directory_becomes_a_layout() {
    let world = World::new();
    fs::create_dir(world.path("empty")).unwrap();
    fs::set_permissions(world.path("empty"), fs::Permissions::from_mode(0o750)).unwrap();
    world.build(&["-o", "empty"]).success();
    assert_eq!(Layout::open(world.path("empty")).images().len(), 2);
    assert_eq!(fs::metadata(world.path("empty")).unwrap().permissions().mode() & 0o777, 0o750, "it is the same one");

    fs::create_dir(world.path("real")).unwrap();
    symlink("real", world.path("link")).unwrap();
    world.build(&["-o", "link/"]).success();
    assert_eq!(Layout::open(world.path("real")).images().len(), 2);
}

#[test]
fn the_working_directory_becomes_a_layout() {
    let world = World::new();
    world.build(&["-o", "."]).success();
    assert_eq!(Layout::open(world.place.path()).images().len(), 2);
    assert_eq!(world.names(), ["blobs", "index.json", "oci-layout"]);
}

#[test]
fn a_mount_point_becomes_a_layout() {
    if !require_root() || !require("mount") {
        return;
    }
    let world = World::new();
    fs::create_dir(world.path("out")).unwrap();
    let point = world.path("out");
    tool::run("mount", ["-t", "tmpfs", "tmpfs", point.to_str().unwrap()]);
    let outcome = world.build(&["-o", "out/"]);
    let names = names_in(&point);
    tool::run("umount", ["--lazy", point.to_str().unwrap()]);
    outcome.success();
    assert_eq!(names, ["blobs", "index.json", "oci-layout"]);
}

#[test]
fn a_layout_keeps_what_it_has() {
    let world = World::new();
    let first = world.build(&["-t", "example/app:1", "-o", "layout/"]).digest();
    world.change("other");
    let second = world.build(&["-t", "example/app:2", "-o", "layout/"]).digest();
    assert_eq!(entries(&world.path("layout")), [("1".to_owned(), first.clone()), ("2".to_owned(), second)]);
    assert_eq!(Layout::open(world.path("layout")).images().len(), 4, "and all of their blobs");

    // The name of another is taken over; what it named stays in the layout's blobs.
    world.change("third");
    let third = world.build(&["-t", "example/app:2", "-o", "layout/"]).digest();
    assert_eq!(entries(&world.path("layout")), [("1".to_owned(), first), ("2".to_owned(), third.clone())]);
    // Once more changes nothing.
    let index = fs::read(world.path("layout/index.json")).unwrap();
    assert_eq!(world.build(&["-t", "example/app:2", "-o", "layout/"]).digest(), third);
    assert_eq!(fs::read(world.path("layout/index.json")).unwrap(), index);
}

#[test]
fn a_name_that_skopeo_gave_is_replaced() {
    if !require("skopeo") {
        return;
    }
    let world = World::new();
    world.build(&["-t", "example/app:1", "-o", "one.tar"]).success();
    skopeo(&world, &["copy", "-q", "--all", "oci-archive:one.tar:1", "oci:layout:1"]);
    skopeo(&world, &["copy", "-q", "--all", "oci-archive:one.tar:1", "oci:layout:other"]);
    world.change("new");
    let new = world.build(&["-t", "example/app:1", "-o", "layout/"]).digest();
    let entries = entries(&world.path("layout"));
    let tags: Vec<_> = entries.iter().map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(tags, ["other", "1"]);
    assert_eq!(entries[1].1, new);
    let report: Value = serde_json::from_str(&skopeo(&world, &["inspect", "oci:layout:1"])).unwrap();
    assert_eq!(report["Architecture"], "amd64");
}

#[test]
fn the_same_image_without_a_name_is_there_once() {
    let world = World::new();
    fs::write(world.context.path().join("ocibake.toml"), SPEC.replace("name =", "#")).unwrap();
    for _ in 0..2 {
        world.build(&["-o", "layout/"]).success();
    }
    assert_eq!(Layout::open(world.path("layout")).roots().len(), 1);
    // With a name it is no longer without one.
    world.build(&["-o", "layout/", "-t", "example/app:1"]).success();
    assert_eq!(entries(&world.path("layout")).len(), 1);
    assert_eq!(entries(&world.path("layout"))[0].0, "1");
}

#[test]
fn a_damaged_blob_in_a_layout_is_mended() {
    let world = World::new();
    world.build(&["-o", "layout/"]).success();
    let blobs = world.path("layout/blobs/sha256");
    for name in names_in(&blobs) {
        let blob = blobs.join(name);
        let mut bytes = fs::read(&blob).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&blob, bytes).unwrap();
    }
    world.build(&["-o", "layout/"]).success();
    assert_eq!(Layout::open(world.path("layout")).images().len(), 2);
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let world = World::new();
    fs::create_dir(world.path("full")).unwrap();
    fs::write(world.path("full/thesis.txt"), "years").unwrap();
    world.build(&["-o", "full/"]).failure(1).says(&["full", "neither empty nor an OCI layout"]);
    assert_eq!(names_in(&world.path("full")), ["thesis.txt"]);
    assert_eq!(fs::read_to_string(world.path("full/thesis.txt")).unwrap(), "years");
    world.build(&["-o", "type=oci,dest=full"]).failure(1).says(&["full"]);
    assert_eq!(world.names(), ["full"]);
    fs::write(world.path("file"), "").unwrap();
    world.build(&["-o", "file/"]).failure(1).says(&["file"]);
}

#[test]
fn an_archive_is_replaced_whole() {
    let world = World::new();
    world.build(&["-o", "x.tar"]).success();
    let one = fs::read(world.path("x.tar")).unwrap();
    // Whoever has it open still reads the old one to its end.
    let open = fs::File::open(world.path("x.tar")).unwrap();
    world.change("other");
    world.build(&["-o", "x.tar"]).success();
    assert_ne!(fs::read(world.path("x.tar")).unwrap(), one);
    let mut read = Vec::new();
    (&open).read_to_end(&mut read).unwrap();
    assert!(read == one);
    assert_eq!(world.names(), ["x.tar"]);
    // A failure leaves it as it is.
    let two = fs::read(world.path("x.tar")).unwrap();
    fs::remove_dir_all(world.context.path().join("files")).unwrap();
    world.build(&["-o", "x.tar"]).failure(1);
    assert_eq!(fs::read(world.path("x.tar")).unwrap(), two);
}

#[test]
fn archives_are_the_same_bytes_from_any_store() {
    let world = World::new();
    world.build(&["-o", "a.tar", "-o", "type=oci,dest=b.tar"]).success();
    let one = fs::read(world.path("a.tar")).unwrap();
    assert!(one == fs::read(world.path("b.tar")).unwrap());
    // Another program has another store, this time with something in it.
    let other = Program::new().directory(world.place.path());
    let context = world.context.path().to_str().unwrap();
    other.run(["build", context, "--label=x=y"]).success();
    other.run(["build", context, "-j1", "-o", "c.tar"]).success();
    assert!(one == fs::read(world.path("c.tar")).unwrap());
}

#[test]
fn an_archive_is_the_tar_of_the_layout() {
    let world = World::new();
    world.build(&["-o", "x.tar", "-o", "layout/"]).success();
    fs::create_dir(world.path("unpacked")).unwrap();
    tool::run("tar", ["-xf", world.path("x.tar").to_str().unwrap(), "-C", world.path("unpacked").to_str().unwrap()]);
    assert_eq!(contents(&world.path("unpacked")), contents(&world.path("layout")));
}

#[test]
fn several_outputs_of_one_build_agree() {
    if !require("skopeo") {
        return;
    }
    let world = World::new();
    let flags = ["-o", "x.tar", "-o", "layout/", "-o", "type=docker,dest=docker.tar", "--platform=linux/amd64"];
    let digest = world.build(&[&flags[..], &["-t", "example/app:1"]].concat()).digest();
    for source in ["oci-archive:x.tar:1", "oci:layout:1"] {
        let report: Value = serde_json::from_str(&skopeo(&world, &["inspect", source])).unwrap();
        assert_eq!(report["Digest"], digest.as_str(), "{source}");
    }
    let config = |source: &str| skopeo(&world, &["inspect", "--config", "--raw", source]);
    assert_eq!(config("docker-archive:docker.tar"), config("oci:layout:1"));
}

#[test]
fn a_docker_archive_names_the_image_as_docker_does() {
    let world = World::new();
    let names = ["-t", "nginx", "-t", "org/app:2", "-t", "registry.example:5000/app:3"];
    let flags = ["-o", "type=docker,dest=x.tar", "--platform=linux/amd64"];
    world.build(&[&names[..], &flags].concat()).success();
    let manifest: Value =
        serde_json::from_str(&tool::run("tar", ["-xOf", world.path("x.tar").to_str().unwrap(), "manifest.json"]))
            .unwrap();
    assert_eq!(manifest[0]["RepoTags"], json!(["nginx:latest", "org/app:2", "registry.example:5000/app:3"]));
    assert_eq!(manifest.as_array().unwrap().len(), 1);
}

#[test]
fn a_docker_archive_of_several_platforms_is_refused_before_anything_is_written() {
    let world = World::new();
    let outputs = ["-o", "x.tar", "-o", "layout/", "-o", "type=docker,dest=docker.tar"];
    world.build(&outputs).failure(1).says(&["docker.tar", "several platforms", "--platform"]);
    assert_eq!(world.names(), [""; 0]);
    // An index of one platform is no trouble.
    world.build(&["-o", "type=docker,dest=docker.tar", "--platform=linux/arm64", "--index"]).success();
    assert_eq!(world.names(), ["docker.tar"]);
}

#[test]
fn a_push_without_a_name_is_refused_before_anything_is_written() {
    let world = World::new();
    fs::write(world.context.path().join("ocibake.toml"), SPEC.replace("name =", "#")).unwrap();
    world.build(&["-o", "x.tar", "--push"]).failure(2).says(&["no name", "-t REGISTRY/NAME:TAG"]);
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn docker_loads_the_archive_and_saves_the_same_layers() {
    if !require_root() || !["dockerd", "docker"].into_iter().all(require) {
        return;
    }
    let world = World::new();
    let flags = ["-o", "type=docker,dest=x.tar", "-o", "layout/", "--platform=linux/amd64"];
    let names = ["-t", "example/app:1", "-t", "registry.example:5000/app:v2"];
    world.build(&[&flags[..], &names].concat()).success();
    let daemon = DockerDaemon::start();
    daemon.docker(&["load", "-i", world.path("x.tar").to_str().unwrap()]);
    let image = Layout::open(world.path("layout")).images().remove(0);
    for name in ["example/app:1", "registry.example:5000/app:v2"] {
        let report: Value = serde_json::from_str(&daemon.docker(&["image", "inspect", name])).unwrap();
        assert_eq!(report[0]["Id"], image.manifest["config"]["digest"], "the config is taken byte for byte");
        assert_eq!(report[0]["RepoTags"], json!(["example/app:1", "registry.example:5000/app:v2"]));
        assert_eq!(report[0]["Config"]["Entrypoint"], json!(["/bin/app"]));
        assert_eq!(report[0]["Config"]["Env"], json!(["A=1"]));
        assert_eq!(report[0]["Config"]["User"], "1000");
        assert_eq!(report[0]["RootFS"]["Layers"], image.config["rootfs"]["diff_ids"]);
    }

    let saved = world.path("saved.tar");
    daemon.docker(&["save", "example/app:1", "-o", saved.to_str().unwrap()]);
    let unpacked = world.path("saved");
    fs::create_dir(&unpacked).unwrap();
    tool::run("tar", ["-xf", saved.to_str().unwrap(), "-C", unpacked.to_str().unwrap()]);
    let manifest: Value = serde_json::from_slice(&fs::read(unpacked.join("manifest.json")).unwrap()).unwrap();
    let layers = manifest[0]["Layers"].as_array().unwrap();
    let diff_id = |layer: &Value| {
        let file = fs::File::open(unpacked.join(layer.as_str().unwrap())).unwrap();
        json!(format!("sha256:{}", digest(file).1))
    };
    assert_eq!(layers.iter().map(diff_id).collect::<Value>(), image.config["rootfs"]["diff_ids"]);

    // What docker saved is read, too, and has the same config.
    let report = world.program.run(["inspect", "--json", "./saved.tar"]).success().stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["images"][0]["configDigest"], image.manifest["config"]["digest"]);
}

#[test]
fn podman_loads_the_archives() {
    if !require_root() || !require("podman") {
        return;
    }
    let world = World::new();
    let names = ["-t", "registry.example/app:1", "-t", "registry.example/app:2", "--platform=linux/amd64"];
    world.build(&[&names[..], &["-o", "type=docker,dest=docker.tar", "-o", "layout/"]].concat()).success();
    // Of an OCI archive podman takes one name only.
    world.build(&["-t", "registry.example/app:1", "--platform=linux/amd64", "-o", "oci.tar"]).success();
    let image = Layout::open(world.path("layout")).images().remove(0);
    for archive in ["docker.tar", "oci.tar"] {
        let podman = |arguments: &[&str]| {
            let at = |name: &str| world.path(&format!("{archive}-{name}")).display().to_string();
            let options =
                ["--storage-driver=vfs", "--events-backend=none", "--root", &at("root"), "--runroot", &at("run")];
            tool::checked(Command::new("podman").args(options).args(arguments).current_dir(world.place.path()))
        };
        podman(&["load", "-i", archive]);
        let report: Value = serde_json::from_str(&podman(&["image", "inspect", "registry.example/app:1"])).unwrap();
        let id = image.manifest["config"]["digest"].as_str().unwrap().trim_start_matches("sha256:");
        assert_eq!(report[0]["Id"], id, "{archive}");
        assert_eq!(report[0]["RootFS"]["Layers"], image.config["rootfs"]["diff_ids"], "{archive}");
        if archive == "docker.tar" {
            let tags = report[0]["RepoTags"].as_array().unwrap();
            assert_eq!(tags.len(), 2);
            assert!(["registry.example/app:1", "registry.example/app:2"].iter().all(|tag| tags.contains(&json!(tag))));
        }
    }
}

#[test]
fn an_output_that_is_written_wrongly_is_explained() {
    let world = World::new();
    for (output, parts) in [
        ("", "an output is empty"),
        ("-", "standard output"),
        ("type=ocy,dest=x", "did you mean type=oci?"),
        ("type=dokcer,dest=x", "did you mean type=docker?"),
        ("type=tape,dest=x", "known are oci, docker, registry, local and tar"),
        ("type=oci", "add dest=PATH"),
        ("type=docker,dest=", "add dest=PATH"),
        ("type=docker,dest=x,tar=false", "leave out tar=false"),
        ("type=registry,dest=x", "-t REGISTRY/NAME:TAG"),
        ("type=oci,dst=x", "`dst=x`"),
        ("type=oci,dest=x,tar=maybe", "`tar=maybe`"),
        ("dest=x", "no output of type ``"),
    ] {
        world.build(&["-o", output]).failure(2).says(&["--output", parts]);
    }
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn where_nothing_can_be_written() {
    if !require_root() || !require("setpriv") {
        return;
    }
    let world = World::new();
    fs::set_permissions(world.place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = Program::new().user(NOBODY).directory(world.place.path());
    let context = world.context.path().to_str().unwrap();
    for output in ["x.tar", "layout/", "type=docker,dest=x.tar"] {
        let outcome = program.run(["build", context, "--platform=linux/amd64", "-o", output]).failure(1);
        outcome.says(&["Permission denied", "check who owns it"]);
    }
    fs::create_dir(world.path("empty")).unwrap();
    program.run(["build", context, "-o", "empty/"]).failure(1).says(&["empty", "Permission denied"]);
    assert_eq!(world.names(), ["empty"]);
}

#[test]
fn devices_and_directories_are_not_replaced_by_archives() {
    let world = World::new();
    fs::create_dir(world.path("directory")).unwrap();
    world.build(&["-o", "type=docker,dest=directory", "--platform=linux/amd64"]).failure(1).says(&["directory"]);
    assert_eq!(names_in(&world.path("directory")), [""; 0]);
    let place = Tree::new().fifo("pipe").plant();
    let pipe = place.path().join("pipe");
    world.build(&["-o", pipe.to_str().unwrap()]).failure(1).says(&["pipe", "not a regular file"]);
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
}

#[test]
fn an_output_among_what_is_added_is_pointed_out() {
    let world = World::new();
    let program = Program::new().directory(world.context.path());
    let warning = |add: &str, output: &str| {
        let outcome = program.run(["build", "--add", add, "--platform=linux/amd64", "-o", output]).success();
        outcome.stderr.contains("is among what is added")
    };
    assert!(!warning(".:/", "x.tar"), "it is not there yet");
    assert!(warning(".:/", "x.tar"));
    assert!(warning("x.tar:/", "x.tar"));
    assert!(!warning("files:/", "x.tar"));
    assert!(!warning(".:/:exclude=*.tar", "x.tar"));
    assert!(!warning(".:/", "layout/"));
    assert!(warning(".:/", "layout/"));
}

#[test]
fn an_image_with_attestations_is_one_image_for_docker() {
    let world = World::new();
    world.build(&["-o", "layout/", "--platform=linux/amd64", "--index", "-t", "example/app:1"]).success();
    let layout = Layout::open(world.path("layout"));
    let root = layout.roots().remove(0);
    let mut index: Value =
        serde_json::from_slice(&fs::read(layout.blob(root["digest"].as_str().unwrap())).unwrap()).unwrap();
    let image = index["manifests"][0].clone();
    let manifest = fs::read(layout.blob(image["digest"].as_str().unwrap())).unwrap();
    // Another manifest, as BuildKit lists its attestations: first, so that it is not taken for the image.
    let put = |bytes: &[u8]| {
        let (size, hex) = digest(bytes);
        fs::write(world.path("layout/blobs/sha256").join(&hex), bytes).unwrap();
        json!({"digest": format!("sha256:{hex}"), "size": size})
    };
    let mut attestation = put(&[&manifest[..], b"\n"].concat());
    attestation["mediaType"] = image["mediaType"].clone();
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    index["manifests"] = json!([attestation, image]);
    let mut root = put(index.to_string().as_bytes());
    root["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    fs::write(world.path("layout/index.json"), json!({"schemaVersion": 2, "manifests": [root]}).to_string()).unwrap();
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1", registry.address());
    world.program.run(["push", &name, "layout", "-o", "type=docker,dest=docker.tar"]).success();
    let report = world.program.run(["inspect", "--json", "docker-archive:docker.tar"]).success().stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["images"].as_array().unwrap().len(), 1);
}

#[test]
fn what_was_written_into_the_context_is_not_in_the_way() {
    let world = World::new();
    let program = Program::new().directory(world.context.path());
    let one = program.run(["build", ".", "-o", "x.tar", "-o", "layout/", "--iidfile=iid"]).digest();
    let two = program.run(["build", ".", "-o", "x.tar", "-o", "layout/", "--iidfile=iid"]).digest();
    assert_eq!(one, two);
    assert_eq!(Layout::open(world.context.path().join("layout")).roots().len(), 1);
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Reference name and digest of each entry in `index.json`.
fn entries(layout: &Path) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let name = |root: &Value| text(&root["annotations"]["org.opencontainers.image.ref.name"]);
    Layout::open(layout).roots().iter().map(|root| (name(root), text(&root["digest"]))).collect()
}

/// Path and bytes of every file below `directory`.
fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push((path.strip_prefix(directory).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn skopeo(world: &World, arguments: &[&str]) -> String {
    let (command, rest) = arguments.split_first().unwrap();
    let options = ["--override-os=linux", "--override-arch=amd64", "--insecure-policy"];
    tool::checked(Command::new("skopeo").args(options).arg(command).args(rest).current_dir(world.place.path()))
}
