//! The task for Tekton: its step's script is run with the parameters of a run.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{HOSTILE, is_owned, labels, read};
use crate::support::docker_registry::DockerRegistry;
use crate::support::program::Outcome;
use crate::support::runner::{has_tools, machine, yaml};
use crate::support::tool::require;
use crate::support::tree::Tree;

/// Runs the step on the workspace `source`; results lie in `results` of it.
fn step(source: &Path, parameters: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let task = yaml(&read("templates/tekton-task.yaml"));
    let known = task["spec"]["params"].as_array().unwrap();
    let default =
        |name: &str| known.iter().find(|known| known["name"] == name).unwrap()["default"].as_str().unwrap_or_default();
    let step = &task["spec"]["steps"][0];
    let results = source.join("results");
    fs::create_dir_all(&results).unwrap();
    let filled = |text: &str| {
        let name = text.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')')).unwrap_or_else(|| panic!("{text}"));
        match name.split('.').collect::<Vec<_>>()[..] {
            ["params", name] => {
                let given = parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
                given.unwrap_or_else(|| default(name)).to_owned()
            }
            ["results", name, "path"] => results.join(name).display().to_string(),
            // It is not there.
            ["workspaces", "dockerconfig", "path"] => String::new(),
            _ => panic!("{name}"),
        }
    };
    let variables = step["env"].as_array().unwrap().iter();
    let variables: Vec<(String, String)> = variables
        .map(|variable| (variable["name"].as_str().unwrap().to_owned(), filled(variable["value"].as_str().unwrap())))
        .collect();
    assert_eq!(step["args"], serde_json::json!(["$(params.BUILD_ARGS[*])"]));
    let script = step["script"].as_str().unwrap();
    assert!(!["$(params", "$(workspaces", "$(results"].iter().any(|word| script.contains(word)), "{script}");
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let machine = machine(source, &variables);
    let file = source.join("results/script");
    fs::write(&file, script).unwrap();
    let starter = ["sh", "-c", "shift; exec sh \"$0\" \"$@\"", file.to_str().unwrap()];
    Outcome::of(&mut machine.command_under(&starter, arguments))
}

#[test]
fn an_image_is_pushed_and_its_digest_is_a_result() {
    if !has_tools() {
        return;
    }
    let registry = DockerRegistry::open();
    let image = format!("{}/org/api:v1", registry.address());
    let place =
        Tree::new().file("app/Dockerfile", "FROM scratch AS one\nCOPY x /x\n\nFROM one\n").file("app/x", "").plant();
    let parameters =
        [("IMAGE", &image[..]), ("CONTEXT", "app"), ("TARGET", "one"), ("PLATFORMS", "linux/amd64,linux/arm64")];
    step(place.path(), &parameters, &[]).success();
    let result = |name: &str| fs::read_to_string(place.path().join("results").join(name)).unwrap();
    assert_eq!(registry.standing()["org/api:v1"], result("IMAGE_DIGEST"));
    assert_eq!(result("IMAGE_URL"), image);
}

#[test]
fn whatever_a_parameter_holds_is_run_by_nobody() {
    if !has_tools() || !require("skopeo") {
        return;
    }
    let registry = DockerRegistry::open();
    let image = format!("{}/org/api:v1", registry.address());
    let place = Tree::new()
        .file("Dockerfile", "FROM scratch\nARG A\nARG B\nLABEL a=$A b=$B\nCOPY x /x\n")
        .file("x", "")
        .plant();
    for hostile in HOSTILE {
        let arguments = [format!("A={hostile}"), "B=b c".to_owned()];
        step(place.path(), &[("IMAGE", &image)], &[&arguments[0], &arguments[1]]).success();
        let labels = labels(&image);
        assert_eq!((&labels["a"], &labels["b"]), (&Value::from(hostile), &Value::from("b c")));
        for name in ["IMAGE", "CONTEXT", "FILE", "TARGET", "PLATFORMS"] {
            let mut parameters = vec![(name, hostile)];
            if name != "IMAGE" {
                parameters.push(("IMAGE", &image));
            }
            let outcome = step(place.path(), &parameters, &[]);
            assert!(matches!(outcome.code, Some(1 | 2)), "{name}: {outcome:#?}");
        }
        assert!(!is_owned(place.path()));
    }
}
