//! What a build and a push know of the commit by a CI's variables, where git itself does not tell.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::Program;
use crate::support::tool::{checked, require};
use crate::support::tree::Tree;

fn git(directory: &TempDir, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory.path()).args(["-c", "user.name=T", "-c", "user.email=t@example.org"]);
    checked(command.args(arguments).env("HOME", directory.path())).trim().to_owned()
}

/// A context, and a program that runs there with a service's variables.
fn in_service(context: &TempDir, variables: &[(&str, &str)]) -> Program {
    variables
        .iter()
        .fold(Program::new().directory(context.path()), |program, (name, value)| program.environment(name, value))
}

fn context() -> TempDir {
    Tree::new().file("Dockerfile", "FROM scratch\nCOPY f /\n").file("f", "f").plant()
}

fn labels(program: &Program) -> Value {
    program.run(["build", "-q", "-t", "app", "."]).success();
    let outcome = program.run(["inspect", "--json", "app"]).success();
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    report["images"][0]["config"]["Labels"].clone()
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn a_detached_checkout_keeps_the_branch_that_the_service_names() {
    if !require("git") {
        return;
    }
    let context = context();
    git(&context, &["init", "-q", "-b", "other"]);
    git(&context, &["add", "."]);
    git(&context, &["commit", "-q", "-m", "all"]);
    let commit = git(&context, &["rev-parse", "HEAD"]);
    let tags = |variables: &[(&str, &str)]| {
        let outcome = in_service(&context, variables).run(["tags", "r.example/api:main"]).success();
        outcome.stdout.replace("r.example/api:", "").trim().replace('\n', " ")
    };
    let seven = format!("main-{} main latest", &commit[..7]);
    // A branch that is checked out is git's to tell.
    assert_eq!(tags(&[("GITHUB_SHA", &commit), ("GITHUB_REF_NAME", "main")]), "main");
    git(&context, &["checkout", "-q", "--detach"]);
    assert_eq!(tags(&[]), "main");
    assert_eq!(tags(&[("GITHUB_SHA", &commit), ("GITHUB_REF_NAME", "main")]), seven);
    assert_eq!(tags(&[("GITHUB_REF_NAME", "main")]), seven);
    assert_eq!(tags(&[("CI_COMMIT_SHA", &commit), ("CI_COMMIT_BRANCH", "main")]), seven);
    let develops = [("CI_COMMIT_SHA", &*commit), ("CI_COMMIT_BRANCH", "main"), ("CI_DEFAULT_BRANCH", "develop")];
    assert_eq!(tags(&develops), seven.replace(" latest", ""));
    assert_eq!(tags(&[("GITHUB_SHA", COMMIT), ("GITHUB_REF_NAME", "main")]), "main", "of another commit");
    assert_eq!(tags(&[("GITHUB_SHA", &commit), ("GITHUB_REF", "refs/pull/1/merge")]), "main", "a pull request");
    let hostile = "main\n::error::x\u{1b}[31m";
    assert_eq!(tags(&[("GITHUB_SHA", &commit), ("GITHUB_REF_NAME", hostile)]), "main");
}

#[test]
fn without_git_the_service_tells_the_revision_or_nobody() {
    let context = context();
    let path = context.path().to_str().unwrap();
    let found = labels(&in_service(
        &context,
        &[
            ("GITHUB_SHA", COMMIT),
            ("GITHUB_SERVER_URL", "https://github.example"),
            ("GITHUB_REPOSITORY", "org/app"),
            ("GITHUB_WORKSPACE", path),
        ],
    ));
    assert_eq!(found["org.opencontainers.image.revision"], COMMIT);
    assert_eq!(found["org.opencontainers.image.source"], "https://github.example/org/app");
    assert_eq!(found["org.opencontainers.image.created"], Value::Null, "no variable tells the time");
    let variables = [("CI_COMMIT_SHA", COMMIT), ("CI_COMMIT_TIMESTAMP", "2001-09-09T03:46:40+02:00")];
    let found = labels(&in_service(&context, &variables));
    assert_eq!(found["org.opencontainers.image.created"], "2001-09-09T01:46:40Z");
    for variables in [
        &[][..],
        &[("GITHUB_SHA", "\u{1b}[31mred")],
        &[("GITHUB_SHA", "main")],
        &[("GITHUB_SHA", COMMIT), ("GITHUB_WORKSPACE", "/usr")],
    ] {
        let found = labels(&in_service(&context, variables));
        assert_eq!(found, Value::Null, "{variables:?}");
    }
}
