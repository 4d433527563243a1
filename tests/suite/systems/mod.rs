//! Whole systems (`fixtures/systems`), from their owners' checkouts to images in a registry that run, by the commands that their
//! owners have for docker, as root and as an ordinary user.

mod one_line;
mod orchestrator;
mod pipeline;
mod ppp_q;
mod streamflow;
mod streamspace;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use crate::support::access::{Access, uploads};
use crate::support::container::{Bundle, require_runtime};
use crate::support::hub::{hub, require_hub};
use crate::support::project::{Project, Who, commands, emulated};

/// None where it cannot be tried.
fn system(name: &str, who: Who) -> Option<Project> {
    if !require_hub() {
        return None;
    }
    Project::new(&fixture(name), who, hub)
}

/// One whose registry lets in this user alone.
fn system_with_user(name: &str, who: Who, user: &'static str, password: &'static str) -> Option<Project> {
    if !require_hub() {
        return None;
    }
    Project::with_user(&fixture(name), who, hub, user, password)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/systems").join(name)
}

/// Runs what was run before again, which does nothing: by what it says, and by the registry's own log. Tells how long that takes.
#[track_caller]
fn run_again(project: &Project, words: &[&str], environment: &[(&str, &str)]) {
    let (before, standing) = (project.registry.requests().len(), project.registry.standing());
    let start = Instant::now();
    project.run_again(words, environment);
    eprintln!("{words:?} again: {:.2} s", start.elapsed().as_secs_f64());
    let log = accesses(project, before);
    // That a tag is set once more, to what it stands for, is no upload.
    let written: Vec<&Access> = log.iter().filter(|access| access.writes() && !access.sets_tags()).collect();
    assert!(written.is_empty(), "{written:#?}");
    assert_eq!(project.registry.standing(), standing);
}

/// Adds a line to a file of the checkout and runs what was run before. Returns the number of commands that are run, and what is
/// uploaded to each repository: how many blobs, by the registry's own log.
#[track_caller]
fn run_changed(
    project: &Project,
    (path, line): (&str, &str),
    words: &[&str],
    environment: &[(&str, &str)],
) -> (usize, BTreeMap<String, usize>) {
    change(project, path, line);
    let before = project.registry.requests().len();
    let outcome = project.run(words, environment).success();
    let uploads = uploads(&accesses(project, before));
    (commands(&outcome).len(), uploads)
}

/// What was asked of the project's registry after so many requests.
fn accesses(project: &Project, before: usize) -> Vec<Access> {
    project.registry.requests()[before..].iter().map(|line| Access::parse(line)).collect()
}

/// Adds a line to a file of the checkout.
fn change(project: &Project, path: &str, line: &str) {
    let path = project.path().join(path);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{line}\n")).unwrap();
}

/// The labels of an image of the project's registry.
fn labels(project: &Project, path: &str, architecture: &str) -> Value {
    project.config(path, architecture)["config"]["Labels"].clone()
}

/// Runs the image `path` of the project's registry until its own health check succeeds, and returns its user and what `questions`
/// prints in it. None where images cannot be run.
fn serve(project: &Project, path: &str, questions: &str) -> Option<(u32, String)> {
    let health = project.config(path, "amd64")["config"]["Healthcheck"].clone();
    serve_until(project, path, "amd64", &health, questions)
}

/// The same for an architecture, with a health check that the image may not have.
fn serve_until(
    project: &Project,
    path: &str,
    architecture: &str,
    health: &Value,
    questions: &str,
) -> Option<(u32, String)> {
    if !require_runtime() {
        return None;
    }
    let place = tempfile::tempdir().unwrap();
    let bundle = Bundle::unpack(&project.fetch(path, place.path()), architecture, place.path());
    let wrapper: &[&str] = if architecture == "amd64" { &[] } else { &emulated() };
    Some(bundle.serve(wrapper, health, questions))
}
