//! `docker manifest`: lists that are made here and pushed.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::context;
use super::docker::script;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, digest};
use crate::support::program::{Outcome, Program};
use crate::support::tool::{self, require};

/// The document that a registry has under a name.
pub fn remote(name: &str) -> (String, Value) {
    let raw = tool::run("skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    let document = serde_json::from_str(&raw).unwrap();
    (digest(raw.as_bytes()), document)
}

/// What skopeo, as a reader, gets for a platform: the digest of the config.
fn config_of(name: &str, architecture: &str, variant: &str) -> String {
    let variant = format!("--override-variant={variant}");
    let architecture = format!("--override-arch={architecture}");
    let place = tempfile::tempdir().unwrap();
    let destination = format!("dir:{}", place.path().display());
    tool::run(
        "skopeo",
        [&architecture, &variant, "copy", "-q", "--src-tls-verify=false", &format!("docker://{name}"), &destination],
    );
    let manifest: Value = serde_json::from_slice(&fs::read(place.path().join("manifest.json")).unwrap()).unwrap();
    manifest["config"]["digest"].as_str().unwrap().to_owned()
}

/// Builds and pushes an image for one platform.
pub fn pushed(program: &Program, platform: &str, name: &str) -> String {
    let context = context("one");
    program.run(["build", "--platform", platform, "-t", name, "--push", context.path().to_str().unwrap()]).digest()
}

fn manifest(program: &Program, arguments: &[&str]) -> Outcome {
    program.run([&["docker", "manifest"], arguments].concat())
}

fn entries(program: &Program) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(program.docker_config().join("manifests"))
        .into_iter()
        .flatten()
        .flat_map(|list| fs::read_dir(list.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

#[test]
fn a_release_script_makes_a_list_and_pushes_it() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let (program, registry) = (Program::new(), DockerRegistry::open());
    let context = context("one");
    let text = format!(
        r#"
APP={}/team/app
for arch in amd64 arm64 arm; do
    docker build --platform linux/$arch -t $APP:1.0-$arch .
    docker push -q $APP:1.0-$arch >/dev/null
done
rm -rf ~/.docker/manifests
docker manifest create $APP:1.0 $APP:1.0-amd64 $APP:1.0-arm64
docker manifest create --amend $APP:1.0 $APP:1.0-arm
docker manifest annotate $APP:1.0 $APP:1.0-arm64 --os linux --arch arm64 --variant v8
docker manifest annotate --os-version 1 --os-features a,b $APP:1.0 $APP:1.0-arm
docker manifest push $APP:1.0
docker manifest inspect $APP:1.0 | grep -c '"architecture"'
docker manifest push --purge $APP:1.0
docker manifest rm $APP:1.0 || echo gone
"#,
        registry.address()
    );
    let outcome = script(&program, context.path(), &text).success();
    let name = format!("{}/team/app:1.0", registry.address());
    let (digest, list) = remote(&name);
    assert_eq!(
        outcome.stdout,
        format!("Created manifest list {name}\nCreated manifest list {name}\n{digest}\n3\n{digest}\ngone\n")
    );
    assert_eq!(list["mediaType"], "application/vnd.oci.image.index.v1+json");
    let platforms: Vec<&Value> = list["manifests"].as_array().unwrap().iter().map(|it| &it["platform"]).collect();
    assert_eq!(
        platforms,
        [
            &json!({"architecture": "amd64", "os": "linux"}),
            &json!({"architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1", "os.features": ["a", "b"]}),
            &json!({"architecture": "arm64", "os": "linux", "variant": "v8"}),
        ]
    );
    // Who pulls gets the image of its platform.
    for (architecture, variant) in [("amd64", ""), ("arm64", "v8"), ("arm", "v7")] {
        let (_, image) = remote(&format!("{name}-{architecture}"));
        assert_eq!(config_of(&name, architecture, variant), image["config"]["digest"], "{architecture}");
    }
    assert_eq!(entries(&program), Vec::<PathBuf>::new());
}

#[test]
fn entries_are_what_docker_writes() {
    if !require("docker-registry") {
        return;
    }
    let (program, registry) = (Program::new(), DockerRegistry::open());
    let image = format!("{}/team/app:amd64", registry.address());
    let own = pushed(&program, "linux/amd64", &image);
    let list = format!("{}/team/app", registry.address());
    manifest(&program, &["create", &list, &image]).success();
    // The names of docker 28: `:` is `-`, `/` is `_`.
    let port = registry.address().replace(':', "-");
    let path = program.docker_config().join(format!("manifests/{port}_team_app-latest/{port}_team_app-amd64"));
    assert_eq!(entries(&program), std::slice::from_ref(&path));
    let entry: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let raw = BASE64_STANDARD.decode(entry["Raw"].as_str().unwrap()).unwrap();
    assert_eq!(digest(&raw), own);
    let document: Value = serde_json::from_slice(&raw).unwrap();
    assert_eq!(
        entry,
        json!({
            "Ref": image,
            "Descriptor": {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": own,
                "size": raw.len(),
                "platform": {"architecture": "amd64", "os": "linux"},
            },
            "Raw": entry["Raw"],
            "OCIManifest": document,
        })
    );
    // What old versions of docker wrote has no bytes of the manifest: they are the registry's.
    let mut old = entry.clone();
    old.as_object_mut().unwrap().remove("Raw");
    old["Descriptor"]["platform"]["variant"] = json!("v2");
    fs::write(&path, old.to_string()).unwrap();
    let shown = manifest(&program, &["inspect", &list, &image]).success();
    assert_eq!(serde_json::from_str::<Value>(&shown.stdout).unwrap(), document);
    assert!(shown.stdout.starts_with("{\n\t\"schemaVersion\": 2,\n\t\"mediaType\""), "{}", shown.stdout);
    let pushed = manifest(&program, &["push", &list]).success();
    let shown = manifest(&program, &["inspect", &list]).success();
    assert!(shown.stdout.starts_with("{\n   \"schemaVersion\": 2,\n   \"mediaType\""), "{}", shown.stdout);
    let listed: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(listed["manifests"][0]["platform"]["variant"], "v2");
    // What is not here is the registry's.
    fs::remove_dir_all(program.docker_config().join("manifests")).unwrap();
    let shown = manifest(&program, &["inspect", &list]).success();
    assert_eq!(serde_json::from_str::<Value>(&shown.stdout).unwrap(), listed);
    let verbose = manifest(&program, &["inspect", "-v", &list]).success();
    let verbose: Value = serde_json::from_str(&verbose.stdout).unwrap();
    assert_eq!(verbose[0]["Ref"], format!("{list}:latest@{own}"));
    assert_eq!((&verbose[0]["Descriptor"]["digest"], &verbose[0]["OCIManifest"]), (&json!(own), &document));
    let verbose = manifest(&program, &["inspect", "-v", &image]).success();
    let verbose: Value = serde_json::from_str(&verbose.stdout).unwrap();
    assert_eq!((&verbose["Ref"], &verbose["Raw"]), (&json!(image), &entry["Raw"]));
    assert_eq!(verbose["Descriptor"]["platform"], json!({"architecture": "amd64", "os": "linux"}));
    assert!(pushed.stdout.starts_with("sha256:") && pushed.stdout.lines().count() == 1, "{}", pushed.stdout);
}

#[test]
fn images_of_dockers_types_are_in_a_list_of_dockers_type() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let (program, registry) = (Program::new(), DockerRegistry::open());
    let at = |name: &str| format!("{}/{name}", registry.address());
    for architecture in ["amd64", "arm64"] {
        let name = at(&format!("app:{architecture}"));
        pushed(&program, &format!("linux/{architecture}"), &name);
        let to = at(&format!("app:docker-{architecture}"));
        let flags = ["copy", "-q", "--format=v2s2", "--src-tls-verify=false", "--dest-tls-verify=false"];
        tool::run("skopeo", [&flags[..], &[&format!("docker://{name}"), &format!("docker://{to}")]].concat());
    }
    for (list, images, kind) in [
        (
            "app:d",
            ["app:docker-amd64", "app:docker-arm64"],
            "application/vnd.docker.distribution.manifest.list.v2+json",
        ),
        // A list of docker's type has no place for OCI's.
        ("app:o", ["app:docker-amd64", "app:arm64"], "application/vnd.oci.image.index.v1+json"),
    ] {
        manifest(&program, &["create", &at(list), &at(images[0]), &at(images[1])]).success();
        let answer = manifest(&program, &["push", &at(list)]).success().stdout;
        let (digest, document) = remote(&at(list));
        assert_eq!((answer, &document["mediaType"]), (format!("{digest}\n"), &json!(kind)));
        let members = [0, 1].map(|number| document["manifests"][number]["digest"].as_str().unwrap().to_owned());
        let mut own = images.map(|name| remote(&at(name)).0);
        let mut sorted = members.clone();
        sorted.sort();
        own.sort();
        assert_eq!(sorted, own);
        assert_eq!(config_of(&at(list), "arm64", ""), remote(&at(images[1])).1["config"]["digest"]);
    }
}

#[test]
fn images_of_other_repositories_and_registries_come_along() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let program = Program::new();
    let (registry, other) = (DockerRegistry::open(), DockerRegistry::open());
    let near = format!("{}/ci/amd64:1", registry.address());
    let far = format!("{}/ci/arm64:1", other.address());
    let list = format!("{}/team/app:1", registry.address());
    let digests = [pushed(&program, "linux/amd64", &near), pushed(&program, "linux/arm64", &far)];
    manifest(&program, &["create", &list, &near, &far]).success();
    let outcome = manifest(&program, &["push", &list, "--progress=json"]).success();
    let repository = format!("{}/team/app", registry.address());
    let mut lines: Vec<String> =
        digests.iter().map(|digest| format!("Pushed ref {repository}@{digest} with digest: {digest}")).collect();
    lines.push(remote(&list).0);
    let mut told: Vec<&str> = outcome.stdout.lines().collect();
    told[..2].sort();
    lines[..2].sort();
    assert_eq!(told, lines);
    // The config of the one is mounted, as is the layer that both have; that of the other is sent.
    let said = |what: &str| outcome.stderr.matches(&format!("\"outcome\":\"{what}\"")).count();
    assert_eq!((said("mounted"), said("sent")), (2, 1), "{}", outcome.stderr);
    drop(other);
    for (architecture, digest) in ["amd64", "arm64"].iter().zip(&digests) {
        let (_, image) = remote(&format!("{repository}@{digest}"));
        assert_eq!(config_of(&list, architecture, ""), image["config"]["digest"]);
    }
}

#[test]
fn an_image_that_has_moved_is_taken_anew_and_one_that_has_not_keeps_what_was_said() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let (program, registry) = (Program::new(), DockerRegistry::open());
    let at = |name: &str| format!("{}/{name}", registry.address());
    pushed(&program, "linux/amd64", &at("app:amd64"));
    pushed(&program, "linux/arm64", &at("app:arm64"));
    manifest(&program, &["create", &at("app:1"), &at("app:amd64"), &at("app:arm64")]).success();
    manifest(&program, &["annotate", &at("app:1"), &at("app:arm64"), "--variant=v9"]).success();
    let context = context("two");
    let build = ["build", "--platform=linux/amd64", "-t", &at("app:amd64"), "--push"];
    let new = program.run([&build[..], &[context.path().to_str().unwrap()]].concat()).digest();
    manifest(&program, &["create", "-a", &at("app:1"), &at("app:amd64"), &at("app:arm64")]).success();
    manifest(&program, &["push", &at("app:1")]).success();
    let (_, list) = remote(&at("app:1"));
    assert_eq!(
        (&list["manifests"][0]["digest"], &list["manifests"][1]["platform"]["variant"]),
        (&json!(new), &json!("v9"))
    );
}

#[test]
fn what_cannot_be_done_is_said_in_dockers_words() {
    let (program, registry) = (Program::new(), FakeRegistry::new());
    let at = |name: &str| format!("{}/{name}", registry.address());
    let (list, image) = (at("app:1"), at("app:amd64"));
    pushed(&program, "linux/amd64", &image);
    let context = context("one");
    let platforms = ["build", "--platform=linux/amd64,linux/arm64", "-t", &at("app:both"), "--push"];
    program.run([&platforms[..], &[context.path().to_str().unwrap()]].concat()).success();
    let fails = |arguments: &[&str], code: i32, parts: &[&str]| {
        manifest(&program, arguments).failure(code).says(parts);
    };
    let none = at("app:none");
    fails(&["create", &list, &none], 1, &[&format!("no such manifest: {none}"), "docker push"]);
    // Nothing of a list is there if one of its images is not.
    fails(&["create", &list, &image, &none], 1, &["no such manifest"]);
    assert_eq!(entries(&program), Vec::<PathBuf>::new());
    fails(&["create", &list, &at("app:both")], 1, &[&format!("{} is a manifest list", at("app:both")), "imagetools"]);
    fails(&["create", &list], 1, &["MANIFEST"]);
    fails(&["create", "Not/good", &image], 1, &["lower case"]);
    fails(
        &["annotate", &list, &image, "--arch=arm64"],
        1,
        &[&format!("manifest for image {image} does not exist in {list}")],
    );
    fails(&["push", &list], 1, &[&format!("No such manifest: {list}")]);
    fails(&["inspect", &none], 1, &[&format!("no such manifest: {none}")]);
    fails(&["inspect", &list, &image], 1, &[&format!("No such manifest: {image}")]);
    manifest(&program, &["create", &list, &image]).success();
    fails(&["create", &list, &image], 1, &["refusing to amend an existing manifest list with no --amend flag"]);
    fails(&["annotate", &list, &none, "--arch=arm64"], 1, &["does not exist in"]);
    for (arch, hint) in
        [("wrong", "known ones are"), ("x86_64", "it is linux/amd64"), ("amd46", "did you mean `amd64`?")]
    {
        let unsupported = format!("manifest entry for image has unsupported os/arch combination: linux/{arch}");
        fails(&["annotate", &list, &image, "--arch", arch], 1, &[&unsupported, hint]);
    }
    // One that is not there does not keep the others.
    manifest(&program, &["create", &at("app:2"), &image]).success();
    let outcome = manifest(&program, &["rm", &list, &none, &at("app:2"), &at("app:3")]).failure(1);
    outcome.says(&[&format!("No such manifest: {none}"), &format!("No such manifest: {}", at("app:3"))]);
    assert_eq!(entries(&program), Vec::<PathBuf>::new());
    // Two for one platform are what docker pushes, too.
    pushed(&program, "linux/amd64", &at("app:again"));
    let context = super::context("other");
    let other = ["build", "--platform=linux/amd64", "-t", &at("app:other"), "--push", context.path().to_str().unwrap()];
    program.run(other).success();
    manifest(&program, &["create", &list, &image, &at("app:other"), &at("app:again")]).success();
    manifest(&program, &["push", &list]).success().says(&["are both listed for linux/amd64"]);
    let (_, bytes) = registry.manifest("app/1").unwrap();
    let pushed: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(pushed["manifests"].as_array().unwrap().len(), 2, "one that appears twice is listed once");
}

/// A list of one image, and the path of its entry.
fn list_of_one(program: &Program, registry: &FakeRegistry) -> (String, PathBuf) {
    let (image, list) = (format!("{}/app:amd64", registry.address()), format!("{}/app:1", registry.address()));
    pushed(program, "linux/amd64", &image);
    manifest(program, &["create", &list, &image]).success();
    (list, entries(program).remove(0))
}

/// What somebody has done to an entry.
type Change = fn(&mut Value);

fn rewrite(path: &Path, change: Change) {
    let mut entry: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut entry);
    fs::write(path, entry.to_string()).unwrap();
}

#[test]
fn an_entry_that_somebody_has_changed_is_refused() {
    let (program, registry) = (Program::new(), FakeRegistry::new());
    let (list, path) = list_of_one(&program, &registry);
    let whole = fs::read(&path).unwrap();
    let before = registry.requests().len();
    let cases: [(&str, Change); 6] = [
        ("its `Ref` is another image's", |entry| entry["Ref"] = json!("registry.example/evil:amd64")),
        ("its `Ref` is not a name", |entry| entry["Ref"] = json!("../../etc/passwd")),
        ("its `Raw` is not the manifest", |entry| entry["Raw"] = json!(BASE64_STANDARD.encode("{}"))),
        ("its `Raw` is not base64", |entry| entry["Raw"] = json!("%")),
        ("its `Raw` is not the manifest", |entry| entry["Descriptor"]["digest"] = json!(digest(b"another"))),
        ("its type is not that of a manifest", |entry| {
            entry["Descriptor"]["mediaType"] = json!("application/vnd.oci.image.index.v1+json")
        }),
    ];
    for (why, change) in cases {
        rewrite(&path, change);
        for command in ["push", "inspect"] {
            let outcome = manifest(&program, &[command, &list]).failure(1);
            outcome.says(&["is not an entry of a manifest list", why, "docker manifest rm"]);
        }
        fs::write(&path, &whole).unwrap();
    }
    fs::write(&path, "{\"Ref\":\"\u{1b}[2J\n::error::x\"").unwrap();
    let outcome = manifest(&program, &["push", &list]).failure(1);
    assert!(!outcome.stderr.contains('\u{1b}') && !outcome.stderr.contains("\n::error"), "{}", outcome.stderr);
    fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
    manifest(&program, &["push", &list]).failure(1).says(&["it is not a regular file"]);
    assert_eq!(registry.requests().len(), before, "no registry was asked");
    manifest(&program, &["rm", &list]).success();
}

#[test]
fn a_list_has_what_the_registry_vouches_for_and_nothing_else() {
    let (program, registry) = (Program::new(), FakeRegistry::new());
    let (list, path) = list_of_one(&program, &registry);
    // Without its bytes an entry may claim any size, and any digest: what is pushed is what the registry has.
    rewrite(&path, |entry| {
        entry.as_object_mut().unwrap().remove("Raw");
        entry["Descriptor"]["size"] = json!(1);
    });
    manifest(&program, &["push", &list]).success();
    let (_, bytes) = registry.manifest("app/1").unwrap();
    let pushed: Value = serde_json::from_slice(&bytes).unwrap();
    let (_, member) = registry.manifest("app/amd64").unwrap();
    assert_eq!(pushed["manifests"][0]["size"], member.len());
    rewrite(&path, |entry| entry["Descriptor"]["digest"] = json!(digest(b"nowhere")));
    manifest(&program, &["push", &list]).failure(1).says(&["no such manifest"]);
}

#[test]
fn a_registry_that_answers_with_another_manifest_is_not_believed() {
    let honest = FakeRegistry::new();
    let program = Program::new();
    pushed(&program, "linux/amd64", &format!("{}/app:amd64", honest.address()));
    let (kind, bytes) = honest.manifest("app/amd64").unwrap();
    let lying = FakeRegistry::scripted(move |request| {
        let is_manifest = request.path.contains("/manifests/");
        let reply = Reply::Answer(200, Vec::new(), bytes.iter().copied().chain(*b" ").collect());
        is_manifest.then(|| reply.with("content-type", &*kind).with("docker-content-digest", digest(&bytes)))
    });
    let name = format!("{}/app:amd64", lying.address());
    for command in [&["create", "example/list", &name][..], &["inspect", &name]] {
        let outcome = manifest(&program, command).failure(1);
        assert!(outcome.stderr.contains("digest") || outcome.stderr.contains("bytes"), "{}", outcome.stderr);
    }
    assert_eq!(entries(&program), Vec::<PathBuf>::new());
}
