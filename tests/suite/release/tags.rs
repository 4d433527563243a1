//! `ocibake tags`: the plan of a push.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::program::{Outcome, Program};
use crate::support::tool::{checked, require};

fn tags(arguments: &[&str]) -> Outcome {
    Program::new().run([&["tags"], arguments].concat())
}

#[test]
fn names_one_on_a_line() {
    let lines = |arguments: &[&str]| tags(arguments).success().stdout;
    assert_eq!(
        lines(&["org/api:v0.2.0"]),
        "docker.io/org/api:v0.2.0\ndocker.io/org/api:0.2.0\ndocker.io/org/api:0.2\ndocker.io/org/api:0\ndocker.io/org/api:latest\n"
    );
    assert_eq!(lines(&["r.example:5000/api:1.0.0-rc.1"]), "r.example:5000/api:1.0.0-rc.1\n");
    assert_eq!(lines(&["r.example/api:v1.2.3+b.5", "--no-fan-out"]), "r.example/api:v1.2.3-b.5\n");
    assert_eq!(lines(&["r.example/api"]), "r.example/api:latest\n");
    assert_eq!(
        lines(&["r.example/api:v1.2.3", "--tag-template={version},x-{major}"]),
        "r.example/api:1.2.3\nr.example/api:x-1\n"
    );
}

#[test]
fn json_says_why() {
    let plan: Value = serde_json::from_str(&tags(&["r.example/api:v1.2.0", "--json"]).success().stdout).unwrap();
    assert_eq!(plan["repository"], "r.example/api");
    let expected =
        [("v1.2.0", "exact"), ("1.2.0", "exact"), ("1.2", "floating"), ("1", "floating"), ("latest", "floating")];
    let all = plan["tags"].as_array().unwrap();
    assert_eq!(all.len(), expected.len());
    for (tag, (name, kind)) in all.iter().zip(expected) {
        assert_eq!(tag["tag"], name);
        assert_eq!(tag["kind"], kind);
        assert_eq!(tag["name"], json!(format!("r.example/api:{name}")));
        assert!(tag["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    }
}

#[test]
fn the_branch_is_that_of_the_working_directory() {
    if !require("git") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(place.path()).args(["-c", "user.name=T", "-c", "user.email=t@example.org"]);
        checked(command.args(arguments).env("HOME", place.path())).trim().to_owned()
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["commit", "-q", "--allow-empty", "-m", "all"]);
    let commit = &git(&["rev-parse", "HEAD"])[..7];
    let program = Program::new().directory(place.path());
    let lines = program.run(["tags", "r.example/api:main"]).success().stdout;
    assert_eq!(lines, format!("r.example/api:main-{commit}\nr.example/api:main\nr.example/api:latest\n"));
    let lines = program.run(["tags", "r.example/api", "--tag-template={branch}-{sha7}"]).success().stdout;
    assert_eq!(lines, format!("r.example/api:main-{commit}\n"));
}

#[test]
fn what_is_wrong_is_explained() {
    tags(&["r.example/api:"]).failure(2).says(&["tag"]);
    for name in ["r.example:5000/api:feature/x", "r.example/api:feature/x", "api:feature/x"] {
        tags(&[name]).failure(2).says(&["`feature/x`", "is not a tag", "`feature-x`", "api:feature-x"]);
    }
    tags(&["r.example/API:1"]).failure(2).says(&["lower case"]);
    tags(&["r.example/api:nightly", "--tag-template={version}"]).failure(2).says(&["{version}", "nightly"]);
    tags(&["r.example/api:1.0.0", "--tag-template={verison}"]).failure(2).says(&["did you mean `{version}`"]);
    tags(&[]).failure(2).says(&["Usage: ocibake tags"]);
    tags(&["x:1", "--no-fan-out", "--tag-template=x"]).failure(2).says(&["Usage: ocibake tags"]);
}
