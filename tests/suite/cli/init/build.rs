//! What `init` writes is built: all of it passes the build's own checks, and what it runs is stood in for by scripts that note what they
//! were asked to do.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::cargo;
use crate::support::docker_registry::DockerRegistry;
use crate::support::layout::Layout;
use crate::support::program::Program;
use crate::support::tool::{self, require, require_root};
use crate::support::tree::Tree;

/// All that a Dockerfile stands on: the same image under these names.
const BASES: [&str; 15] = [
    "debian:bookworm-slim",
    "eclipse-temurin:17-jdk",
    "eclipse-temurin:17-jre",
    "eclipse-temurin:21-jdk",
    "eclipse-temurin:21-jre",
    "golang:1-alpine",
    "golang:1.22-alpine",
    "gradle:jdk21",
    "maven:3-eclipse-temurin-17",
    "nginx:stable-alpine",
    "node:22-slim",
    "node:24-slim",
    "python:3.11-slim",
    "python:3.13-slim",
    "rust:1-slim-bookworm",
];

const TOOLS: [(&str, &str); 5] = [
    (
        "npm",
        "case $1 in ci|install) mkdir -p node_modules; echo \"$*\" > node_modules/asked;; \
         run) test -f node_modules/asked; mkdir -p dist; echo \"$*\" > dist/asked;; esac",
    ),
    (
        "pip",
        "mkdir -p /usr/lib/python; echo \"$*\" > /usr/lib/python/asked; test \"$1 $2\" != 'install -r' || cat \"$3\"",
    ),
    (
        "go",
        "test $1 != mod || exit 0; while [ $1 != -o ]; do shift; done; mkdir -p \"${2%/*}\"; \
         echo \"$GOOS $GOARCH $CGO_ENABLED $3\" > $2",
    ),
    ("cargo", "mkdir -p target/release; echo \"$*\" > target/release/api; chmod 755 target/release/api"),
    (
        "mvn",
        "mkdir -p target; echo \"$*\" > target/demo-1.jar; touch target/demo-1-sources.jar target/original-demo-1.jar",
    ),
];

/// A machine whose docker.io has the bases.
struct Machine {
    program: Program,
    _hub: DockerRegistry,
}

impl Machine {
    fn new() -> Option<Self> {
        if !require_root() || !["busybox", "docker-registry"].into_iter().all(require) {
            return None;
        }
        let (program, hub) = (Program::new(), DockerRegistry::open());
        let mut tree = Tree::new()
            .file("root/etc/passwd", "root:x:0:0::/:/bin/sh\nnode:x:1000:1000::/:/bin/sh\n")
            .file("root/etc/ssl/certs/ca-certificates.crt", "certificates\n")
            .directory("root/tmp")
            .file("Dockerfile", "FROM scratch\nCOPY root /\nENV PATH=/usr/local/bin:/bin\n");
        for applet in tool::run("busybox", ["--list"]).lines().filter(|applet| *applet != "busybox") {
            tree = tree.symlink(format!("root/bin/{applet}"), "busybox");
        }
        for (name, script) in TOOLS {
            tree = tree.file(format!("root/usr/local/bin/{name}"), format!("#!/bin/sh -e\n{script}\n")).mode(0o755);
        }
        let place = tree.plant();
        let busybox = tool::run("sh", ["-c", "command -v busybox"]);
        tool::install(busybox.trim().as_ref(), &place.path().join("root/bin/busybox"));
        let names = BASES.map(|name| format!("--tag={}/library/{name}", hub.address()));
        let words = ["build".to_owned(), place.path().display().to_string(), "--push".to_owned()];
        program.run(words.iter().chain(&names)).success();
        let mirror =
            format!("[[registry]]\nlocation = 'docker.io'\n[[registry.mirror]]\nlocation = '{}'\n", hub.address());
        fs::write(program.home().join(".config/containers/registries.conf"), mirror).unwrap();
        Some(Machine { program, _hub: hub })
    }

    /// Writes the file for a project.
    #[track_caller]
    fn init(&self, project: &Path, flags: &[&str]) {
        self.program.run([&["init", project.to_str().unwrap()], flags].concat()).success();
    }

    /// Builds a project and returns the configuration of its image, whose files then lie in `out/files` of it.
    #[track_caller]
    fn build(&self, project: &Path) -> Value {
        let place = project.join("out");
        let layout = format!("{}/layout/", place.display());
        let files = format!("type=local,dest={}/files", place.display());
        let outcome = self.program.run(["build", project.to_str().unwrap(), "-o", &layout, "-o", &files]).success();
        assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
        let config = Layout::open(&layout).images()[0].config["config"].clone();
        fs::remove_dir_all(&layout).unwrap();
        config
    }
}

fn out(project: &Path, path: &str) -> String {
    let path = project.join("out/files").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_dockerfile_passes_the_checks() {
    let Some(machine) = Machine::new() else { return };
    let node = |package: &str| Tree::new().file("package.json", package).file("index.js", "").file("src/a.ts", "");
    let site =
        r#"{"scripts": {"dev": "vite", "start": "vite", "build": "vite build"}, "devDependencies": {"vite": "1"}}"#;
    let python = || Tree::new().file("main.py", "");
    let project = "[project]\nname = 'a'\n";
    let go = || Tree::new().file("go.mod", "module a\n").file("main.go", "package main\n");
    let boot = "plugins { id 'org.springframework.boot' version '3' }\n";
    let cases = [
        Tree::new().file("Cargo.toml", cargo("api")).file("src/main.rs", ""),
        go(),
        go().file("go.sum", ""),
        node("{}"),
        node(r#"{"scripts": {"build": "tsc"}}"#).file("package-lock.json", "{}").file(".npmrc", ""),
        node(r#"{"packageManager": "yarn@1.22.0"}"#).file("yarn.lock", ""),
        node(r#"{"packageManager": "yarn@4.1.0"}"#).file("yarn.lock", "").file(".yarnrc.yml", ""),
        node("{}").file("pnpm-lock.yaml", ""),
        node(site).file("package-lock.json", "{}"),
        python().file("requirements.txt", ""),
        python().file("pyproject.toml", project),
        python().file("pyproject.toml", project).file("uv.lock", ""),
        python().file("pyproject.toml", "[tool.poetry]\nname = 'a'\n").file("poetry.lock", ""),
        python().file("Pipfile", "[packages]\nflask = '*'\n").file("Pipfile.lock", "{}"),
        python().file("setup.py", ""),
        Tree::new().file("manage.py", ""),
        Tree::new().file("pom.xml", "<project><java.version>17</java.version></project>"),
        Tree::new().file("pom.xml", "<project><java.version>17</java.version></project>").file("mvnw", ""),
        Tree::new().file("build.gradle", boot),
        Tree::new().file("build.gradle", boot).file("gradlew", ""),
        Tree::new().file("index.html", ""),
        Tree::new().file("public/index.html", ""),
    ];
    for tree in cases {
        let place = tree.plant();
        machine.init(place.path(), &["--dockerfile"]);
        let outcome = machine.program.run(["build", "--check", place.path().to_str().unwrap()]);
        let text = fs::read_to_string(place.path().join("Dockerfile")).unwrap();
        assert_eq!((outcome.code, &outcome.stdout[..]), (Some(0), "no warnings\n"), "{text}\n{outcome:#?}");
        assert_eq!(outcome.stderr, "", "{text}");
    }
}

#[test]
fn a_program_in_rust_is_built() {
    let Some(machine) = Machine::new() else { return };
    let tree = Tree::new()
        .file("Cargo.toml", format!("{}description = 'An API'\nlicense = 'MIT'\n", cargo("api")))
        .file("Cargo.lock", "")
        .file("src/main.rs", "")
        .file("target/x86_64-unknown-linux-musl/release/api", "compiled before");
    let place = tree.plant();
    machine.init(place.path(), &[]);
    let config = machine.build(place.path());
    assert_eq!((&config["Entrypoint"], &config["User"]), (&json!(["/usr/bin/api"]), &json!("65532:65532")));
    assert_eq!(config["Labels"]["org.opencontainers.image.description"], "An API");
    assert_eq!(out(place.path(), "usr/bin/api"), "compiled before");

    let place = tree.plant();
    machine.init(place.path(), &["--dockerfile"]);
    let config = machine.build(place.path());
    assert_eq!((&config["Entrypoint"], &config["User"]), (&json!(["/usr/local/bin/api"]), &json!("65532:65532")));
    assert_eq!(out(place.path(), "usr/local/bin/api"), "build --release --locked --bin api\n");
    assert_eq!(out(place.path(), "etc/ssl/certs/ca-certificates.crt"), "certificates\n");
}

#[test]
fn a_program_in_go_is_built() {
    let Some(machine) = Machine::new() else { return };
    let tree = Tree::new()
        .file("go.mod", "module example.org/svc\n\ngo 1.22\n")
        .file("cmd/svc/main.go", "package main\n")
        .file("dist/linux-amd64/svc", "compiled before");
    let place = tree.plant();
    machine.init(place.path(), &[]);
    assert_eq!(machine.build(place.path())["Entrypoint"], json!(["/usr/bin/svc"]));
    assert_eq!(out(place.path(), "usr/bin/svc"), "compiled before");

    let place = tree.plant();
    machine.init(place.path(), &["--dockerfile"]);
    assert_eq!(machine.build(place.path())["Entrypoint"], json!(["/usr/bin/svc"]));
    assert_eq!(out(place.path(), "usr/bin/svc"), "linux amd64 0 ./cmd/svc\n");
}

#[test]
fn a_server_of_node_is_built_without_what_it_was_built_with() {
    let Some(machine) = Machine::new() else { return };
    let package = r#"{"name": "@org/web", "scripts": {"start": "node dist/server.js", "build": "tsc"}, "engines": {"node": "<23"}}"#;
    let place = Tree::new()
        .file("package.json", package)
        .file("package-lock.json", "{}")
        .file("src/server.ts", "")
        .file("node_modules/of-this-machine", "")
        .file(".env", "SECRET=1")
        .plant();
    machine.init(place.path(), &[]);
    let config = machine.build(place.path());
    assert_eq!((&config["Cmd"], &config["User"]), (&json!(["node", "dist/server.js"]), &json!("node")));
    assert_eq!(config["ExposedPorts"], json!({"3000/tcp": {}}));
    assert_eq!(out(place.path(), "app/node_modules/asked"), "ci --omit=dev\n");
    assert_eq!(out(place.path(), "app/dist/asked"), "run build\n");
    for path in ["app/node_modules/of-this-machine", "app/.env", "app/Dockerfile"] {
        assert!(!place.path().join("out/files").join(path).exists(), "{path}");
    }
}

#[test]
fn a_site_that_node_builds_is_served() {
    let Some(machine) = Machine::new() else { return };
    let package = r#"{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "^7"}}"#;
    let place =
        Tree::new().file("package.json", package).file("package-lock.json", "{}").file("index.html", "").plant();
    machine.init(place.path(), &[]);
    machine.build(place.path());
    assert_eq!(out(place.path(), "usr/share/nginx/html/asked"), "run build\n");
}

#[test]
fn a_program_in_python_is_built() {
    let Some(machine) = Machine::new() else { return };
    let place = Tree::new()
        .file("requirements.txt", "fastapi\nuvicorn\n")
        .file(".python-version", "3.11\n")
        .file("app/main.py", "app = FastAPI()\n")
        .file("app/__pycache__/main.pyc", "")
        .plant();
    machine.init(place.path(), &[]);
    let config = machine.build(place.path());
    assert_eq!(config["Cmd"], json!(["uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000"]));
    assert_eq!(out(place.path(), "usr/lib/python/asked"), "install -r requirements.txt\n");
    assert_eq!(out(place.path(), "app/app/main.py"), "app = FastAPI()\n");
    assert!(!place.path().join("out/files/app/app/__pycache__").exists());
}

#[test]
fn a_program_in_java_is_built() {
    let Some(machine) = Machine::new() else { return };
    let pom = "<project><java.version>17</java.version><mainClass>a.B</mainClass></project>";
    let place = Tree::new().file("pom.xml", pom).plant();
    machine.init(place.path(), &[]);
    assert_eq!(machine.build(place.path())["Entrypoint"], json!(["java", "-jar", "/app/app.jar"]));
    assert_eq!(out(place.path(), "app/app.jar"), "--batch-mode -DskipTests package\n");

    let place = Tree::new().file("pom.xml", pom).file("target/demo-1.jar", "made before").plant();
    machine.init(place.path(), &["--toml"]);
    assert_eq!(machine.build(place.path())["Entrypoint"], json!(["java", "-jar", "/app/app.jar"]));
    assert_eq!(out(place.path(), "app/app.jar"), "made before");
}

#[test]
fn files_are_served() {
    let Some(machine) = Machine::new() else { return };
    for form in ["--toml", "--dockerfile"] {
        let place = Tree::new().file("index.html", "hello").file("css/a.css", "").file(".git/config", "secret").plant();
        machine.init(place.path(), &[form]);
        assert_eq!(machine.build(place.path())["ExposedPorts"], json!({"80/tcp": {}}));
        assert_eq!(out(place.path(), "usr/share/nginx/html/index.html"), "hello");
        let served = place.path().join("out/files/usr/share/nginx/html");
        let mut names: Vec<_> = fs::read_dir(served).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["css", "index.html"], "{form}");
    }
}
