//! `ocibake rebase`: an image on another base, without building it.

use std::fs;
use std::path::Path;
use std::process::Command;

use ocibake::oci::Descriptor;
use serde_json::{Value, json};

use crate::support::base::{DOCKER_LIST, INDEX, add, image, index, layer, listed, platform, root};
use crate::support::container::{Bundle, require_runtime};
use crate::support::docker_registry::DockerRegistry;
use crate::support::handmade::{Blob, DOCKER, GZIP, ZSTD, directory, file, tar};
use crate::support::layout::Layout;
use crate::support::memory_store::MemoryStore;
use crate::support::program::{Outcome, Program};
use crate::support::registry_client::client;
use crate::support::tool::{self, checked, require};

use ocibake::progress::silent;

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// A registry with an old base, a new one, and an image on the old one.
struct World {
    registry: DockerRegistry,
    program: Program,
    old: Descriptor,
    new: Descriptor,
    image: Descriptor,
}

/// What two bases and an image say of how they run. What the image has changed is what the comments name.
fn configs() -> [Value; 3] {
    let old = json!({
        "Env": ["PATH=/old", "KEPT=old", "GONE=old", "CHANGED=old"], "Cmd": ["old"], "User": "old", "WorkingDir": "/old",
        "Labels": {"base": "old", "gone": "old", "changed": "old"}, "ExposedPorts": {"1/tcp": {}}, "StopSignal": "SIGINT",
        "Odd": "old",
    });
    let new = json!({
        "Env": ["PATH=/new", "KEPT=new", "GONE=new", "CHANGED=new", "ADDED=new"], "Cmd": ["new"], "User": "new",
        "WorkingDir": "/new", "Labels": {"base": "new", "gone": "new", "changed": "new", "added": "new"},
        "ExposedPorts": {"2/tcp": {}}, "StopSignal": "SIGQUIT", "Shell": ["/new"], "Odd": "new",
    });
    // GONE and the label `gone` are removed; CHANGED, `changed`, MINE, `mine`, port 3, entrypoint, command and directory set.
    let image = json!({
        "Env": ["PATH=/old", "KEPT=old", "CHANGED=mine", "MINE=1"], "Entrypoint": ["/mine"], "User": "old",
        "WorkingDir": "/mine", "Labels": {"base": "old", "changed": "mine", "mine": "1"},
        "ExposedPorts": {"1/tcp": {}, "3/tcp": {}}, "StopSignal": "SIGINT", "Odd": "old",
    });
    [old, new, image]
}

fn history(words: &[(&str, bool)]) -> Value {
    let entry = |(word, is_empty): &(&str, bool)| match is_empty {
        true => json!({"created_by": word, "empty_layer": true}),
        false => json!({"created_by": word}),
    };
    json!(words.iter().map(entry).collect::<Vec<_>>())
}

/// The document that `listed` leads to, changed.
fn changed(store: &mut MemoryStore, image: &Value, change: impl FnOnce(&mut Value, &mut Value)) -> Value {
    let read = |store: &MemoryStore, of: &Value| -> Value {
        serde_json::from_slice(store.bytes(of["digest"].as_str().unwrap().parse().unwrap())).unwrap()
    };
    let mut manifest = read(store, image);
    let mut config = read(store, &manifest["config"]);
    change(&mut manifest, &mut config);
    let descriptor = add(store, manifest["config"]["mediaType"].as_str().unwrap(), &config);
    manifest["config"] = listed(&descriptor);
    let descriptor = add(store, manifest["mediaType"].as_str().unwrap(), &manifest);
    let mut again = listed(&descriptor);
    again["platform"] = image["platform"].clone();
    again
}

fn put(registry: &DockerRegistry, store: &MemoryStore, root: &Descriptor, name: &str) {
    let name = format!("{}/{name}", registry.address()).parse().unwrap();
    let (client, graph) = (client(), store.graph(root));
    let repository = client.repository(&name, &silent);
    repository.upload(&graph, store).unwrap();
    repository.tag(&graph, &[name.tag().unwrap().to_owned()]).unwrap();
}

impl World {
    /// The bases' layers are docker's, those of the image what they may be.
    fn new() -> World {
        let registry = DockerRegistry::open();
        let mut store = MemoryStore::default();
        let [old, new, own] = configs();
        let blob = |name: &str, of: &str, kind| layer(file(name, format!("{name} for {of}")), kind);
        let mut made: [Vec<Value>; 3] = Default::default();
        for of in PLATFORMS {
            let upper = [blob("upper", of, GZIP), blob("top", of, ZSTD)];
            let olds = [blob("old", of, DOCKER)];
            let news = [blob("new", of, DOCKER), blob("newer", of, DOCKER)];
            let oldest = image(&mut store, of, &olds, old.clone(), true);
            made[0].push(changed(&mut store, &oldest, |_, config| {
                config["history"] = history(&[("old", false), ("CMD old", true)]);
            }));
            let newest = image(&mut store, of, &news, new.clone(), true);
            made[1].push(changed(&mut store, &newest, |_, config| {
                config["history"] = history(&[("new", false), ("newer", false), ("CMD new", true)]);
                config["os.version"] = json!("7");
            }));
            let both: Vec<Blob> = olds.iter().chain(&upper).cloned().collect();
            made[2].push(image(&mut store, of, &both, own.clone(), false));
        }
        let [olds, news, mine] = made;
        let old = index(&mut store, DOCKER_LIST, &olds);
        let new = index(&mut store, DOCKER_LIST, &news);
        put(&registry, &store, &old, "org/base:old");
        put(&registry, &store, &new, "org/base:new");
        let base = format!("{}/org/base:old", registry.address());
        let mut images: Vec<Value> = mine
            .iter()
            .map(|image| {
                changed(&mut store, image, |manifest, config| {
                    config["created"] = json!("2020-01-02T03:04:05Z");
                    let own = [("old", false), ("CMD old", true), ("ENV", true), ("upper", false), ("top", false)];
                    config["history"] = history(&own);
                    manifest["annotations"] = json!({
                        "mine": "1",
                        "org.opencontainers.image.base.name": base,
                        "org.opencontainers.image.base.digest": old.digest.to_string(),
                    });
                })
            })
            .collect();
        let mut attestation = image(&mut store, "linux/amd64", &[], json!({}), false);
        attestation["platform"] = platform("unknown/unknown");
        images.push(attestation);
        let image = index(&mut store, INDEX, &images);
        put(&registry, &store, &image, "org/api:v1");
        World { registry, program: Program::new(), old, new, image }
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.address())
    }

    fn rebase(&self, arguments: &[&str]) -> Outcome {
        let onto = format!("--onto={}", self.at("org/base:new"));
        self.program.run([&["rebase", &self.at("org/api:v1"), &onto], arguments].concat())
    }
}

#[test]
fn an_image_is_put_on_a_newer_base_with_all_platforms() {
    if !require("docker-registry") {
        return;
    }
    let world = World::new();
    let layout = world.program.home().join("layout");
    let output = format!("{}/", layout.display());
    let outcome = world.rebase(&["-o", &output]);
    let outcome = outcome.success().says(&["1 attestation is left out"]);
    let images = Layout::open(&layout).images();
    assert_eq!(Layout::open(&layout).roots()[0]["digest"], outcome.stdout.trim());
    assert_eq!(images.iter().map(|image| image.platform()).collect::<Vec<_>>(), PLATFORMS);
    for (image, of) in images.iter().zip(PLATFORMS) {
        let contents = |name: &str, kind| layer(file(name, format!("{name} for {of}")), kind).bytes;
        let layers: Vec<Vec<u8>> = image.layers.iter().map(|path| fs::read(path).unwrap()).collect();
        let expected =
            [contents("new", DOCKER), contents("newer", DOCKER), contents("upper", GZIP), contents("top", ZSTD)];
        assert_eq!(layers, expected, "layers pass through untouched");
        let types: Vec<&Value> =
            image.manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["mediaType"]).collect();
        assert_eq!(types, [GZIP, GZIP, GZIP, ZSTD]);
        let expected = json!({
            "mine": "1",
            "org.opencontainers.image.base.name": world.at("org/base:new"),
            "org.opencontainers.image.base.digest": world.new.digest.to_string(),
        });
        assert_eq!(image.manifest["annotations"], expected);
        let config = &image.config;
        assert_eq!((&config["created"], &config["os.version"]), (&json!("2020-01-02T03:04:05Z"), &json!("7")));
        let expected =
            [("new", false), ("newer", false), ("CMD new", true), ("ENV", true), ("upper", false), ("top", false)];
        assert_eq!(config["history"], history(&expected));
        let expected = json!({
            "Env": ["PATH=/new", "KEPT=new", "CHANGED=mine", "ADDED=new", "MINE=1"],
            "Entrypoint": ["/mine"],
            "User": "new",
            "WorkingDir": "/mine",
            "Labels": {"base": "new", "changed": "mine", "added": "new", "mine": "1"},
            "ExposedPorts": {"2/tcp": {}, "3/tcp": {}},
            "StopSignal": "SIGQUIT",
            "Shell": ["/new"],
            "Odd": "new",
        });
        assert_eq!(config["config"], expected);
    }
}

#[test]
fn in_one_registry_no_layer_is_moved() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = World::new();
    let target = world.at("org/other:v1");
    let outcome = world.rebase(&["--push", "-t", &target, "--progress=json"]).success();
    let said = |what: &str| outcome.stderr.matches(&format!("\"outcome\":\"{what}\"")).count();
    assert_eq!(said("mounted"), 8, "four layers for each platform: {}", outcome.stderr);
    assert_eq!(said("sent"), 2, "the configs");
    let kept = fs::read_dir(world.program.store().join("blobs/sha256")).unwrap();
    let sizes: u64 = kept.map(|blob| blob.unwrap().metadata().unwrap().len()).sum();
    assert!(sizes < 40_000, "no layers but documents are kept");
    let raw = tool::run("skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{target}")]);
    assert_eq!(crate::support::fake_registry::digest(raw.as_bytes()), outcome.stdout.trim());
}

#[test]
fn without_a_name_the_image_itself_is_renewed_and_a_second_time_nothing_changes() {
    if !require("docker-registry") {
        return;
    }
    let world = World::new();
    let first = world.rebase(&["--push"]).digest();
    assert_ne!(first, world.image.digest.to_string());
    let again = world.rebase(&["--push"]).success().says(&["is already based on"]);
    assert_eq!(again.stdout.trim(), first);
    let events = world.rebase(&["--push", "--progress=json"]).success();
    events.says(&[r#""event":"warning","kind":"already-on-base""#]);
}

#[test]
fn what_does_not_stand_on_the_old_base_is_refused() {
    if !require("docker-registry") {
        return;
    }
    let world = World::new();
    let output = ["-o", "out.tar"];
    let from = |base: &str| format!("--from={}", world.at(base));
    let outcome = world.rebase(&[&output[..], &[&from("org/base:new")]].concat()).failure(1);
    outcome.says(&["is not based on", "org/base:new", "--from"]);
    world.rebase(&[&output[..], &[&from("org/base:old")]].concat()).success();

    let onto = format!("--onto={}", world.at("org/base:new"));
    let outcome = world.program.run(["rebase", &world.at("org/base:old"), &onto, "-o", "base.tar"]).failure(1);
    outcome.says(&["does not say what it was built on", "--from"]);
    world.rebase(&[]).failure(2).says(&["-o", "--push"]);
}

#[test]
fn a_base_without_one_of_the_platforms_is_refused() {
    if !require("docker-registry") {
        return;
    }
    let world = World::new();
    let mut store = MemoryStore::default();
    let only = image(&mut store, "linux/amd64", &[layer(file("a", ""), GZIP)], json!({}), false);
    let small = index(&mut store, INDEX, &[only]);
    put(&world.registry, &store, &small, "org/base:small");
    let onto = format!("--onto={}", world.at("org/base:small"));
    let outcome = world.program.run(["rebase", &world.at("org/api:v1"), &onto, "-o", "out.tar"]).failure(1);
    outcome.says(&["org/base:small has no image for linux/arm64", "it has linux/amd64"]);
    assert!(!world.program.home().join("out.tar").exists());
}

#[test]
fn an_old_base_that_is_gone_is_an_error_that_says_what_to_do() {
    if !require("docker-registry") {
        return;
    }
    let world = World::new();
    let mut store = MemoryStore::default();
    let lonely = image(&mut store, "linux/amd64", &[layer(file("a", ""), GZIP)], json!({}), false);
    let lonely = changed(&mut store, &lonely, |manifest, _| {
        manifest["annotations"] = json!({
            "org.opencontainers.image.base.name": world.at("org/gone:v1"),
            "org.opencontainers.image.base.digest": world.old.digest.to_string(),
        });
    });
    put(&world.registry, &store, &root(&lonely), "org/lonely:v1");
    let onto = format!("--onto={}", world.at("org/base:new"));
    let outcome = world.program.run(["rebase", &world.at("org/lonely:v1"), &onto, "-o", "out.tar"]).failure(1);
    outcome.says(&["the base that", "was built on is not available", "org/gone"]);
}

/// Others made the bases and the image, and others run what comes out.
#[test]
fn a_program_on_another_base_runs() {
    if !require_runtime() || !["docker-registry", "gcc"].into_iter().all(require) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).display().to_string();
    let source = r#"
        #include <stdio.h>
        #include <stdlib.h>
        int main() {
            char text[64] = "";
            FILE *file = fopen("/etc/base", "r");
            if (file) fgets(text, sizeof text, file);
            printf("%s %s", text, getenv("BASE"));
        }"#;
    fs::write(path("app.c"), source).unwrap();
    tool::run("gcc", ["-static", "-Os", "-o", &path("app"), &path("app.c")]);
    let layout = path("layout");
    tool::run("umoci", ["init", "--layout", &layout]);
    for base in ["old", "new"] {
        let image = format!("{layout}:{base}");
        fs::write(path(base), base).unwrap();
        tool::run("umoci", ["new", "--image", &image]);
        tool::run("umoci", ["insert", "--image", &image, &path(base), "/etc/base"]);
        tool::run("umoci", ["config", "--image", &image, "--config.env", &format!("BASE={base}")]);
    }
    tool::run("umoci", ["tag", "--image", &format!("{layout}:old"), "app"]);
    tool::run("umoci", ["insert", "--image", &format!("{layout}:app"), &path("app"), "/app"]);
    tool::run("umoci", ["config", "--image", &format!("{layout}:app"), "--config.entrypoint", "/app"]);
    let registry = DockerRegistry::open();
    let at = |name: &str| format!("{}/org/{name}:v1", registry.address());
    for name in ["old", "new", "app"] {
        let (from, to) = (format!("oci:{layout}:{name}"), format!("docker://{}", at(name)));
        checked(Command::new("skopeo").args([
            "copy",
            "-q",
            "--insecure-policy",
            "--dest-tls-verify=false",
            &from,
            &to,
        ]));
    }
    let run = |name: &str| {
        let place = tempfile::tempdir_in(place.path()).unwrap();
        Bundle::unpack(&format!("docker://{}", at(name)), "amd64", place.path()).run(&[])
    };
    assert_eq!(run("app"), "old old");
    let (onto, from) = (format!("--onto={}", at("new")), format!("--from={}", at("old")));
    Program::new().run(["rebase", &at("app"), &onto, &from, "-t", &at("moved"), "--push"]).success();
    assert_eq!(run("moved"), "new new");
    assert_eq!(run("app"), "old old", "the image itself stays");
    // Between layouts and archives, too, and back.
    let output = path("back.tar");
    let names = [format!("oci:{layout}:old"), format!("oci:{layout}:new")];
    let arguments = ["rebase", &at("moved"), "--onto", &names[0], "--from", &names[1], "-o", &output];
    Program::new().run(arguments).success();
    let unpacked = Bundle::unpack(&format!("oci-archive:{output}"), "amd64", place.path());
    assert_eq!(fs::read_to_string(unpacked.root().join("etc/base")).unwrap(), "old");
    assert!(Path::new(&unpacked.root()).join("app").exists());
}

/// The layers alone tell what an image stands on, wherever they are: they may have been compressed anew.
#[test]
fn layers_are_compared_by_what_is_in_them() {
    if !require("docker-registry") {
        return;
    }
    let registry = DockerRegistry::open();
    let mut store = MemoryStore::default();
    let content = tar(&[directory("etc"), file("etc/base", "old")]);
    let old = image(&mut store, "linux/amd64", &[Blob::of(&content, GZIP)], json!({}), false);
    let new = image(&mut store, "linux/amd64", &[layer(file("new", ""), GZIP)], json!({}), false);
    let upper = layer(file("upper", ""), GZIP);
    let own = image(&mut store, "linux/amd64", &[Blob::of(&content, ZSTD), upper.clone()], json!({}), false);
    for (image, name) in [(old, "old"), (new, "new"), (own, "own")] {
        put(&registry, &store, &root(&image), &format!("org/{name}:v1"));
    }
    let at = |name: &str| format!("{}/org/{name}:v1", registry.address());
    let program = Program::new();
    let arguments = ["rebase", &at("own"), "--onto", &at("new"), "--from", &at("old"), "-o", "out/"];
    program.run(arguments).success();
    let layout = Layout::open(program.home().join("out"));
    let [image] = &layout.images()[..] else { panic!("not one image") };
    assert_eq!(image.layers.len(), 2);
    assert_eq!(fs::read(&image.layers[1]).unwrap(), upper.bytes);
}
