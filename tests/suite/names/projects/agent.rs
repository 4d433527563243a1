//! A release script with manifest lists.

use std::fs;

use serde_json::Value;

use super::Who;

#[test]
fn root_releases_a_manifest_list() {
    releases(Who::Root);
}

#[test]
fn an_ordinary_user_releases_a_manifest_list() {
    releases(Who::Ordinary);
}

fn releases(who: Who) {
    let Some(project) = super::project("agent", who) else { return };
    let repository = project.name("example/agent");
    let words = ["./release.sh", "v3.2.1", &repository];
    let outcome = project.run(&words, &[]).success();
    assert!(outcome.stdout.ends_with(&format!("Released {repository}:3.2.1\n")), "{}", outcome.stdout);
    let tags = ["3", "3.2", "3.2.1", "3.2.1-amd64", "3.2.1-arm64", "amd64", "edge", "latest"];
    assert_eq!(project.tags("example/agent"), tags);
    let digest = |tag: &str| project.digest(&format!("example/agent:{tag}"));
    let images = ["amd64", "arm64"].map(|architecture| digest(&format!("3.2.1-{architecture}")));
    assert_ne!(images[0], images[1]);
    assert_eq!([digest("amd64"), digest("edge")], [images[0].clone(), images[0].clone()]);
    let list = digest("3.2.1");
    for tag in ["3", "3.2", "latest"] {
        assert_eq!(digest(tag), list);
    }
    let index: Value = serde_json::from_str(&project.raw("example/agent:latest")).unwrap();
    let listed: Vec<&str> =
        index["manifests"].as_array().unwrap().iter().map(|listed| listed["digest"].as_str().unwrap()).collect();
    assert_eq!(listed, images);
    assert_eq!(project.platforms("example/agent:latest"), ["linux/amd64", "linux/arm64/v8"]);
    for architecture in ["amd64", "arm64"] {
        let config = project.config("example/agent:3.2", architecture);
        assert_eq!(config["config"]["Labels"]["arch"], architecture);
        assert_eq!(config["config"]["User"], "2000");
    }
    let told: Value = serde_json::from_str(&fs::read_to_string(project.path().join("manifest.json")).unwrap()).unwrap();
    let told: Vec<&str> =
        told.as_array().unwrap().iter().map(|each| each["Descriptor"]["digest"].as_str().unwrap()).collect();
    assert_eq!(told, images);

    project.run_again(&words, &[]);
    assert_eq!(digest("latest"), list);
}
