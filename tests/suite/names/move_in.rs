//! `save`, `load`, `pull`, and archives on standard output.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::{build, context, listed, rewrite};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{self, require};

#[test]
fn what_is_saved_is_loaded_under_the_same_names() {
    let (program, context) = (Program::new(), context("one"));
    let one = build(&program, context.path(), &["app:1", "reg.example/app:1"]);
    rewrite(context.path(), "two");
    let two = build(&program, context.path(), &["app:2"]);
    for format in ["docker", "oci"] {
        let file = format!("{format}.tar");
        program.run(["save", "--format", format, "-o", &file, "app", "reg.example/app:1"]).success();
        let other = Program::new();
        let path = program.home().join(&file);
        let outcome = other.run(["load", "-i", path.to_str().unwrap()]).success();
        let mut lines: Vec<&str> = outcome.stdout.lines().collect();
        lines.sort();
        let loaded = ["app:1", "app:2", "reg.example/app:1"].map(|name| format!("Loaded image: {name}"));
        assert_eq!(lines, loaded, "{format}");
        let mut names = listed(&other, "{{.Repository}}:{{.Tag}}={{.Digest}}");
        names.sort();
        assert_eq!(names, [format!("app:1={one}"), format!("app:2={two}"), format!("reg.example/app:1={one}")]);
        // All of it is here now.
        fs::remove_file(&path).unwrap();
        other.run(["save", "app:2", "-o", "again.tar"]).success();
    }
    program.run(["save", "nothing", "-o", "x.tar"]).failure(1).says(&["the local store has no image nothing"]);
    assert!(!program.home().join("x.tar").exists());
}

#[test]
fn an_archive_goes_through_a_pipe() {
    let (program, context) = (Program::new(), context("one"));
    let digest = build(&program, context.path(), &["app"]);
    program.run(["save", "app", "-o", "saved.tar"]).success();
    let saved = program.command(["save", "app"]).output().unwrap();
    assert!(saved.status.success());
    assert_eq!(saved.stdout, fs::read(program.home().join("saved.tar")).unwrap());
    let other = Program::new();
    let mut load = other.command(["load"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    load.stdin.take().unwrap().write_all(&saved.stdout).unwrap();
    let loaded = load.wait_with_output().unwrap();
    assert!(loaded.status.success());
    assert_eq!(loaded.stdout, b"Loaded image: app:latest\n");
    assert_eq!(listed(&other, "{{.Digest}}"), [digest]);
    Outcome::of(other.command(["load"]).stdin(Stdio::null())).failure(1).says(&["standard input is empty"]);
}

#[test]
fn a_build_streams_its_archive() {
    let (program, context) = (Program::new(), context("one"));
    let path = context.path().to_str().unwrap();
    for (output, file) in
        [("-", "type=docker,dest=f.tar"), ("type=oci,dest=-", "f.tar"), ("type=tar,dest=-", "type=tar,dest=f.tar")]
    {
        let streamed = program.command(["build", "-t", "app", "-o", output, path]).output().unwrap();
        assert!(streamed.status.success(), "{streamed:?}");
        program.run(["build", "-t", "app", "-o", file, path]).success();
        assert_eq!(streamed.stdout, fs::read(program.home().join("f.tar")).unwrap(), "{output}");
    }
    program
        .run(["build", "-o", "-", "-o", "type=tar,dest=-", path])
        .failure(2)
        .says(&["several outputs go to standard output"]);
    program
        .run(["build", "-o", "type=local,dest=-", path])
        .failure(2)
        .says(&["a directory cannot be written to standard output"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (program, context) = (Program::new(), context(&"x".repeat(3 << 20)));
    build(&program, context.path(), &["app"]);
    for arguments in
        [&["save", "app"][..], &["build", "--compression", "none", "-o", "-", context.path().to_str().unwrap()]]
    {
        let mut child = program.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success() && !stderr.contains("error"), "{arguments:?}: {:?} {stderr}", ended.status);
    }
}

#[test]
fn a_pulled_image_is_the_registrys_to_the_byte() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let (maker, registry) = (Program::new(), DockerRegistry::open());
    let context = context("one");
    let name = format!("{}/app:1", registry.address());
    let path = context.path().to_str().unwrap();
    let platforms = "--platform=linux/amd64,linux/arm64";
    let digest = maker.run(["build", "--push", platforms, "-t", &name, path]).digest();
    let program = Program::new();
    let outcome = program.run(["pull", "--platform", "linux/arm64", &name]).success();
    assert_eq!(outcome.stdout, format!("Digest: {digest}\n{name}\n"));
    assert_eq!(program.run(["pull", "-q", &name]).success().stdout, format!("{name}\n"));
    assert_eq!(listed(&program, "{{.Digest}} {{.Platforms}}"), [format!("{digest} linux/amd64,linux/arm64")]);
    let raw = tool::run("skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    assert_eq!(fake_registry::digest(raw.as_bytes()), digest);
    // By digest it has no name, and is known by its ID.
    let by_digest = format!("{}/app@{digest}", registry.address());
    let other = Program::new();
    other.run(["pull", &by_digest]).success();
    assert_eq!(listed(&other, "{{.Digest}}"), [""; 0]);
    other.run(["tag", &by_digest, "mine"]).success();
    assert_eq!(listed(&other, "{{.Digest}}"), [digest]);
    other.run(["pull", &format!("{}/none:1", registry.address())]).failure(1);
}
