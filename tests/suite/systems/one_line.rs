//! Each system by one line, in the place of its owners' scripts.

use super::{labels, run_again, system};
use crate::support::project::{Project, Who, commands, require_namespaced_emulators};

/// The tags that a release sets, sorted.
fn released(version: &str) -> Vec<String> {
    let (major, rest) = version.split_once('.').unwrap();
    let minor = format!("{major}.{}", rest.split_once('.').unwrap().0);
    let mut tags = [major, &minor, version, &format!("v{version}"), "latest"].map(str::to_owned);
    tags.sort();
    tags.into()
}

/// Runs the line, then once more, and holds the number of commands that are run, and the tags of each repository.
#[track_caller]
fn releases(
    project: &Project,
    line: &[&str],
    environment: &[(&str, &str)],
    count: usize,
    repositories: &[String],
    version: &str,
) {
    let outcome = project.run(line, environment).success();
    assert_eq!(commands(&outcome).len(), count, "{}", outcome.stderr);
    for repository in repositories {
        assert_eq!(project.tags(repository), released(version), "{repository}");
        let digest = project.digest(&format!("{repository}:latest"));
        assert_eq!(project.digest(&format!("{repository}:v{version}")), digest);
    }
    run_again(project, line, environment);
}

#[test]
fn streamflow() {
    let Some(project) = system("streamflow", Who::Root) else { return };
    let registry = project.registry.address();
    let line = ["ocibake", "bake", "--tag", "v1.0.0", "--registry", &registry, "--push"];
    let services = ["ingestion", "analytics", "alerting", "dashboard", "storage"];
    let repositories = services.map(|service| format!("streamflow-{service}"));
    releases(&project, &line, &[("VERSION", "v1.0.0")], 3, &repositories, "1.0.0");
    // The script, which has the same Dockerfiles and arguments, finds every step done.
    let outcome = project.run(&["./build_docker_images.sh", "v1.0.0", &registry], &[]).success();
    assert_eq!(commands(&outcome).len(), 0, "{}", outcome.stderr);
}

#[test]
fn pipeline() {
    let Some(project) = system("pipeline", Who::Ordinary) else { return };
    let registry = project.registry.address();
    let line = ["ocibake", "bake", "-f", "docker-compose.yml", "--tag", "v2.1.0", "--registry", &registry, "--push"];
    let services =
        ["main", "service-a", "service-b", "service-c1", "service-c2", "service-c3", "service-c4", "service-d"];
    let repositories = services.map(|service| format!("pipeline/{service}"));
    releases(&project, &line, &[], 1, &repositories, "2.1.0");
}

#[test]
fn streamspace() {
    if !require_namespaced_emulators() {
        return;
    }
    let Some(project) = system("streamspace", Who::Root).map(Project::emulated) else { return };
    project.commit("v0.2.0");
    let registry = project.registry.address();
    let environment = [("REGISTRY", registry.as_str()), ("STREAMSPACE_VERSION", "v0.2.0"), ("DB_PASSWORD", "unused")];
    let line = ["ocibake", "bake", "--tag", "v0.2.0", "--set", "*.platform=linux/amd64,linux/arm64", "--push"];
    let repositories = ["controller", "api"].map(|service| format!("streamspace-{service}"));
    // On each platform: two of both services together, and each one's modules and program.
    let outcome = project.run(&line, &environment).success();
    assert_eq!(commands(&outcome).len(), 12, "{}", outcome.stderr);
    for repository in &repositories {
        assert_eq!(project.tags(repository), released("0.2.0"));
        assert_eq!(project.platforms(&format!("{repository}:0.2")), ["linux/amd64", "linux/arm64"]);
        let labels = labels(&project, &format!("{repository}:latest"), "arm64");
        assert_eq!(labels["org.opencontainers.image.version"], "v0.2.0", "{labels}");
    }
    run_again(&project, &line, &environment);
    // The tags of a branch.
    let commit = project.run(&["git", "rev-parse", "HEAD"], &[]).success().stdout;
    project.run(&[&line[..2], &["--tag", "main"], &line[4..]].concat(), &environment).success();
    for repository in &repositories {
        let digest = project.digest(&format!("{repository}:main"));
        assert_eq!(project.digest(&format!("{repository}:main-{}", &commit[..7])), digest);
    }
}

#[test]
fn ppp_q() {
    let Some(project) = system("ppp-q", Who::Root) else { return };
    project.commit("v1.0.0");
    let registry = project.name("team");
    let environment = [
        ("REGISTRY", registry.as_str()),
        ("VERSION", "v1.0.0"),
        ("BUILD_DATE", "2024-05-06T07:08:09Z"),
        ("VCS_REF", "0123456"),
    ];
    let line = ["ocibake", "bake", "-f", "docker-compose.prod.yml", "--tag", "v1.0.0", "--push"];
    releases(&project, &line, &environment, 7, &["team/ppp-q-api".to_owned()], "1.0.0");
    let labels = labels(&project, "team/ppp-q-api:1.0", "amd64");
    assert_eq!(labels["org.opencontainers.image.revision"], "0123456", "{labels}");
}

#[test]
fn orchestrator() {
    let Some(project) = system("orchestrator", Who::Ordinary) else { return };
    let registry = project.registry.address();
    let line = ["ocibake", "bake", "--tag", "v1.4.0", "--registry", &registry, "--push"];
    let environment = [("ENCRYPTION_KEY", "unused"), ("VERSION", "1.4.0")];
    let services = ["api-gateway", "http-worker", "job-worker", "scheduler", "webhook", "agent-runner"];
    let repositories = services.map(|service| format!("orchestrator/{service}"));
    releases(&project, &line, &environment, 3 + 5 + 3, &repositories, "1.4.0");
}
