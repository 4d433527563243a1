//! The program under docker's name: what scripts read, and what they are told.

use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{context, listed};
use crate::run::namespace::{BAKER, Bakery};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry;
use crate::support::program::{Outcome, Program, binary};
use crate::support::tool::{self, require};
use crate::support::traces::names_in;
use crate::support::tree::Tree;

/// A directory with links to the program under docker's names.
fn links() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for name in ["docker", "docker-compose", "docker-buildx"] {
        symlink(binary(), place.path().join(name)).unwrap();
    }
    place
}

/// Runs a script in `directory`, where `docker` is the program.
pub fn script(program: &Program, directory: &std::path::Path, text: &str) -> Outcome {
    let links = links();
    let path = format!("{}:{}", links.path().display(), std::env::var("PATH").unwrap());
    let given = program.command(["--version"]);
    let mut command = Command::new("sh");
    command.args(["-euc", text]).current_dir(directory).env_clear();
    for (name, value) in given.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    Outcome::of(command.env("PATH", path))
}

#[test]
fn a_script_builds_tags_and_pushes_as_with_docker() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let (program, registry) = (Program::new(), DockerRegistry::open());
    let context = Tree::new()
        .file("a/Dockerfile", "FROM scratch\nARG VERSION\nLABEL version=$VERSION\nCOPY f /\n")
        .file("a/f", "a")
        .file("b/Dockerfile", "FROM scratch\nCOPY f /\n")
        .file("b/f", "b")
        .plant();
    let text = format!(
        r#"
REGISTRY={}
docker login -u x -p y $REGISTRY >/dev/null 2>&1 || true
for service in a b; do
    docker build --rm --force-rm -m 1g -t $service:dev --build-arg VERSION=1.2 $service
    docker tag $service:dev $REGISTRY/team/$service:1.2
    docker tag $service:dev $REGISTRY/team/$service
    docker push $REGISTRY/team/$service:1.2
    docker push -q $REGISTRY/team/$service
done
ID=$(docker build -q a)
echo "id $ID"
docker inspect --format 'same {{{{.Id}}}}' a:dev
docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep -c team
"#,
        registry.address()
    );
    let outcome = script(&program, context.path(), &text).success();
    let line = |start: &str| outcome.stdout.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned();
    let digest = |name: &str| {
        let raw = tool::run(
            "skopeo",
            ["inspect", "--raw", "--tls-verify=false", &format!("docker://{}/team/{name}", registry.address())],
        );
        fake_registry::digest(raw.as_bytes())
    };
    assert_eq!(digest("a:1.2"), line("same "));
    assert_eq!(digest("a:latest"), line("same "));
    assert_ne!(digest("b:1.2"), line("same "));
    assert_eq!(outcome.stdout.matches("1.2: digest: sha256:").count(), 2);
    assert!(outcome.stdout.contains(&format!("{}/team/a:latest\n", registry.address())));
    assert!(line("id ").starts_with("sha256:") && outcome.stdout.ends_with("\n4\n"), "{}", outcome.stdout);
    // A name is pushed as it is: no other tags follow from its version.
    let tags =
        tool::run("skopeo", ["list-tags", "--tls-verify=false", &format!("docker://{}/team/a", registry.address())]);
    let tags: Value = serde_json::from_str(&tags).unwrap();
    let mut tags: Vec<&str> = tags["Tags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    tags.sort();
    assert_eq!(tags, ["1.2", "latest"]);
    assert!(outcome.stderr.contains("warning: --rm, --force-rm, --memory changes nothing here"), "{}", outcome.stderr);
}

#[test]
fn the_last_lines_are_those_that_scripts_look_for() {
    let (program, context) = (Program::new(), context("one"));
    let outcome = script(&program, context.path(), "docker build -t app:1 .").success();
    assert_eq!(outcome.stdout, "");
    let digest = listed(&program, "{{.Digest}}").remove(0);
    let end = format!("writing image {digest} done\nnaming to docker.io/library/app:1 done\n");
    assert!(outcome.stderr.ends_with(&end), "{}", outcome.stderr);
    let outcome = script(&program, context.path(), "DOCKER_BUILDKIT=0 docker build -t app:1 .").success();
    assert_eq!(outcome.stdout, format!("Successfully built {}\nSuccessfully tagged app:1\n", &digest[7..19]));
    let outcome = script(&program, context.path(), "docker build -q -t app:1 --iidfile id .; cat id").success();
    assert_eq!(outcome.stdout, format!("{digest}\n{digest}"));
}

#[test]
fn buildx_has_a_builder_and_its_outputs() {
    let (program, context) = (Program::new(), context("one"));
    let text = "
docker buildx create --name b --driver docker-container --use
docker buildx inspect --bootstrap b >/dev/null
docker buildx ls | grep -q default
docker buildx use b
docker-buildx build --load --provenance=false --sbom=false -t app .
docker buildx build -o out .
docker buildx build --platform linux/amd64,linux/arm64 -o type=oci,dest=app.tar .
docker buildx build -t kept --output type=image,name=also .
docker buildx build -t gone -o type=cacheonly .
DOCKER_DEFAULT_PLATFORM=linux/arm64 docker build -t arm .
docker buildx rm b
cat out/file
";
    let outcome = script(&program, context.path(), text).success();
    assert_eq!(outcome.stdout, "b\none");
    let mut names = listed(&program, "{{.Repository}} {{.Platforms}}");
    names.sort();
    assert_eq!(names, ["also linux/amd64", "app linux/amd64", "arm linux/arm64", "kept linux/amd64"]);
}

#[test]
fn builders_and_contexts_keep_the_names_that_they_are_given() {
    let (program, context) = (Program::new(), context("one"));
    let text = "
docker buildx inspect multi >/dev/null || exit 9
docker buildx create --name multi --driver-opt network=host --buildkitd-flags '--allow-insecure-entitlement network.host'
docker buildx ls | grep -q '^multi ' && docker buildx ls | grep -q '^default\\*'
docker buildx use multi
docker buildx ls | grep -q '^multi\\*' && docker buildx inspect --bootstrap | head -1
docker buildx create --use --name other
docker buildx inspect | head -1
docker buildx inspect | grep -q '^Platforms: .*linux/arm64'
docker buildx rm other
docker buildx rm multi
docker buildx ls | grep -c 'multi\\|other' || true
docker context create tls --docker host=tcp://docker:2376
docker context use tls
docker context show
docker context ls -q
docker context ls --format '{{.Name}} {{.Current}}'
docker --tlsverify --tlscacert ca.pem -H tcp://docker:2376 images -q
";
    let told = script(&program, context.path(), text).success().stdout;
    assert_eq!(
        told,
        "multi\nName:          multi\nother\nName:          other\n0\ntls\ntls\ndefault\ndefault\ndefault true\n"
    );
    let text = "docker buildx create --name 'no name'";
    script(&program, context.path(), text).failure(1).says(&["`no name` is not the name of a builder"]);
    // A file that somebody has damaged holds no names.
    std::fs::write(program.store().join("builders.json"), "{").unwrap();
    script(&program, context.path(), "docker buildx ls | grep -q default").success();
}

#[test]
fn a_script_finds_a_docker_that_is_new_enough() {
    let (program, context) = (Program::new(), context("one"));
    let own = env!("CARGO_PKG_VERSION");
    let text = "docker -v; docker --version; docker version -f '{{.Server.Version}} {{.Client.APIVersion}}'
[ \"$(printf '%s\\n' 20.10.0 \"$(docker info -f '{{.ServerVersion}}')\" | sort -V | head -1)\" = 20.10.0 ]
docker version | head -1";
    let version = format!("Docker version 28.0.0, build ocibake-{own}\n");
    let told = script(&program, context.path(), text).success().stdout;
    assert_eq!(told, format!("{version}{version}28.0.0 1.48\nClient: ocibake {own}\n"));
}

#[test]
fn a_value_may_begin_as_a_flag_does() {
    let (program, context) = (Program::new(), context("one"));
    let text = "docker build -q --label -x=-y --build-arg -unused -t app . >/dev/null
docker inspect -f '{{json .Config.Labels}}' app";
    assert_eq!(script(&program, context.path(), text).success().stdout, "{\"-x\":\"-y\"}\n");
    // A password may, too.
    script(&program, context.path(), "docker login -u x -p -secret 127.0.0.1:1").failure(1).says(&["127.0.0.1:1"]);
    // A flag that wants no value is none.
    script(&program, context.path(), "docker build --no-such-flag .").failure(125).says(&["--no-such-flag"]);
}

#[test]
fn what_commands_have_left_is_pruned_by_whoever_has_subordinate_ids() {
    let steps = "RUN mkdir -m 700 /closed && touch /closed/x && chown -R 7:8 /closed\nRUN true\n";
    let Some(bakery) = Bakery::with(Tree::new(), steps) else { return };
    for kind in ["builder", "buildx", "image", "system"] {
        bakery.by(BAKER, &[], &bakery.build(&[])).success();
        let unpacked = bakery.program.store().join("unpacked");
        assert_ne!(names_in(&unpacked), [""; 0], "{kind}");
        bakery.by(BAKER, &[], &["docker", kind, "prune", "-af"]).success();
        assert_eq!(names_in(&unpacked), [""; 0], "{kind}");
    }
}

/// Commands of an `ONBUILD` are not known of before the base is.
#[test]
fn a_program_that_is_started_again_keeps_dockers_words() {
    let Some(bakery) = Bakery::with(Tree::new(), "ONBUILD RUN touch /x && chown 7:8 /x\n") else { return };
    bakery.by(BAKER, &[], &bakery.build(&["-t", "base"])).success();
    std::fs::write(bakery.context.path().join("Dockerfile"), "FROM base\n").unwrap();
    let context = bakery.context.path().to_str().unwrap();
    for words in [&["docker", "build"][..], &["docker", "buildx", "build"]] {
        let arguments = [words, &["--no-cache", "-t", "app", context]].concat();
        let outcome = bakery.by(BAKER, &[], &arguments).success();
        outcome.says(&["RUN touch /x", "naming to docker.io/library/app:latest done"]);
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let (program, context) = (Program::new(), context("one"));
    for (text, code, part) in [
        ("docker run --rm app", 125, "docker run: ocibake builds and ships images and has no containers: "),
        ("docker exec x y", 125, "docker exec: "),
        ("docker create app", 125, "`echo FROM IMAGE | docker build -o DIR -` writes the files of an image"),
        ("docker-compose up -d", 125, "docker compose up: ocibake builds and ships images and has no containers: "),
        ("docker wrong", 1, "docker: unknown command: docker wrong"),
        ("docker push app:1", 1, "An image does not exist locally with the tag: app:1"),
        ("docker inspect app:1 --format x", 1, "No such object: app:1"),
        ("docker rmi app:1", 1, "the local store has no image app:1"),
        ("docker build --sbom=true .", 1, "--sbom: ocibake does not write an SBOM"),
        ("docker build --provenance mode=max .", 1, "--provenance: ocibake does not write provenance"),
        ("docker build --cache-to type=floppy .", 125, "there is no cache of type `floppy`"),
        ("docker build --call=describe .", 125, "there is no method `describe`"),
    ] {
        script(&program, context.path(), text).failure_with_result(code).says(&[part]);
    }
}

/// The codes are those of docker 28.2.
#[test]
fn it_ends_with_dockers_exit_codes() {
    let (program, context) = (Program::new(), context("one"));
    for (text, code) in [
        ("docker", 0),
        ("docker --help", 0),
        ("docker image", 0),
        ("docker build --nonsense .", 125),
        ("docker buildx build --nonsense .", 125),
        ("docker --nonsense build .", 125),
        ("docker push --nonsense", 125),
        ("docker build --ulimit x .", 125),
        ("docker build --platform", 125),
        ("docker nonsense", 1),
        ("docker image nonsense", 1),
        ("docker tag one", 1),
        ("docker push", 1),
        ("docker build a b", 1),
        ("docker build none", 1),
        ("docker build -t Wrong .", 1),
        ("docker build --target none .", 1),
        ("docker run --nonsense", 125),
    ] {
        script(&program, context.path(), text).failure_with_result(code);
    }
}

#[test]
fn what_goes_to_standard_output_goes_there_alone() {
    let (program, context) = (Program::new(), context("one"));
    for build in ["docker build -o - .", "docker build -q -o - .", "DOCKER_BUILDKIT=0 docker build -o - ."] {
        let text = format!("{build} >x.tar; tar -tf x.tar; tail -c 1024 x.tar | tr -d '\\000' | wc -c; rm x.tar");
        assert_eq!(script(&program, context.path(), &text).success().stdout.trim(), "file\n0", "{build}");
    }
}

#[test]
fn a_cache_that_is_not_there_is_no_reason_to_stop() {
    let (program, context) = (Program::new(), context("one"));
    let text =
        "docker buildx build --cache-from type=gha --cache-to type=gha,mode=max --cache-from type=local,src=x -t a .";
    let outcome = script(&program, context.path(), text).success();
    // A directory that is not there is a cache that nobody has written yet.
    let said = "warning: the cache type gha is not available: building without it";
    assert_eq!(outcome.stderr.matches(said).count(), 1, "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("warning: ").count(), 1, "{}", outcome.stderr);
}

#[test]
fn dockers_variables_are_honoured_or_harmless() {
    let (program, context) = (Program::new(), context("one"));
    let plain = script(&program, context.path(), "docker build -q .").success();
    for variable in [
        "DOCKER_BUILDKIT=1",
        "DOCKER_BUILDKIT=0",
        "BUILDX_BUILDER=other",
        "DOCKER_HOST=tcp://127.0.0.1:1",
        "DOCKER_CONTEXT=remote",
        "DOCKER_API_VERSION=1.40",
        "DOCKER_TLS_VERIFY=1",
        "DOCKER_CONTENT_TRUST=1",
        "BUILDKIT_HOST=tcp://127.0.0.1:1",
        "DOCKER_CONFIG=/nonexistent",
        "COMPOSE_DOCKER_CLI_BUILD=1",
    ] {
        let outcome = script(&program, context.path(), &format!("{variable} docker build -q .")).success();
        assert_eq!((&outcome.stdout, &outcome.stderr), (&plain.stdout, &plain.stderr), "{variable}");
    }
    let text = "DOCKER_DEFAULT_PLATFORM=linux/s390x docker build -t a .; docker images --format '{{.Platforms}}'";
    assert_eq!(script(&program, context.path(), text).success().stdout, "linux/s390x\n");
}

#[test]
fn an_inspection_has_dockers_fields() {
    let program = Program::new();
    let context = Tree::new()
        .file("Dockerfile", "FROM scratch\nCOPY file /\nENV A=1\nCMD [\"/file\"]\nEXPOSE 80\n")
        .file("file", "1")
        .plant();
    let text = "docker build -q -t app:1 -t reg.example/app:1 . >/dev/null; docker inspect app:1";
    let outcome = script(&program, context.path(), text).success();
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let image = &told[0];
    assert_eq!(image["RepoTags"], serde_json::json!(["app:1", "reg.example/app:1"]));
    let id = image["Id"].as_str().unwrap();
    assert_eq!(image["RepoDigests"], serde_json::json!([format!("reg.example/app@{id}"), format!("app@{id}")]));
    assert_eq!((&image["Os"], &image["Config"]["Cmd"]), (&"linux".into(), &serde_json::json!(["/file"])));
    assert_eq!(image["Config"]["ExposedPorts"], serde_json::json!({"80/tcp": {}}));
    assert_eq!(image["RootFS"]["Layers"].as_array().unwrap().len(), 1);
    // The first of them is that of the name that was asked for, and what no registry can have comes last.
    let text = "docker tag app:1 other.example/team/app; docker tag app:1 reg.example/app:2
docker inspect -f '{{index .RepoDigests 0}}' reg.example/app:2 other.example/team/app app:1";
    let outcome = script(&program, context.path(), text).success();
    let first = ["reg.example/app", "other.example/team/app", "other.example/team/app"];
    assert_eq!(outcome.stdout, first.map(|name| format!("{name}@{id}\n")).concat());
    let text =
        "docker image inspect -f '{{index .Config.Env 1}} {{len .RootFS.Layers}} {{join .Config.Cmd \",\"}}' app:1";
    assert_eq!(script(&program, context.path(), text).success().stdout, "A=1 1 /file\n");
}
