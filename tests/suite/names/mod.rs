//! Images of the local store by their names: what gives them, what takes them, and what they keep.

pub mod docker;
mod docker_flags;
mod imagetools;
mod keep;
mod list;
mod looking;
mod manifest;
mod move_in;
mod place;
mod projects;
mod refer;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::program::Program;
use crate::support::tree::Tree;

/// A context with a Dockerfile of one layer, whose file holds `content`.
fn context(content: &str) -> TempDir {
    Tree::new().file("Dockerfile", "FROM scratch\nCOPY file /\n").file("file", content).plant()
}

fn rewrite(context: &Path, content: &str) {
    fs::write(context.join("file"), content).unwrap();
}

/// Builds `context` under names, and returns the digest.
#[track_caller]
fn build(program: &Program, context: &Path, names: &[&str]) -> String {
    let names = names.iter().flat_map(|name| ["-t", name]);
    let context = context.to_str().unwrap();
    program.run(["build"].into_iter().chain(names).chain([context])).digest()
}

/// The lines that `ocibake images` answers with in this form.
#[track_caller]
fn listed(program: &Program, format: &str) -> Vec<String> {
    let outcome = program.run(["images", "--format", format]).success();
    outcome.stdout.lines().map(str::to_owned).collect()
}
