//! `-o type=engine` and `--load`: podman with a service and without, and which engine is taken.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use tempfile::TempDir;

use crate::support::podman::Podman;
use crate::support::program::{NOBODY, Program};
use crate::support::tool::{self, require, require_root};
use crate::support::tree::Tree;

/// A context whose image says `hello` when it is run.
pub fn talking() -> TempDir {
    let context = Tree::new()
        .file("Dockerfile", "FROM scratch\nCOPY busybox /bin/busybox\nCMD [\"/bin/busybox\", \"echo\", \"hello\"]\n")
        .plant();
    fs::copy("/bin/busybox", context.path().join("busybox")).unwrap();
    context
}

/// The digest of the config of an image of the local store.
pub fn config(program: &Program, name: &str) -> String {
    let told = program.run(["inspect", "--json", name]).success().stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    told["images"][0]["configDigest"].as_str().unwrap().to_owned()
}

fn path(context: &TempDir) -> &str {
    context.path().to_str().unwrap()
}

fn needs() -> bool {
    require_root() && ["podman", "busybox"].into_iter().all(require)
}

/// What has to hold of podman, however it is spoken to.
fn loads_into(podman: &Podman) {
    let (program, context) = (podman.program(), talking());
    let outcome = program.run(["build", "--load", "-t", "registry.example/app:1", path(&context)]).success();
    outcome.says(&["loaded registry.example/app:1 into podman\n"]);
    let id = config(&program, "registry.example/app:1");
    let listed = |format: &str| podman.podman(&["images", "--no-trunc", "--format", format]);
    assert_eq!(
        listed("{{.Repository}}:{{.Tag}} {{.Id}}"),
        format!("registry.example/app:1 {}\n", &id["sha256:".len()..])
    );
    assert_eq!(podman.run("registry.example/app:1"), "hello\n");

    // What is there is not sent again, and a further name is only a name.
    let outcome = program.run(["build", "--load", "-t", "registry.example/app:1", path(&context)]).success();
    assert!(outcome.stderr.contains("podman already has registry.example/app:1: nothing was sent\n"), "{outcome:?}");
    assert!(!outcome.stderr.contains("loaded"), "{outcome:?}");
    let outcome = program.run(["build", "-o", "type=engine,name=podman", "-t", "app:2", path(&context)]).success();
    outcome.says(&["loaded docker.io/library/app:2 into podman\n"]);
    let mut names: Vec<String> = listed("{{.Repository}}:{{.Tag}} {{.Id}}").lines().map(str::to_owned).collect();
    names.sort();
    let id = &id["sha256:".len()..];
    assert_eq!(names, [format!("docker.io/library/app:2 {id}"), format!("registry.example/app:1 {id}")]);

    assert_eq!(podman.run("app:2"), "hello\n");

    // Of several platforms podman gets that of this machine; and a short name is one of docker.io, as everywhere here.
    fs::write(context.path().join("other"), "1").unwrap();
    fs::write(context.path().join("Dockerfile"), "FROM scratch\nCOPY busybox other /bin/\n").unwrap();
    let platforms = "--platform=linux/arm64,linux/amd64";
    let outcome = program.run(["build", "--load", platforms, "-t", "several", path(&context)]).success();
    outcome.says(&["loaded docker.io/library/several:latest for linux/amd64 only into podman\n"]);
    let told = podman.podman(&["image", "inspect", "--format", "{{.Architecture}}", "several"]);
    assert_eq!(told, "amd64\n");
    // What podman would take for that name is that name's, too.
    podman.podman(&["tag", "app:2", "localhost/several"]);
    let outcome = program.run(["build", "--load", platforms, "-t", "several", path(&context)]).success();
    outcome.says(&["podman already has docker.io/library/several:latest", "loaded localhost/several:latest"]);
    let id = |name: &str| podman.podman(&["image", "inspect", "--format", "{{.Id}}", name]);
    assert_eq!(id("localhost/several"), id("docker.io/library/several"));
    // An only platform is taken, whichever it is.
    program.run(["build", "--load", "--platform=linux/arm64", "-t", "only", path(&context)]).success();
    assert_eq!(podman.podman(&["image", "inspect", "--format", "{{.Architecture}}", "only"]), "arm64\n");
    // One without a name has its ID.
    fs::write(context.path().join("other"), "2").unwrap();
    let outcome = program.run(["build", "--load", path(&context)]).success();
    let (_, id) = outcome.stderr.split_once("loaded sha256:").unwrap();
    podman.podman(&["image", "exists", id.split(' ').next().unwrap()]);
}

#[test]
fn podman_is_given_images_on_a_pipe() {
    if needs() {
        loads_into(&Podman::new());
    }
}

#[test]
fn podmans_service_is_given_images() {
    if needs() {
        loads_into(&Podman::with_service());
    }
}

#[test]
fn behind_the_socket_of_docker_may_be_podman() {
    if !needs() {
        return;
    }
    let (podman, context) = (Podman::with_service(), talking());
    let host = format!("unix://{}", podman.socket().display());
    let program = podman.program().environment("OCIBAKE_ENGINE", "").environment("DOCKER_HOST", host);
    let outcome = program.run(["build", "--load", "-t", "app", path(&context)]).success();
    outcome.says(&["loaded docker.io/library/app:latest into podman\n"]);
    assert_eq!(podman.podman(&["image", "inspect", "--format", "{{.Os}}", "app"]), "linux\n");
}

#[test]
fn without_an_engine_a_build_fails_before_it_begins_and_docker_does_not() {
    let context = talking();
    // Nothing is on this PATH, and no socket where it is looked for.
    let empty = tempfile::tempdir().unwrap();
    let nowhere = |name: &str| format!("unix://{}/{name}", empty.path().display());
    let program = Program::new();
    for flag in ["--load", "--output=type=engine"] {
        let outcome = program.run(["build", flag, "-t", "app", path(&context)]).failure(1);
        outcome.says(&["there is no engine here to load the image into", "-o FILE writes an archive"]);
    }
    assert_eq!(program.run(["images", "-q"]).success().stdout, "");
    let outcome = program.run(["docker", "buildx", "build", "--load", "-t", "app", path(&context)]).success();
    assert!(!outcome.stderr.contains("warning"), "{outcome:?}");
    program.run(["docker", "image", "inspect", "app"]).success();
    program.run(["build", "-o", "type=docker", "-t", "app", path(&context)]).success();

    // One that is meant and does not answer is told of.
    let program = Program::new().environment("OCIBAKE_ENGINE", "").environment("DOCKER_HOST", nowhere("docker.sock"));
    let outcome = program.run(["build", "--load", "-t", "app", path(&context)]).failure(1);
    outcome.says(&["cannot reach docker", "docker.sock", "is docker running?"]);
    let outcome = program.run(["docker", "build", "--load", "-t", "app", path(&context)]).success();
    outcome.says(&["warning: the image stays in the local store: cannot reach docker"]);
    let program = Program::new().environment("OCIBAKE_ENGINE", "").environment("DOCKER_HOST", "ssh://me@far");
    let outcome = program.run(["build", "--load", "-t", "app", path(&context)]).failure(1);
    outcome.says(&["ssh://me@far: engines cannot be reached through ssh://", "ssh -nNT -L"]);
    let program = Program::new().environment("CONTAINER_HOST", nowhere("podman.sock"));
    let outcome = program.run(["build", "-o", "type=engine,name=podman", "-t", "app", path(&context)]).failure(1);
    outcome.says(&["cannot reach podman", "CONTAINER_HOST"]);
}

#[test]
fn a_socket_of_others_is_told_of_with_what_to_do() {
    if !require_root() || !require("setpriv") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let program = Program::new().user(NOBODY).environment("OCIBAKE_ENGINE", "docker");
    let program = program.environment("DOCKER_HOST", format!("unix://{}", socket.display()));
    fs::write(program.home().join("Dockerfile"), "FROM scratch\nLABEL a=b\n").unwrap();
    let outcome = program.run(["build", "--load", "-t", "app", "."]).failure(1);
    outcome.says(&["cannot reach docker", "caused by: Permission denied", "usermod -aG docker", "or load into podman"]);
    let outcome = program.run(["docker", "build", "--load", "-t", "app", "."]).success();
    outcome.says(&["warning: the image stays in the local store: cannot reach docker"]);
}

#[test]
fn an_engine_that_does_not_exist_is_a_mistake() {
    let (program, context) = (Program::new(), talking());
    let outcome = program.run(["build", "-o", "type=engine,name=podmann", path(&context)]).failure(2);
    outcome.says(&["`podmann` is not an engine", "did you mean podman?"]);
    let outcome = program.run(["build", "-o", "type=engine,dest=x", path(&context)]).failure(2);
    outcome.says(&["`dest=x` in the output `type=engine,dest=x` is not known", "name=docker|podman"]);
    let program = Program::new().environment("OCIBAKE_ENGINE", "dokcer");
    let outcome = program.run(["build", "--load", "-t", "app", path(&context)]).failure(2);
    outcome.says(&["OCIBAKE_ENGINE: `dokcer` is not an engine", "or none"]);
}

/// podman fails, and what it says comes from who knows where.
#[test]
fn an_engine_that_fails_has_the_last_word_and_no_more() {
    let (program, context) = (Program::new(), talking());
    let script = "[ \"$1\" = load ] || exit 1\ncat >/dev/null\nprintf 'first\\n\\033[2Jno space left on device\\n' >&2\nexit 125\n";
    let tools = stand_ins(&[("podman", script)]);
    let path_variable = with_tools(tools.path());
    let program = program.environment("OCIBAKE_ENGINE", "podman").environment("PATH", path_variable);
    let outcome = program.run(["build", "--load", "-t", "app", path(&context)]).failure(1);
    let command =
        format!("podman did not take the image: {}/podman load --quiet: exit status: 125", tools.path().display());
    outcome.says(&[&command, "  first\n", "\\u{1b}[2Jno space left on device", "hint: podman has no space left"]);
    // A program of the context is not run, wherever PATH leads.
    fs::create_dir(context.path().join("bin")).unwrap();
    tool::install(&tools.path().join("podman"), &context.path().join("bin/k3d"));
    let variable = format!("bin:.:{}", context.path().join("bin").display());
    let program = Program::new().directory(context.path()).environment("PATH", variable);
    let outcome = program.run(["build", "-o", "type=engine,name=k3d", "-t", "app", "."]).failure(1);
    outcome.says(&["k3d is not here: there is no program `k3d`"]);
}

/// A directory of shell scripts under the names of programs that cannot run here.
pub fn stand_ins(programs: &[(&str, &str)]) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for (name, script) in programs {
        let text = place.path().join(format!("{name}.sh"));
        fs::write(&text, format!("#!/bin/sh\n{script}")).unwrap();
        tool::install(&text, &place.path().join(name));
    }
    place
}

/// `PATH` with a directory of stand-ins first.
pub fn with_tools(tools: &Path) -> String {
    format!("{}:{}", tools.display(), std::env::var("PATH").unwrap())
}
