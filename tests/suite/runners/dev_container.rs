//! The container for developers: what its configuration runs before the engine does is run here, on a base whose apt and rustup write
//! down what they are asked for.

use std::fs;

use serde_json::Value;

use super::{TOP, read};
use crate::support::hub::{hub, require_hub};
use crate::support::program::Program;
use crate::support::tool::run;
use crate::support::tree::Tree;

/// What stands for the image of Rust.
const RUST: &str = r#"
RUN for name in apt-get rustup; do printf '#!/bin/sh\necho "${0##*/}" "$@" >>/asked\n' >/usr/local/bin/$name; done \
    && chmod 755 /usr/local/bin/*
"#;

/// Of `devcontainer.json`, which may have comments: here a line is one, or none.
fn configuration() -> Value {
    let text = read(".devcontainer/devcontainer.json");
    let lines: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    serde_json::from_str(&lines).unwrap()
}

#[test]
fn ocibake_builds_the_image_that_developers_work_in() {
    if !require_hub() {
        return;
    }
    let registry = hub();
    let program = Program::new().directory(TOP);
    let base = Tree::new().file("Dockerfile", format!("FROM {}/library/python:3.11-slim{RUST}", registry.address()));
    let base = base.plant();
    program.run(["build", base.path().to_str().unwrap(), "--tag=rust"]).success();

    let configuration = configuration();
    let words = configuration["initializeCommand"].as_array().unwrap();
    let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words[0], "ocibake");
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    let output = format!("type=local,dest={}", root.display());
    // Into a directory instead of an engine.
    let words =
        words[1..].iter().map(|word| if *word == "--load" { format!("--output={output}") } else { word.to_string() });
    let from = read(".devcontainer/Dockerfile")
        .lines()
        .find_map(|line| line.strip_prefix("FROM ").map(str::to_owned))
        .unwrap();
    let words: Vec<String> = words.chain([format!("--build-context={from}=docker-image://rust")]).collect();
    assert!(words.contains(&format!("--output={output}")), "{words:?}");
    program.run(&words).success();

    let asked = fs::read_to_string(root.join("asked")).unwrap();
    let packages = run(
        "bash",
        ["-c", r#"eval "$(sed -n '/^packages=(/,/^)/p' "$0")"; printf ' %s' "${packages[@]}""#, ".ci/tools"],
    );
    assert!(packages.contains(" docker-registry "), "{packages}");
    assert!(asked.contains(&packages), "{asked}");
    assert!(asked.ends_with("rustup component add clippy rustfmt\n"), "{asked}");
    // The engine is to run what was built.
    program.run(["inspect", configuration["image"].as_str().unwrap()]).success();
}
