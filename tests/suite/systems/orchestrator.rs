//! Orchestrator: five static Go services on alpine and an agent of Python, by several compose files.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::{run_again, run_changed, serve, system};
use crate::support::project::{Project, Who, commands};

const SERVICES: [(&str, u16); 5] =
    [("api-gateway", 8080), ("http-worker", 8081), ("job-worker", 8082), ("scheduler", 8083), ("webhook", 8084)];

#[test]
fn root_makes_six_images() {
    let Some(project) = system("orchestrator", Who::Root) else { return };
    makes_images(&project);
    for (service, port) in SERVICES {
        let ask = format!("wget -qO- http://127.0.0.1:{port}/healthz; id -un; {service} -version");
        let Some(served) = serve(&project, &format!("orchestrator/{service}:1.4.0"), &ask) else { return };
        let said = format!("{{\"service\":\"{service}\",\"uid\":10001,\"version\":\"1.4.0\"}}\napp\n{service} 1.4.0\n");
        assert_eq!(served, (10001, said));
    }
    let agent = serve(&project, "orchestrator/agent-runner:1.4.0", "wget -qO- http://127.0.0.1:9000/");
    let (user, said) = agent.unwrap();
    assert_eq!((user, serde_json::from_str::<Value>(&said).unwrap()["uid"].as_u64()), (10002, Some(10002)));
}

#[test]
fn an_ordinary_user_makes_six_images() {
    let Some(project) = system("orchestrator", Who::Ordinary) else { return };
    makes_images(&project);
}

fn makes_images(project: &Project) {
    let registry = project.registry.address();
    let environment = [("REGISTRY", registry.as_str())];
    let outcome = project.run(&["make", "push"], &environment).success();
    // Once for all: packages for building, modules, packages and user of what runs. For each: its program. For the agent: three.
    assert_eq!(commands(&outcome).len(), 3 + 5 + 3, "{}", outcome.stderr);
    for (service, port) in SERVICES {
        let repository = format!("orchestrator/{service}");
        assert_eq!(project.tags(&repository), ["1.4.0"]);
        let config = &project.config(&format!("{repository}:1.4.0"), "amd64")["config"];
        assert_eq!(config["User"], "app:app");
        assert_eq!(config["ExposedPorts"], serde_json::json!({format!("{port}/tcp"): {}}));
        assert_eq!(
            config["Labels"]["com.example.tier"],
            if service == "api-gateway" { "edge".into() } else { Value::Null }
        );
        let manifest: Value = serde_json::from_str(&project.raw(&format!("{repository}:1.4.0"))).unwrap();
        let size: u64 =
            manifest["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap()).sum();
        assert!(size < 20_000_000, "{service} has {size} bytes");
    }
    run_again(project, &["make", "push"], &environment);
    // The same by one command of ours, and of docker's.
    let files = ["-f", "docker-compose.yml", "-f", "docker-compose.prod.yml"];
    for program in [&["ocibake", "compose"][..], &["docker-compose"]] {
        run_again(project, &[program, &files, &["build", "--push"]].concat(), &environment);
    }

    // Sources of all services are copied at once: each is compiled again, and one is another.
    let change = ("cmd/webhook/main.go", "\n// Changed\nfunc init() { println(\"changed\") }");
    let changed = run_changed(project, change, &["make", "push"], &environment);
    assert_eq!(changed, (5, BTreeMap::from([("orchestrator/webhook".to_owned(), 2)])));
}

#[test]
fn compose_files_are_read_as_docker_reads_them() {
    let Some(project) = system("orchestrator", Who::Root) else { return };
    let config = |flags: &[&str], environment: &[(&str, &str)]| -> Value {
        let words = [&["docker", "compose"], flags, &["config", "--format", "json"]].concat();
        serde_json::from_str(&project.run(&words, environment).success().stdout).unwrap()
    };
    let services = &config(&[], &[])["services"];
    assert_eq!(services["http-worker"]["deploy"]["replicas"], 2);
    assert_eq!(services["http-worker"]["image"], "orchestrator/http-worker:1.4.0");
    assert_eq!(services["postgres"]["healthcheck"]["test"][1], "pg_isready -U $$POSTGRES_USER -d $$POSTGRES_DB");
    assert_eq!(services["agent-runner"], Value::Null);
    let files = ["-f", "docker-compose.yml", "-f", "docker-compose.prod.yml"];
    let services = &config(&files, &[("REGISTRY", "r.example"), ("JOB_WORKER_REPLICAS", "5")])["services"];
    assert_eq!(
        (&services["http-worker"]["deploy"]["replicas"], &services["job-worker"]["deploy"]["replicas"]),
        (&8.into(), &5.into())
    );
    assert_eq!(services["agent-runner"]["image"], "r.example/orchestrator/agent-runner:1.4.0");

    fs::remove_file(project.path().join(".env")).unwrap();
    project
        .run(&["docker", "compose", "build"], &[])
        .failure(1)
        .says(&["ENCRYPTION_KEY must be set", "docker-compose.yml:8"]);
}
