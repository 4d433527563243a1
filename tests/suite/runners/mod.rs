//! What is there for CI: the GitHub Action, the component for GitLab and the task for Tekton, whose steps are run here as the runners run
//! them, and annotations. Not tried is what the services themselves do: to read the files, and to start the steps.

mod annotations;
mod dev_container;
mod github;
mod github_inputs;
mod gitlab;
mod install;
mod tekton;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::program::Outcome;
use crate::support::runner::{machine, yaml};

/// What would be done by a shell that reads it.
const HOSTILE: [&str; 6] = [
    "$(touch owned)",
    "`touch owned`",
    "\"; touch owned; \"",
    "'; touch owned; '",
    "a\\\nb",
    "${HOME} * $((1)) %0A ::error::x",
];

/// The directory of the project.
const TOP: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(TOP).join(path)).unwrap()
}

/// Whether something hostile was run.
fn is_owned(place: &Path) -> bool {
    place.join("owned").exists() || Path::new("owned").exists()
}

/// The Action, in the workspace of a workflow.
struct Action {
    place: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Action {
    fn new(place: tempfile::TempDir) -> Self {
        Action { place, variables: Vec::new() }
    }

    /// With a variable of the job's.
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    /// Runs a step, with the inputs of the Action, as a runner does.
    fn run(&self, name: &str, inputs: &[(&str, &str)]) -> Outcome {
        let action = yaml(&read("action.yml"));
        let steps = action["runs"]["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name}"));
        let known = action["inputs"].as_object().unwrap();
        assert!(inputs.iter().all(|(name, _)| known.contains_key(*name)), "{inputs:?}");
        let of = |input: &str| {
            let given = inputs.iter().find(|(name, _)| *name == input).map(|(_, value)| (*value).to_owned());
            given.unwrap_or_else(|| known[input]["default"].as_str().unwrap_or_default().to_owned())
        };
        fs::create_dir_all(self.path().join("runner")).unwrap();
        let file = |name: &str| self.path().join("runner").join(name).display().to_string();
        let mut variables = vec![
            ("GITHUB_ACTIONS".to_owned(), "true".to_owned()),
            ("GITHUB_ACTION_PATH".to_owned(), TOP.to_owned()),
            ("GITHUB_WORKSPACE".to_owned(), self.path().display().to_string()),
            ("GITHUB_OUTPUT".to_owned(), file("output")),
            ("GITHUB_PATH".to_owned(), file("path")),
            ("GITHUB_STEP_SUMMARY".to_owned(), file("summary")),
            ("RUNNER_TEMP".to_owned(), self.path().join("runner").display().to_string()),
        ];
        variables.extend(self.variables.iter().cloned());
        for (name, value) in step["env"].as_object().unwrap() {
            // An input, and nothing else: what is put into a text could become a part of it.
            let input = value.as_str().unwrap().strip_prefix("${{ inputs.").and_then(|rest| rest.strip_suffix(" }}"));
            variables.push((name.clone(), of(input.unwrap())));
        }
        let script = step["run"].as_str().unwrap();
        assert!(!script.contains("${{"), "{script}");
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let machine = machine(self.path(), &variables);
        let words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script];
        Outcome::of(&mut machine.command_under(&words, [""; 0]))
    }

    /// What the step has set, as a runner reads it.
    fn outputs(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.path().join("runner/output")).unwrap_or_default();
        let mut lines = text.lines();
        let mut outputs = BTreeMap::new();
        while let Some(line) = lines.next() {
            let (name, value) = match line.split_once("<<") {
                Some((name, end)) if !name.contains('=') => {
                    (name, lines.by_ref().take_while(|line| *line != end).collect::<Vec<_>>().join("\n"))
                }
                _ => line.split_once('=').map(|(name, value)| (name, value.to_owned())).unwrap(),
            };
            outputs.insert(name.to_owned(), value);
        }
        outputs
    }

    fn summary(&self) -> String {
        fs::read_to_string(self.path().join("runner/summary")).unwrap_or_default()
    }

    /// Nothing of the step's own is left behind.
    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.path().join("runner")).unwrap();
        let mut names: Vec<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The labels of a name in a registry, as skopeo has them.
fn labels(name: &str) -> Value {
    let text =
        crate::support::tool::run("skopeo", ["inspect", "--config", "--tls-verify=false", &format!("docker://{name}")]);
    serde_json::from_str::<Value>(&text).unwrap()["config"]["Labels"].clone()
}
