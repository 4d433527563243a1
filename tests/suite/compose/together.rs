//! The services of a project as one build: what they share is done once, and what they are goes out together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Case;
use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::targets::{BASE, COUNTED, counts, events, with_shell};
use crate::support::tool::require;

/// The files of a service with a directory of its own.
fn own(name: &str) -> Vec<(String, String)> {
    vec![
        (format!("{name}/requirements.txt"), "the same".to_owned()),
        (format!("{name}/main"), name.to_owned()),
        (format!("{name}/Dockerfile"), format!("FROM {BASE}\nCOPY requirements.txt /\n{COUNTED}\nCOPY main /\n")),
    ]
}

/// A project whose services each have a directory with the same requirements.
fn apart() -> Case {
    let files: Vec<(String, String)> = ["one", "two", "three"].into_iter().flat_map(own).collect();
    let compose = "services: {one: {build: one}, two: {build: two}, three: {build: three}}".to_owned();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Case::new(&[&files[..], &[("compose.yaml", compose.as_str())]].concat())
}

#[test]
fn a_command_on_the_same_content_is_run_once_for_all_services() {
    if !require("busybox") {
        return;
    }
    let case = apart();
    let program = case.program();
    with_shell(&program);
    let json = ["compose", "--progress", "json", "build"];
    let outcome = program.run(json).success();
    let told: String = events(&outcome, "command-output").iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(told, "ran 1\n");
    let runs: u64 = counts(&outcome).iter().map(|(_, run, _)| run).sum();
    assert_eq!(runs, 1 + 3 + 3, "one command, and two copies of each: {:?}", counts(&outcome));
    // And the second time nothing at all.
    let outcome = program.run(json).success();
    assert_eq!(
        counts(&outcome),
        [("one", 0, 3), ("three", 0, 3), ("two", 0, 3)].map(|(name, run, known)| (name.to_owned(), run, known))
    );
    // What changes in one of them is done for that one.
    std::fs::write(case.path().join("two/main"), "changed").unwrap();
    let outcome = program.run(json).success();
    assert_eq!(
        counts(&outcome),
        [("one", 0, 3), ("three", 0, 3), ("two", 1, 2)].map(|(name, run, known)| (name.to_owned(), run, known))
    );
    let advanced = events(&outcome, "target-advanced");
    assert_eq!(advanced.last().map(|event| (&event["done"], &event["steps"])), Some((&3.into(), &3.into())));
}

#[test]
fn services_stand_on_each_other_without_being_pushed() {
    if !require("busybox") {
        return;
    }
    let case = Case::new(&[
        (
            "compose.yaml",
            "services:
  app:
    build:
      context: app
      additional_contexts: {first: 'service:lib', second: 'service:lib'}
  lib: {build: {context: lib, labels: {of: lib}}}
",
        ),
        ("lib/Dockerfile", &format!("FROM {BASE}\nENV FROM_LIB=seen\nCOPY file /lib/\n")),
        ("lib/file", "of lib"),
        (
            "app/Dockerfile",
            "FROM first\nRUN --mount=from=second,source=lib,target=/m test \"$(cat /m/file)-$FROM_LIB\" = \"of lib-seen\"\nCOPY --from=second /lib/file /copied\n",
        ),
    ]);
    let program = case.program();
    with_shell(&program);
    program.run(["compose", "build", "app"]).success();
    let inspect = |format: &str| {
        let outcome = program.run(["docker", "inspect", "--format", format, "project-app"]).success();
        outcome.stdout.trim().to_owned()
    };
    assert_eq!(inspect("{{index .Config.Labels \"of\"}}"), "lib");
    assert!(inspect("{{json .Config.Env}}").contains("FROM_LIB=seen"));
    // What it stands on may change meanwhile, and it changes with that.
    let before = inspect("{{.Id}}");
    std::fs::write(case.path().join("lib/file"), "other").unwrap();
    let outcome = program.run(["compose", "build", "app"]).failure(1);
    outcome.says(&["target app: the command", "exit code 1", "RUN --mount=from=second"]);
    assert_eq!(inspect("{{.Id}}"), before, "and nothing has another name");
}

#[test]
fn a_failing_command_names_its_service_and_those_that_need_it() {
    if !require("busybox") {
        return;
    }
    let case = Case::new(&[
        (
            "compose.yaml",
            "services:
  bad: {build: {context: bad}}
  good: {build: {context: good}}
  worse: {build: {context: good, additional_contexts: {scratch-of-bad: 'service:bad'}, dockerfile: worse}}
",
        ),
        ("bad/Dockerfile", &format!("FROM {BASE}\nRUN echo why; exit 3\n")),
        ("good/Dockerfile", "FROM scratch\nLABEL a=b\n"),
        ("good/worse", "FROM scratch-of-bad\nLABEL a=b\n"),
    ]);
    let program = case.program();
    with_shell(&program);
    program.run(["compose", "build", "-q"]).failure(1).says(&[
        "target bad: the command `/bin/sh -c echo why; exit 3` ended with exit code 3",
        "why",
        "the target worse needs the same step, so it is not built either",
        "Dockerfile:2:1",
    ]);
    assert!(!program.run(["images"]).success().stdout.contains("project-"));
}

/// Two services of one context, which go to a registry.
fn pushed(registry: &FakeRegistry) -> Case {
    let address = registry.address();
    Case::new(&[
        (
            "compose.yaml",
            &format!(
                "services:
  one: {{build: {{context: ., dockerfile: one}}, image: '{address}/team/one:1'}}
  two: {{build: {{context: ., dockerfile: two}}, image: '{address}/team/two:1'}}
"
            ),
        ),
        ("one", "FROM scratch\nCOPY shared /\nCOPY one /\n"),
        ("two", "FROM scratch\nCOPY shared /\nCOPY two /\n"),
        ("shared", "of both"),
    ])
}

#[test]
fn what_images_share_is_sent_once_and_tags_come_last() {
    // What one repository has, the other one has not.
    let registry = FakeRegistry::scripted(|request| match request.method.as_str() {
        "HEAD" if request.path.contains("team/two/blobs/") => Some(Reply::status(404)),
        "POST" if request.query.contains("mount=") => Some(Reply::status(201)),
        _ => None,
    });
    let case = pushed(&registry);
    let outcome = case.run(&["build", "--push"]).success();
    outcome.says(&["TARGET  PLATFORMS", "team/one:1", "team/two:1"]);
    let mounted = registry.requests().into_iter().filter(|request| request.query.contains("mount="));
    let from: Vec<(String, bool)> =
        mounted.map(|request| (request.path, request.query.contains("from=team%2Fone"))).collect();
    assert_eq!(from, [("/v2/team/two/blobs/uploads/".to_owned(), true)], "the layer that both have");
    // Two layers and a config of the first, and what the second has beside.
    assert_eq!(registry.count("PUT", "/blobs/uploads/"), 3 + 2);
    let requests = registry.requests();
    let tagged = |request: &_| is_tag(request);
    let first_tag = requests.iter().position(tagged).unwrap();
    let last_content = requests.iter().rposition(|request| request.method == "PUT" && !tagged(request)).unwrap();
    assert!(last_content < first_tag);
    let has = |name: &str| registry.manifest(name).is_some();
    assert!(has("team/one/1") && has("team/two/1"));
}

fn is_tag(request: &crate::support::fake_registry::Request) -> bool {
    request.method == "PUT" && request.path.ends_with("/manifests/1")
}

#[test]
fn no_tag_is_set_where_one_upload_fails() {
    for push in [&["build", "--push"][..], &["push"]] {
        let is_failing = Arc::new(AtomicBool::new(true));
        let failing = is_failing.clone();
        let registry = FakeRegistry::scripted(move |request| {
            let is_refused = failing.load(Ordering::Relaxed)
                && request.method != "GET"
                && request.path.contains("team/two/blobs/uploads");
            is_refused.then(|| Reply::refusal(403, "DENIED", "not here"))
        });
        let case = pushed(&registry);
        let program = case.program();
        program.run(["compose", "build", "-q"]).success();
        program.run([&["compose"], push].concat()).failure(1).says(&["team/two"]);
        assert!(!registry.requests().iter().any(is_tag));
        is_failing.store(false, Ordering::Relaxed);
        program.run([&["compose"], push].concat()).success();
        assert_eq!(registry.requests().iter().filter(|request| is_tag(request)).count(), 2);
    }
}

#[test]
fn of_two_services_with_one_name_the_last_gets_it() {
    let case = Case::new(&[
        (
            "compose.yaml",
            "services: {one: {build: {context: ., args: {N: one}}, image: same}, two: {build: {context: ., args: {N: two}}, image: same}}",
        ),
        ("Dockerfile", "FROM scratch\nARG N\nLABEL n=$N\n"),
    ]);
    let program = case.program();
    let outcome = program.run(["compose", "build"]).success();
    outcome.says(&["warning: one and two are both named same:latest, which will be the image of two"]);
    let label = program.run(["docker", "inspect", "--format", "{{.Config.Labels.n}}", "same"]).success();
    assert_eq!(label.stdout, "two\n");
}

#[test]
fn one_service_has_no_table_and_quiet_says_nothing() {
    let case = Case::new(&[
        ("compose.yaml", "services: {one: {build: .}, two: {build: .}}"),
        ("Dockerfile", "FROM scratch\nCOPY compose.yaml /\n"),
    ]);
    assert!(!case.run(&["build", "one"]).success().stderr.contains("TARGET"));
    assert!(case.run(&["build"]).success().stderr.contains("TARGET  PLATFORMS"));
    assert_eq!(case.run(&["build", "-q"]).success().stderr, "");
}
