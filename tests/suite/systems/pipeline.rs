//! Pipeline: eight images of one context, by compose files of which one is merged by itself.

use serde_json::Value;

use super::{change, labels, run_again, serve_until, system};
use crate::support::project::{Project, Who, commands};

const SERVICES: [(&str, u16); 8] = [
    ("main", 8080),
    ("service-a", 5000),
    ("service-b", 5001),
    ("service-c1", 5003),
    ("service-c2", 5004),
    ("service-c3", 5005),
    ("service-c4", 5006),
    ("service-d", 5002),
];
const TAG: [(&str, &str); 1] = [("TAG", "v2.1.0")];

#[test]
fn root_composes_eight_images() {
    let Some(project) = system("pipeline", Who::Root) else { return };
    composes(&project);
    let config = project.run(&["docker-compose", "config", "--format", "json"], &TAG).success().stdout;
    let config: Value = serde_json::from_str(&config).unwrap();
    let health = &config["services"]["service-c1"]["healthcheck"];
    let health = serde_json::json!({"Test": health["test"]});
    let ask = "python -c \"import urllib.request as u; r = u.Request('http://localhost:5003/items', b'[1, 2]', \
               {'Content-Type': 'application/json'}); print(u.urlopen(r).read().decode())\"";
    let served = serve_until(&project, "pipeline/service-c1:v2.1.0", "amd64", &health, ask);
    if let Some((user, said)) = served {
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(user, 0);
        assert_eq!(said, serde_json::json!({"by": "service-c1", "items": ["1 service-c1", "2 service-c1"]}));
    }
}

#[test]
fn an_ordinary_user_composes_eight_images() {
    let Some(project) = system("pipeline", Who::Ordinary) else { return };
    composes(&project);
}

fn composes(project: &Project) {
    // For developers: the override is merged by itself.
    let outcome = project.run(&["docker-compose", "build"], &TAG).success();
    assert_eq!(commands(&outcome).len(), 1, "{}", outcome.stderr);
    let format = "{{index .Config.Labels \"com.example.pipeline.stage\"}}";
    let stage = |image: &str| project.run(&["docker", "inspect", "-f", format, image], &[]).success().stdout;
    assert_eq!(stage("pipeline/service-a:v2.1.0"), "development\n");
    assert_eq!(stage("pipeline/service-b:v2.1.0"), "\n");

    // For production it is not.
    let registry = project.registry.address();
    let build = ["docker-compose", "-f", "docker-compose.yml", "build", "--pull"];
    let push = ["./push.sh", &registry, "v2.1.0"];
    project.run_again(&build, &TAG);
    project.run(&push, &TAG).success();
    for (service, port) in SERVICES {
        let image = format!("pipeline/{service}:v2.1.0");
        assert_eq!(project.tags(&format!("pipeline/{service}")), ["v2.1.0"]);
        let config = &project.config(&image, "amd64")["config"];
        assert_eq!(config["ExposedPorts"], serde_json::json!({format!("{port}/tcp"): {}}));
        let script = format!("services/{}.py", service.replace('-', "_"));
        assert_eq!(config["Cmd"], serde_json::json!(["python", script]));
        assert_eq!(labels(project, &image, "amd64")["com.example.pipeline.stage"], Value::Null);
    }
    run_again(project, &build, &TAG);
    run_again(project, &push, &TAG);

    // All services are in all images: one layer is another, and nothing is installed.
    let digest = || project.digest("pipeline/service-d:v2.1.0");
    let before = digest();
    change(project, "services/service_b.py", "# Changed");
    let outcome = project.run(&build, &TAG).success();
    assert_eq!(commands(&outcome).len(), 0, "{}", outcome.stderr);
    project.run(&push, &TAG).success();
    assert_ne!(digest(), before);
}
