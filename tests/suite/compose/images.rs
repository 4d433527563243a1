//! What `build:` asks for, as it is in images.

use serde_json::Value;

use super::Case;
use crate::support::program::Program;
use crate::support::tree::Tree;

/// The labels of an image of the local store.
#[track_caller]
fn labels(program: &Program, name: &str) -> Value {
    let outcome = program.run(["docker", "inspect", "--format", "{{json .Config.Labels}}", name]).success();
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[track_caller]
fn names(program: &Program) -> Vec<String> {
    let outcome = program.run(["images", "--format", "{{.Repository}}:{{.Tag}} {{.Platforms}}"]).success();
    let mut names: Vec<String> = outcome.stdout.lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn args_come_from_the_file_the_environment_and_the_command_line() {
    let case = Case::new(&[
        (
            "compose.yaml",
            "services:\n  a:\n    build:\n      context: .\n      args:\n        ONE: 1.10\n        TWO:\n        THREE: \"${THREE}\"\n        FOUR: yes\n        FIVE:\n        SIX: six\n",
        ),
        (".env", "THREE=three\nTWO=of-the-file\n"),
        (
            "Dockerfile",
            "FROM scratch\nARG ONE TWO THREE FOUR FIVE=default SIX\nLABEL all=$ONE,$TWO,$THREE,$FOUR,$FIVE,$SIX\n",
        ),
    ])
    .variable("TWO", "of-the-environment")
    .variable("SEVEN", "7");
    let program = case.program();
    program.run(["compose", "build", "--build-arg", "SIX=6"]).success();
    assert_eq!(labels(&program, "project-a")["all"], "1.1,of-the-environment,three,yes,default,6");
}

#[test]
fn platforms_targets_and_names_are_those_of_the_file() {
    let case = Case::new(&[
        (
            "compose.yaml",
            "
services:
  both:
    build: {context: ., target: first, platforms: [linux/amd64, linux/arm64], tags: [t:1, both]}
    image: both
  one:
    build: {context: ., dockerfile: sub/other.Dockerfile}
    platform: linux/arm64
  off:
    build: .
    profiles: [extra]
",
        ),
        ("Dockerfile", "FROM scratch AS first\nLABEL stage=first\nFROM scratch\nLABEL stage=last\n"),
        ("sub/other.Dockerfile", "FROM scratch\nLABEL stage=other\n"),
    ]);
    let program = case.program();
    program.run(["compose", "-p", "named", "build"]).success();
    assert_eq!(
        names(&program),
        ["both:latest linux/amd64,linux/arm64", "named-one:latest linux/arm64", "t:1 linux/amd64,linux/arm64"]
    );
    assert_eq!(labels(&program, "both")["stage"], "first");
    program.run(["compose", "build", "off"]).success();
    assert_eq!(labels(&program, "project-off")["stage"], "last");
    let wrong =
        Case::of("services:\n  a:\n    build: {context: ., platforms: [linux/amd64]}\n    platform: linux/arm64\n");
    wrong.run(&["build"]).failure(1).says(&["runs on linux/arm64, and is not built for it"]);
}

#[test]
fn a_secret_is_known_by_its_target_and_may_come_from_a_file_of_variables() {
    let case = Case::new(&[
        (
            "compose.yaml",
            "
services:
  a:
    build:
      context: .
      secrets:
        - token
        - {source: password, target: pass}
        - elsewhere
secrets:
  token: {environment: TOKEN}
  password: {file: ./password.txt}
  elsewhere: {external: true}
",
        ),
        (".env", "TOKEN=s3cr3t\n"),
        ("password.txt", "hunter2"),
        (
            "Dockerfile",
            "FROM busybox-of-the-test\nRUN --mount=type=secret,id=token --mount=type=secret,id=pass \
             test \"$(cat /run/secrets/token)-$(cat /run/secrets/pass)\" = s3cr3t-hunter2\n",
        ),
    ]);
    if !crate::support::tool::require("busybox") {
        return;
    }
    let program = case.program();
    let base = Tree::new()
        .file("Dockerfile", "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/cat\nCOPY busybox /bin/test\n")
        .plant();
    std::fs::copy("/bin/busybox", base.path().join("busybox")).unwrap();
    program.run(["build", "-q", "-t", "busybox-of-the-test", base.path().to_str().unwrap()]).success();
    program.run(["compose", "build"]).success();
}

#[test]
fn images_that_stand_on_each_other_in_a_circle_are_refused() {
    let case = Case::of(
        "services:
  a: {build: {context: ., additional_contexts: {x: 'service:b'}}}
  b: {build: {context: ., additional_contexts: {x: 'service:a'}}}
  c: {build: {context: ., additional_contexts: {x: 'service:d'}}, profiles: [x]}
  d: {image: x}
",
    );
    case.run(&["build"]).failure(1).says(&["services are built on each other in a circle: a, b, a", "compose.yaml:2:"]);
    case.run(&["build", "c"]).failure(1).says(&["the service `d` is not built", "compose.yaml:4:"]);
}

#[test]
fn nothing_to_build_is_no_error() {
    let case = Case::of("services: {a: {image: x}}");
    assert!(case.run(&["build"]).success().stderr.contains("there is no service to build"));
}

#[test]
fn checks_are_of_all_services() {
    let case = Case::new(&[
        ("compose.yaml", "services: {a: {build: {context: .}}, b: {build: {context: ., dockerfile: good}}}"),
        ("Dockerfile", "from scratch\nCOPY . /\n"),
        ("good", "FROM scratch\nCOPY . /\n"),
    ]);
    case.run(&["build", "--check"]).failure_with_result(1).says(&["1 warning"]);
    assert_eq!(case.run(&["build", "--check", "b"]).success().stdout, "no warnings\n");
}
