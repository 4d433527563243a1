//! What GitHub shows beside the line that it is about.

use std::os::unix::fs::symlink;

use crate::support::program::{Program, binary};
use crate::support::tree::Tree;

fn workflow(place: &std::path::Path) -> Program {
    Program::new().directory(place).environment("GITHUB_ACTIONS", "true").environment("GITHUB_WORKSPACE", place)
}

fn commands(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.trim_start().starts_with("::")).collect()
}

#[test]
fn an_error_is_shown_beside_its_line() {
    let place = Tree::new()
        .file("app/Dockerfile", "FROM scratch\nCOPPY a b\n")
        .file("spec/ocibake.toml", "name = 'a'\nlayerz = 1\n")
        .file("compose.yaml", "services:\n  a:\n    build: .\n    imagge: x\n")
        .plant();
    let outcome = workflow(place.path()).run(["build", "app"]).failure(1);
    let [command] = commands(&outcome.stderr)[..] else { panic!("{}", outcome.stderr) };
    assert!(command.starts_with("::error file=app/Dockerfile,line=2,col=1::"), "{command}");
    assert!(command.contains("COPPY"), "{command}");
    // What people read is there as ever.
    assert!(outcome.stderr.contains("\n2 | COPPY a b\n"), "{}", outcome.stderr);
    let outcome = workflow(place.path()).run(["build", "spec"]).failure(1);
    assert!(
        commands(&outcome.stderr)[0].starts_with("::error file=spec/ocibake.toml,line=2,col=1::"),
        "{}",
        outcome.stderr
    );
    let outcome = workflow(place.path()).run(["compose", "config"]).failure(1);
    assert!(commands(&outcome.stderr)[0].starts_with("::error file=compose.yaml,line=4,"), "{}", outcome.stderr);
    // One that is about no line has none.
    let outcome = workflow(place.path()).run(["build", "nowhere"]).failure(1);
    assert!(commands(&outcome.stderr)[0].starts_with("::error::there is no context nowhere ("), "{}", outcome.stderr);
}

#[test]
fn a_warning_is_shown_beside_its_line() {
    let place = Tree::new().file("app/Dockerfile", "FROM scratch AS Base\nCOPY a /a\n").file("app/a", "").plant();
    let expected = "::warning file=app/Dockerfile,line=1::StageNameCasing: ";
    let outcome = workflow(place.path()).run(["build", "app"]).success();
    assert!(outcome.stderr.lines().any(|line| line.starts_with(expected)), "{}", outcome.stderr);
    assert!(!outcome.stderr.lines().any(|line| line.starts_with("warning:")), "{}", outcome.stderr);
    let outcome = workflow(place.path()).run(["build", "--check", "app"]).failure_with_result(1);
    let found = outcome.stderr.lines().find(|line| line.starts_with("::warning ")).unwrap();
    assert!(
        found.starts_with("::warning file=app/Dockerfile,line=1,col=") && found.contains("::StageNameCasing: "),
        "{found}"
    );
    // In a directory of the workspace, too, and under docker's name.
    let program = workflow(place.path());
    let names = tempfile::tempdir().unwrap();
    symlink(binary(), names.path().join("docker")).unwrap();
    let docker = names.path().join("docker").display().to_string();
    let mut command = program.command_under(&["sh", "-c", "cd app && \"$0\" build .", &docker], [""; 0]);
    let outcome = crate::support::program::Outcome::of(&mut command).success();
    assert!(outcome.stderr.lines().any(|line| line.starts_with(expected)), "{}", outcome.stderr);
}

#[test]
fn elsewhere_there_are_none() {
    let place = Tree::new().file("Dockerfile", "FROM scratch AS Base\nCOPPY a /a\n").plant();
    let outcome = Program::new().directory(place.path()).run(["build"]).failure(1);
    assert_eq!(commands(&outcome.stderr), [""; 0]);
    let outcome = workflow(place.path()).environment("GITHUB_ACTIONS", "false").run(["build"]).failure(1);
    assert_eq!(commands(&outcome.stderr), [""; 0]);
    let outcome = workflow(place.path()).run(["build", "--progress=json"]).failure(1);
    assert!(outcome.stderr.lines().all(|line| line.starts_with('{')), "{}", outcome.stderr);
}

#[test]
fn what_others_wrote_is_no_command() {
    let hostile = "FROM scratch AS A%0A::error::x\n::error::y\n##[command]z\n";
    let place = Tree::new().file("::error file=a,line=1::b/Dockerfile", hostile).plant();
    let outcome = workflow(place.path()).run(["build", "./::error file=a,line=1::b"]).failure(1);
    let commands = commands(&outcome.stderr);
    assert_eq!(commands.len(), 1, "{}", outcome.stderr);
    assert!(
        commands[0].starts_with("::error file=\\%3A%3Aerror file=a%2Cline=1%3A%3Ab/Dockerfile,line="),
        "{}",
        commands[0]
    );
    assert!(!outcome.stderr.contains("##["), "{}", outcome.stderr);
}
