//! What others pull is what is there.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::authority::Authority;
use crate::support::containerd::PlainContainerd;
use crate::support::docker_daemon::DockerDaemon;
use crate::support::fake_registry::digest;
use crate::support::layout::Layout;
use crate::support::podman::Podman;
use crate::support::program::Program;
use crate::support::served::Served;
use crate::support::tool::{require, require_root};
use crate::support::world::World;

use super::{blobs, digests, layout, world};

/// An archive `bundle.tar` of two images, and the layouts `api` and `web` that it is made of.
fn bundle() -> World {
    let world = layout();
    world.change("web");
    world
        .build(&["-t", "registry.example/org/web:v2", "-t", "registry.example/org/web:latest", "-o", "web/"])
        .success();
    world.program.run(["copy", "./api", "./web", "-o", "bundle.tar"]).success();
    world
}

#[test]
fn our_own_client_copies_and_pulls_all_that_is_there() {
    let world = bundle();
    let served = Served::start(&world.program, &["./bundle.tar"]);
    let address = served.address();
    for line in ["serving 3 images at ", "/org/api:v1\n", "/org/web:v2\n", "/org/web:latest\n"] {
        assert!(served.log().contains(line), "{line:?} is not in {}", served.log());
    }
    let copy = |name: &str, to: &str| world.program.run(["copy", &format!("{address}/{name}"), "-o", to]).success();
    copy("org/api:v1", "api-back/");
    copy("org/web", "web-back/");
    copy(&format!("org/web@{}", digests(&world.path("web"))[0]), "web-by-digest/");
    assert_eq!(blobs(&world.path("api-back")), blobs(&world.path("api")));
    assert_eq!(blobs(&world.path("web-back")), blobs(&world.path("web")));
    assert_eq!(blobs(&world.path("web-by-digest")), blobs(&world.path("web")));
    assert_eq!(Layout::open(world.path("api-back")).images().len(), 2);
    let program = Program::new();
    let pulled = program.run(["pull", &format!("{address}/org/api:v1")]).success();
    assert!(pulled.stdout.contains(&digests(&world.path("api"))[0]), "{pulled:?}");
}

#[test]
fn skopeo_lists_inspects_and_copies() {
    if !require("skopeo") {
        return;
    }
    let world = bundle();
    let served = Served::start(&world.program, &["./bundle.tar"]);
    let name = format!("docker://{}/org/web", served.address());
    let tags: Value = serde_json::from_str(&world.skopeo(&["list-tags", "--tls-verify=false", &name])).unwrap();
    assert_eq!(tags["Tags"], serde_json::json!(["latest", "v2"]));
    let raw = world.skopeo(&["inspect", "--tls-verify=false", "--raw", &format!("{name}:v2")]);
    assert_eq!(digest(raw.as_bytes()), digests(&world.path("web"))[0]);
    world.skopeo(&["copy", "-q", "--all", "--src-tls-verify=false", &format!("{name}:v2"), "oci:pulled:v2"]);
    assert_eq!(blobs(&world.path("pulled")), blobs(&world.path("web")));
}

/// As docs/serve.md has it.
#[test]
fn tls_is_spoken_with_the_certificate_that_is_given() {
    if !["openssl", "skopeo"].into_iter().all(require) {
        return;
    }
    let (world, authority) = (layout(), Authority::new());
    let issued = authority.issue("server", "IP:127.0.0.1,DNS:localhost");
    let (certificate, key) = (issued.path.to_str().unwrap(), issued.key.to_str().unwrap());
    let served = Served::start(&world.program, &["./api", "--tlscert", certificate, "--tlskey", key]);
    assert!(served.url().starts_with("https://127.0.0.1:"), "{}", served.url());
    let trusted = tempfile::tempdir().unwrap();
    fs::copy(authority.certificate(), trusted.path().join("ca.crt")).unwrap();
    let name = format!("{}/org/api:v1", served.address());
    let directory = trusted.path().to_str().unwrap();
    world.skopeo(&["copy", "-q", "--all", "--src-cert-dir", directory, &format!("docker://{name}"), "oci:pulled:v1"]);
    assert_eq!(blobs(&world.path("pulled")), blobs(&world.path("api")));
    let copy = |authority: &Authority| {
        let program = Program::new().directory(world.place.path());
        let own = program.home().join(".config/docker/certs.d").join(served.address());
        fs::create_dir_all(&own).unwrap();
        fs::copy(authority.certificate(), own.join("ca.crt")).unwrap();
        program.run(["copy", &name, "-o", "back/"])
    };
    // Another of the same name.
    copy(&Authority::new()).failure(1).says(&["invalid peer certificate: BadSignature"]);
    copy(&authority).success();
    assert_eq!(blobs(&world.path("back")), blobs(&world.path("api")));
    // Whoever speaks no TLS gets nothing of it.
    assert!(crate::support::served::exchange(served.address(), b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").is_none());
}

#[test]
fn podman_pulls() {
    if !require_root() || !require("podman") {
        return;
    }
    let world = layout();
    let served = Served::start(&world.program, &["./api"]);
    let podman = Podman::new();
    let name = format!("{}/org/api:v1", served.address());
    let id = podman.podman(&["pull", "-q", "--tls-verify=false", "--platform=linux/amd64", &name]);
    let config = config(&world.path("api"));
    assert_eq!(id.trim(), config.trim_start_matches("sha256:"));
}

#[test]
fn docker_pulls_from_the_local_store() {
    if !require_root() || !["dockerd", "docker"].into_iter().all(require) {
        return;
    }
    let world = world();
    world.build(&["-t", "registry.example/org/api:v1", "-o", "api/"]).success();
    let served = Served::start(&world.program, &[]);
    let daemon = DockerDaemon::start();
    let name = format!("{}/org/api:v1", served.address());
    daemon.docker(&["pull", "-q", "--platform=linux/amd64", &name]);
    let report: Value = serde_json::from_str(&daemon.docker(&["image", "inspect", &name])).unwrap();
    assert_eq!(report[0]["Id"], config(&world.path("api")).as_str());
    let root = &digests(&world.path("api"))[0];
    assert!(report[0]["RepoDigests"][0].as_str().unwrap().ends_with(root.as_str()), "{report}");
}

/// containerd asks a mirror with the name of the registry that it stands for.
#[test]
fn containerd_takes_it_for_a_mirror() {
    if !require_root() || !["containerd", "ctr"].into_iter().all(require) {
        return;
    }
    let world = bundle();
    let served = Served::start(&world.program, &["./bundle.tar"]);
    let containerd = PlainContainerd::start();
    let hosts = tempfile::tempdir().unwrap();
    let own = hosts.path().join("registry.example");
    fs::create_dir(&own).unwrap();
    let mirror = format!(
        "server = \"https://registry.example\"\n[host.\"{}\"]\ncapabilities = [\"pull\", \"resolve\"]\n",
        served.url()
    );
    fs::write(own.join("hosts.toml"), mirror).unwrap();
    let directory = hosts.path().to_str().unwrap();
    let fetch = ["content", "fetch", "--all-platforms", "--hosts-dir", directory, "registry.example/org/api:v1"];
    containerd.ctr("default", &fetch);
    let held = containerd.ctr("default", &["content", "ls", "-q"]);
    for blob in blobs(&world.path("api")) {
        assert!(held.contains(&blob), "{blob} is not in {held}");
    }
    served.says("?ns=registry.example 200 ");
}

#[test]
fn a_docker_archive_is_served_under_its_names() {
    if !require("skopeo") {
        return;
    }
    let world = layout();
    let plain = ["oci:api:v1", "-o", "type=docker,dest=docker.tar", "--platform=linux/amd64"];
    world.program.run([&["copy"], &plain[..]].concat()).success();
    let served = Served::start(&world.program, &["docker-archive:docker.tar"]);
    let name = format!("docker://{}/org/api:v1", served.address());
    let pulled = world.skopeo(&["inspect", "--tls-verify=false", "--config", "--raw", &name]);
    assert_eq!(digest(pulled.as_bytes()), config(&world.path("api")));
    world.skopeo(&["copy", "-q", "--src-tls-verify=false", &name, "oci:pulled:v1"]);
}

/// The digest of the config for amd64, which is docker's ID of the image.
fn config(layout: &Path) -> String {
    let images = Layout::open(layout).images();
    let image = images.iter().find(|image| image.platform() == "linux/amd64").unwrap();
    image.manifest["config"]["digest"].as_str().unwrap().to_owned()
}
