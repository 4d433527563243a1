//! What a build takes from the git checkout that its context is in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use ocibake::source::modified::FILES_TIME;
use tempfile::TempDir;

use crate::support::layout::{Image, Layout};
use crate::support::program::{NOBODY, Program};
use crate::support::tool::{self, checked, require, require_root};
use crate::support::tree::Tree;

const SPEC: &str = r#"
name = "example/app"
platforms = ["linux/amd64", "linux/arm64"]
[[layer]]
add = [{ from = "files", to = "/srv/" }]
"#;

#[test]
fn the_environment_of_git_changes_nothing() {
    if !require("git") {
        return;
    }
    let checkout = Tree::new().file("app/ocibake.toml", SPEC).file("app/files/a", "a").plant();
    let revision = commit(&checkout, 1_500_000_000);
    git(&checkout, &["remote", "add", "origin", "https://git.example/org/app.git"]);
    let app = checkout.path().join("app");
    let expected = Program::new().run(["build", app.to_str().unwrap()]).digest();
    for (name, value) in [
        ("GIT_OBJECT_DIRECTORY", "/nowhere"),
        ("GIT_INDEX_FILE", "/nowhere"),
        ("GIT_COMMON_DIR", "/nowhere"),
        ("GIT_CEILING_DIRECTORIES", checkout.path().to_str().unwrap()),
        ("GIT_CONFIG", "/nowhere"),
        ("GIT_CONFIG_PARAMETERS", "'remote.origin.url'='https://other.example/x'"),
    ] {
        let program = Program::new().environment(name, value);
        assert_eq!(program.run(["build", app.to_str().unwrap()]).digest(), expected, "{name}");
    }
    let program =
        Program::new().environment("GIT_CONFIG_COUNT", "1").environment("GIT_CONFIG_KEY_0", "remote.origin.url");
    let program = program.environment("GIT_CONFIG_VALUE_0", "https://other.example/x");
    assert_eq!(program.run(["build", app.to_str().unwrap()]).digest(), expected);
    // A replacement has another time, and is not what the revision names.
    let other =
        git(&checkout, &["-c", "user.name=T", "-c", "user.email=t@e.org", "commit-tree", "HEAD^{tree}", "-m", "x"]);
    git(&checkout, &["replace", &revision, &other]);
    assert_eq!(Program::new().run(["build", app.to_str().unwrap()]).digest(), expected);
}

#[test]
fn a_git_checkout_gives_time_revision_and_source() {
    if !require("git") {
        return;
    }
    let context = context(SPEC);
    let revision = commit(&context, 1_500_000_000);
    git(&context, &["remote", "add", "origin", "https://user:s3cret@git.example/org/app.git"]);

    let image = build_one(&context, Program::new(), &["-t", "example/app:v2.0.1"]);
    assert_eq!(image.times("srv/a"), ("2017-07-14T02:40:00Z".to_owned(), FILES_TIME));
    for pairs in [&image.config["config"]["Labels"], &image.manifest["annotations"]] {
        assert_eq!(pairs["org.opencontainers.image.revision"], revision.as_str());
        assert_eq!(pairs["org.opencontainers.image.source"], "https://git.example/org/app");
        assert_eq!(pairs["org.opencontainers.image.created"], "2017-07-14T02:40:00Z");
        assert_eq!(pairs["org.opencontainers.image.version"], "2.0.1");
    }
    assert!(!image.config.to_string().contains("s3cret") && !image.manifest.to_string().contains("s3cret"));

    // The environment wins over git, and `git` over the environment.
    let program = || Program::new().environment("SOURCE_DATE_EPOCH", "1600000000");
    let image = build_one(&context, program(), &[]);
    assert_eq!(image.times("srv/a"), ("2020-09-13T12:26:40Z".to_owned(), FILES_TIME));
    let image = build_one(&context, program(), &["--timestamp=git"]);
    assert_eq!(image.times("srv/a"), ("2017-07-14T02:40:00Z".to_owned(), 1_500_000_000));

    // What an earlier build wrote into the checkout does not make it dirty; a change does.
    let label = |image: Image| image.config["config"]["Labels"]["org.opencontainers.image.revision"].clone();
    let program = Program::new().directory(context.path());
    program.run(["build", ".", "-o", "x.tar"]).success();
    assert_eq!(label(build_one(&context, Program::new(), &[])), revision.as_str());
    fs::write(context.path().join("files/a"), "changed").unwrap();
    assert_eq!(label(build_one(&context, Program::new(), &[])), format!("{revision}-dirty"));
    let flags = ["--label=org.opencontainers.image.revision=mine"];
    assert_eq!(label(build_one(&context, Program::new(), &flags)), "mine");
}

#[test]
fn a_context_within_a_checkout_is_part_of_it() {
    if !require("git") {
        return;
    }
    let checkout = Tree::new().file("app/ocibake.toml", SPEC).file("app/files/a", "a").plant();
    let revision = commit(&checkout, 1_500_000_000);
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(checkout.path().join("app"));
    let out = place.path().join("out/");
    // As in a hook, which names another repository.
    let program = program.environment("GIT_DIR", place.path());
    program.run(["build", "--platform=linux/amd64", "-o", out.to_str().unwrap()]).success();
    let image = Layout::open(&out).images().remove(0);
    assert_eq!(image.config["config"]["Labels"]["org.opencontainers.image.revision"], revision.as_str());
}

#[test]
fn a_repository_without_a_commit_says_nothing() {
    if !require("git") {
        return;
    }
    let context = context(SPEC);
    git(&context, &["init", "-q"]);
    let image = build_one(&context, Program::new(), &[]);
    assert_eq!(image.times("srv/a"), ("1970-01-01T00:00:00Z".to_owned(), FILES_TIME));
    assert_eq!(image.config["config"].get("Labels"), None);
}

#[test]
fn a_checkout_of_another_user_is_read() {
    if !require_root() || !require("setpriv") || !require("git") {
        return;
    }
    let context = context(SPEC);
    let revision = commit(&context, 1_500_000_000);
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // What the machine's own settings call safe is no matter here.
    let program = Program::new().user(NOBODY).environment("GIT_CONFIG_NOSYSTEM", "1");
    let out = place.path().join("out/");
    let outcome = program.run(["build", context.path().to_str().unwrap(), "-o", out.to_str().unwrap()]).success();
    assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
    let image = Layout::open(&out).images().remove(0);
    assert_eq!(image.config["config"]["Labels"]["org.opencontainers.image.revision"], revision.as_str());
}

#[test]
fn a_checkout_needs_no_git() {
    if !require("git") {
        return;
    }
    let context = context(SPEC);
    let revision = commit(&context, 1_500_000_000);
    let image = build_one(&context, Program::new().environment("PATH", "/nowhere"), &[]);
    assert_eq!(image.config["config"]["Labels"]["org.opencontainers.image.revision"], revision.as_str());
}

fn git(directory: &TempDir, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory.path()).args(arguments).env("HOME", directory.path());
    command.env_remove("GIT_DIR").env("GIT_CONFIG_NOSYSTEM", "1");
    tool::checked(&mut command).trim().to_owned()
}

/// Makes `directory` a checkout with one commit of that time, whose name it returns.
fn commit(directory: &TempDir, time: u64) -> String {
    git(directory, &["init", "-q", "-b", "main"]);
    git(directory, &["add", "."]);
    let mut command = Command::new("git");
    command.arg("-C").arg(directory.path()).args(["-c", "user.name=T", "-c", "user.email=t@example.org"]);
    command.args(["commit", "-q", "-m", "all"]).env("HOME", directory.path());
    // The author's is another one, which does not count.
    command.env("GIT_COMMITTER_DATE", format!("@{time} +0200")).env("GIT_AUTHOR_DATE", "@1000000000 +0000");
    checked(&mut command);
    git(directory, &["rev-parse", "HEAD"])
}

fn build_one(context: &TempDir, program: Program, flags: &[&str]) -> Image {
    program.images(context.path(), &[flags, &["--platform=linux/amd64"]].concat()).remove(0)
}

fn context(spec: &str) -> TempDir {
    Tree::new().file("ocibake.toml", spec).file("files/a", "content").plant()
}
