//! Steps of CI services, as their runners run them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::program::{Outcome, Program, binary};
use super::tool::{require, run_with_input, skip};

/// Whether steps can be read and run here. Without it the test is to return at once.
pub fn has_tools() -> bool {
    let has_yaml = || {
        let found = Command::new("python3").args(["-c", "import yaml"]).output();
        found.is_ok_and(|output| output.status.success()) || skip("PyYAML is not installed")
    };
    ["docker-registry", "git", "bash", "python3"].into_iter().all(require) && has_yaml()
}

/// YAML, as PyYAML reads it.
pub fn yaml(text: &str) -> Value {
    let mut documents = yaml_documents(text);
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0)
}

/// The same of several documents.
pub fn yaml_documents(text: &str) -> Vec<Value> {
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";
    serde_json::from_str(&run_with_input("python3", ["-c", script], text.as_bytes())).unwrap()
}

/// A machine with an empty store, in `place`, on whose PATH the program is.
pub fn machine(place: &Path, variables: &[(&str, &str)]) -> Program {
    let directory = binary().parent().unwrap().display().to_string();
    let path = format!("{directory}:{}", std::env::var("PATH").unwrap());
    let machine = Program::new().directory(place).environment("PATH", path);
    variables.iter().fold(machine, |machine, (name, value)| machine.environment(name, value))
}

/// Runs a step as a runner does.
pub fn bash(machine: &Program, script: &str) -> Outcome {
    Outcome::of(&mut machine.command_under(&["bash", "-e", "-c", script], [""; 0]))
}
