//! From a checkout to a registry, in docker's words.

use serde_json::Value;

use super::Case;
use crate::names::docker::script;
use crate::support::docker_registry::DockerRegistry;
use crate::support::program::{NOBODY, Program};
use crate::support::tool::{self, require};

const COMPOSE: &str = r#"
x-labels: &labels
  team: core
services:
  api:
    build:
      context: ./api
      args:
        VERSION: ${VERSION:?no version}
      labels: *labels
    image: ${REGISTRY}/team/api:${VERSION}
    ports: ["8080:80"]
  worker:
    build:
      context: worker
      additional_contexts: {base: "service:api"}
      dockerfile_inline: |
        FROM base
        COPY file /worker
    image: ${REGISTRY}/team/worker
  unnamed:
    build: api
  database:
    image: postgres:16
"#;

const OVERRIDE: &str = r#"
services:
  api:
    build:
      args: [FLAVOUR=sweet]
      tags: ["${REGISTRY}/team/api:extra"]
"#;

fn project(registry: &DockerRegistry) -> Case {
    Case::new(&[
        ("docker-compose.yml", COMPOSE),
        ("docker-compose.override.yml", OVERRIDE),
        (".env", &format!("REGISTRY={}\nVERSION='1.2'\n", registry.address())),
        ("api/Dockerfile", "FROM scratch\nARG VERSION FLAVOUR\nLABEL made=$VERSION-$FLAVOUR\nCOPY file /\n"),
        ("api/file", "api"),
        ("worker/file", "worker"),
    ])
}

fn image(registry: &DockerRegistry, name: &str) -> Value {
    let name = format!("docker://{}/team/{name}", registry.address());
    serde_json::from_str(&tool::run("skopeo", ["inspect", "--config", "--tls-verify=false", &name])).unwrap()
}

fn check(registry: &DockerRegistry) {
    let api = image(registry, "api:1.2");
    let labels = &api["config"]["Labels"];
    assert_eq!(labels["made"], "1.2-sweet");
    assert_eq!(labels["team"], "core");
    assert_eq!(
        (&labels["com.docker.compose.project"], &labels["com.docker.compose.service"]),
        (&"project".into(), &"api".into())
    );
    assert_eq!(labels["com.docker.compose.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(image(registry, "api:extra"), api);
    let worker = image(registry, "worker:latest");
    assert_eq!(worker["config"]["Labels"]["com.docker.compose.service"], "worker");
    let layers = |image: &Value| image["rootfs"]["diff_ids"].as_array().unwrap().clone();
    assert_eq!(layers(&worker)[..1], layers(&api), "it stands on the other service");
    assert_eq!(layers(&worker).len(), 2);
    assert!(!registry.has_seen("team/unnamed") && !registry.has_seen("project-unnamed"));
}

#[test]
fn docker_compose_builds_and_pushes() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let registry = DockerRegistry::open();
    let case = project(&registry);
    let program = Program::new();
    let outcome = script(&program, case.path(), "docker-compose build && docker compose push").success();
    assert_eq!(outcome.stdout, "");
    for said in
        ["building api\n", "building worker\n", "project-unnamed:latest\n", "database is skipped", "unnamed is skipped"]
    {
        assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
    }
    check(&registry);
    // What was built is pushed, and nothing is built by pushing.
    std::fs::write(case.path().join("api/file"), "changed").unwrap();
    script(&program, case.path(), "docker-compose push -q api").success();
    check(&registry);
}

#[test]
fn an_ordinary_user_builds_and_pushes_at_once() {
    if !["docker-registry", "skopeo", "setpriv"].into_iter().all(require) || !rustix::process::geteuid().is_root() {
        return;
    }
    let registry = DockerRegistry::open();
    let case = project(&registry);
    use std::os::unix::fs::PermissionsExt;
    for directory in [case.path(), case.path().parent().unwrap()] {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let program = Program::new().user(NOBODY).directory(case.path());
    let outcome = program.run(["compose", "build", "--push", "-q"]).success();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    check(&registry);
}
