//! What a build says of the places that an image goes to, in BuildKit's words: without a tag, and with annotations where they
//! are wanted; and the push of all names.

use std::fs;

use serde_json::{Value, json};

use super::docker::script;
use super::manifest::remote;
use super::{build, context, rewrite};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::FakeRegistry;
use crate::support::program::Program;
use crate::support::tool::{self, require};

#[test]
fn an_image_is_pushed_by_digest_and_no_tag_is_set() {
    let (program, registry) = (Program::new(), FakeRegistry::new());
    let context = context("one");
    let place = context.path().to_str().unwrap();
    let name = format!("{}/org/app", registry.address());
    let metadata = program.home().join("metadata.json");
    let flags = ["--platform=linux/arm64", "--metadata-file", metadata.to_str().unwrap()];
    // The name is that of the output, or that of -t.
    for words in [
        &["-o", &format!("type=image,name={name},push-by-digest=true,name-canonical=true,push=true")][..],
        &["-t", &name, "--output", "type=image,push-by-digest=true,name-canonical=true,push=true"],
        &["-t", &name, "-o", "type=registry,push-by-digest=true"],
        &["-t", &name, "-o", "type=image,push-by-digest=true", "--push"],
    ] {
        let digest = program.run([&["docker", "build", "-q"], &flags[..], words, &[place]].concat()).digest();
        assert!(registry.manifest(&format!("org/app/{digest}")).is_some());
        let told: Value = serde_json::from_slice(&fs::read(&metadata).unwrap()).unwrap();
        assert_eq!((&told["containerimage.digest"], &told["image.name"]), (&json!(digest), &json!(name)));
    }
    let tags: Vec<String> = registry
        .requests()
        .iter()
        .filter(|request| request.is("PUT", "/manifests/") && !request.path.contains("/manifests/sha256:"))
        .map(|request| request.path.clone())
        .collect();
    assert_eq!(tags, Vec::<String>::new());
    assert_eq!(super::listed(&program, "{{.Repository}}"), Vec::<String>::new());
    // Not pushed it is built all the same.
    let before = registry.requests().len();
    let output = format!("type=image,name={name},push-by-digest=true,name-canonical=true,push=false");
    program.run(["docker", "build", "-o", &output, place]).success();
    assert_eq!(registry.requests().len(), before);
    let tagged = format!("{name}:1");
    let outcome =
        program.run(["docker", "build", "-t", &tagged, "-o", "type=image,push-by-digest=true,push=true", place]);
    outcome.failure(1).says(&[&format!("can't push tagged ref {tagged} by digest")]);
}

/// The annotations of a layout that `flags` make, in four places: of the descriptor of its root, of the root, of what the root
/// lists and of the manifests; those that a build always sets are left out.
fn annotations(flags: &[&str]) -> Value {
    let context = context("one");
    let program = Program::new().directory(context.path());
    let output = ["docker", "build", "-t", "example/app:1", "."];
    program.run([&output[..], flags].concat()).success();
    let read = |path: &str| -> Value {
        serde_json::from_slice(&fs::read(context.path().join("layout").join(path)).unwrap()).unwrap()
    };
    let blob = |descriptor: &Value| {
        read(&format!("blobs/sha256/{}", descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:")))
    };
    let own = |of: &Value| {
        let mut annotations = of["annotations"].as_object().cloned().unwrap_or_default();
        annotations.retain(|key, _| !key.starts_with("org.opencontainers.") && !key.starts_with("io.containerd."));
        Value::Object(annotations)
    };
    let root = &read("index.json")["manifests"][0];
    let document = blob(root);
    match document["manifests"].as_array() {
        None => json!([own(root), own(&document)]),
        Some(listed) => {
            let manifests: Vec<Value> = listed.iter().map(|listed| own(&blob(listed))).collect();
            json!([own(root), own(&document), listed.iter().map(own).collect::<Vec<_>>(), manifests])
        }
    }
}

#[test]
fn annotations_are_set_in_the_places_that_are_named() {
    let layout = "-otype=oci,tar=false,dest=layout";
    let both = "--platform=linux/amd64,linux/arm64";
    assert_eq!(
        annotations(&[
            layout,
            both,
            "--annotation=index,index-descriptor:a=1",
            "--annotation=manifest[linux/arm64],manifest-descriptor[linux/arm64]:b=2",
            "--annotation=manifest-descriptor:c=3",
        ]),
        json!([{"a": "1"}, {"a": "1"}, [{"c": "3"}, {"b": "2", "c": "3"}], [{}, {"b": "2"}]])
    );
    // The same as fields of an output, as BuildKit has them.
    assert_eq!(
        annotations(&[
            "-otype=oci,tar=false,dest=layout,annotation-index.a=1,annotation-index-descriptor.a=1,\
             annotation[linux/arm64].b=2,annotation-manifest-descriptor[linux/arm64].b=2,annotation-manifest-descriptor.c=3",
            both,
        ]),
        json!([{"a": "1"}, {"a": "1"}, [{"c": "3"}, {"b": "2", "c": "3"}], [{}, {"b": "2"}]])
    );
    // Of a single image the descriptor is that of the root.
    assert_eq!(
        annotations(&[layout, "-otype=image,\"annotation.b=2,3\"", "--annotation=manifest-descriptor:c=3"]),
        json!([{"c": "3"}, {"b": "2,3"}])
    );
    let context = context("one");
    let program = Program::new().directory(context.path());
    for (flag, code, part) in [
        ("--annotation=index-descriptor:a=b", 1, "the annotation `a` is for an index, but none is made"),
        (
            "--annotation=manifest-descriptor[linux/s390x]:a=b",
            1,
            "is for the manifest of linux/s390x, which is not built",
        ),
        (
            "-otype=image,annotation-wrong.a=b",
            125,
            "`wrong` in the annotation `annotation-wrong.a=b` is not a place for one",
        ),
        ("-otype=image,annotation-index[linux/amd64].a=b", 125, "an index is for no platform"),
        ("--annotation=index[linux/amd64]:a=b", 1, "an index is for no platform"),
    ] {
        program.run(["docker", "build", flag, "."]).failure(code).says(&[part]);
    }
}

#[test]
fn annotations_of_descriptors_are_in_the_index_that_is_pushed() {
    let (program, registry) = (Program::new(), FakeRegistry::new());
    let context = context("one");
    let name = format!("{}/app:1", registry.address());
    let flags = ["--platform=linux/amd64,linux/arm64", "--annotation=manifest-descriptor[linux/arm64]:a=b"];
    let output = format!("type=image,name={name},push=true,annotation-manifest-descriptor.c=d,oci-mediatypes=true");
    program
        .run([&["docker", "buildx", "build", "-o", &output], &flags[..], &[context.path().to_str().unwrap()]].concat())
        .success();
    let (_, bytes) = registry.manifest("app/1").unwrap();
    let index: Value = serde_json::from_slice(&bytes).unwrap();
    let listed = &index["manifests"];
    assert_eq!(
        (&listed[0]["annotations"], &listed[1]["annotations"]),
        (&json!({"c": "d"}), &json!({"a": "b", "c": "d"}))
    );
}

#[test]
fn all_names_of_a_repository_are_pushed_and_no_others() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let (program, registry) = (Program::new(), DockerRegistry::open());
    let context = context("one");
    let at = |name: &str| format!("{}/{name}", registry.address());
    let first = build(&program, context.path(), &[&at("team/app:1.0"), &at("team/app:latest"), &at("team/apple:1")]);
    rewrite(context.path(), "two");
    let second = build(&program, context.path(), &[&at("team/app:2.0"), &at("app:2.0"), "app:3"]);
    let text = format!("docker push --all-tags {}", at("team/app"));
    let outcome = script(&program, context.path(), &text).success();
    let mut lines: Vec<&str> = outcome.stdout.lines().collect();
    lines.sort();
    let digest = |line: &str| line.split(' ').nth(2).unwrap().to_owned();
    assert_eq!(
        lines.iter().map(|line| digest(line)).collect::<Vec<_>>(),
        [first.clone(), second.clone(), first.clone()]
    );
    assert!(lines[0].starts_with("1.0: digest: sha256:") && lines[2].starts_with("latest: digest: "), "{lines:?}");
    let tags = tool::run("skopeo", ["list-tags", "--tls-verify=false", &format!("docker://{}", at("team/app"))]);
    let mut tags: Value = serde_json::from_str(&tags).unwrap();
    tags["Tags"].as_array_mut().unwrap().sort_by_key(|tag| tag.to_string());
    assert_eq!(tags["Tags"], json!(["1.0", "2.0", "latest"]));
    assert_eq!((remote(&at("team/app:1.0")).0, remote(&at("team/app:2.0")).0), (first, second));
    assert!(!registry.has_seen("team/apple") && !registry.has_seen("app"));
    // The image that has two names goes up once.
    assert_eq!(outcome.stderr.matches(": sent").count(), 4, "two images of a config and a layer: {}", outcome.stderr);
    let text = format!("docker push -aq {}", at("team/app"));
    let outcome = script(&program, context.path(), &text).success();
    let mut names: Vec<&str> = outcome.stdout.lines().collect();
    names.sort();
    assert_eq!(names, [at("team/app:1.0"), at("team/app:2.0"), at("team/app:latest")]);
    let text = format!("docker push --all-tags {}", at("team/app:1.0"));
    script(&program, context.path(), &text).failure(1).says(&["tag can't be used with --all-tags/-a"]);
    let text = format!("docker push -a {}", at("team/none"));
    script(&program, context.path(), &text)
        .failure(1)
        .says(&["An image does not exist locally with the tag: ", "team/none"]);
}
