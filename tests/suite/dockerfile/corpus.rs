//! The corpus of `fixtures/dockerfiles`: each case built, and compared with what docker made of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::docker_daemon::DockerDaemon;
use crate::support::dockerfile_case::{Bases, Case, cases, root};
use crate::support::layout::Layout;
use crate::support::program::Program;
use crate::support::tool::{checked, require, require_root};

/// What the cases call Debian's docker, whose daemon builds with BuildKit by itself.
const DEBIANS_DOCKER: &str = "docker-20";

const GROUPS: [&str; 11] =
    ["add", "args", "checks", "copy", "expand", "heredoc", "ignore", "run", "settings", "stages", "syntax"];

/// A test of its own for each, so that they run at the same time.
macro_rules! groups {
    ($($group:ident),*) => {
        $(mod $group {
            #[test]
            fn builds_or_fails_as_expected() {
                super::check(stringify!($group));
            }

            #[test]
            fn is_what_docker_does() {
                super::check_docker(stringify!($group));
            }
        })*
    };
}

groups!(add, args, checks, copy, expand, heredoc, ignore, run, settings, stages, syntax);

#[test]
fn every_group_is_tested() {
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap());
    let mut folders: Vec<_> = folders.filter(|name| name != "bases").collect();
    folders.sort();
    assert_eq!(folders, GROUPS);
    assert!(GROUPS.iter().map(|group| cases(group).len()).sum::<usize>() >= 300);
}

/// Builds each case, and fails with all that is not as it was expected.
fn check(group: &str) {
    if !require_root() || !require("busybox") {
        return;
    }
    let bases = Bases::make();
    let cases = cases(group);
    let faulty = cases.iter().map(|case| (&case.name, faults(case, &bases))).filter(|(_, faults)| !faults.is_empty());
    let report: Vec<_> = faulty.map(|(name, faults)| format!("{name}\n    {}\n", faults.join("\n    "))).collect();
    assert!(report.is_empty(), "{} of {} cases differ:\n{}", report.len(), cases.len(), report.join(""));
}

fn faults(case: &Case, bases: &Bases) -> Vec<String> {
    let place = tempfile::tempdir().unwrap();
    let (context, arguments) = case.lay(place.path(), bases);
    let layout = format!("{}/layout/", place.path().display());
    let program = Program::new().directory(&context);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = program.run([&["build", ".", "-o", &layout], &arguments[..]].concat());
    let images = if Path::new(&layout).exists() { Layout::open(&layout).images() } else { Vec::new() };
    let mut faults = case.differences(&outcome, &images, bases);
    if case.builds() {
        let checked = program.run([&["build", ".", "--check"], &arguments[..]].concat());
        faults.extend(case.differences_of_checks(&checked));
    }
    match case.but() {
        Some(reason) if faults.is_empty() => vec![format!("is as docker does it, but was not to be: {reason}")],
        Some(_) => Vec::new(),
        None => faults,
    }
}

/// Has docker build those cases of which it was seen to do what they expect.
fn check_docker(group: &str) {
    if !require_root() || !["dockerd", "docker", "python3", "busybox"].into_iter().all(require) {
        return;
    }
    let cases = cases(group).into_iter().filter(|case| case.judged_by(DEBIANS_DOCKER)).map(|case| case.path);
    let daemon = DockerDaemon::start();
    let client = format!("/usr/bin/docker --host {}", daemon.host());
    checked(
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/record.py"))
            .args([DEBIANS_DOCKER, "--docker", &client])
            .args(cases),
    );
}
