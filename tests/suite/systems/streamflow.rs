//! StreamFlow: five Python services, a script that builds, tags and pushes them, and compose files.

use std::collections::BTreeMap;

use super::{run_again, run_changed, serve, system};
use crate::support::project::{Project, Who, commands};

const SERVICES: [(&str, u16); 5] =
    [("ingestion", 8001), ("analytics", 8002), ("alerting", 8003), ("dashboard", 8004), ("storage", 8005)];

#[test]
fn roots_script_builds_and_pushes_five_services() {
    let Some(project) = system("streamflow", Who::Root) else { return };
    script_builds_and_pushes(&project);
    for (service, port) in SERVICES {
        let ask = format!(
            "python -c \"import urllib.request as u; print(u.urlopen('http://localhost:{port}/health').read().decode())\""
        );
        let Some(served) = serve(&project, &format!("streamflow-{service}:v1.0.0"), &ask) else { return };
        let health = format!("{{\"status\":\"healthy\",\"service\":\"{service}\",\"version\":\"v1.0.0\"}}\n");
        assert_eq!(served, (1000, health));
    }
}

#[test]
fn an_ordinary_users_script_builds_and_pushes_five_services() {
    let Some(project) = system("streamflow", Who::Ordinary) else { return };
    script_builds_and_pushes(&project);
}

fn script_builds_and_pushes(project: &Project) {
    let registry = project.registry.address();
    let words = ["./build_docker_images.sh", "v1.0.0", &registry];
    let outcome = project.run(&words, &[]).success();
    assert!(outcome.stdout.contains(&format!("All images pushed to {registry}")), "{}", outcome.stdout);
    // Five times the same compiler, requirements and user are each made once.
    assert_eq!(commands(&outcome).len(), 3, "{}", outcome.stderr);
    let digests = || SERVICES.map(|(service, _)| project.digest(&format!("streamflow-{service}:v1.0.0")));
    let first = digests();
    for ((service, port), digest) in SERVICES.iter().zip(&first) {
        let repository = format!("streamflow-{service}");
        assert_eq!(project.tags(&repository), ["latest", "v1.0.0"]);
        assert_eq!(project.digest(&format!("{repository}:latest")), *digest);
        let config = &project.config(&format!("{repository}:v1.0.0"), "amd64")["config"];
        assert_eq!(config["User"], "streamflow");
        assert_eq!(config["ExposedPorts"], serde_json::json!({format!("{port}/tcp"): {}}));
        let environment = config["Env"].as_array().unwrap();
        assert!(environment.contains(&"STREAMFLOW_VERSION=v1.0.0".into()), "{environment:?}");
    }
    run_again(project, &words, &[]);
    assert_eq!(digests(), first);

    // One service's source is in one layer of one image.
    let changed = run_changed(project, ("streamflow/ingestion/main.py", "# Changed"), &words, &[]);
    assert_eq!(changed, (0, BTreeMap::from([("streamflow-ingestion".to_owned(), 2)])));
    let changed = digests();
    assert_ne!(changed[0], first[0]);
    assert_eq!(changed[1..], first[1..]);
}

#[test]
fn compose_builds_one_service_and_what_developers_have() {
    let Some(project) = system("streamflow", Who::Root) else { return };
    let outcome = project.run(&["docker-compose", "build", "ingestion"], &[]).success();
    assert_eq!(commands(&outcome).len(), 3, "{}", outcome.stderr);
    let dev = ["docker-compose", "-f", "docker-compose.yml", "-f", "docker-compose.dev.yml", "build", "dashboard"];
    let outcome = project.run(&dev, &[]).success();
    assert!(
        outcome.stderr.contains(
            "starlette, fastapi, streamflow
"
        ),
        "{}",
        outcome.stderr
    );
    let images = ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"];
    let images = project.run(&images, &[]).success().stdout;
    let mut images: Vec<&str> = images.lines().collect();
    images.sort_unstable();
    assert_eq!(images, ["streamflow-dev:latest", "streamflow-ingestion:v1.0.0"]);
    let again = project.run_again(&dev, &[]);
    assert!(again.stderr.contains("CACHED"), "{}", again.stderr);
    let services = project.run(&["docker-compose", "config", "--services"], &[]).success().stdout;
    assert_eq!(services.lines().count(), 11, "{services}");
}
