//! Names where images are asked for: by `push`, by `FROM`, and wherever a REF is.

use std::fs;

use super::{build, context, listed, rewrite};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry;
use crate::support::layout::Layout;
use crate::support::program::Program;
use crate::support::tool::{self, require};

/// The digest that a registry has under a name, by skopeo.
fn pushed(name: &str) -> String {
    let raw = tool::run("skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    fake_registry::digest(raw.as_bytes())
}

#[test]
fn a_push_sends_what_was_built_under_the_name() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let (registry, context) = (DockerRegistry::open(), context("one"));
    let program = Program::new().directory(context.path());
    let name = format!("{}/app:v1.2.3", registry.address());
    let built = program.run(["build", "-t", &name, "--label", "made=by-hand", "."]).digest();
    rewrite(context.path(), "two");
    let outcome = program.run(["push", &name]).success();
    assert_eq!(outcome.stdout, format!("{name}@{built}\n"));
    assert!(
        outcome.stderr.contains(&format!("{name} is the image {} of the local store, named ", &built[7..19])),
        "{}",
        outcome.stderr
    );
    for tag in ["v1.2.3", "1.2.3", "1.2", "1", "latest"] {
        assert_eq!(pushed(&format!("{}/app:{tag}", registry.address())), built, "{tag}");
    }
    // A context, and flags that shape an image, say that one is to be built.
    let outcome = program.run(["push", &name, "."]).success();
    assert!(!outcome.stdout.contains(&built), "{}", outcome.stdout);
    let outcome = program.run(["push", "--label", "x=y", &name]).success();
    assert!(!outcome.stdout.contains(&built), "{}", outcome.stdout);
    // What a push builds has no name here: the next one builds again.
    let other = format!("{}/other:1", registry.address());
    let outcome = program.run(["push", &other]).success();
    assert!(
        outcome.stderr.contains(&format!("the local store has no image {other}: building it")),
        "{}",
        outcome.stderr
    );
    assert_eq!(listed(&program, "{{.Repository}}"), [name.rsplit_once(':').unwrap().0]);
    rewrite(context.path(), "three");
    assert_ne!(program.run(["push", &other]).success().stdout, outcome.stdout);
}

#[test]
fn a_base_is_what_was_built_here() {
    if !require("docker-registry") {
        return;
    }
    let (registry, base_context) = (DockerRegistry::open(), context("base"));
    let name = format!("{}/base:1", registry.address());
    let program = Program::new();
    let pushed = program.run(["build", "--push", "-t", &name, base_context.path().to_str().unwrap()]).digest();
    rewrite(base_context.path(), "newer");
    let newer = build(&program, base_context.path(), &[&name]);
    assert_ne!(pushed, newer);
    let dockerfile = format!("FROM {name}\nCOPY --from={name} /file /copied\n");
    let context = crate::support::tree::Tree::new().file("Dockerfile", dockerfile).plant();
    let path = context.path().to_str().unwrap();
    let file = |flags: &[&str]| {
        let outcome = program.run([&["build", path, "-o", "type=local,dest=out"], flags].concat()).success();
        let read = |name: &str| fs::read_to_string(program.home().join("out").join(name)).unwrap();
        assert_eq!(read("file"), read("copied"));
        (read("file"), outcome.stderr)
    };
    let (content, told) = file(&[]);
    assert_eq!(content, "newer");
    assert!(told.contains(&format!("{name} is the image {} of the local store", &newer[7..19])), "{told}");
    // Who wants the registry's says so.
    assert_eq!(file(&["--pull"]).0, "base");
    // What was pulled is asked for again: it may have changed.
    program.run(["pull", &name]).success();
    assert_eq!(file(&[]).0, "base");
    assert_eq!(file(&["--pull=never"]).0, "base");
}

#[test]
fn a_ref_is_a_path_then_a_name_here_then_a_registrys() {
    let context = context("one");
    let program = Program::new().directory(context.path());
    let built = build(&program, context.path(), &["app"]);
    let line = |reference: &str| {
        let told = program.run(["inspect", reference]).success().stdout;
        told.lines().next().unwrap().split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(line("app"), built);
    assert_eq!(line("docker.io/library/app:latest"), built);
    assert_eq!(line(&built[7..20]), built);
    rewrite(context.path(), "two");
    let two = program.run(["build", "-o", "app.tar", "-o", "lay/", "."]).digest();
    assert_eq!(
        (line("app.tar"), line("lay"), line("./lay"), line("oci:lay")),
        (two.clone(), two.clone(), two.clone(), two)
    );
    // A copy takes what has the name here, and a directory that is no layout is in nobody's way.
    fs::create_dir(context.path().join("app")).unwrap();
    program.run(["copy", "app", "oci:copied"]).success();
    assert_eq!(Layout::open(context.path().join("copied")).roots()[0]["digest"], built.as_str());
}
