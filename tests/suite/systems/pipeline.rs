//! Pipeline: eight images of one context, by compose files of which one is merged by itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{labels, run_again, run_changed, system};
use crate::support::container::{Bundle, require_runtime};
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
    if !require_runtime() {
        return;
    }
    // They are of the same layers, which are unpacked once.
    let place = tempfile::tempdir().unwrap();
    let fetch = |service: &str| project.fetch(&format!("pipeline/{service}:v2.1.0"), place.path());
    let layers = |service: &str| {
        let config = project.config(&format!("pipeline/{service}:v2.1.0"), "amd64");
        config["rootfs"]["diff_ids"].clone()
    };
    let bundle = Bundle::unpack(&fetch("main"), "amd64", place.path());
    for (service, port) in SERVICES {
        assert_eq!(layers(service), layers("main"));
        bundle.turn_into(&fetch(service), "amd64", place.path());
        let health = serde_json::json!({"Test": config["services"][service]["healthcheck"]["test"]});
        let ask = format!(
            "python -c \"import urllib.request as u; r = u.Request('http://localhost:{port}/items', b'[1, 2]', \
             {{'Content-Type': 'application/json'}}); print(u.urlopen(r).read().decode())\""
        );
        let (user, said) = bundle.serve(&[], &health, &ask);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(user, 0);
        let items = [1, 2].map(|item| format!("{item} {service}"));
        assert_eq!(said, serde_json::json!({"by": service, "items": items}));
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
    let build_and_push = format!("{} && {}", build.join(" "), push.join(" "));
    let changed = run_changed(project, ("services/service_b.py", "# Changed"), &["sh", "-ec", &build_and_push], &TAG);
    // The repository of the first one that is pushed gives it to the others.
    let uploads =
        SERVICES.map(|(service, _)| (format!("pipeline/{service}"), if service == "service-a" { 2 } else { 1 }));
    assert_eq!(changed, (0, BTreeMap::from(uploads)));
    assert_ne!(digest(), before);
}
