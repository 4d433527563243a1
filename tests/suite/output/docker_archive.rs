//! `-o type=docker`: what docker and podman read, and what is not for them.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::docker_daemon::DockerDaemon;
use crate::support::fake_registry::FakeRegistry;
use crate::support::layout::Layout;
use crate::support::listing::digest;
use crate::support::tool::{self, require, require_root};
use crate::support::world::{APP, World};

use super::copy::put;

#[test]
fn a_docker_archive_names_the_image_as_docker_does() {
    if !require("tar") {
        return;
    }
    let world = World::new(APP);
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
    let world = World::new(APP);
    let outputs = ["-o", "x.tar", "-o", "layout/", "-o", "type=docker,dest=docker.tar"];
    world.build(&outputs).failure(1).says(&["docker.tar", "several platforms", "--platform"]);
    assert_eq!(world.names(), [""; 0]);
    // An index of one platform is no trouble.
    world.build(&["-o", "type=docker,dest=docker.tar", "--platform=linux/arm64", "--index"]).success();
    assert_eq!(world.names(), ["docker.tar"]);
}

#[test]
fn docker_loads_the_archive_and_saves_the_same_layers() {
    if !require_root() || !["dockerd", "docker"].into_iter().all(require) {
        return;
    }
    let world = World::new(APP);
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
    let world = World::new(APP);
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
fn an_image_with_attestations_is_one_image_for_docker() {
    let world = World::new(APP);
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
fn an_artifact_is_not_for_docker() {
    let world = World::new(APP);
    let layout = world.path("layout");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let config = put(&layout, "application/vnd.oci.empty.v1+json", b"{}");
    let content = put(&layout, "text/plain", b"a signature");
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [content]});
    let root = put(&layout, media_type, manifest.to_string().as_bytes());
    fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [root]}).to_string()).unwrap();
    let outcome = world.program.run(["copy", "./layout", "-o", "type=docker,dest=docker.tar"]).failure(1);
    outcome.says(&[root["digest"].as_str().unwrap(), "is an artifact, not an image", "OCI archive"]);
    assert_eq!(world.names(), ["layout"]);
}

#[test]
fn an_index_without_an_image_is_refused_before_anything_is_written() {
    let world = World::new(APP);
    let registry = FakeRegistry::new();
    let index = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let (size, hex) = digest(&index[..]);
    fs::create_dir_all(world.path("layout/blobs/sha256")).unwrap();
    fs::write(world.path("layout/blobs/sha256").join(&hex), index).unwrap();
    fs::write(world.path("layout/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let root = json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": size});
    fs::write(world.path("layout/index.json"), json!({"schemaVersion": 2, "manifests": [root]}).to_string()).unwrap();
    let name = format!("{}/org/app:1", registry.address());
    let outputs = ["-o", "x.tar", "-o", "type=docker,dest=docker.tar"];
    let refused = world.push(&name, &[&["layout"], &outputs[..]].concat()).failure(1);
    refused.says(&["docker.tar would hold no image", "hint: "]);
    assert_eq!(world.names(), ["layout"]);
    assert!(registry.requests().is_empty());
}

#[test]
fn zstd_layers_in_a_docker_archive_are_pointed_out() {
    let world = World::new(APP);
    let docker = ["--platform=linux/amd64", "-o", "type=docker,dest=docker.tar"];
    let warning = "warning: docker archive docker.tar has zstd layers, which docker before version 23 cannot load";
    world.build(&[&docker[..], &["--compression=zstd"]].concat()).success().says(&[warning]);
    assert!(world.path("docker.tar").is_file());
    let quiet = |flags: &[&str]| assert!(!world.build(flags).success().stderr.contains("zstd"), "{flags:?}");
    quiet(&[&docker[..], &["--compression=gzip"]].concat());
    quiet(&["--compression=zstd", "-o", "x.tar"]);
}

#[test]
fn an_archive_with_two_documents_of_one_name_is_refused() {
    if !require("tar") {
        return;
    }
    let world = World::new(APP);
    let flags = ["-o", "type=docker,dest=docker.tar", "-o", "oci.tar", "--platform=linux/amd64", "-t", "example/app:1"];
    world.build(&flags).success();
    for (archive, kind, name) in
        [("docker.tar", "docker-archive", "manifest.json"), ("oci.tar", "oci-archive", "index.json")]
    {
        let image = format!("{kind}:{archive}");
        world.inspect(&[&image]).success();
        // Appended as it is, it still is another member, and programs differ in which of them they take.
        let path = world.path(archive);
        let place = tempfile::tempdir_in(world.place.path()).unwrap();
        tool::run("tar", ["-xf", path.to_str().unwrap(), "-C", place.path().to_str().unwrap(), name]);
        tool::run("tar", ["-rf", path.to_str().unwrap(), "-C", place.path().to_str().unwrap(), name]);
        world.inspect(&[&image]).failure(1).says(&[archive, &format!("`{name}` more than once")]);
    }
}
