//! The component for GitLab: its job's script is run with the variables of the job and of a runner.

use std::fs;

use serde_json::Value;

use super::{HOSTILE, is_owned, labels, read};
use crate::support::docker_registry::DockerRegistry;
use crate::support::program::Outcome;
use crate::support::runner::{has_tools, machine, yaml_documents};
use crate::support::tool::require;
use crate::support::tree::Tree;

/// Runs the job in `place`, with the inputs of the component and with variables of the runner's.
fn job(place: &std::path::Path, inputs: &[(&str, &str)], variables: &[(&str, &str)]) -> Outcome {
    let documents = yaml_documents(&read("templates/ocibake.yml"));
    let [header, jobs] = &documents[..] else { panic!("{documents:?}") };
    let known = header["spec"]["inputs"].as_object().unwrap();
    let of = |input: &str| {
        let given = inputs.iter().find(|(name, _)| *name == input).map(|(_, value)| (*value).to_owned());
        given.unwrap_or_else(|| known[input]["default"].as_str().unwrap().to_owned())
    };
    let job = &jobs["$[[ inputs.job ]]"];
    let mut all: Vec<(String, String)> =
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    for (name, value) in job["variables"].as_object().unwrap() {
        let expands = value["expand"] != Value::Bool(false);
        let text = value.as_str().or(value["value"].as_str()).unwrap();
        let input = text.strip_prefix("$[[ inputs.").and_then(|rest| rest.strip_suffix(" ]]"));
        let mut text = of(input.unwrap_or_else(|| panic!("{name} is no input alone")));
        for (name, value) in variables.iter().filter(|_| expands) {
            text = text.replace(&format!("${name}"), value);
        }
        all.push((name.clone(), text));
    }
    let script: String =
        job["script"].as_array().unwrap().iter().map(|line| format!("{}\n", line.as_str().unwrap())).collect();
    assert!(!script.contains("$[["), "{script}");
    let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    Outcome::of(&mut machine(place, &all).command_under(&["sh", "-e", "-c", &script], [""; 0]))
}

#[test]
fn an_image_is_pushed_to_the_projects_registry() {
    if !has_tools() || !require("htpasswd") {
        return;
    }
    let registry = DockerRegistry::with_user("gitlab-ci-token", "p4ss word");
    let image = format!("{}/group/project", registry.address());
    let variables = [
        ("CI_REGISTRY_IMAGE", &image[..]),
        ("CI_REGISTRY_USER", "gitlab-ci-token"),
        ("CI_REGISTRY_PASSWORD", "p4ss word"),
        ("CI_REGISTRY", &registry.address()),
        ("CI_COMMIT_REF_SLUG", "feature-1"),
    ];
    let place = Tree::new()
        .file("server/Containerfile", "FROM scratch\nARG A\nLABEL a=$A\nCOPY x /x\n")
        .file("server/x", "")
        .plant();
    let tags = "$CI_REGISTRY_IMAGE:$CI_COMMIT_REF_SLUG\n$CI_REGISTRY_IMAGE:edge";
    let inputs = [
        ("context", "server"),
        ("file", "server/Containerfile"),
        ("tags", tags),
        ("platforms", "linux/amd64,linux/arm64"),
        ("build-args", "A=b c"),
        ("cache", "$CI_REGISTRY_IMAGE/cache"),
    ];
    let digest = job(place.path(), &inputs, &variables).digest();
    let standing = registry.standing();
    assert_eq!(standing["group/project:feature-1"], digest);
    assert_eq!(standing["group/project:edge"], digest);
    assert_eq!(fs::read_to_string(place.path().join("image.env")).unwrap(), format!("IMAGE_DIGEST={digest}\n"));
    let metadata: Value = serde_json::from_slice(&fs::read(place.path().join("metadata.json")).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.digest"], digest);
}

#[test]
fn whatever_an_input_holds_is_run_by_nobody() {
    if !has_tools() || !require("skopeo") {
        return;
    }
    let registry = DockerRegistry::open();
    let image = format!("{}/group/project", registry.address());
    let variables = [("CI_REGISTRY_IMAGE", &image[..]), ("CI_COMMIT_REF_SLUG", "main")];
    for hostile in HOSTILE.into_iter().filter(|hostile| !hostile.contains('\n')) {
        let place =
            Tree::new().file("Dockerfile", "FROM scratch\nARG A\nLABEL a=$A\nCOPY x /x\n").file("x", "").plant();
        job(place.path(), &[("build-args", &format!("A={hostile}"))], &variables).success();
        assert_eq!(labels(&format!("{image}:main"))["a"], hostile);
        for input in ["context", "file", "target", "platforms", "tags", "cache"] {
            let outcome = job(place.path(), &[(input, hostile)], &variables);
            assert!(matches!(outcome.code, Some(1 | 2)), "{input}: {outcome:#?}");
        }
        assert!(!is_owned(place.path()));
    }
}
