//! What the inputs of the Action become: a program in the place of ocibake notes the words that it is given.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::{Action, read};
use crate::support::program::Outcome;
use crate::support::runner::{has_tools, yaml};
use crate::support::tree::Tree;

/// The words that ocibake is given, but for those of each build.
fn words(inputs: &[(&str, &str)]) -> (Vec<String>, String, Outcome) {
    let place = Tree::new().directory("bin").plant();
    let program = place.path().join("bin/ocibake");
    let script = "#!/bin/sh\nprintf '%s\\0' \"$@\" > words\nenv > environment\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place.path().join("bin").display(), std::env::var("PATH").unwrap());
    let action = Action::new(place).variable("PATH", &path);
    let outcome = action.run("Build", inputs);
    let read = |name: &str| fs::read_to_string(action.path().join(name)).unwrap_or_default();
    let words = read("words").split_terminator('\0').map(str::to_owned).collect::<Vec<_>>();
    let own = |word: &String| !word.starts_with("--metadata-file=");
    (words.into_iter().filter(own).collect(), read("environment"), outcome)
}

#[test]
fn every_input_becomes_its_flag() {
    if !has_tools() {
        return;
    }
    let inputs = [
        ("add-hosts", "a:1.2.3.4\nb:1.2.3.5"),
        ("allow", "network.host,security.insecure"),
        ("annotations", "index:a=b, c"),
        ("build-args", "A=1, 2\nB"),
        ("build-contexts", "lib=./lib"),
        ("cache-from", "type=registry,ref=a/b"),
        ("cache-to", "type=registry,ref=a/b,mode=max"),
        ("context", "./server"),
        ("file", "server/Dockerfile.prod"),
        ("labels", "a=b"),
        ("load", "true"),
        ("network", "none"),
        ("no-cache", "true"),
        ("no-cache-filters", "one,two"),
        ("outputs", "type=oci,dest=x.tar"),
        ("platforms", "linux/amd64, linux/arm64"),
        ("pull", "true"),
        ("push", "true"),
        ("shm-size", "1g"),
        ("ssh", "default"),
        ("tags", "a:1\nb:2"),
        ("target", "prod"),
        ("ulimit", "nofile=1:2"),
        ("attests", "type=sbom,disabled=true"),
        ("sbom", "false"),
        ("provenance", "false"),
    ];
    let (words, _, outcome) = words(&inputs);
    outcome.success();
    let expected = [
        "build",
        "--tag=a:1",
        "--tag=b:2",
        "--platform=linux/amd64",
        "--platform=linux/arm64",
        "--label=a=b",
        "--annotation=index:a=b, c",
        "--build-arg=A=1, 2",
        "--build-arg=B",
        "--build-context=lib=./lib",
        "--add-host=a:1.2.3.4",
        "--add-host=b:1.2.3.5",
        "--allow=network.host",
        "--allow=security.insecure",
        "--no-cache-filter=one",
        "--no-cache-filter=two",
        "--output=type=oci,dest=x.tar",
        "--cache-from=type=registry,ref=a/b",
        "--cache-to=type=registry,ref=a/b,mode=max",
        "--ssh=default",
        "--ulimit=nofile=1:2",
        "--file=server/Dockerfile.prod",
        "--target=prod",
        "--network=none",
        "--shm-size=1g",
        "--push",
        "--load",
        "--pull",
        "--no-cache",
        "--",
        "./server",
    ];
    assert_eq!(words, expected);
    // And ocibake takes them: what is missing is the directory.
    let real = Action::new(Tree::new().plant());
    // There is no engine, and with `no-cache` stages are not named.
    let is_taken = |name: &str| !matches!(name, "load" | "no-cache-filters");
    let taken: Vec<(&str, &str)> = inputs.into_iter().filter(|(name, _)| is_taken(name)).collect();
    real.run("Build", &taken).failure(1).says(&["there is no context ./server"]);
}

#[test]
fn nothing_is_said_of_what_was_not_asked() {
    if !has_tools() {
        return;
    }
    let (words, _, outcome) = words(&[]);
    outcome.success();
    assert_eq!(words, ["build", "--", "."]);
}

#[test]
fn a_secret_is_in_no_word() {
    if !has_tools() {
        return;
    }
    let inputs =
        [("secrets", "A=one=1\n\"B=two\nlines \"\"2\"\"\""), ("secret-envs", "C=HOME"), ("secret-files", "D=a,b\"c")];
    let (words, environment, outcome) = words(&inputs);
    outcome.success();
    let expected = [
        "build",
        "--secret=id=A,env=OCIBAKE_ACTION_SECRET_1",
        "--secret=id=B,env=OCIBAKE_ACTION_SECRET_2",
        "--secret=id=C,env=HOME",
        "--secret=id=D,\"src=a,b\"\"c\"",
        "--",
        ".",
    ];
    assert_eq!(words, expected);
    assert!(environment.contains("OCIBAKE_ACTION_SECRET_1=one=1\n"), "{environment}");
    assert!(environment.contains("OCIBAKE_ACTION_SECRET_2=two\nlines \"2\"\n"), "{environment}");
}

#[test]
fn what_is_not_there_is_refused_or_told() {
    if !has_tools() {
        return;
    }
    for (input, value, message) in [
        ("provenance", "mode=max", "::error::the input provenance is not supported"),
        ("sbom", "true", "::error::the input sbom is not supported"),
        ("attests", "type=sbom", "::error::the input attests is not supported"),
        ("push", "yes%\n::error::x", "::error::the input push is neither true nor false"),
        ("secrets", "no value", "::error::the input secrets has a line that is not ID=VALUE"),
        ("secrets", "a,env=HOME=x", "::error::the input secrets has an ID that is more"),
        ("labels", "\"a=b", "::error::a quotation mark in an input is not closed"),
    ] {
        let (words, _, outcome) = words(&[(input, value)]);
        assert_eq!(words, [""; 0], "{input}");
        outcome.failure(1).says(&[message]);
    }
    for input in ["builder", "cgroup-parent"] {
        let (words, _, outcome) = words(&[(input, "x")]);
        assert_eq!(words, ["build", "--", "."]);
        outcome.success().says(&[&format!("::warning::the input {input} changes nothing")]);
    }
}

/// Each input reaches a script, and each that a script asks for is there.
#[test]
fn the_inputs_are_those_that_the_scripts_read() {
    if !has_tools() {
        return;
    }
    let action = yaml(&read("action.yml"));
    let inputs: BTreeSet<&str> = action["inputs"].as_object().unwrap().keys().map(String::as_str).collect();
    let steps = action["runs"]["steps"].as_array().unwrap();
    let given: BTreeSet<&str> =
        steps.iter().flat_map(|step| step["env"].as_object().unwrap().values()).map(input_of).collect();
    assert_eq!(given, inputs);
    let described = |input: &Value| input["description"].as_str().is_some_and(|text| text.len() > 10);
    assert!(action["inputs"].as_object().unwrap().values().all(described));
    for step in steps {
        let script = step["run"].as_str().unwrap().trim_matches('"').replace("$GITHUB_ACTION_PATH/", "");
        let text = read(&script);
        assert!(
            fs::metadata(Path::new(super::TOP).join(&script)).unwrap().permissions().mode() & 0o111 != 0,
            "{script}"
        );
        for name in step["env"].as_object().unwrap().values().map(input_of) {
            let variable = format!("INPUT_{}", name.replace('-', "_").to_uppercase());
            let is_read = text.split_whitespace().any(|word| word.trim_matches(['"', '\'', ')', ';']) == name)
                || text.contains(&variable);
            assert!(is_read, "{script} does not read {name}");
        }
    }
}

fn input_of(value: &Value) -> &str {
    value.as_str().unwrap().trim_start_matches("${{ inputs.").trim_end_matches(" }}")
}
