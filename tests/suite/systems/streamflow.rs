//! StreamFlow: five Python services, a script that builds, tags and pushes them, and compose files.

use super::{serve, system};
use crate::support::project::Who;

const SERVICES: [(&str, u16); 5] =
    [("ingestion", 8001), ("analytics", 8002), ("alerting", 8003), ("dashboard", 8004), ("storage", 8005)];

#[test]
fn roots_script_builds_and_pushes_five_services() {
    script_builds_and_pushes(Who::Root);
}

#[test]
fn an_ordinary_users_script_builds_and_pushes_five_services() {
    script_builds_and_pushes(Who::Ordinary);
}

fn script_builds_and_pushes(who: Who) {
    let Some(project) = system("streamflow", who) else { return };
    let registry = project.registry.address();
    let words = ["./build_docker_images.sh", "v1.0.0", &registry];
    let outcome = project.run(&words, &[]).success();
    eprintln!("{}", outcome.stderr);
}
