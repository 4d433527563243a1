//! `ocibake index`: one index of images that were built apart.

use std::fs;

use serde_json::{Value, json};

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{self, FakeRegistry};
use crate::support::layout::Layout;
use crate::support::program::Outcome;
use crate::support::tool::require;
use crate::support::world::{APP, World};

use super::copy::{put, root, set, tags};

fn index(world: &World, arguments: &[&str]) -> Outcome {
    world.program.run([&["index"], arguments].concat())
}

/// What a runner for one platform has built: its digest.
fn runner(world: &World, architecture: &str, flags: &[&str]) -> String {
    let platform = format!("--platform=linux/{architecture}");
    let name: &[&str] = if flags.contains(&"-t") { &[] } else { &["-t", "example/app:1"] };
    world.build(&[&[platform.as_str()], name, flags].concat()).digest()
}

#[test]
fn images_built_apart_make_the_index_of_a_build_in_one_go() {
    let world = World::new(APP);
    let whole = world.build(&["-t", "example/app:1", "-o", "whole.tar"]).digest();
    runner(&world, "amd64", &["-o", "amd64.tar"]);
    runner(&world, "arm64", &["-o", "arm64/"]);
    for references in [["./amd64.tar", "oci:arm64:1"], ["./arm64", "oci-archive:amd64.tar"]] {
        let outcome = index(&world, &[&["example/app:1"], &references[..], &["-o", "joined.tar"]].concat()).success();
        assert_eq!(outcome.stdout, format!("docker.io/example/app:1@{whole}\n"));
        assert_eq!(fs::read(world.path("joined.tar")).unwrap(), fs::read(world.path("whole.tar")).unwrap());
    }
    // An index is taken apart; what is there twice is listed once.
    let again = index(&world, &["example/app:1", "./whole.tar", "./arm64", "./arm64", "-o", "x.tar"]).success();
    assert!(again.stdout.ends_with(&format!("@{whole}\n")));
    // As docker saves it: the archive has no manifest, but the platform is in the config.
    runner(&world, "arm64", &["-o", "type=docker,dest=docker.tar"]);
    index(&world, &["example/app:1", "./amd64.tar", "docker-archive:docker.tar", "-o", "docker/"]).success();
    let platforms: Vec<_> = Layout::open(world.path("docker")).images().iter().map(|image| image.platform()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
}

#[test]
fn images_of_other_repositories_are_mounted_and_no_layer_is_pulled() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = World::new(APP);
    let registry = DockerRegistry::open();
    let at = |name: &str| format!("{}/{name}", registry.address());
    let pushed = ["amd64", "arm64"].map(|architecture| {
        let repository = at(&format!("ci/{architecture}"));
        let digest = runner(&world, architecture, &["-t", &format!("{repository}:x"), "--push", "--label=a=b"]);
        format!("{repository}@{digest}")
    });
    let whole = world.build(&["-t", "example/app:1", "--label=a=b", "-o", "whole/"]).digest();
    let name = at("org/app:v1.2.3");
    let outcome = index(&world, &[&name, &pushed[0], &pushed[1], "--progress=json"]).success();
    assert_eq!(outcome.stdout, format!("{name}@{whole}\n"));
    let said = |what: &str| outcome.stderr.matches(&format!("\"outcome\":\"{what}\"")).count();
    assert_eq!((said("mounted"), said("sent")), (3, 0), "a layer that both share, and two configs: {outcome:?}");
    for tag in ["v1.2.3", "1.2.3", "1.2", "1", "latest"] {
        let raw =
            world.skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{}:{tag}", at("org/app"))]);
        assert_eq!(fake_registry::digest(raw.as_bytes()), whole, "{tag}");
    }
    world.skopeo(&["copy", "-q", "--all", "--src-tls-verify=false", &format!("docker://{name}"), "oci:pulled:x"]);
    assert_eq!(Layout::open(world.path("pulled")).images().len(), 2);
}

#[test]
fn images_in_the_same_repository_need_nothing_but_the_index() {
    let world = World::new(APP);
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app", registry.address());
    let digests = ["amd64", "arm64"]
        .map(|architecture| runner(&world, architecture, &["-t", &format!("{name}:{architecture}"), "--push"]));
    let before = registry.requests().len();
    let references = digests.each_ref().map(|digest| format!("{name}@{digest}"));
    index(&world, &[&format!("{name}:2"), &references[0], &references[1], "--no-fan-out"]).success();
    let requests = registry.requests().split_off(before);
    let count = |method: &str, part: &str| requests.iter().filter(|request| request.is(method, part)).count();
    assert_eq!(count("POST", "/blobs/uploads/"), 0);
    assert_eq!(count("GET", "/blobs/"), 2, "the configs tell the platforms; no layer is pulled");
    assert_eq!(tags(&registry), set(&["amd64", "arm64", "2"]));
    let (_, bytes) = registry.manifest("org/app/2").unwrap();
    let listed: Value = serde_json::from_slice(&bytes).unwrap();
    let listed: Vec<_> =
        listed["manifests"].as_array().unwrap().iter().map(|image| image["digest"].as_str().unwrap()).collect();
    assert_eq!(listed, digests);
}

#[test]
fn images_of_archives_and_other_registries_are_sent() {
    let world = World::new(APP);
    let (from, to) = (FakeRegistry::new(), FakeRegistry::new());
    runner(&world, "amd64", &["-o", "amd64.tar"]);
    let source = format!("{}/ci/app:arm64", from.address());
    runner(&world, "arm64", &["-t", &source, "--push"]);
    let name = format!("{}/org/app:x", to.address());
    index(&world, &[&name, "./amd64.tar", &source]).success();
    copy_out(&world, &name);
    assert_eq!(Layout::open(world.path("out")).images().len(), 2);
    assert_eq!(tags(&to), set(&["x"]));
}

fn copy_out(world: &World, name: &str) {
    world.program.run(["copy", name, "oci:out:x"]).success();
}

#[test]
fn two_images_for_one_platform_are_refused_by_name() {
    let world = World::new(APP);
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1", registry.address());
    runner(&world, "amd64", &["-o", "one.tar"]);
    runner(&world, "amd64", &["--label=a=b", "-o", "two.tar"]);
    world.build(&["-t", "example/app:1", "--label=c=d", "-o", "both/"]).success();
    for (one, two, platform) in [("./one.tar", "./two.tar", "linux/amd64"), ("./both", "./one.tar", "linux/amd64")] {
        let outcome = index(&world, &[&name, one, two]).failure(1);
        outcome.says(&[&format!("{one} and {two} are both images for {platform}"), "leave one out"]);
    }
    assert_eq!(registry.requests().len(), 0);
    index(&world, &[&name]).failure(2).says(&["<REF>"]);
    index(&world, &[&name, "./none"]).failure(1).says(&["there is no ./none"]);
    index(&world, &[&name, "./one.tar", "--annotation=x"]).failure(2).says(&["--annotation", "key=value"]);
    index(&world, &["Org/app", "./one.tar"]).failure(2).says(&["lower case"]);
    // Variants of one architecture are platforms of their own.
    world.build(&["--platform=linux/arm/v6", "-o", "v6.tar"]).success();
    world.build(&["--platform=linux/arm/v7", "-o", "v7.tar"]).success();
    index(&world, &[&name, "./v7.tar", "./v6.tar"]).success();
}

#[test]
fn annotations_are_those_in_common_and_those_that_are_given() {
    let world = World::new(APP);
    runner(&world, "amd64", &["--annotation=a=same", "--annotation=b=one", "-o", "amd64.tar"]);
    runner(&world, "arm64", &["--annotation=a=same", "--annotation=b=other", "-o", "arm64.tar"]);
    let flags = ["--annotation=c=given", "--annotation=org.opencontainers.image.title=mine", "-o", "x/"];
    index(&world, &[&["example/app:1", "./amd64.tar", "./arm64.tar"], &flags[..]].concat()).success();
    let annotations = root(&world.path("x"))["annotations"].clone();
    assert_eq!(
        (&annotations["a"], &annotations["b"], &annotations["c"]),
        (&json!("same"), &Value::Null, &json!("given"))
    );
    assert_eq!(annotations["org.opencontainers.image.title"], "mine");
}

#[test]
fn attestations_are_carried_along() {
    let world = World::new(APP);
    runner(&world, "amd64", &["-o", "amd64/", "--index"]);
    runner(&world, "arm64", &["-o", "arm64.tar"]);
    let layout = world.path("amd64");
    let image = root(&layout)["manifests"][0].clone();
    let statement = put(&layout, "application/vnd.in-toto+json", b"a statement");
    let config = put(&layout, "application/vnd.oci.image.config.v1+json", b"{\"os\":\"unknown\"}");
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [statement]});
    let mut attestation = put(&layout, media_type, manifest.to_string().as_bytes());
    attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    attestation["annotations"] = json!({"vnd.docker.reference.digest": image["digest"]});
    let mut attested = root(&layout);
    attested["manifests"].as_array_mut().unwrap().push(attestation.clone());
    let top = put(&layout, "application/vnd.oci.image.index.v1+json", attested.to_string().as_bytes());
    fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [top]}).to_string()).unwrap();

    index(&world, &["example/app:1", "./arm64.tar", "./amd64", "-o", "x/"]).success();
    let listed = root(&world.path("x"))["manifests"].clone();
    assert_eq!((&listed[0]["digest"], &listed[2]), (&image["digest"], &attestation));
    assert_eq!(listed.as_array().unwrap().len(), 3);
}

#[test]
fn floating_tags_only_go_forward() {
    let world = World::new(APP);
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app", registry.address());
    runner(&world, "amd64", &["-o", "amd64.tar"]);
    runner(&world, "arm64", &["-o", "arm64.tar"]);
    let both = ["./amd64.tar", "./arm64.tar"];
    index(&world, &[&[&format!("{name}:v1.3.0")[..]], &both[..]].concat()).success();
    let newer = registry.manifest("org/app/latest");
    let flags = ["--annotation=a=b", "--metadata-file=m.json"];
    index(&world, &[&[&format!("{name}:v1.2.9")[..]], &both[..], &flags].concat()).success();
    assert_eq!(registry.manifest("org/app/latest"), newer, "v1.3.0 holds it");
    assert_ne!(registry.manifest("org/app/1.2"), newer);
    index(&world, &[&[&format!("{name}:v1.3.0")[..]], &both[..], &["--annotation=a=b", "--immutable"]].concat())
        .failure(1);
    index(&world, &[&[&format!("{name}:v1.2.9")[..]], &both[..], &["--annotation=a=b", "--force-tags"]].concat())
        .success();
    assert_ne!(registry.manifest("org/app/latest"), newer);
    let metadata: Value = serde_json::from_slice(&fs::read(world.path("m.json")).unwrap()).unwrap();
    assert_eq!(metadata["image.name"], format!("{name}:v1.2.9,{name}:1.2.9,{name}:1.2"));
}
