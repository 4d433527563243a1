//! `ocibake push`: what is pushed, under which tags, as whom; and what is refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::FakeRegistry;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{self, checked, require};
use crate::support::world::World;

const SPEC: &str = r#"
name = "example/app"
platforms = ["linux/amd64", "linux/arm64"]
[[layer]]
add = [{ from = "files", to = "/srv/" }]
"#;

#[test]
fn a_context_is_built_and_pushed() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app", registry.address());
    let outcome = world.push(&format!("{name}:v0.2.0"), &[world.context()]).success();
    let digest = world.build(&["-t", &format!("{name}:v0.2.0")]).digest();
    assert_eq!(outcome.stdout, format!("{name}:v0.2.0@{digest}\n"));
    assert_eq!(tags(&registry), set(&["v0.2.0", "0.2.0", "0.2", "0", "latest"]));
    for tag in tags(&registry) {
        let (kind, bytes) = registry.manifest(&format!("org/app/{tag}")).unwrap();
        assert_eq!(kind, "application/vnd.oci.image.index.v1+json");
        assert_eq!(registry.manifest(&format!("org/app/{digest}")).unwrap().1, bytes, "{tag}");
    }
    // Exact tags come before those that move.
    let puts = registry.requests().into_iter().filter(|request| request.is("PUT", "/manifests/"));
    let order: Vec<_> = puts.filter_map(|put| tag_of(&put.path)).collect();
    assert_eq!(order, ["v0.2.0", "0.2.0", "0.2", "0", "latest"]);
}

#[test]
fn what_is_built_already_is_pushed_as_it_is() {
    let world = World::new(SPEC);
    let index = world.build(&["-o", "layout/", "-o", "x.tar"]).digest();
    let single = ["--platform=linux/amd64", "-t", "example/app:1"];
    let manifest = world.build(&[&single[..], &["-o", "type=docker,dest=docker.tar"]].concat()).digest();
    for (source, digest) in [
        ("layout", &index),
        ("./layout/", &index),
        ("oci:layout", &index),
        ("oci:layout:latest", &index),
        ("oci:layout:docker.io/example/app:latest", &index),
        ("x.tar", &index),
        ("oci-archive:x.tar", &index),
        ("docker.tar", &manifest),
    ] {
        let registry = FakeRegistry::new();
        let name = format!("{}/org/app:2.0.0", registry.address());
        let outcome = world.push(&name, &[source]).success();
        assert_eq!(outcome.stdout, format!("{name}@{digest}\n"), "{source}");
        assert_eq!(tags(&registry), set(&["2.0.0", "2.0", "2", "latest"]), "{source}");
    }
}

#[test]
fn what_goes_to_two_repositories_of_a_registry_is_sent_once() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = World::new(SPEC);
    let registry = DockerRegistry::open();
    let names = ["org/app:1", "org/app:2", "org/other:1"].map(|name| format!("{}/{name}", registry.address()));
    let tags = names.each_ref().map(|name| ["-t", name.as_str()]).concat();
    let outcome = world.build(&[&tags[..], &["--push", "--progress=json"]].concat()).success();
    let said = |outcome: &Outcome, what: &str| outcome.stderr.matches(&format!("\"outcome\":\"{what}\"")).count();
    // A layer for both platforms, a config for each.
    assert_eq!((said(&outcome, "sent"), said(&outcome, "mounted")), (3, 3), "{outcome:?}");
    for name in &names {
        let layout = format!("oci:{}:x", world.path("pulled").display());
        world.skopeo(&["copy", "-q", "--all", "--src-tls-verify=false", &format!("docker://{name}"), &layout]);
    }
}

#[test]
fn docker_archives_of_others_are_pushed() {
    if !require("skopeo") {
        return;
    }
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    world.build(&["--platform=linux/amd64", "-t", "example/app:1", "-o", "layout/"]).success();
    let arguments = ["--insecure-policy", "copy", "-q", "oci:layout:1", "docker-archive:docker.tar:example/app:1"];
    checked(Command::new("skopeo").args(arguments).current_dir(world.place.path()));
    let name = format!("{}/org/app:1.0.0", registry.address());
    let outcome = world.push(&name, &["docker-archive:docker.tar:example/app:1"]).success();
    let digest = outcome.stdout.trim().rsplit_once('@').unwrap().1;
    let manifest = registry.manifest(&format!("org/app/{digest}")).unwrap().1;
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let config =
        tool::run("skopeo", ["inspect", "--config", "--raw", &format!("oci:{}:1", world.path("layout").display())]);
    let pushed = registry.blob(manifest["config"]["digest"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(pushed).unwrap(), config);
}

#[test]
fn one_of_several_images_is_pushed_by_its_name() {
    let world = World::new(SPEC);
    let one = world.build(&["-t", "example/app:1", "-o", "layout/"]).digest();
    let two = world.build(&["-t", "example/app:2", "--label=x=y", "-o", "layout/"]).digest();
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:x", registry.address());
    world.push(&name, &["layout"]).failure(1).says(&[
        "layout holds several images",
        "oci:layout:NAME",
        "docker.io/example/app:1, docker.io/example/app:2",
    ]);
    world.push(&name, &["oci:layout:3"]).failure(1).says(&["no image `3`", "docker.io/example/app:1"]);
    assert!(registry.requests().is_empty());
    for (tag, digest) in [("1", one), ("2", two)] {
        let outcome = world.push(&name, &[&format!("oci:layout:{tag}")]).success();
        assert_eq!(outcome.stdout, format!("{name}@{digest}\n"));
    }
}

#[test]
fn tags_are_those_of_the_design() {
    let world = World::new(SPEC);
    world.build(&["-o", "layout/"]).success();
    for (tag, flags, expected) in [
        (":v1.2.3", &[][..], &["v1.2.3", "1.2.3", "1.2", "1", "latest"][..]),
        (":1.2.3", &[], &["1.2.3", "1.2", "1", "latest"]),
        (":v1.0.0-rc.1", &[], &["v1.0.0-rc.1", "1.0.0-rc.1"]),
        (":nightly", &[], &["nightly"]),
        ("", &[], &["latest"]),
        (":v1.2.3", &["--no-fan-out"], &["v1.2.3"]),
        (":v1.2.3", &["--tag-template={major}.{minor},stable"], &["1.2", "stable"]),
    ] {
        let registry = FakeRegistry::new();
        let name = format!("{}/org/app{tag}", registry.address());
        world.push(&name, &[flags, &["layout"]].concat()).success();
        assert_eq!(tags(&registry), set(expected), "{tag} {flags:?}");
    }
}

#[test]
fn a_branch_is_pushed_with_its_commit() {
    if !require("git") {
        return;
    }
    let world = World::new(SPEC);
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(world.context()).args(["-c", "user.name=T", "-c", "user.email=t@example.org"]);
        checked(command.args(arguments).env("HOME", world.place.path())).trim().to_owned()
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "all"]);
    let commit = git(&["rev-parse", "HEAD"])[..7].to_owned();
    let pushed = |tag: &str| {
        let registry = FakeRegistry::new();
        world.push(&format!("{}/org/app:{tag}", registry.address()), &[world.context()]).success();
        tags(&registry)
    };
    assert_eq!(pushed("main"), set(&["main", &format!("main-{commit}"), "latest"]));
    assert_eq!(pushed("other"), set(&["other"]), "it is not what is checked out");
    // The remote knows better which branch is the default one.
    git(&["update-ref", "refs/remotes/origin/trunk", "HEAD"]);
    git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]);
    assert_eq!(pushed("main"), set(&["main", &format!("main-{commit}")]));
    git(&["checkout", "-q", "-b", "trunk"]);
    assert_eq!(pushed("trunk"), set(&["trunk", &format!("trunk-{commit}"), "latest"]));
    git(&["checkout", "-q", "-b", "feature/x"]);
    assert_eq!(pushed("feature-x"), set(&["feature-x", &format!("feature-x-{commit}")]));
    git(&["checkout", "-q", "--detach"]);
    assert_eq!(pushed("feature-x"), set(&["feature-x"]));
}

#[test]
fn flags_of_a_build_do_not_go_with_a_built_image() {
    let world = World::new(SPEC);
    world.build(&["-o", "layout/", "-o", "x.tar"]).success();
    for flag in ["--label=a=b", "--platform=linux/amd64", "--compression=none", "--timestamp=1", "--file=x", "--index"]
    {
        for source in ["layout", "x.tar"] {
            let outcome = world.push("127.0.0.1:1/org/app:1", &[source, flag]).failure(2);
            outcome.says(&["already built", "name a context"]);
        }
    }
    world.push("127.0.0.1:1/org/app:1", &["nowhere"]).failure(1).says(&["there is no nowhere"]);
    world.push("127.0.0.1:1/org/app:1", &["oci:nowhere"]).failure(1).says(&["nowhere is not an OCI layout"]);
}

#[test]
fn what_is_there_is_not_sent_again() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1.0.0", registry.address());
    let first = world.push(&name, &[world.context()]).success();
    let uploads = registry.count("POST", "/blobs/uploads/");
    assert_eq!(uploads, 3, "a layer that both share, and two configs");
    let second = world.push(&name, &[world.context()]).success();
    assert_eq!(registry.count("POST", "/blobs/uploads/"), uploads);
    assert_eq!(first.stdout, second.stdout);
    assert!(second.stderr.contains("present"), "{second:?}");
}

#[test]
fn other_outputs_go_along_and_files_tell_of_it() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1.0.0", registry.address());
    let files = ["-o", "x.tar", "--iidfile", "iid", "--metadata-file", "metadata"];
    let outcome = world.push(&name, &[&[world.context()], &files[..]].concat()).success();
    let digest = fs::read_to_string(world.path("iid")).unwrap();
    assert_eq!(outcome.stdout, format!("{name}@{digest}\n"));
    let metadata: Value = serde_json::from_slice(&fs::read(world.path("metadata")).unwrap()).unwrap();
    let repository = name.trim_end_matches(":1.0.0");
    let names = ["1.0.0", "1.0", "1", "latest"].map(|tag| format!("{repository}:{tag}"));
    assert_eq!(metadata["image.name"], names.join(","));
    assert!(world.path("x.tar").is_file());
}

#[test]
fn a_build_pushes_each_name_as_it_is() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app", registry.address());
    world.build(&["--push", "-t", &format!("{name}:v1.0.0"), "-t", &format!("{name}:x")]).success();
    assert_eq!(tags(&registry), set(&["v1.0.0", "x"]), "build does not fan out");
}

#[test]
fn a_registry_with_users() {
    if !["docker-registry", "htpasswd", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = World::new(SPEC);
    let registry = DockerRegistry::with_user("ada", "correct horse");
    let address = registry.address();
    let name = format!("{address}/org/app:v1.0.0");

    let refused = world.push(&name, &[world.context()]).failure(1);
    refused.says(&["401", &address, &format!("hint: log in with `ocibake login {address}`")]);
    login(&world.program, &address, "wrong horse").failure(1);
    world.push(&name, &[world.context()]).failure(1);

    login(&world.program, &address, "correct horse").success();
    let outcome = world.push(&name, &[world.context()]).success();
    assert!(!outcome.stderr.contains("horse"));
    let listed = tool::run(
        "skopeo",
        ["list-tags", "--tls-verify=false", "--creds=ada:correct horse", &format!("docker://{address}/org/app")],
    );
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed: BTreeSet<_> =
        listed["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, set(&["v1.0.0", "1.0.0", "1.0", "1", "latest"]));

    // With a password that is no longer right.
    let auth = r#"{"auths":{"ADDRESS":{"auth":"YWRhOndyb25n"}}}"#.replace("ADDRESS", &address); // ada:wrong
    fs::write(world.program.docker_config().join("config.json"), auth).unwrap();
    let refused = world.push(&name, &[world.context()]).failure(1);
    refused.says(&["401", "ada"]);
}

#[test]
fn plain_http_beyond_this_machine_has_to_be_allowed() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1.0.0", registry.other_address());
    world.push(&name, &[world.context()]).failure(1).says(&["--insecure"]);
    assert_eq!(tags(&registry), BTreeSet::new());
    world.push(&name, &[world.context(), "--insecure"]).success();
    assert_eq!(tags(&registry), set(&["1.0.0", "1.0", "1", "latest"]));
}

#[test]
fn a_damaged_image_gets_no_tag() {
    let world = World::new(SPEC);
    world.build(&["-o", "layout/", "-o", "x.tar"]).success();
    let refused = |source: &str, part: &str| {
        let registry = FakeRegistry::new();
        world.push(&format!("{}/org/app:1.0.0", registry.address()), &[source]).failure(1).says(&[part]);
        assert_eq!(tags(&registry), BTreeSet::new());
    };
    let blobs = world.path("layout/blobs/sha256");
    let names: Vec<_> = fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 6, "index, two manifests, two configs, layer");
    for blob in &names {
        let bytes = fs::read(blob).unwrap();
        let mut damaged = bytes.clone();
        damaged[bytes.len() / 2] ^= 1;
        let hex = blob.file_name().unwrap().to_str().unwrap();
        for content in [&damaged[..], &bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat()] {
            fs::write(blob, content).unwrap();
            refused("layout", hex);
        }
        fs::remove_file(blob).unwrap();
        refused("layout", hex);
        fs::write(blob, &bytes).unwrap();
    }
    let archive = fs::read(world.path("x.tar")).unwrap();
    for part in [1, 3, 6] {
        fs::write(world.path("x.tar"), &archive[..archive.len() * part / 8]).unwrap();
        refused("x.tar", "x.tar");
    }
}

#[test]
fn names_that_are_none() {
    let world = World::new(SPEC);
    let digest = format!("example/app@sha256:{}", "0".repeat(64));
    for (name, part) in
        [("", "empty"), ("Org/app:1", "lower case"), ("org/app:", "tag"), ("org/app:-x", "-x"), (&digest, "digest")]
    {
        world.push(name, &[world.context()]).failure(2).says(&[part]);
    }
    world.program.run(["push"]).failure(2).says(&["<NAME[:TAG]>", "Usage: ocibake push"]);
    let both = ["--no-fan-out", "--tag-template=x"];
    world.push("org/app:1", &both).failure(2).says(&["--tag-template", "Usage: ocibake push"]);
}

fn login(program: &Program, registry: &str, password: &str) -> Outcome {
    let mut command = program.command(["login", "-u", "ada", "--password-stdin", registry]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), password.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The tags that were set, whatever their repository.
fn tags(registry: &FakeRegistry) -> BTreeSet<String> {
    let puts = registry.requests().into_iter().filter(|request| request.is("PUT", "/manifests/"));
    puts.filter_map(|put| tag_of(&put.path)).collect()
}

fn tag_of(path: &str) -> Option<String> {
    Path::new(path).file_name().and_then(|name| name.to_str()).filter(|name| !name.contains(':')).map(str::to_owned)
}

fn set(tags: &[&str]) -> BTreeSet<String> {
    tags.iter().map(|tag| (*tag).to_owned()).collect()
}
