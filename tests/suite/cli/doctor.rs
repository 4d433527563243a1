//! What `ocibake doctor` finds out about a registry, and about running commands.

use serde_json::Value;

use crate::run::namespace::NO_NAMESPACES;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, Request};
use crate::support::program::{Outcome, Program};
use crate::support::tool::{require, require_root, run};
use crate::support::world::{APP, World};

/// Debian's registry is distribution 2.8: it has the API of distribution-spec 1.0, without referrers.
#[test]
fn a_real_registry_is_described_and_left_as_it_was() {
    if !require("docker-registry") || !require("skopeo") {
        return;
    }
    let registry = DockerRegistry::open();
    let name = format!("{}/org/app", registry.address());
    insta::assert_snapshot!(doctor(&[&name]).success().stdout, @r"
    api           yes      http, HTTP/1.1; does not ask for a login
    login         yes      without a user
    pull          unknown  there is no such repository yet
    push          yes      uploads continue here
    chunks        yes      of 64 KiB and more
    mount         unknown  there is no image to try it with
    referrers     no       they are kept under a tag sha256-…
    tags at once  unknown  not tried without --write
    media types   unknown  not tried without --write
    ");
    let world = World::new(APP);
    let tagged = format!("{name}:v1");
    world.program.run(["push", "--no-fan-out", &tagged, world.context()]).success();
    let tags = || run("skopeo", ["list-tags", "--tls-verify=false", &format!("docker://{name}")]);
    let raw = || run("skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{tagged}")]);
    let before = (tags(), raw());
    insta::assert_snapshot!(doctor(&["--write", &name]).success().stdout, @r"
    api           yes      http, HTTP/1.1; does not ask for a login
    login         yes      without a user
    pull          yes      it has tags, such as v1
    push          yes      uploads continue here
    chunks        yes      of 64 KiB and more
    mount         yes      blobs of other repositories are mounted
    referrers     no       they are kept under a tag sha256-…
    tags at once  no       each tag needs a request of its own
    media types   yes      OCI images, OCI indexes, zstd layers, docker images, docker manifest lists, artifacts
    ");
    assert_eq!((tags(), raw()), before);
}

#[test]
fn a_user_who_is_not_let_in_learns_of_it() {
    if !require("docker-registry") || !require("htpasswd") {
        return;
    }
    let registry = DockerRegistry::with_user("ada", "s3cret");
    let address = registry.address();
    let name = format!("{address}/org/app");
    let outcome = doctor(&["-v", &name]).failure_with_result(1);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines[0], "api           yes      http, HTTP/1.1; basic authentication");
    assert!(lines.iter().any(|line| line.starts_with("login         no       401 Unauthorized")), "{outcome:#?}");
    assert!(lines.iter().any(|line| line.trim() == r#"www-authenticate: Basic realm="test""#), "{outcome:#?}");
    outcome.says(&["cannot be used: login", &format!("`ocibake login {address}`"), "-v"]);

    let program = Program::new();
    let words = ["login", &address, "-u", "ada", "--password-stdin"];
    let mut login = program.command(words);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret").unwrap();
    Outcome::of(login.stdin(std::fs::File::open(file.path()).unwrap())).success();
    let outcome = program.run(["doctor", "-v", &name]).success();
    assert!(outcome.stdout.contains("login         yes      as ada"), "{outcome:#?}");
    assert!(!outcome.stdout.contains("s3cret") && !outcome.stdout.contains("YWRhOnMzY3JldA"), "{outcome:#?}");
}

#[test]
fn a_registry_by_itself_is_not_taken_for_a_repository_of_docker_hubs() {
    for registry in ["registry.example", "registry.example:5000", "localhost:5000", "127.0.0.1:5000", "127.0.0.1:5000/"]
    {
        let name = format!("{}/org/api", registry.trim_end_matches('/'));
        doctor(&[registry]).failure(2).says(&[&format!("`{registry}` is a registry"), &name]);
    }
}

/// One like ECR: large chunks or none, answered with 201; with referrers and several tags at once; without mounts.
#[test]
fn what_other_registries_do_is_told() {
    let script = |request: &Request| {
        let length: usize = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let is_first = request.header("content-range").is_some_and(|range| range.starts_with("0-"));
        if request.is("PATCH", "/uploads/") {
            return Some(match is_first && length < 5 << 20 {
                true => Reply::refusal(416, "BLOB_UPLOAD_INVALID", "too small"),
                false => Reply::status(201).with("location", format!("{}?_state=key", request.path)),
            });
        }
        if request.is("GET", "/referrers/") {
            let index = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
            return Some(Reply::Answer(200, Vec::new(), index));
        }
        if request.is("GET", "/tags/list") {
            return Some(Reply::Answer(200, Vec::new(), br#"{"tags":["1"]}"#.to_vec()));
        }
        if request.method == "PUT" && request.query == "tag=1" {
            return Some(Reply::status(201).with("oci-tag", "1"));
        }
        if request.method == "PUT" && request.header("content-type").is_some_and(|kind| kind.contains("docker")) {
            return Some(Reply::refusal(400, "MANIFEST_INVALID", "not supported"));
        }
        None
    };
    let registry = FakeRegistry::scripted(script);
    let name = format!("{}/org/app", registry.address());
    let world = World::new(APP);
    world.program.run(["push", "--no-fan-out", &format!("{name}:1"), world.context()]).success();
    insta::assert_snapshot!(doctor(&["--write", &name]).success().stdout, @r"
    api           yes      http, HTTP/1.1; does not ask for a login
    login         yes      without a user
    pull          yes      it has tags, such as 1
    push          yes      uploads continue here
    chunks        yes      of 5120 KiB and more
    mount         no       the blob has to be sent
    referrers     yes      it lists what refers to an image
    tags at once  yes      one request sets them all
    media types   yes      OCI images, OCI indexes, zstd layers, artifacts; not docker images, docker manifest lists
    ");
    let document: Value = serde_json::from_str(&doctor(&["--json", "-v", &name]).success().stdout).unwrap();
    assert_eq!(document["repository"], name.as_str());
    let chunks = document["findings"].as_array().unwrap().iter().find(|f| f["question"] == "chunks").unwrap();
    assert_eq!(chunks["verdict"], "yes");
    let statuses: Vec<_> = chunks["exchanges"].as_array().unwrap().iter().map(|e| e["status"].clone()).collect();
    assert_eq!(statuses, [202, 416, 202, 201, 201]);
    // The state in an upload's address is the key to it.
    assert!(!document.to_string().contains("_state="), "{document}");
}

#[test]
fn a_token_server_that_refuses_is_a_registry_that_cannot_be_used() {
    let registry = FakeRegistry::scripted(|request| {
        let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
        let denied = Reply::refusal(401, "UNAUTHORIZED", "incorrect password");
        Some(if request.path == "/token" { denied } else { Reply::status(401).with("www-authenticate", realm) })
    });
    let outcome = doctor(&[&format!("{}/org/app", registry.address())]).failure_with_result(1);
    assert!(outcome.stdout.contains("login         no       GET http://"), "{outcome:#?}");
    assert!(outcome.stdout.contains("incorrect password"), "{outcome:#?}");
    outcome.says(&["cannot be used: login"]);
}

#[test]
fn what_is_no_registry_is_an_error() {
    let registry = FakeRegistry::scripted(|_| Some(Reply::status(404)));
    let outcome = doctor(&[&format!("{}/org/app", registry.address())]).failure_with_result(1);
    assert!(outcome.stdout.starts_with("api           no       404 Not Found, but a registry answers 200 or 401\n"));
    outcome.says(&["cannot be used: api"]);
    doctor(&["127.0.0.1:1/org/app"]).failure(1).says(&["cannot connect", "Connection refused"]);
    doctor(&["Not/a name"]).failure(2).says(&["is not an image name"]);
}

fn doctor(arguments: &[&str]) -> Outcome {
    Program::new().run([&["doctor"], arguments].concat())
}

#[test]
fn it_tells_whether_commands_can_be_run() {
    if !require_root() || !require("setpriv") {
        return;
    }
    let program = Program::new();
    insta::assert_snapshot!(program.run(["doctor"]).success().stdout, @"commands can be run here: in namespaces of their own, on an overlay of the image");
    // Who may not map users has one.
    let mut with_one = program.command_under(&["setpriv", "--bounding-set=-sys_admin,-setuid"], ["doctor"]);
    let single = Outcome::of(&mut with_one).success().stdout;
    assert!(single.contains("isolation: single-id, in a user namespace with 1 user and 1 group"), "{single}");
    let neither = ["sh", "-ec", NO_NAMESPACES, "sh", "setpriv", "--bounding-set=-sys_admin,-sys_chroot"];
    let outcome = Outcome::of(&mut program.command_under(&neither, ["doctor"]));
    outcome.failure(1).says(&["commands cannot be run here", "No space left on device", "max_user_namespaces"]);
    let mut asked = program.command_under(&neither, ["doctor", "--json"]);
    let document: Value = serde_json::from_str(&Outcome::of(&mut asked).failure_with_result(1).stdout).unwrap();
    assert_eq!(document["commands"]["verdict"], "no");
}
