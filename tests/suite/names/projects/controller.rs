//! A Makefile: one image for this machine, and one for two platforms.

use super::Who;
use crate::support::container::{Bundle, require_runtime};
use crate::support::tool::require;

#[test]
fn root_makes_an_image_for_two_platforms() {
    makes_images(Who::Root);
}

#[test]
fn an_ordinary_user_makes_an_image_for_two_platforms() {
    makes_images(Who::Ordinary);
}

fn makes_images(who: Who) {
    if !require("make") {
        return;
    }
    let Some(project) = super::project_with_user("controller", who, "robot", "t0ken") else { return };
    project.commit("v1.4.0");
    let registry = format!("REGISTRY={}", project.name("example"));
    let token = [("REGISTRY_TOKEN", "t0ken")];
    let make = |targets: &[&str]| project.run(&[&["make", &registry, "REGISTRY_USER=robot"], targets].concat(), &token);
    assert!(make(&[]).success().stdout.contains("docker-build-multiarch"));
    assert!(make(&["login"]).success().stdout.contains("Login Succeeded"));

    let outcome = make(&["docker-push"]).success();
    let digest = project.digest("example/controller:v1.4.0");
    assert!(outcome.stdout.contains(&format!("v1.4.0: digest: {digest} size: ")), "{}", outcome.stdout);
    assert_eq!(project.tags("example/controller"), ["v1.4.0"]);
    let config = project.config("example/controller:v1.4.0", "amd64");
    let labels = &config["config"]["Labels"];
    let commit = project.run(&["git", "rev-parse", "--short", "HEAD"], &[]).success().stdout;
    assert_eq!(labels["com.example.build"], format!("v1.4.0-{}", commit.trim()));
    assert_eq!(labels["org.opencontainers.image.title"], "controller");
    assert_eq!(labels["org.opencontainers.image.vendor"], "Example, Inc.");
    assert_eq!(labels["org.opencontainers.image.created"], "2024-05-06T07:08:09Z");
    assert_eq!((&config["config"]["User"], &config["architecture"]), (&"65532:65532".into(), &"amd64".into()));

    make(&["docker-build-multiarch"]).success();
    assert_eq!(project.tags("example/controller"), ["1.4.0", "latest", "v1.4.0"]);
    let index = project.digest("example/controller:v1.4.0");
    assert_ne!(index, digest);
    for tag in ["1.4.0", "latest"] {
        assert_eq!(project.digest(&format!("example/controller:{tag}")), index);
    }
    assert_eq!(project.platforms("example/controller:latest"), ["linux/amd64", "linux/arm64"]);
    for architecture in ["amd64", "arm64"] {
        let config = project.config("example/controller:latest", architecture);
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/manager"]));
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], "v1.4.0");
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.revision"], commit.trim());
    }
    let listed = make(&["-s", "image-list"]).success().stdout;
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort();
    assert_eq!(listed, ["1.4.0", "latest", "v1.4.0"].map(|tag| project.name(&format!("example/controller:{tag}"))));

    // Nothing has changed, and nothing is done.
    let again = project.run_again(&["make", &registry, "docker-build-multiarch"], &token);
    assert!(again.stderr.contains("CACHED"), "{}", again.stderr);
    assert_eq!(project.digest("example/controller:v1.4.0"), index);
    // What needs containers says so.
    make(&["run"]).failure_with_result(2).says(&["docker run: ocibake builds and ships images and has no containers"]);
    // The Makefile's own mistakes do no harm.
    make(&["clean"]).success();
    assert_eq!(make(&["-s", "image-list"]).success().stdout, "");

    if require_runtime() {
        let place = tempfile::tempdir().unwrap();
        let layout = project.fetch("example/controller:latest", place.path());
        let said = Bundle::unpack(&layout, "amd64", place.path()).run(&["version"]);
        assert_eq!(said, format!("controller v1.4.0 ({}) for linux/amd64\n", commit.trim()));
    }
}
