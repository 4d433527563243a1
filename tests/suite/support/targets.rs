//! Builds of several targets: a base with a shell for them, and what they tell of their steps.

use serde_json::Value;

use super::program::{Outcome, Program};
use super::tree::Tree;

/// The name of an image with a shell, which [`with_shell`] makes.
pub const BASE: &str = "busybox-of-the-test";

/// Has the program know [`BASE`].
pub fn with_shell(program: &Program) {
    let tree = Tree::new()
        .file("Dockerfile", "FROM scratch\nCOPY busybox /bin/\nRUN [\"/bin/busybox\", \"--install\", \"/bin\"]\n");
    let base = tree.plant();
    std::fs::copy("/bin/busybox", base.path().join("busybox")).unwrap();
    program.run(["build", "-q", "-t", BASE, base.path().to_str().unwrap()]).success();
}

/// A command that adds a line to a cache, and tells how many there are.
pub const COUNTED: &str =
    "RUN --mount=type=cache,target=/count echo x >> /count/log && echo ran $(wc -l < /count/log) | tee /made";

pub fn events(outcome: &Outcome, name: &str) -> Vec<Value> {
    let all = outcome.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    all.filter(|event| event["event"] == name).collect()
}

/// The steps that were run and that were known, of each target.
pub fn counts(outcome: &Outcome) -> Vec<(String, u64, u64)> {
    let finished = events(outcome, "targets-finished");
    let targets = finished.first().unwrap_or_else(|| panic!("{}", outcome.stderr))["targets"].as_array().unwrap();
    let count = |target: &Value| {
        let number = |key: &str| target[key].as_u64().unwrap();
        (target["target"].as_str().unwrap().to_owned(), number("run"), number("known"))
    };
    targets.iter().map(count).collect()
}
