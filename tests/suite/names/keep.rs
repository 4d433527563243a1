//! What names keep in the store.

use std::fs;

use super::{build, context, listed, rewrite};
use crate::support::docker_registry::DockerRegistry;
use crate::support::program::Program;
use crate::support::tool::require;

/// The digests of the blobs in a program's store.
fn blobs(program: &Program) -> Vec<String> {
    let entries = fs::read_dir(program.store().join("blobs/sha256")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_has_a_name_is_never_pruned() {
    let (program, context) = (Program::new(), context("one"));
    let digest = build(&program, context.path(), &["app"]);
    let kept = blobs(&program);
    rewrite(context.path(), "two");
    build(&program, context.path(), &[]);
    assert_eq!((kept.len(), blobs(&program).len()), (3, 6));
    program.run(["cache", "prune", "--all"]).success();
    let mut left = blobs(&program);
    left.sort();
    let mut kept = kept;
    kept.sort();
    assert_eq!(left, kept);
    let saved = program.run(["save", "app", "-o", "saved.tar"]).success();
    assert_eq!(saved.stdout, "");
    assert_eq!(listed(&program, "{{.Digest}}"), [digest]);
    // Once the last name is gone nothing is kept.
    program.run(["rmi", "app"]).success();
    program.run(["cache", "prune", "--all"]).success();
    assert_eq!(blobs(&program), [""; 0]);
}

#[test]
fn a_limit_does_not_take_what_has_a_name() {
    let (program, context) = (Program::new().environment("OCIBAKE_STORE_LIMIT", "1"), context("one"));
    let digest = build(&program, context.path(), &["app"]);
    rewrite(context.path(), "two");
    build(&program, context.path(), &[]);
    rewrite(context.path(), "three");
    build(&program, context.path(), &[]);
    assert!(blobs(&program).contains(&digest[7..].to_owned()));
    program.run(["save", "app", "-o", "saved.tar"]).success();
}

#[test]
fn images_are_pruned_with_their_names_if_all_is_asked() {
    let (program, context) = (Program::new(), context("one"));
    build(&program, context.path(), &["app"]);
    let outcome = program.run(["image", "prune", "-f"]).success();
    assert_eq!(
        outcome.stdout,
        "Total reclaimed space: 0B\n".replace("0B", outcome.stdout.trim().rsplit(' ').next().unwrap())
    );
    assert_eq!(listed(&program, "{{.Repository}}"), ["app"]);
    let outcome = program.run(["image", "prune", "-af"]).success();
    assert!(outcome.stdout.starts_with("Untagged: app:latest\nTotal reclaimed space: "), "{}", outcome.stdout);
    assert!(blobs(&program).is_empty() && listed(&program, "{{.Repository}}").is_empty());
}

#[test]
fn what_a_registry_got_at_once_may_lose_its_layers_and_comes_back() {
    if !require("docker-registry") {
        return;
    }
    let (program, context, registry) = (Program::new(), context("one"), DockerRegistry::open());
    let name = format!("{}/app:1", registry.address());
    let digest = program.run(["build", "--push", "-t", &name, context.path().to_str().unwrap()]).digest();
    program.run(["cache", "prune", "--all"]).success();
    assert_eq!(blobs(&program).len(), 2, "manifest and config stay");
    assert_eq!(listed(&program, "{{.Digest}}"), [digest]);
    program.run(["save", &name, "-o", "saved.tar"]).success();
    assert_eq!(blobs(&program).len(), 3, "what was had from the registry stays");
}

#[test]
fn a_name_that_is_damaged_is_not_there() {
    let (program, context) = (Program::new(), context("one"));
    build(&program, context.path(), &["app", "other"]);
    let names = program.store().join("names");
    let paths: Vec<_> = fs::read_dir(&names).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(paths.len(), 2);
    let app = paths.iter().find(|path| fs::read_to_string(path).unwrap().contains("library/app")).unwrap();
    let other = paths.iter().find(|path| *path != app).unwrap();
    // What says one name and lies under another is neither.
    fs::copy(other, app).unwrap();
    assert_eq!(listed(&program, "{{.Repository}}"), ["other"]);
    fs::write(other, "{").unwrap();
    assert_eq!(listed(&program, "{{.Repository}}"), [""; 0]);
    build(&program, context.path(), &["app"]);
    assert_eq!(listed(&program, "{{.Repository}}"), ["app"]);
}
