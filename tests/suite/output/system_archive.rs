//! One archive with the images of a whole system: what skopeo, podman and docker make of it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::docker_daemon::DockerDaemon;
use crate::support::fake_registry;
use crate::support::layout::Layout;
use crate::support::podman::Podman;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{self, require, require_root};
use crate::support::tree::Tree;
use crate::support::world::World;

use super::copy::names;

const TWO_LAYERS: &str = r#"
platforms = ["linux/arm64", "linux/amd64"]
[[layer]]
add = [{ from = "base", to = "/srv/" }]
[[layer]]
add = [{ from = "files", to = "/srv/" }]
[config]
cmd = ["/srv/a"]
"#;

const SERVICES: [&str; 3] = ["api", "web", "worker"];

/// Three images on one layer, all of one version, and the first under a further name, as layouts `api`, `web` and `worker`.
fn system() -> World {
    let world = World::of(&Tree::new().file("ocibake.toml", TWO_LAYERS).file("base/b", "shared").file("files/a", "?"));
    for service in SERVICES {
        world.change(service);
        let name = format!("registry.example/team/{service}:v1.0.0");
        let also: &[&str] = if service == "api" { &["-t", "registry.example/team/api:latest"] } else { &[] };
        world.build(&[&["-t", &name, "-o", &format!("{service}/")], also].concat()).success();
    }
    world
}

fn copy(world: &World, arguments: &[&str]) -> Outcome {
    world.program.run([&["copy"], arguments].concat())
}

/// The system as one archive.
fn archived(world: &World, archive: &str) {
    copy(world, &["./api", "./web", "./worker", "-o", archive]).success();
}

fn member(world: &World, archive: &str, name: &str) -> Value {
    let text = tool::run("tar", ["-xOf", world.path(archive).to_str().unwrap(), name]);
    serde_json::from_str(&text).unwrap()
}

fn members(world: &World, archive: &str) -> Vec<String> {
    let list = tool::run("tar", ["-tf", world.path(archive).to_str().unwrap()]);
    list.lines().map(str::to_owned).collect()
}

/// The config's digest of the image for amd64 in the layout of a service.
fn config_of(world: &World, service: &str) -> String {
    let images = Layout::open(world.path(service)).images();
    let image = images.iter().find(|image| image.config["architecture"] == "amd64").unwrap();
    image.manifest["config"]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_system_in_one_archive_has_every_blob_once_and_every_name() {
    if !["tar", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = system();
    archived(&world, "system.tar");
    let list = members(&world, "system.tar");
    assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len(), "each blob once");
    fs::create_dir(world.path("unpacked")).unwrap();
    tool::run(
        "tar",
        ["-xf", world.path("system.tar").to_str().unwrap(), "-C", world.path("unpacked").to_str().unwrap()],
    );
    assert_eq!(Layout::open(world.path("unpacked")).images().len(), 6, "no blob is there that no image has");
    let expected = ["api:v1.0.0", "api:latest", "web:v1.0.0", "worker:v1.0.0"];
    assert_eq!(names(&world.path("unpacked")), expected.map(|name| format!("registry.example/team/{name}")));
    // A tag that three of them have does not tell them apart; what it would be said of is said in full.
    let raw = |name: &str| world.skopeo(&["inspect", "--raw", &format!("oci-archive:system.tar:{name}")]);
    for name in ["registry.example/team/web:v1.0.0", "latest"] {
        let service = if name == "latest" { "api" } else { "web" };
        let root = Layout::open(world.path(service)).roots()[0]["digest"].as_str().unwrap().to_owned();
        assert_eq!(fake_registry::digest(raw(name).as_bytes()), root, "{name}");
    }
    archived(&world, "again.tar");
    assert!(fs::read(world.path("again.tar")).unwrap() == fs::read(world.path("system.tar")).unwrap());
}

#[test]
fn the_archive_of_a_system_is_one_for_docker_too_which_gets_linux_amd64_wherever_it_is_made() {
    if !["tar", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = system();
    archived(&world, "system.tar");
    let manifest = member(&world, "system.tar", "manifest.json");
    let told = |service: &str, tags: &[&str], image: &Value| {
        let name = |tag: &&str| format!("registry.example/team/{service}:{tag}");
        assert_eq!(image["RepoTags"], json!(tags.iter().map(name).collect::<Vec<_>>()));
        let config = config_of(&world, service);
        assert_eq!(image["Config"], format!("blobs/sha256/{}", config.trim_start_matches("sha256:")));
    };
    assert_eq!(manifest.as_array().unwrap().len(), 3);
    told("api", &["v1.0.0", "latest"], &manifest[0]);
    told("web", &["v1.0.0"], &manifest[1]);
    told("worker", &["v1.0.0"], &manifest[2]);
    assert_eq!(manifest[0]["Layers"][0], manifest[2]["Layers"][0], "what they share is there once");
    let image = "docker-archive:system.tar:registry.example/team/worker:v1.0.0";
    let config = world.skopeo(&["inspect", "--config", "--raw", image]);
    assert_eq!(fake_registry::digest(config.as_bytes()), config_of(&world, "worker"));
    // Docker takes no archive that lacks layers.
    world.change("another");
    world.build(&["-t", "registry.example/team/api:v1.0.1", "-o", "next.tar"]).success();
    copy(&world, &["./next.tar", "-o", "delta.tar", "--since", "./system.tar"]).success();
    assert!(members(&world, "next.tar").contains(&"manifest.json".to_owned()));
    assert!(!members(&world, "delta.tar").contains(&"manifest.json".to_owned()));
}

#[test]
fn docker_and_podman_load_the_archive_of_a_system() {
    if !require_root() || !["dockerd", "docker", "podman"].into_iter().all(require) {
        return;
    }
    let world = system();
    archived(&world, "system.tar");
    let archive = world.path("system.tar");
    let (daemon, podman) = (DockerDaemon::start(), Podman::new());
    daemon.docker(&["load", "-i", archive.to_str().unwrap()]);
    podman.podman(&["load", "-i", archive.to_str().unwrap()]);
    for (service, tags) in [("api", &["v1.0.0", "latest"][..]), ("web", &["v1.0.0"]), ("worker", &["v1.0.0"])] {
        let config = config_of(&world, service);
        for tag in tags {
            let name = format!("registry.example/team/{service}:{tag}");
            let id = |report: String| serde_json::from_str::<Value>(&report).unwrap()[0]["Id"].clone();
            assert_eq!(id(daemon.docker(&["image", "inspect", &name])), config);
            let id = id(podman.podman(&["image", "inspect", &name]));
            assert_eq!(id, config.trim_start_matches("sha256:"));
        }
    }
}

#[test]
fn images_of_a_system_are_saved_and_loaded_together() {
    let world = system();
    let saved: Vec<String> = SERVICES.iter().map(|service| format!("registry.example/team/{service}")).collect();
    for format in ["oci", "docker"] {
        let archive = format!("{format}.tar");
        let flags = ["-o", &archive, "--format", format];
        let arguments = ["save"].into_iter().chain(saved.iter().map(String::as_str)).chain(flags);
        world.program.run(arguments).success();
        let elsewhere = Program::new().directory(world.place.path());
        let loaded = elsewhere.run(["load", "-i", &archive]).success().stdout;
        let expected = ["api:latest", "api:v1.0.0", "web:v1.0.0", "worker:v1.0.0"];
        let expected = expected.map(|name| format!("Loaded image: registry.example/team/{name}"));
        assert_eq!(loaded.lines().collect::<Vec<_>>(), expected);
        let listed = |program: &Program| program.run(["images", "--no-trunc"]).success().stdout.lines().count();
        assert_eq!(listed(&elsewhere), listed(&world.program));
    }
}
