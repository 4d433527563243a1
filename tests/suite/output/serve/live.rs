//! What is served changes while it is served, and serving ends.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::fake_registry::FakeRegistry;
use crate::support::program::Program;
use crate::support::served::{Reply, Served};

use super::{LARGE_SIZE, blobs, digests, large, large_layer, layout, world};

fn digest(reply: &Reply) -> Option<&str> {
    reply.header("docker-content-digest")
}

#[test]
fn the_local_store_is_served_as_it_is_now() {
    let world = world();
    let served = Served::start(&world.program, &[]);
    assert!(served.log().contains("serving 0 images at "), "{}", served.log());
    assert_eq!(served.get("/v2/_catalog").json(), json!({"repositories": []}));
    let tag = |name: &str| served.get(&format!("/v2/org/api/manifests/{name}"));
    tag("v1").refuses(404, "NAME_UNKNOWN");
    let first = world.build(&["-t", "registry.example/org/api:v1"]).digest();
    assert_eq!(digest(&tag("v1")), Some(first.as_str()));
    world.change("second");
    let second = world.build(&["-t", "registry.example/org/api:v1"]).digest();
    assert_ne!(first, second);
    assert_eq!(digest(&tag("v1")), Some(second.as_str()));
    tag(&first).refuses(404, "MANIFEST_UNKNOWN");
    world.program.run(["tag", "registry.example/org/api:v1", "registry.example/org/api:v2"]).success();
    assert_eq!(digest(&tag("v2")), Some(second.as_str()));
    assert_eq!(served.get("/v2/org/api/tags/list").json()["tags"], json!(["v1", "v2"]));
    world.program.run(["copy", &format!("{}/org/api:v2", served.address()), "-o", "back/"]).success();
    assert_eq!(digests(&world.path("back"))[0], second);
    world.program.run(["rmi", "registry.example/org/api:v1"]).success();
    tag("v1").refuses(404, "MANIFEST_UNKNOWN");
    assert_eq!(tag("v2").status, 200);
}

#[test]
fn pruning_waits_for_nobody_who_serves() {
    let world = world();
    world.build(&["-t", "registry.example/org/api:v1", "-o", "api/"]).success();
    let served = Served::start(&world.program, &[]);
    let path = format!("/v2/org/api/blobs/{}", digests(&world.path("api"))[2]);
    assert_eq!(served.get(&path).status, 200);
    world.program.run(["cache", "prune", "--all"]).success();
    assert_eq!(served.get(&path).status, 200, "a name keeps it");
    world.program.run(["rmi", "registry.example/org/api:v1"]).success();
    world.program.run(["cache", "prune", "--all"]).success();
    served.get(&path).refuses(404, "NAME_UNKNOWN");
}

#[test]
fn a_layout_is_served_as_it_is_now() {
    let world = layout();
    let served = Served::start(&world.program, &["./api"]);
    let first = digests(&world.path("api"))[0].clone();
    let tag = |name: &str| served.get(&format!("/v2/org/api/manifests/{name}"));
    assert_eq!(digest(&tag("v1")), Some(first.as_str()));
    world.change("second");
    let second = world.build(&["-t", "registry.example/org/api:v2", "-o", "second/"]).digest();
    world.program.run(["copy", "./second", "oci:api"]).success();
    assert_eq!(digest(&tag("v2")), Some(second.as_str()));
    assert_eq!(digest(&tag("v1")), Some(first.as_str()));
    // While there is none, or half of one, that is an error, and no end.
    let index = fs::read(world.path("api/index.json")).unwrap();
    fs::write(world.path("api/index.json"), &index[..index.len() / 2]).unwrap();
    tag("v1").refuses(500, "UNKNOWN");
    fs::write(world.path("api/index.json"), &index).unwrap();
    assert_eq!(digest(&tag("v1")), Some(first.as_str()));
}

#[test]
fn an_archive_stays_the_one_that_was_opened() {
    let world = layout();
    world.program.run(["copy", "./api", "-o", "api.tar"]).success();
    let served = Served::start(&world.program, &["./api.tar"]);
    fs::remove_file(world.path("api.tar")).unwrap();
    world.program.run(["copy", &format!("{}/org/api:v1", served.address()), "-o", "back/"]).success();
    assert_eq!(blobs(&world.path("back")), blobs(&world.path("api")));
}

/// What of an image has stayed in the registry of its base is had from there.
#[test]
fn layers_of_a_base_elsewhere_are_given_out_too() {
    let (world, registry) = (layout(), FakeRegistry::new());
    let base = format!("{}/org/base:1", registry.address());
    world.program.run(["copy", "./api", &base]).success();
    let program = Program::new().directory(world.place.path());
    let context = tempfile::tempdir().unwrap();
    fs::write(context.path().join("Dockerfile"), format!("FROM {base}\nCOPY Dockerfile /\n")).unwrap();
    let flags = ["-t", "registry.example/org/app:1", "--platform=linux/amd64"];
    program.run([&["build", context.path().to_str().unwrap()], &flags[..]].concat()).success();
    let mut served = Served::start(&program, &[]);
    let other = Program::new().directory(world.place.path());
    other.run(["copy", &format!("{}/org/app:1", served.address()), "-o", "app/"]).success();
    assert!(blobs(&world.path("app")).contains(&digests(&world.path("api"))[2].replace("sha256:", "")));
    served.signal(Signal::TERM);
    assert_eq!(served.code(), Some(0), "{}", served.log());
}

#[test]
fn a_signal_ends_it_with_success() {
    let world = layout();
    for signal in [Signal::INT, Signal::TERM] {
        let mut served = Served::start(&world.program, &["./api"]);
        assert_eq!(served.get("/v2/").status, 200);
        let _idle = TcpStream::connect(served.address()).unwrap();
        let since = Instant::now();
        served.signal(signal);
        assert_eq!(served.code(), Some(0), "{}", served.log());
        assert!(since.elapsed() < Duration::from_secs(60));
        assert!(TcpStream::connect(served.address()).is_err());
    }
}

#[test]
fn answers_under_way_have_a_moment_and_no_more() {
    let world = large();
    let path = format!("/v2/org/large/blobs/{}", large_layer(&world));
    let begin = |served: &Served| {
        let mut stream = TcpStream::connect(served.address()).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        stream
    };
    let mut served = Served::start(&world.program, &["./large"]);
    let mut taken = begin(&served);
    served.signal(Signal::TERM);
    let mut rest = Vec::new();
    taken.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > LARGE_SIZE, "{}", rest.len());
    assert_eq!(served.code(), Some(0));
    // One who takes nothing is not waited for.
    let mut served = Served::start(&world.program, &["./large"]);
    let _stuck = begin(&served);
    served.signal(Signal::TERM);
    assert_eq!(served.code(), Some(0));
    served.says("cut short");
}
