//! Health checks of services that become those of their images.

use serde_json::{Value, json};

use super::Case;

/// The health check of the image of the service `a`, whose health check the file says, over a Dockerfile that has one.
#[track_caller]
fn baked(healthcheck: &str) -> Value {
    let file = format!("services:\n  a:\n    build: .\n    healthcheck: {healthcheck}\n");
    let dockerfile = "FROM scratch\nCOPY f /\nHEALTHCHECK --retries=9 CMD own\n";
    let case = Case::new(&[("compose.yaml", &file), ("Dockerfile", dockerfile), ("f", "1")]);
    let program = case.program();
    program.run(["compose", "build", "-q", "--bake-healthchecks"]).success();
    let outcome = program.run(["docker", "inspect", "--format", "{{json .Config.Healthcheck}}", "project-a"]).success();
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn every_form_of_a_health_check_is_baked() {
    const SECOND: u64 = 1_000_000_000;
    for (healthcheck, expected) in [
        ("{test: curl localhost}", json!({"Test": ["CMD-SHELL", "curl localhost"]})),
        ("{test: [CMD, curl, localhost]}", json!({"Test": ["CMD", "curl", "localhost"]})),
        ("{test: [CMD-SHELL, curl localhost]}", json!({"Test": ["CMD-SHELL", "curl localhost"]})),
        ("{test: [NONE]}", json!({"Test": ["NONE"]})),
        ("{disable: true}", json!({"Test": ["NONE"]})),
        (
            "{test: [CMD, c], interval: 1m30s, timeout: 10s, retries: 3, start_period: 1d, start_interval: 500ms}",
            json!({
                "Test": ["CMD", "c"], "Interval": 90 * SECOND, "Timeout": 10 * SECOND, "Retries": 3,
                "StartPeriod": 86_400 * SECOND, "StartInterval": SECOND / 2,
            }),
        ),
        // Nothing is said of how it is checked: the image's own stays.
        ("{interval: 5s}", json!({"Test": ["CMD-SHELL", "own"], "Retries": 9})),
    ] {
        assert_eq!(baked(healthcheck), expected, "{healthcheck}");
    }
}

#[test]
fn a_health_check_is_baked_only_if_it_is_asked_for_and_means_something() {
    let case = Case::new(&[
        ("compose.yaml", "services:\n  a:\n    build: .\n    healthcheck:\n      test: c\n      interval: -5s\n"),
        ("Dockerfile", "FROM scratch\nCOPY f /\n"),
        ("f", "1"),
    ]);
    let program = case.program();
    program.run(["compose", "build", "-q"]).success();
    let outcome = program.run(["docker", "inspect", "--format", "{{json .Config.Healthcheck}}", "project-a"]).success();
    assert_eq!(outcome.stdout, "null\n");
    program
        .run(["compose", "build", "-q", "--bake-healthchecks"])
        .failure(1)
        .says(&["`interval` of a health check is negative", "compose.yaml:6:17"]);
}
