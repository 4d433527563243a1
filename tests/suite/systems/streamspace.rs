//! StreamSpace: two Go services for two platforms, by a Makefile, with the tags of a release and of a branch.

use super::{labels, serve_until, system_with_user};
use crate::support::project::{Project, Who, commands, require_namespaced_emulators};
use crate::support::tool::require;

const SERVICES: [(&str, &str, &str, u16); 2] = [
    ("controller", "StreamSpace Controller", "Starts and hibernates sessions", 8081),
    ("api", "StreamSpace API", "REST API of StreamSpace", 8000),
];
const TOKEN: [(&str, &str); 2] = [("GHCR_USER", "octocat"), ("GHCR_TOKEN", "ghp_t0ken")];

#[test]
fn root_makes_images_of_a_release_and_of_a_branch() {
    let Some(project) = project(Who::Root) else { return };
    makes_images(&project);
    for (service, _, _, port) in SERVICES {
        for architecture in ["amd64", "arm64"] {
            let image = format!("streamspace-{service}:v0.2.0");
            let health = project.config(&image, architecture)["config"]["Healthcheck"].clone();
            let ask = format!("wget -qO- http://localhost:{port}/healthz");
            let Some(served) = serve_until(&project, &image, architecture, &health, &ask) else { return };
            let said = format!(
                "{{\"arch\":\"{architecture}\",\"service\":\"{service}\",\"uid\":65532,\"version\":\"v0.2.0\"}}\n"
            );
            assert_eq!(served, (65532, said));
        }
    }
}

#[test]
fn an_ordinary_user_makes_images_of_a_release_and_of_a_branch() {
    let Some(project) = project(Who::Ordinary) else { return };
    makes_images(&project);
}

fn project(who: Who) -> Option<Project> {
    if !require_namespaced_emulators() || !require("make") {
        return None;
    }
    system_with_user("streamspace", who, "octocat", "ghp_t0ken").map(Project::emulated)
}

fn makes_images(project: &Project) {
    project.commit("v0.2.0");
    let registry = format!("REGISTRY={}", project.registry.address());
    let make = |targets: &[&str]| project.run(&[&["make", &registry], targets].concat(), &TOKEN);
    assert!(make(&["docker-login"]).success().stdout.contains("Login Succeeded"));
    let outcome = make(&["docker-build", "docker-push"]).success();
    // Two of both services together, and each one's modules and program.
    assert_eq!(commands(&outcome).len(), 6, "{}", outcome.stderr);
    assert_eq!(project.tags("streamspace-api"), ["latest", "v0.2.0"]);

    let words = ["make", &registry, "docker-build-multiarch"];
    let outcome = project.run(&words, &TOKEN).success();
    // For arm64, whose name the builder knows: packages for it and for what runs, and each service's modules and program.
    assert_eq!(commands(&outcome).len(), 6, "{}", outcome.stderr);
    let commit = project.run(&["git", "rev-parse", "HEAD"], &[]).success().stdout;
    for (service, title, description, _) in SERVICES {
        let repository = format!("streamspace-{service}");
        let tags = ["0", "0.2", "0.2.0", "latest", "v0.2.0"];
        assert_eq!(project.tags(&repository), tags);
        let digest = project.digest(&format!("{repository}:v0.2.0"));
        assert!(tags.iter().all(|tag| project.digest(&format!("{repository}:{tag}")) == digest));
        let platforms = project.platforms(&format!("{repository}:0.2"));
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
        for architecture in ["amd64", "arm64"] {
            let image = format!("{repository}:latest");
            assert_eq!(project.config(&image, architecture)["config"]["User"], "65532:65532");
            let labels = labels(project, &image, architecture);
            let expected = [
                ("created", "2024-05-06T07:08:09Z"),
                ("description", description),
                ("revision", commit.trim()),
                ("source", "https://github.com/example/streamspace"),
                ("title", title),
                ("vendor", "StreamSpace"),
                ("version", "v0.2.0"),
            ];
            for (name, value) in expected {
                assert_eq!(labels[format!("org.opencontainers.image.{name}")], value, "{labels}");
            }
        }
    }
    super::run_again(project, &words, &TOKEN);

    // A commit on main after the release.
    let identity = ["git", "-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"];
    project.run(&[&identity[..], &["commit", "-q", "--allow-empty", "-m", "More"]].concat(), &[]).success();
    project.run(&words, &TOKEN).success();
    let commit = project.run(&["git", "rev-parse", "HEAD"], &[]).success().stdout;
    let of_commit = format!("main-{}", &commit[..7]);
    assert_eq!(project.tags("streamspace-api"), ["0", "0.2", "0.2.0", "latest", "main", &of_commit, "v0.2.0"]);
    let digest = |tag: &str| project.digest(&format!("streamspace-api:{tag}"));
    assert_eq!((digest("main"), digest("latest")), (digest(&of_commit), digest(&of_commit)));
    assert_ne!(digest("main"), digest("v0.2.0"));
}
