//! What a context has and nobody can copy, and who minds: directories that may not be read, and sockets.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::support::program::{Outcome, Program};
use crate::support::tool::{require, require_root};
use crate::support::tree::Tree;

/// Somebody who is not root.
const NOBODY: u32 = 65534;

/// `secret` may not be listed, and what is in `closed` not be looked at.
fn context(ignore: &str, line: &str) -> TempDir {
    let tree = Tree::new().file("open/a", "1").file("secret/s", "").file("closed/c", "").file("Dockerfile", "");
    let context = tree.file(".dockerignore", ignore).plant();
    let set = |path: &str, mode| {
        fs::set_permissions(context.path().join(path), Permissions::from_mode(mode)).unwrap();
    };
    fs::write(context.path().join("Dockerfile"), format!("FROM scratch\n{line}\n")).unwrap();
    set("secret", 0);
    set("closed", 0o744);
    set("", 0o755);
    context
}

fn build(context: &TempDir, program: &Program) -> Outcome {
    program.run(["build", context.path().to_str().unwrap()])
}

/// As the copier of BuildKit has it (fsutil's filter): what is skipped need not be read.
#[test]
fn a_directory_that_nobody_needs_may_be_unreadable() {
    if !require_root() || !require("setpriv") {
        return;
    }
    for (ignore, line) in [
        ("secret\nclosed\n", "COPY . /x/"),
        ("*\n!open\n", "COPY . /x/"),
        ("secret\nclosed\n!secret/none\n!closed/none\n", "COPY . /x/"),
        ("", "COPY open /x/"),
        ("", "COPY o* /x/"),
        ("", "COPY open/a Dockerfile /x/"),
        ("", "COPY --exclude=secret --exclude=closed . /x/"),
        ("", "COPY --parents open/* /x/"),
        ("", "ADD open /x/"),
    ] {
        let context = context(ignore, line);
        build(&context, &Program::new().user(NOBODY)).digest();
    }
}

#[test]
fn one_that_is_needed_is_an_error_that_names_it() {
    if !require_root() || !require("setpriv") {
        return;
    }
    for (line, directory) in [
        ("COPY . /x/", "closed"),
        ("COPY secret /x/", "secret"),
        ("COPY secret/s /x/", "secret"),
        ("COPY s* /x/", "secret"),
        ("COPY --parents secret/s /x/", "secret"),
        ("COPY --exclude=closed . /x/", "secret"),
        ("ADD closed /x/", "closed"),
    ] {
        let context = context("", line);
        let outcome = build(&context, &Program::new().user(NOBODY)).failure(1);
        let named = Path::new(context.path().file_name().unwrap()).join(directory);
        outcome.says(&[&format!("{}", named.display()), "Permission denied", &format!("2 | {line}")]);
    }
}

#[test]
fn a_socket_is_left_out_and_told_of() {
    let line = |line: &str| format!("FROM scratch\n{line}\n");
    let tree = |text: &str| Tree::new().file("d/f", "").socket("d/s").file("Dockerfile", line(text)).plant();
    let program = Program::new();
    for text in ["COPY d /d", "COPY . /", "COPY --parents d /", "ADD d /d"] {
        build(&tree(text), &program).success().says(&["/d/s is a socket, so it is left out"]);
    }
    for text in ["COPY d/f /", "COPY --exclude=s d /d", "COPY --exclude=**/s . /"] {
        let outcome = build(&tree(text), &program).success();
        assert!(!outcome.stderr.contains("socket"), "{}", outcome.stderr);
    }
    build(&tree("COPY d/s /"), &program).failure(1).says(&["/d/s is a socket", "2 | COPY d/s /"]);
}
