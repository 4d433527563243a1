//! The images of an `ocibake.toml`: made of layers, of Dockerfiles, and of each other.

use serde_json::{Value, json};

use super::Case;
use crate::support::docker_registry::DockerRegistry;
use crate::support::git_server::GitServer;
use crate::support::program::Program;
use crate::support::rebuild::settle;
use crate::support::targets::counts;
use crate::support::tool::require;

/// An image of layers, one of a Dockerfile that stands on it, and one of layers that stands on that.
const TABLE: &str = r#"
vendor = "Team"

[image.common]
description = "What the others stand on"
[[image.common.layer]]
add = [{ from = "etc", to = "/etc/app/", mode = "u=rwX,go=rX" }]
[image.common.config]
env = { OF = "common" }
user = "1000"

[image.web]
tags = ["team/web:dev"]
context = "web"
contexts = { common = "target:common" }
args = { VERSION = "3" }
labels = { kind = "site" }

[image.api]
tags = ["team/api:dev"]
base = "target:web"
[[image.api.layer]]
name = "the program"
add = [{ from = "out/api", to = "/bin/", mode = "0755" }]
[image.api.config]
entrypoint = ["/bin/api"]
"#;

fn table() -> Case {
    Case::new(&[
        ("ocibake.toml", TABLE),
        ("etc/conf", "of all"),
        ("out/api", "program"),
        ("web/Dockerfile", "FROM common\nARG VERSION\nLABEL version=$VERSION\nCOPY --chmod=644 index.html /srv/\n"),
        ("web/index.html", "page"),
    ])
}

fn inspect(program: &Program, image: &str) -> Value {
    let shown = program.run(["docker", "inspect", image]).success().stdout;
    serde_json::from_str::<Value>(&shown).unwrap()[0].clone()
}

fn layers(image: &Value) -> Vec<Value> {
    image["RootFS"]["Layers"].as_array().unwrap().clone()
}

#[test]
fn images_of_layers_and_of_dockerfiles_stand_on_each_other() {
    let case = table();
    let program = case.program();
    settle();
    let outcome = program.run(["bake", "--progress", "json"]).success();
    let counted: Vec<(String, u64)> = counts(&outcome).into_iter().map(|(name, run, _)| (name, run)).collect();
    assert_eq!(counted, [("common".to_owned(), 1), ("web".to_owned(), 1), ("api".to_owned(), 1)]);
    let (web, api) = (inspect(&program, "team/web:dev"), inspect(&program, "team/api:dev"));
    assert_eq!((layers(&web).len(), layers(&api).len()), (2, 3));
    assert_eq!(layers(&api)[..2], layers(&web)[..]);
    for image in [&web, &api] {
        // A Dockerfile sees to a PATH.
        assert_eq!((&image["Config"]["Env"][0], &image["Config"]["User"]), (&json!("OF=common"), &json!("1000")));
        let labels = &image["Config"]["Labels"];
        assert_eq!((&labels["kind"], &labels["version"]), (&json!("site"), &json!("3")));
        assert_eq!(labels["org.opencontainers.image.vendor"], "Team");
    }
    assert_eq!(api["Config"]["Entrypoint"], json!(["/bin/api"]));
    program.run(["bake", "api", "--set", "api.output=type=local,dest=files"]).success();
    let read = |path: &str| std::fs::read_to_string(case.path().join("files").join(path)).unwrap();
    assert_eq!([read("etc/app/conf"), read("srv/index.html"), read("bin/api")], ["of all", "page", "program"]);
    // What is changed in one is made anew there alone.
    std::fs::write(case.path().join("out/api"), "another program").unwrap();
    settle();
    let counted = counts(&program.run(["bake", "--progress", "json"]).success());
    assert_eq!(counted.iter().map(|(_, run, _)| *run).collect::<Vec<_>>(), [0, 0, 1]);
}

#[test]
fn an_image_of_layers_is_the_one_of_its_own_file() {
    let spec = r#"
platforms = ["linux/amd64", "linux/arm64"]
title = "Program"
version = "2"
libc = "gnu"
[labels]
a = "b"
[[layer]]
add = [{ from = "out-{triple}", to = "/bin/program", mode = "+x", owner = "1:2" }]
[config]
cmd = ["/bin/program"]
ports = [80]
[annotations]
c = "d"
"#;
    let files =
        [("ocibake.toml", spec), ("out-x86_64-unknown-linux-gnu", "amd"), ("out-aarch64-unknown-linux-gnu", "arm")];
    let table = spec.replace("[[layer]]", "[[image.one.layer]]").replace("[config]", "[image.one.config]");
    let (top, own) = table.split_once("[[image").unwrap();
    let (own, annotations) = own.split_once("[annotations]").unwrap();
    let table = format!("{top}[annotations]{annotations}[image.one]\ntags = [\"one\"]\n[[image{own}");
    let case = Case::new(&[&files[..], &[("several.toml", &table)]].concat());
    let program = case.program();
    let alone = program.run(["build", "-t", "alone"]).success().digest();
    program.run(["bake", "-f", "several.toml", "--metadata-file", "meta.json"]).success();
    let meta: Value = serde_json::from_str(&std::fs::read_to_string(case.path().join("meta.json")).unwrap()).unwrap();
    assert_eq!(meta["one"]["containerimage.digest"], json!(alone));
}

#[test]
fn the_images_that_are_named_are_built_or_those_of_a_group() {
    let case = table();
    let program = case.program();
    program.run(["bake", "web"]).success();
    inspect(&program, "team/web:dev");
    program.run(["docker", "inspect", "team/api:dev"]).failure_with_result(1);
    let groups = format!("{TABLE}\n[group]\ndefault = [\"site\"]\nsite = [\"web\"]\n");
    std::fs::write(case.path().join("ocibake.toml"), groups).unwrap();
    assert_eq!(
        case.run(&["--list", "targets"]).success().stdout,
        "TARGET\tDESCRIPTION\napi\t\ncommon\tWhat the others stand on\ndefault\tsite\nsite\tweb\nweb\t\n"
    );
    let printed = case.print(&[]);
    assert_eq!(printed["group"], json!({"default": {"targets": ["site"]}, "site": {"targets": ["web"]}}));
    assert_eq!(printed["target"].as_object().unwrap().keys().collect::<Vec<_>>(), ["common", "web"]);
}

#[test]
fn what_an_image_comes_to_is_printed_under_the_keys_of_its_file() {
    let case = table();
    let printed = case.print(&["--set", "api.platform=linux/arm64", "--set", "*.labels.new=yes"]);
    let api = json!({
        "context": ".",
        "labels": {"new": "yes", "org.opencontainers.image.vendor": "Team"},
        "tags": ["team/api:dev"],
        "platforms": ["linux/arm64"],
        "base": "target:web",
        "layer": [{"name": "the program", "add": [{"from": "out/api", "to": "/bin/", "mode": "0755"}]}],
        "config": {"entrypoint": ["/bin/api"]},
    });
    assert_eq!(printed["target"]["api"], api);
    let web = json!({
        "context": "web",
        "contexts": {"common": "target:common"},
        "dockerfile": "Dockerfile",
        "args": {"VERSION": "3"},
        "labels": {"kind": "site", "new": "yes", "org.opencontainers.image.vendor": "Team"},
        "tags": ["team/web:dev"],
    });
    assert_eq!(printed["target"]["web"], web);
    assert_eq!(printed["target"]["common"]["config"], json!({"env": ["OF=common"], "user": "1000"}));
    assert_eq!(printed["group"], json!({"default": {"targets": ["api", "common", "web"]}}));
}

#[test]
fn paths_are_relative_to_the_file_whose_directory_may_be_read() {
    let case = table();
    std::fs::create_dir(case.path().join("elsewhere")).unwrap();
    let program = case.program().directory(case.path().join("elsewhere"));
    let printed: Value =
        serde_json::from_str(&program.run(["bake", "-f", "../ocibake.toml", "--print"]).success().stdout).unwrap();
    assert_eq!(printed["target"]["web"]["context"], "../web");
    program.run(["bake", "-f", "../ocibake.toml"]).success();
    let beyond = TABLE.replace("context = \"web\"", "context = \"../web\"");
    std::fs::rename(case.path().join("web"), case.path().join("elsewhere/web")).unwrap();
    std::fs::create_dir(case.path().join("deep")).unwrap();
    std::fs::write(case.path().join("deep/ocibake.toml"), beyond).unwrap();
    let outcome = program.run(["bake", "-f", "../deep/ocibake.toml", "common", "web"]).failure(1);
    outcome.says(&["there is no Dockerfile in ../web", "../deep/ocibake.toml:12:8"]);
    std::fs::rename(case.path().join("elsewhere/web"), case.path().join("web")).unwrap();
    let outcome = program.run(["bake", "-f", "../deep/ocibake.toml", "web"]).failure(1);
    outcome.says(&["not allowed: to read ../web", "--allow=fs.read=../web"]);
}

#[test]
fn all_images_are_released_under_all_tags_of_one_version() {
    if !require("docker-registry") {
        return;
    }
    let (case, registry) = (table(), DockerRegistry::open());
    let program = case.program();
    let place = format!("{}/team", registry.address());
    let flags = ["--tag", "v1.2.0", "--registry", &place, "--push", "--image-refs", "refs", "--timings", "t.html"];
    let released = program.run([&["bake", "web", "api"], &flags[..]].concat()).success();
    let lines: Vec<&str> = released.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, name) in lines.iter().zip(["api", "web"]) {
        let (_, digest) = line.split_once(&format!("{place}/{name}:v1.2.0@")).expect("it is named");
        for tag in ["v1.2.0", "1.2.0", "1.2", "1", "latest"] {
            let shown = program.run(["inspect", &format!("{place}/{name}:{tag}"), "--json"]).success().stdout;
            assert!(shown.contains(digest), "{name}:{tag}: {shown}");
        }
    }
    assert!(!registry.has_seen("team/common"));
    let refs = std::fs::read_to_string(case.path().join("refs")).unwrap();
    assert_eq!(refs.lines().count(), 2, "{refs}");
    assert!(std::fs::read_to_string(case.path().join("t.html")).unwrap().contains("the program"));
    program.run(["bake", "-o", "system.tar"]).success();
    let other = Program::new();
    other.run(["load", "-i", case.path().join("system.tar").to_str().unwrap()]).success();
    assert_eq!(inspect(&other, "team/api:dev")["Config"]["Entrypoint"], json!(["/bin/api"]));
}

#[test]
fn bake_files_go_before_and_may_be_laid_over() {
    let case = table();
    let hcl = "target \"api\" {\n  tags = [\"other\"]\n  args = { A = \"b\" }\n}\n";
    std::fs::write(case.path().join("docker-bake.hcl"), hcl).unwrap();
    assert_eq!(case.target(&["api"])["tags"], json!(["other"]));
    let printed = case.print(&["-f", "docker-bake.hcl", "-f", "ocibake.toml", "api"]);
    assert_eq!(printed["target"]["api"]["tags"], json!(["other"]));
    assert_eq!(printed["target"]["api"]["base"], "target:web");
    let program = case.program();
    let outcome = program.run(["bake", "-f", "docker-bake.hcl", "-f", "ocibake.toml", "api"]).success();
    outcome.says(&["`args` of the target api changes nothing: it is made of layers"]);
    inspect(&program, "other");
}

#[test]
fn only_dockerfiles_are_asked_about() {
    let case = table();
    let checked = case.run(&["--check"]).success().stdout;
    assert!(checked.contains("web") && !checked.contains("api"), "{checked}");
    case.run(&["common", "--check"]).failure(2).says(&["there is no Dockerfile to ask about"]);
}

#[test]
fn a_file_with_images_says_what_builds_them() {
    let case = table();
    let program = case.program();
    let outcome = program.run(["build", "."]).failure(1);
    outcome.says(&["ocibake.toml:4:2", "a table for each of several images", "`ocibake bake -f ocibake.toml`"]);
    let nothing = Case::new(&[]);
    nothing.run(&[]).failure(1).says(&["couldn't find a bake definition", "docker-bake.hcl", "ocibake.toml"]);
}

/// A file that `ocibake build` reads is one of a single target.
#[test]
fn the_only_image_of_a_file_is_the_default_target() {
    let spec = "name = \"registry.example/org/api\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\ntitle = \"It\"\n\
                [[layer]]\nadd = [{ from = \"dist/api\", to = \"/bin/\" }]\n";
    let case = Case::new(&[("ocibake.toml", spec), ("dist/api", "program")]);
    assert_eq!(case.target(&[])["tags"], json!(["registry.example/org/api:latest"]));
    let program = case.program();
    let built = program.run(["build", ".", "-o", "built/"]).digest();
    program.run(["bake", "-o", "baked/"]).success();
    let index = |layout: &str| {
        let bytes = std::fs::read(case.path().join(layout).join("index.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()["manifests"][0]["digest"].clone()
    };
    assert_eq!(index("built"), built.as_str());
    assert_eq!(index("baked"), built.as_str());
    program.run(["bake", "default", "--tag", "v1.2.3"]).success();
    inspect(&program, "registry.example/org/api:v1.2.3");
    let elsewhere = program.run(["bake", "-f", "ocibake.toml", "api"]);
    elsewhere.failure(1).says(&["failed to find target api"]);
    let wrong = Case::new(&[("ocibake.toml", "[[layer]]\nadd = [{ from = \"missing\", to = \"/bin/\" }]\n")]);
    wrong.run(&[]).failure(1).says(&["missing", "ocibake.toml:2"]);
}

#[test]
fn images_are_read_from_a_repository_and_name_none_of_this_machine() {
    let server = GitServer::new();
    let repository = server.repository("app");
    let local = "[image.a]\nbase = \"oci:../../layout\"\n";
    repository.write("ocibake.toml", TABLE).write("deep/local.toml", local).write("etc/conf", "of all");
    repository.write("out/api", "program").write("web/index.html", "page");
    repository.write("web/Dockerfile", "FROM common\nARG VERSION\nCOPY index.html /srv/\n").commit(1);
    let (url, case) = (server.url("app"), Case::new(&[]));
    let printed = case.print(&[&url]);
    assert_eq!(
        (&printed["target"]["web"]["context"], &printed["target"]["api"]["context"]),
        (&json!("web"), &json!(url))
    );
    let program = case.program();
    program.run(["bake", &url]).success();
    assert_eq!(layers(&inspect(&program, "team/api:dev")).len(), 3);
    let outcome = program.run(["bake", &url, "-f", "deep/local.toml", "a"]).failure(1);
    outcome.says(&["target a: the base oci:../../layout is on this machine", "deep/local.toml:1:8"]);
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, parts) in [
        ("[image.a]\nbas = \"x\"\n", &["ocibake.toml:2:1", "unknown key `bas` in `a`", "did you mean `base`"][..]),
        ("[image.a]\ndockerfile = \"none\"\n", &["ocibake.toml:1:8", "target a: there is no none in ."]),
        (
            "[image.a]\nbase = \"target:b\"\n[image.b]\ncontexts = { a = \"target:a\" }\n",
            &["ocibake.toml:2:8", "the images take from each other: a → b → a"],
        ),
        (
            "[image.api]\nbase = \"target:apo\"\n",
            &["ocibake.toml:2:8", "`api` takes from `apo`, which is not one of them", "did you mean `target:api`"],
        ),
        (
            "base = \"scratch\"\n[image.a]\n[group]\nx = [\"b\"]\n",
            &["ocibake.toml:4:6", "there is no image `b`", "known images are a, x"],
        ),
        ("base = \"scratch\"\n[image.a]\n[group]\na = [\"a\"]\n", &["ocibake.toml:4:1", "`a` is an image, too"]),
        ("base = \"scratch\"\n[image.a]\n[group]\nx = []\n", &["ocibake.toml:4:5", "the group `x` has no images"]),
        ("[image.default]\n", &["ocibake.toml:1:8", "`default` stands for all images", "`[group]`"]),
        (
            "[image.a]\nbase = \"scratch\"\nindex = false\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n",
            &["ocibake.toml:3:9", "`a` is for several platforms, and needs an index"],
        ),
        (
            "[image.a]\nplatforms = [\"windows/amd64\"]\nbase = \"target:b\"\n[image.b]\nplatforms = [\"linux/amd64\"]\n[[image.b.layer]]\nadd = [{ from = \"ocibake.toml\", to = \"/x\" }]\n",
            &["target a: the target b is for linux/amd64, and nothing for windows/amd64 can be based on it"],
        ),
        ("[image.a]\n[[image.a.layer]]\nadd = [{ from = \"none\", to = \"/x\" }]\n", &["ocibake.toml:3:17", "none"]),
    ] {
        let outcome = Case::new(&[("ocibake.toml", text)]).run(&[]).failure(1);
        assert_eq!(outcome.stdout, "", "{text}");
        outcome.says(parts);
    }
    let case = table();
    case.run(&["apy"]).failure(1).says(&["failed to find target apy", "did you mean `api`"]);
}
