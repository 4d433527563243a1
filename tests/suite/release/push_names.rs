//! Which arguments of a push are names, and which is what to push.

use std::fs;

use crate::support::fake_registry::FakeRegistry;
use crate::support::standing::{digest_of, tags_set};
use crate::support::world::World;

const SPEC: &str = "platforms = [\"linux/amd64\"]\n[[layer]]\nadd = [{ from = \"files\", to = \"/srv/\" }]\n";

#[test]
fn names_stand_first_and_what_to_push_last() {
    let world = World::new(SPEC);
    let digest = world.build(&["-o", "layout/", "-o", "x.tar"]).digest();
    for source in ["layout", "./layout", "layout/", "oci:layout", "x.tar", "./x.tar", "oci-archive:x.tar"] {
        let registry = FakeRegistry::new();
        let names = ["one:1", "two/of:2", "three:nightly"].map(|name| format!("{}/{name}", registry.address()));
        let outcome = world.push(&names[0], &[&names[1], &names[2], source]).success();
        assert_eq!(outcome.stdout, names.map(|name| format!("{name}@{digest}\n")).concat(), "{source}");
        for (repository, tag) in [("one", "1"), ("two/of", "2"), ("three", "nightly")] {
            assert_eq!(digest_of(&registry, repository, tag).as_ref(), Some(&digest), "{source}");
        }
    }
}

#[test]
fn what_to_push_is_the_working_directory_if_nothing_is_said() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let names = ["one:1", "two:2"].map(|name| format!("{}/{name}", registry.address()));
    let program = crate::support::program::Program::new().directory(world.context());
    program.run([["push"], [&names[0]], [&names[1]]].concat()).success();
    assert!(digest_of(&registry, "one", "1").is_some() && digest_of(&registry, "two", "2").is_some());
}

#[test]
fn a_word_is_never_both() {
    let world = World::new(SPEC);
    let name = "127.0.0.1:1/app:v1";
    let usage = |arguments: &[&str], parts: &[&str]| {
        world.push(arguments[0], &arguments[1..]).failure(2).says(parts);
    };
    usage(&[world.context(), name], &["is what to push, not a name", "names come first"]);
    usage(&[".", name], &["`.` is what to push"]);
    usage(&["oci:layout"], &["`oci:layout` is what to push"]);
    usage(&[name, "./x", "127.0.0.1:1/other:v1"], &["`127.0.0.1:1/other:v1` comes after `./x`", "then what to push"]);
    usage(&[name, "./x", "./y"], &["`./y` comes after `./x`"]);
    usage(&[name, "other", "third:v1"], &["`third:v1` comes after `other`", "each name after the first has a tag"]);
    // A misspelt path is not taken for a name at Docker Hub.
    world.push(name, &["dits/api"]).failure(1).says(&["there is no dits/api", "a further name", "NAME:latest"]);
    usage(&[name, "app@sha256:0"], &["has a digest"]);
    usage(&[name, "App:v1"], &["lower case"]);

    // The words decide, whatever is on disk; where that could be a surprise, it is said.
    fs::write(world.path("api:v1"), "").unwrap();
    usage(&[name, "api:v1"], &["`api:v1` is a name, but there is also a file of that name", "./api:v1"]);
    world.push(name, &["./api:v1"]).failure(1).says(&["./api:v1"]);
}

#[test]
fn a_name_given_twice_counts_once() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = format!("{}/app:1.0.0", registry.address());
    let outcome = world.push(&name, &[&name, world.context()]).success();
    assert_eq!(outcome.stdout.lines().count(), 1);
}

#[test]
fn no_tag_is_set_before_every_output_is_written() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = format!("{}/app:nightly", registry.address());
    let failed = world.build(&["-t", &name, "-o", "type=registry", "-o", "type=tar,dest=files.tar,limit=1"]).failure(1);
    failed.says(&["unpack to more than 1 bytes"]);
    // The image itself is there, under its digest alone.
    let puts: Vec<_> = registry.requests().into_iter().filter(|request| request.is("PUT", "/manifests/")).collect();
    assert_eq!(puts.iter().map(tags_set).collect::<Vec<_>>(), [[""; 0]]);
    let built = world.build(&["-t", &name, "-o", "type=registry"]).digest();
    assert_eq!(digest_of(&registry, "app", "nightly"), Some(built));
}
