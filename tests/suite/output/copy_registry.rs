//! `ocibake copy` to registries and between them: what moves, what is mounted, when tags are set, and below which prefix.

use std::fs;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Request};
use crate::support::program::{Outcome, Program};
use crate::support::tool::require;
use crate::support::traces::names_in;
use crate::support::world::{APP, World};

use super::copy::{set, tags};

fn copy(world: &World, arguments: &[&str]) -> Outcome {
    world.program.run([&["copy"], arguments].concat())
}

fn said(outcome: &Outcome, what: &str) -> usize {
    outcome.stderr.matches(&format!("\"outcome\":\"{what}\"")).count()
}

#[test]
fn from_registry_to_registry_without_the_disk() {
    let world = World::new(APP);
    let (from, to) = (FakeRegistry::new(), FakeRegistry::new());
    let pushed = world.push(&format!("{}/org/app:1", from.address()), &["--no-fan-out", world.context()]).success();
    let digest = pushed.stdout.trim().rsplit_once('@').unwrap().1;
    // A directory of its own for whatever is temporary, and another store.
    let program = Program::new().directory(world.place.path());
    let temporary = tempfile::tempdir().unwrap();
    let program = program.environment("TMPDIR", temporary.path());
    let (source, name) = (format!("{}/org/app:1", from.address()), format!("{}/mirror/app:2", to.address()));
    let outcome = program.run(["copy", &source, &name, "--progress=json"]).success();
    assert_eq!(outcome.stdout, format!("{name}@{digest}\n"));
    assert_eq!(said(&outcome, "sent"), 3, "a layer that both share, and two configs");
    for place in [world.place.path(), &program.store(), temporary.path()] {
        assert_eq!(names_in(place), [""; 0], "{}", place.display());
    }
    let index = from.manifest(&format!("org/app/{digest}")).unwrap();
    assert_eq!(to.manifest("mirror/app/2").unwrap(), index);

    // Again: every blob is asked for, none is fetched or sent.
    let fetched = from.count("GET", "/blobs/");
    let outcome = program.run(["copy", &source, &name, "--progress=json"]).success();
    assert_eq!((said(&outcome, "present"), said(&outcome, "sent")), (3, 0));
    assert_eq!(from.count("GET", "/blobs/"), fetched);
}

#[test]
fn within_a_registry_blobs_are_mounted_and_none_is_fetched() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = World::new(APP);
    let registry = DockerRegistry::open();
    let (from, to) = (format!("{}/org/app:1", registry.address()), format!("{}/mirror/app:2", registry.address()));
    world.push(&from, &["--no-fan-out", world.context()]).success();
    let outcome = copy(&world, &[&from, &to, "--progress=json"]).success();
    assert_eq!((said(&outcome, "mounted"), said(&outcome, "sent")), (3, 0), "{outcome:?}");
    let pulled = ["copy", "-q", "--all", "--src-tls-verify=false", &format!("docker://{to}"), "oci:pulled:x"];
    world.skopeo(&pulled);
    // Another tag of the same repository needs none of it.
    let other = format!("{}/org/app:3", registry.address());
    let outcome = copy(&world, &[&from, &other, "--progress=json"]).success();
    assert_eq!((said(&outcome, "present"), said(&outcome, "sent")), (3, 0), "{outcome:?}");
}

#[test]
fn several_images_go_below_a_prefix_and_no_tag_is_set_before_all_are_there() {
    let world = World::new(APP);
    world.build(&["-t", "example/app:1", "-t", "nginx:9", "-o", "one.tar"]).success();
    world.change("other");
    world.build(&["-t", "registry.example:5000/deep/er/app:v2", "-o", "two/"]).success();
    let registry = FakeRegistry::new();
    let prefix = format!("{}/mirror/", registry.address());
    let outcome = copy(&world, &["./one.tar", "./two", &prefix]).success();
    let said: Vec<_> = outcome.stdout.lines().map(|line| line.split('@').next().unwrap()).collect();
    assert_eq!(said, [format!("{prefix}example/app:1"), format!("{prefix}deep/er/app:v2")]);
    for name in ["example/app/1", "library/nginx/9", "deep/er/app/v2"] {
        assert!(registry.manifest(&format!("mirror/{name}")).is_some(), "{name}");
    }
    let puts = |request: &Request| request.method == "PUT";
    let is_tag = |request: &Request| request.is("PUT", "/manifests/") && !request.path.contains(':');
    let order: Vec<bool> = registry.requests().iter().filter(|request| puts(request)).map(is_tag).collect();
    let first_tag = order.iter().position(|tag| *tag).unwrap();
    assert_eq!(order.len() - first_tag, 3, "the three tags come last: {order:?}");

    // Without a path: right below the host.
    let registry = FakeRegistry::new();
    copy(&world, &["./one.tar", &format!("{}/", registry.address())]).success();
    assert!(registry.manifest("example/app/1").is_some());
}

#[test]
fn one_damaged_image_of_several_leaves_no_tag() {
    let world = World::new(APP);
    world.build(&["-t", "example/one:1", "-o", "one/"]).success();
    world.change("other");
    world.build(&["-t", "example/two:1", "-o", "two/"]).success();
    let blobs = world.path("two/blobs/sha256");
    let sizes = names_in(&blobs).into_iter().map(|name| (fs::read(blobs.join(&name)).unwrap(), name));
    let (layer, name) = sizes.into_iter().find(|(bytes, _)| bytes.starts_with(&[0x1f, 0x8b])).unwrap();
    let mut damaged = layer.clone();
    damaged[layer.len() / 2] ^= 1;
    for (content, part) in
        [(Some(damaged), &name[..]), (Some(layer[1..].to_vec()), "lacks 1 blob"), (None, "lacks 1 blob")]
    {
        match content {
            Some(content) => fs::write(blobs.join(&name), content).unwrap(),
            None => fs::remove_file(blobs.join(&name)).unwrap(),
        }
        let registry = FakeRegistry::new();
        copy(&world, &["./one", "./two", &format!("{}/", registry.address())]).failure(1).says(&[part]);
        assert_eq!(tags(&registry), set(&[]));
        copy(&world, &["./one", "./two", "-o", "both.tar", "-o", "both/"]).failure(1).says(&[part]);
        assert_eq!(world.names(), ["one", "two"]);
    }
}

#[test]
fn images_of_a_bundle_share_what_is_sent_to_one_registry() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = World::new(APP);
    world.build(&["-t", "example/one:1", "-o", "x/"]).success();
    world.build(&["-t", "example/two:1", "--label=a=b", "-o", "x/"]).success();
    let registry = DockerRegistry::open();
    let outcome = copy(&world, &["./x", &format!("{}/p/", registry.address()), "--progress=json"]).success();
    // One layer and two configs; then two other configs and the layer, from the other repository.
    assert_eq!((said(&outcome, "sent"), said(&outcome, "mounted")), (5, 1), "{outcome:?}");
    for name in ["one", "two"] {
        let image = format!("docker://{}/p/example/{name}:1", registry.address());
        world.skopeo(&["copy", "-q", "--all", "--src-tls-verify=false", &image, "oci:pulled:x"]);
    }
}

#[test]
fn what_cannot_go_where_it_is_sent() {
    let world = World::new(APP);
    let digest = world.build(&["-t", "example/app:1", "-o", "x/", "-o", "x.tar"]).digest();
    world.build(&["-t", "example/app:2", "--label=a=b", "-o", "two/"]).success();
    copy(&world, &["oci:x:1", "./two"]).success();
    fs::write(world.path("junk.tar"), "no tar").unwrap();
    fs::write(world.path("x.tar.zst"), [&[0x28, 0xb5, 0x2f, 0xfd][..], &[0; 64]].concat()).unwrap();
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1", registry.address());
    copy(&world, &["oci:x:1", &name]).success();
    let other = format!("{}/org/app@sha256:{}", registry.address(), "0".repeat(64));
    for (arguments, code, parts) in [
        (&["./x"][..], 2, &["the copy has no destination", "-o"][..]),
        (&["./nowhere", "./y/"], 1, &["there is no ./nowhere"]),
        (&["oci:nowhere", "./y/"], 1, &["nowhere is not an OCI layout"]),
        (&["oci:", "./y/"], 2, &["where the image is"]),
        (&["./x", "oci:"], 2, &["where to"]),
        (&["oci:two:7", "./y/"], 1, &["two has no image `7`", "docker.io/example/app:1, docker.io/example/app:2"]),
        (&["./two", "oci:y:1"], 2, &["2 images", "leave out the name"]),
        (&["./two", &name], 2, &["2 images", "end the destination with a slash"]),
        (&["./x", "./x"], 2, &["copied onto itself"]),
        (&["./x", "-o", "x/"], 2, &["copied onto itself"]),
        (&["./x.tar", "oci-archive:x.tar:5"], 2, &["copied onto itself"]),
        (&["./two", "./x.tar", "-o", "x.tar"], 2, &["copied onto itself"]),
        (&[&name, &name], 2, &["copied onto itself"]),
        (&["./x", &other], 2, &[&digest, "give a name and a tag"]),
        (&["./x", "y.tar"], 2, &["is y.tar a file", "./y.tar"]),
        (&["./x", "Org/app"], 2, &["Org/app"]),
        (&["./x", "host.example/Org/"], 2, &["Org/"]),
        (&["./junk.tar", "./y.tar"], 1, &["junk.tar is not a whole tar archive"]),
        (&["./x.tar.zst", "./y.tar"], 1, &["compressed with zstd as a whole", "zstd -d"]),
        (&["./x", "-o", "type=registry"], 2, &["which registry"]),
        (&["./two", "-o", "type=tar,dest=y.tar"], 2, &["files of several images"]),
        (&["./x", "-o", "type=tar,dest=y.tar", "--since", "./two"], 2, &["--since", "-o FILE"]),
        (&["./x", "./y/", "--platform=linux/amd46"], 2, &["--platform", "amd64"]),
        (&["./x", "./y/", "--since", "./two"], 2, &["--since", "OCI archive"]),
        (&[&format!("{}/org/none:1", registry.address()), "./y/"], 1, &["404", "org/none"]),
    ] {
        copy(&world, arguments).failure(code).says(parts);
        assert_eq!(world.names(), ["junk.tar", "two", "x", "x.tar", "x.tar.zst"], "{arguments:?}");
    }
}

#[test]
fn one_name_is_not_given_to_two_images() {
    let world = World::new(APP);
    world.build(&["-t", "docker.io/library/app:1", "-o", "one/"]).success();
    world.change("other");
    world.build(&["-t", "quay.example/library/app:1", "-o", "two/"]).success();
    // Apart in a layout, not below a prefix.
    copy(&world, &["./one", "./two", "-o", "both/"]).success();
    let registry = FakeRegistry::new();
    let prefix = format!("{}/p/", registry.address());
    copy(&world, &["./both", &prefix]).failure(1).says(&["p/library/app:1` would name two images", "by itself"]);
    assert_eq!(registry.requests().len(), 0);
    // A short name is the tag of whatever has that tag.
    copy(&world, &["oci:one:1", "oci:short:1"]).success();
    copy(&world, &["./short", "./two", "-o", "all.tar"]).failure(1).says(&["`1` would name", "with a repository"]);
    copy(&world, &["./short", &prefix]).failure(1).says(&["./short does not say which repository", "by itself"]);
}
