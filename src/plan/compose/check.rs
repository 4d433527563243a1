//! Whether all is there that a project names.

use super::model::Project;
use super::node::YamlNode;
use crate::error::{Error, Result, suggestion};

/// Fails for a service without an image and a build, and for what a service names and the file does not have.
pub fn project(project: &Project) -> Result<()> {
    for (name, service) in project.services() {
        let has_source = ["image", "build", "provider"].iter().any(|key| service.get(key).is_some());
        if !has_source {
            let error = Error::input(format!("the service `{name}` has neither an image nor a build"));
            return Err(service.blame_key(error.with_hint("add `image: NAME`, or `build: .`")));
        }
        check_build(name, service)?;
        for (other, dependency) in service.entries_of("depends_on") {
            let is_required =
                dependency.get("required").is_none_or(|node| !matches!(node.scalar().as_deref(), Some("false")));
            if is_required && project.service(other).is_none() {
                return Err(missing(project, dependency, "service", "services", other));
            }
        }
        for (kind, key) in [("network", "networks"), ("model", "models")] {
            for (other, node) in service.entries_of(key) {
                if project.file.get(key).and_then(YamlNode::mapping).is_none_or(|all| !all.contains_key(other)) {
                    return Err(missing(project, node, kind, key, other));
                }
            }
        }
        for (kind, key) in [("secret", "secrets"), ("config", "configs")] {
            for node in service.values_of(key) {
                let source = node.text_of("source").unwrap_or_default();
                if project.file.get(key).and_then(YamlNode::mapping).is_none_or(|all| !all.contains_key(source)) {
                    return Err(missing(project, node, kind, key, source));
                }
            }
        }
        for node in service.values_of("volumes").iter().filter(|node| node.text_of("type") == Some("volume")) {
            if let Some(source) = node.text_of("source")
                && project.file.get("volumes").and_then(YamlNode::mapping).is_none_or(|all| !all.contains_key(source))
            {
                return Err(missing(project, node, "volume", "volumes", source));
            }
        }
    }
    Ok(())
}

fn check_build(name: &str, service: &YamlNode) -> Result<()> {
    let Some(build) = service.get("build") else { return Ok(()) };
    if let (Some(inline), Some(_)) = (build.get("dockerfile_inline"), build.get("dockerfile")) {
        let error = Error::input(format!("the service `{name}` has both `dockerfile` and `dockerfile_inline`"));
        return Err(inline.blame_key(error.with_hint("leave out one of both")));
    }
    Ok(())
}

fn missing(project: &Project, node: &YamlNode, kind: &str, key: &str, name: &str) -> Error {
    let error = node.blame_key(Error::not_found(format!("there is no {kind} `{name}` in `{key}` of the file")));
    match suggestion(name, project.file.entries_of(key).map(|(name, _)| name.as_str())) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    }
}
