//! Whole systems (`fixtures/systems`), from their owners' checkouts to images in a registry that run: by the commands that their
//! owners have for docker, as root and as an ordinary user, and by one command of ours.

mod streamflow;

use std::path::Path;

use serde_json::Value;

use crate::support::container::{Bundle, require_runtime};
use crate::support::hub::{hub, require_hub};
use crate::support::project::{Project, Who, emulated};

/// None where it cannot be tried.
fn system(name: &str, who: Who) -> Option<Project> {
    if !require_hub() {
        return None;
    }
    Project::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/systems").join(name), who, hub)
}

/// Runs the image `path` of the project's registry until its own health check succeeds, and returns its user and what `questions`
/// prints in it. None where images cannot be run.
fn serve(project: &Project, path: &str, questions: &str) -> Option<(u32, String)> {
    serve_on(project, path, "amd64", questions)
}

/// The same for another architecture.
fn serve_on(project: &Project, path: &str, architecture: &str, questions: &str) -> Option<(u32, String)> {
    if !require_runtime() {
        return None;
    }
    let place = tempfile::tempdir().unwrap();
    let source = format!("docker://{}", project.name(path));
    let health: Value = project.config(path, architecture)["config"]["Healthcheck"].clone();
    let bundle = Bundle::unpack(&source, architecture, place.path());
    let wrapper: &[&str] = if architecture == "amd64" { &[] } else { &emulated() };
    Some(bundle.serve(wrapper, &health, questions))
}
