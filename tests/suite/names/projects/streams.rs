//! A build script of five services: built, tagged, pushed, and cleaned up.

use super::Who;
use crate::support::container::{Bundle, require_runtime};

const SERVICES: [&str; 5] = ["ingestion", "analytics", "alerting", "dashboard", "storage"];

#[test]
fn root_builds_five_services() {
    builds_five_services(Who::Root);
}

#[test]
fn an_ordinary_user_builds_five_services() {
    builds_five_services(Who::Ordinary);
}

fn builds_five_services(who: Who) {
    let Some(project) = super::project("streams", who) else { return };
    let team = project.name("team");
    let words = ["./build_docker_images.sh", "v1.0.0", &team];
    let outcome = project.run(&words, &[]).success();
    assert!(outcome.stdout.ends_with("Done\n"), "{}", outcome.stdout);
    let repositories = SERVICES.map(|service| format!("team/streams-{service}"));
    let digests = repositories.clone().map(|repository| {
        assert_eq!(project.tags(&repository), ["latest", "v1.0.0"]);
        let digest = project.digest(&format!("{repository}:v1.0.0"));
        assert_eq!(project.digest(&format!("{repository}:latest")), digest);
        // The ID that the script has shown.
        assert!(outcome.stdout.contains(&digest[7..19]), "{digest} in {}", outcome.stdout);
        digest
    });
    // What `docker images` lists for `grep`.
    let listed = outcome.stdout.lines().filter(|line| line.starts_with("streams-")).count();
    assert_eq!(listed, 10, "{}", outcome.stdout);

    let of = |service: &str| project.config(&format!("team/streams-{service}:v1.0.0"), "amd64");
    for service in SERVICES {
        let labels = &of(service)["config"]["Labels"];
        assert_eq!(labels["com.example.project"], "streams", "{service}: {labels}");
        if service != "dashboard" {
            assert_eq!(labels["version"], "v1.0.0", "{service}: {labels}");
        }
    }
    let config = &of("analytics")["config"];
    assert_eq!((&config["User"], &config["WorkingDir"]), (&"streams".into(), &"/app".into()));
    assert_eq!(config["Cmd"], serde_json::json!(["sh", "analytics/main.sh"]));
    assert_eq!(config["ExposedPorts"], serde_json::json!({"8002/tcp": {}}));
    let health = "wget -qO- http://localhost:8002/health || exit 1";
    assert_eq!(config["Healthcheck"]["Test"], serde_json::json!(["CMD-SHELL", health]));
    let config = &of("dashboard")["config"];
    assert_eq!(config["Entrypoint"], serde_json::json!(["sh", "dashboard/main.sh"]));
    assert_eq!(config["User"], "web");
    let config = &of("storage")["config"];
    assert_eq!(config["Cmd"], serde_json::json!(["/bin/sh", "-c", "exec sh storage/main.sh"]));
    assert_eq!((&config["Volumes"], &config["StopSignal"]), (&serde_json::json!({"/data": {}}), &"SIGINT".into()));

    if require_runtime() {
        for (service, user) in [("ingestion", "streams"), ("storage", "streams")] {
            let source = format!("docker://{}:v1.0.0", project.name(&format!("team/streams-{service}")));
            let place = tempfile::tempdir().unwrap();
            let script = format!("{service}/main.sh");
            let arguments = if service == "ingestion" {
                [script.as_str(), "--version"]
            } else {
                ["-c", "sh storage/main.sh --version"]
            };
            let said = Bundle::unpack(&source, "amd64", place.path()).run(&arguments);
            assert_eq!(said, format!("{service} v1.0.0 as {user}\n"));
        }
    }

    let again = project.run_again(&words, &[]);
    assert_eq!(again.stdout.matches("CACHED").count(), 0);
    let now = repositories.clone().map(|repository| project.digest(&format!("{repository}:v1.0.0")));
    assert_eq!(now, digests);
    // Built without what is there it is the same.
    project.run(&words, &[("NO_CACHE", "true")]).success().says(&[" took "]);
    assert_eq!(repositories.map(|repository| project.digest(&format!("{repository}:latest"))), digests);
}

#[test]
fn a_service_that_cannot_be_built_ends_the_script() {
    let Some(project) = super::project("streams", Who::Root) else { return };
    std::fs::write(project.path().join("docker/alerting/Dockerfile"), "FROM alpine:3.20\nRUN exit 7\n").unwrap();
    let outcome = project.run(&["./build_docker_images.sh", "v1.0.0", &project.name("team")], &[]);
    let outcome = outcome.failure_with_result(1).says(&["Failed to build alerting", "exit code 7"]);
    assert!(!outcome.stdout.contains("pushed"), "{}", outcome.stdout);
}
