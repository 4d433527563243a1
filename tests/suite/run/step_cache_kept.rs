//! Who has written the entries of a step cache, and how long a registry keeps them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::step_cache::{Machine, STEPS, both};
use super::step_cache_wrong::IMAGE;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::FakeRegistry;
use crate::support::program::Program;
use crate::support::tool::{require, run};

/// A private key and its public half, made by openssl.
pub fn keys(place: &Path, name: &str) -> [String; 2] {
    let (private, public) = (place.join(name), place.join(format!("{name}.pub")));
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    run("openssl", ["genpkey", "-algorithm", "ed25519", "-out", &text(&private)]);
    run("openssl", ["pkey", "-in", &text(&private), "-pubout", "-out", &text(&public)]);
    [format!("--cache-sign={}", text(&private)), format!("--cache-verify={}", text(&public))]
}

#[test]
fn with_a_key_only_what_it_has_signed_is_taken() {
    if !require("openssl") {
        return;
    }
    let Some(first) = Machine::new(STEPS) else { return };
    let place = tempfile::tempdir().unwrap();
    let [sign, verify] = keys(place.path(), "main");
    let [other_sign, other_verify] = keys(place.path(), "other");
    let registry = FakeRegistry::new();
    let [from, to] = both(&format!("{}/team/cache", registry.address()));
    let ran = |flags: &[&str]| {
        let build = Machine::new(STEPS).unwrap().build(flags);
        assert_eq!((build.outcome.code, &build.warnings), (Some(0), &Vec::new()), "{:?}", build.outcome);
        build.ran.len()
    };
    // A pull request writes first, without a key or with its own.
    first.build(&[&to, &other_sign]).outcome.success();
    assert_eq!(ran(&[&from]), 0);
    assert_eq!(ran(&[&from, &verify]), 4, "it is another's");
    assert_eq!(ran(&[&from, &other_verify]), 0);
    // What the main pipeline writes takes its place.
    assert_eq!(ran(&[&from, &to, &verify, &sign]), 4);
    assert_eq!(ran(&[&from, &verify]), 0);
    assert_eq!(ran(&[&from, &verify, &other_verify]), 0);
    assert_eq!(ran(&[&from, &other_verify]), 4);
    // Everything that a build goes by is signed.
    let names = registry.manifest_names();
    let name = names.iter().filter(|name| name.contains("/step-")).find(|name| {
        let manifest: Value = serde_json::from_slice(&registry.manifest(name).unwrap().1).unwrap();
        manifest["annotations"]["org.opencontainers.image.title"].as_str().unwrap().contains("/random")
    });
    let name = name.unwrap();
    let right: Value = serde_json::from_slice(&registry.manifest(name).unwrap().1).unwrap();
    let changes: [fn(&mut Value); 5] = [
        |manifest| manifest["layers"][0]["digest"] = json!(crate::support::fake_registry::digest(b"other")),
        |manifest| manifest["layers"][0]["size"] = json!(1),
        |manifest| {
            manifest["annotations"]["dev.ocibake.step.diff-id"] = json!(crate::support::fake_registry::digest(b"o"));
        },
        |manifest| manifest["annotations"]["dev.ocibake.step.signature"] = json!("AAAA"),
        |manifest| manifest["annotations"]["dev.ocibake.step.signature"] = json!("no base64"),
    ];
    for change in changes {
        let mut wrong = right.clone();
        change(&mut wrong);
        registry.put_manifest(name, IMAGE, wrong.to_string().as_bytes());
        assert_eq!(ran(&[&from, &verify]), 2, "{wrong}");
    }
    registry.put_manifest(name, IMAGE, right.to_string().as_bytes());
    assert_eq!(ran(&[&from, &verify]), 0);
}

#[test]
fn what_stands_on_steps_of_others_is_not_signed() {
    if !require("openssl") {
        return;
    }
    let Some(first) = Machine::new(STEPS) else { return };
    let place = tempfile::tempdir().unwrap();
    let [sign, verify] = keys(place.path(), "main");
    let registry = FakeRegistry::new();
    let [from, _] = both(&format!("{}/team/pulls", registry.address()));
    let [_, to_pulls] = both(&format!("{}/team/pulls", registry.address()));
    let [from_main, to_main] = both(&format!("{}/team/main", registry.address()));
    first.build(&[&to_pulls]).outcome.success();
    let changed = STEPS.replace("mkdir /last", "mkdir /last /more");
    let build = Machine::new(&changed).unwrap().build(&[&from, &to_main, &sign]);
    assert_eq!(build.ran.len(), 1, "{:?}", build.outcome);
    let build = Machine::new(&changed).unwrap().build(&[&from_main]);
    assert_eq!(build.ran.len(), 0, "it is there");
    let build = Machine::new(&changed).unwrap().build(&[&from_main, &verify]);
    assert_eq!(build.ran.len(), 4, "but nothing of it is signed: {:?}", build.outcome);
}

#[test]
fn a_file_that_is_no_key_is_an_error() {
    let Some(machine) = Machine::new(STEPS) else { return };
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("key");
    fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let flag = |name: &str| format!("--cache-{name}={}", path.display());
    machine.build(&[&flag("sign")]).outcome.failure(1).says(&["is not a private key for Ed25519", "openssl genpkey"]);
    machine.build(&[&flag("verify")]).outcome.failure(1).says(&["is not a public key for Ed25519", "openssl pkey"]);
    fs::remove_file(&path).unwrap();
    machine.build(&[&flag("verify")]).outcome.failure(1).says(&["cannot read "]);
}

#[test]
fn steps_that_no_build_uses_are_listed_and_removed() {
    if !require("docker-registry") {
        return;
    }
    let Some(first) = Machine::new(STEPS) else { return };
    let registry = DockerRegistry::that_deletes();
    let name = format!("{}/team/cache", registry.address());
    let [from, to] = both(&name);
    let program = Program::new();
    let answer = |words: &[&str]| -> Value {
        serde_json::from_str(&program.run([words, &["--json"]].concat()).success().stdout).unwrap()
    };
    let steps = |document: &Value| document["steps"].as_array().unwrap().len();
    let sleep = || std::thread::sleep(std::time::Duration::from_millis(2100));
    first.build(&[&to]).outcome.success();
    let listed = answer(&["cache", "ls", &name]);
    assert_eq!(steps(&listed), 7);
    let titles: Vec<&str> =
        listed["steps"].as_array().unwrap().iter().map(|step| step["title"].as_str().unwrap()).collect();
    assert!(titles.contains(&"COPY own /own"), "{titles:?}");
    let shown = program.run(["cache", "ls", &name]).success().stdout;
    assert!(
        shown.lines().count() == 8 && shown.contains("  COPY own /own\n") && shown.contains(": 7 steps\n"),
        "{shown}"
    );

    // What was written lately stays, whether it was used or not.
    assert_eq!(steps(&answer(&["cache", "gc", &name])), 0);
    sleep();
    // All of it was used today.
    assert_eq!(steps(&answer(&["cache", "gc", &name, "--older-than", "1s"])), 0);
    // Had it been written and used long ago, it would go: the uses are noted by the day.
    registry.rename_tags("team/cache", "uses-", |tag| format!("uses-20200102-{}", &tag["uses-20200102-".len()..]));
    let unused = answer(&["cache", "gc", &name, "--older-than", "1s", "--dry-run"]);
    assert_eq!((steps(&unused), &unused["isRemoved"], &unused["kept"]), (7, &json!(false), &json!(0)));
    assert_eq!(steps(&answer(&["cache", "ls", &name])), 7, "nothing is removed");
    // Another build uses four of the seven.
    let partly = STEPS.split("COPY --from=made").next().unwrap().to_owned();
    Machine::new(&partly).unwrap().build(&[&from, &to]).outcome.success();
    sleep();
    let removed = answer(&["cache", "gc", &name, "--older-than", "1s"]);
    assert_eq!((steps(&removed), &removed["isRemoved"]), (3, &json!(true)), "{removed}");
    assert_eq!(steps(&answer(&["cache", "ls", &name])), 4);
    assert_eq!(Machine::new(&partly).unwrap().build(&[&from]).ran.len(), 0);
    let build = Machine::new(STEPS).unwrap().build(&[&from]);
    assert_eq!((build.outcome.success().code, build.ran.len()), (Some(0), 2), "{:?}", build.ran);
}

#[test]
fn a_registry_that_deletes_nothing_says_so() {
    if !require("docker-registry") {
        return;
    }
    let Some(first) = Machine::new(STEPS) else { return };
    let registry = DockerRegistry::open();
    let name = format!("{}/team/cache", registry.address());
    first.build(&[&both(&name)[1]]).outcome.success();
    registry.rename_tags("team/cache", "uses-", |tag| format!("uses-20200102-{}", &tag["uses-20200102-".len()..]));
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let program = Program::new();
    program
        .run(["cache", "gc", &name, "--older-than", "1s"])
        .failure(1)
        .says(&["DELETE ", "must allow manifests to be deleted"]);
}
