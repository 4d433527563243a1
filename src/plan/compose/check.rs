//! Whether all is there that a project names, and whether what it says goes together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::model::Project;
use super::node::{NodeValue, YamlNode};
use crate::error::{Error, Result, suggestion};

/// Fails for resources of `file`, in its long form, that say what does not go together.
pub fn resources(file: &YamlNode) -> Result<()> {
    for (name, volume) in file.entries_of("volumes") {
        let is_external = matches!(volume.get("external").and_then(YamlNode::scalar).as_deref(), Some("true"));
        let is_more = |key: &str| !matches!(key, "name" | "external") && !key.starts_with("x-");
        if let (true, Some((key, node))) =
            (is_external, volume.mapping().into_iter().flatten().find(|(key, _)| is_more(key)))
        {
            let error = Error::input(format!("the volume `{name}` is external, but has `{key}`"));
            return Err(
                node.blame_key(error.with_hint("an external volume is not created here, so it only has a name"))
            );
        }
    }
    for (key, ways) in [("configs", &["file", "environment", "content"][..]), ("secrets", &["file", "environment"])] {
        for (name, resource) in file.entries_of(key) {
            content(key, name, resource, ways)?;
        }
    }
    for (_, service) in file.entries_of("services") {
        for port in service.values_of("ports") {
            if let Some(address) = port.text_of("host_ip").filter(|address| address.parse::<IpAddr>().is_err()) {
                return Err(port.blame(Error::input(format!("`{address}` is not an address that a port can use"))));
            }
        }
        let reserved = service.get("deploy").and_then(|deploy| deploy.get("resources")?.get("reservations"));
        let devices = reserved.map(|reserved| reserved.values_of("devices")).unwrap_or_default();
        for device in service.values_of("gpus").iter().chain(devices) {
            if let (Some(count), Some(_)) = (device.get("count"), device.get("device_ids")) {
                let error = Error::input("devices are requested by both `count` and `device_ids`");
                return Err(count.blame_key(error.with_hint("leave out one of the two")));
            }
        }
    }
    Ok(())
}

/// A secret or config has its content in one of the `ways`.
fn content(key: &str, name: &str, resource: &YamlNode, ways: &[&str]) -> Result<()> {
    let Some(mapping) = resource.mapping() else { return Ok(()) };
    let kind = key.trim_end_matches('s');
    let given: Vec<&&str> = ways.iter().filter(|way| mapping.contains_key(**way)).collect();
    match given[..] {
        [_] => Ok(()),
        [] if mapping.contains_key("driver") || mapping.contains_key("external") => Ok(()),
        [] => Err(resource
            .blame_key(Error::input(format!("the {kind} `{name}` does not say where it comes from")))
            .with_hint(format!("say one of {}", ways.join(", ")))),
        [first, second, ..] => {
            let error = Error::input(format!("the {kind} `{name}` has `{first}` and `{second}`"));
            Err(resource.blame_key(error.with_hint("leave out one of the two")))
        }
    }
}

/// Fails for a service without an image and a build, for what a service names and the file does not have, and for what does not
/// go together.
pub fn project(project: &Project) -> Result<()> {
    for (name, service) in project.services() {
        let has_source = ["image", "build", "provider"].iter().any(|key| service.get(key).is_some());
        if !has_source {
            let error = Error::input(format!("the service `{name}` has neither an image nor a build"));
            return Err(service.blame_key(error.with_hint("add `image: NAME`, or `build: .`")));
        }
        build(project, name, service)?;
        networks(project, name, service)?;
        health(service)?;
        dependencies(project, name, service)?;
        uses(project, service)?;
        amounts(name, service)?;
        watches(service)?;
        mounts(service)?;
    }
    for (name, secret) in project.file.entries_of("secrets") {
        let is_there = ["external", "file", "environment"].iter().any(|key| secret.get(key).is_some());
        if !is_there {
            let error = Error::input(format!("the secret `{name}` has neither `file` nor `environment`"));
            return Err(secret.blame_key(error));
        }
    }
    circles(project)
}

fn build(project: &Project, name: &str, service: &YamlNode) -> Result<()> {
    let Some(build) = service.get("build") else { return Ok(()) };
    if let (Some(inline), Some(_)) = (build.get("dockerfile_inline"), build.get("dockerfile")) {
        let error = Error::input(format!("the service `{name}` has both `dockerfile` and `dockerfile_inline`"));
        return Err(inline.blame_key(error.with_hint("leave out one of the two")));
    }
    for (_, context) in build.entries_of("additional_contexts") {
        let Some(other) = context.text().and_then(|text| text.strip_prefix("service:")) else { continue };
        match active(project, other) {
            None => return Err(missing(project, context, "service", "services", other)),
            Some(service) if service.get("build").is_none() => {
                let error = Error::input(format!("the service `{other}` is not built"));
                return Err(context.blame(error.with_hint("name its image, with docker-image://NAME")));
            }
            Some(_) => {}
        }
    }
    if let (Some(platform), platforms @ [_, ..]) = (service.get("platform"), build.values_of("platforms")) {
        let own = platform.text().unwrap_or_default();
        if !platforms.iter().any(|other| other.text() == Some(own)) {
            let error = Error::input(format!("the service `{name}` runs on {own}, and is not built for it"));
            return Err(platform.blame(error.with_hint("add it to `platforms` of its build")));
        }
    }
    for secret in build.values_of("secrets") {
        declared(project, secret, "secret", "secrets", secret.text_of("source").unwrap_or_default())?;
    }
    Ok(())
}

fn networks(project: &Project, name: &str, service: &YamlNode) -> Result<()> {
    if let (Some(mode), Some(_)) = (service.get("network_mode"), service.entries_of("networks").next()) {
        let error = Error::input(format!("the service `{name}` has `network_mode` and `networks`"));
        return Err(mode.blame_key(error.with_hint("leave out one of the two")));
    }
    for (kind, key) in [("network", "networks"), ("model", "models")] {
        for (other, node) in service.entries_of(key) {
            declared(project, node, kind, key, other)?;
        }
    }
    let mode = service.get("network_mode");
    match mode.and_then(|mode| Some((mode, mode.text()?.strip_prefix("service:")?))) {
        Some((mode, other)) if active(project, other).is_none() => {
            Err(missing(project, mode, "service", "services", other))
        }
        _ => Ok(()),
    }
}

fn health(service: &YamlNode) -> Result<()> {
    let Some(test) = service.get("healthcheck").and_then(|check| check.get("test")) else { return Ok(()) };
    match test.list().and_then(|words| words.first()?.text()) {
        None | Some("CMD" | "CMD-SHELL" | "NONE") => Ok(()),
        Some(word) => {
            let error = Error::input(format!("the test of a health check begins with `{word}`"));
            Err(test.blame(error.with_hint("it begins with CMD, CMD-SHELL or NONE, or is text for a shell")))
        }
    }
}

fn dependencies(project: &Project, name: &str, service: &YamlNode) -> Result<()> {
    for (other, dependency) in service.entries_of("depends_on") {
        let is_required =
            !matches!(dependency.get("required").map(|node| &node.value), Some(NodeValue::Boolean(false)));
        if active(project, other).is_some() {
            continue;
        }
        if project.service(other).is_none() {
            return Err(missing(project, dependency, "service", "services", other));
        }
        if is_required {
            let error = Error::input(format!("the service `{name}` depends on `{other}`, which is disabled"));
            return Err(dependency.blame_key(error.with_hint("enable its profile, or write `required: false`")));
        }
    }
    Ok(())
}

fn uses(project: &Project, service: &YamlNode) -> Result<()> {
    for (kind, key) in [("secret", "secrets"), ("config", "configs")] {
        for node in service.values_of(key) {
            declared(project, node, kind, key, node.text_of("source").unwrap_or_default())?;
        }
    }
    for node in service.values_of("volumes").iter().filter(|node| node.text_of("type") == Some("volume")) {
        if let Some(source) = node.text_of("source") {
            declared(project, node, "volume", "volumes", source)?;
        }
    }
    Ok(())
}

/// What is said in two places says the same, and there are as many containers as there can be.
fn amounts(name: &str, service: &YamlNode) -> Result<()> {
    let at = |path: &[&str]| path.iter().try_fold(service, |node, key| node.get(key));
    let number = |node: &YamlNode| match node.value {
        NodeValue::Integer(number) => number as f64,
        NodeValue::Float(number) => number,
        _ => node.text().and_then(|text| text.parse().ok()).unwrap_or(0.0),
    };
    let differs = |own: &YamlNode, key: &str, other: &str| {
        own.blame_key(Error::input(format!("the service `{name}` has another `{key}` than `{other}`")))
    };
    let (scale, replicas) = (at(&["scale"]), at(&["deploy", "replicas"]));
    if let (Some(scale), Some(replicas)) = (scale, replicas)
        && number(scale) != number(replicas)
    {
        return Err(differs(scale, "scale", "deploy.replicas"));
    }
    for count in [scale, replicas].into_iter().flatten() {
        if number(count) < 0.0 {
            return Err(count.blame(Error::input(format!("the service `{name}` has a negative number of containers"))));
        }
    }
    for (key, kind, part) in [
        ("cpus", "limits", "cpus"),
        ("mem_limit", "limits", "memory"),
        ("mem_reservation", "reservations", "memory"),
        ("pids_limit", "limits", "pids"),
    ] {
        let (Some(own), Some(deployed)) = (service.get(key), at(&["deploy", "resources", kind])) else { continue };
        if number(own) != deployed.get(part).map_or(0.0, number) {
            return Err(differs(own, key, &format!("deploy.resources.{kind}.{part}")));
        }
    }
    if let (Some(container), Some(count)) = (service.get("container_name"), scale.or(replicas))
        && number(count) > 1.0
    {
        let error = Error::input(format!("the service `{name}` has several containers, but only one name for them"));
        return Err(container.blame_key(error.with_hint("leave out `container_name`")));
    }
    Ok(())
}

fn watches(service: &YamlNode) -> Result<()> {
    let rules = service.get("develop").map(|develop| develop.values_of("watch")).unwrap_or_default();
    for rule in rules {
        let action = rule.text_of("action").unwrap_or_default();
        if rule.text_of("path").is_none_or(str::is_empty) {
            return Err(rule.blame(Error::input("what is watched has no `path`")));
        }
        if rule.get("target").is_none() && !matches!(action, "rebuild" | "restart") {
            return Err(rule.blame(Error::input(format!("what is watched needs a `target` for {action}"))));
        }
    }
    Ok(())
}

/// Nothing is mounted where something else is.
fn mounts(service: &YamlNode) -> Result<()> {
    let mut seen = BTreeMap::new();
    for (node, target) in service
        .values_of("tmpfs")
        .iter()
        .map(|node| (node, node.text().and_then(|text| text.split(':').next())))
        .chain(service.values_of("volumes").iter().map(|node| (node, node.text_of("target"))))
    {
        let target = target.unwrap_or_default();
        if seen.insert(target, ()).is_some() {
            return Err(node.blame(Error::input(format!("something is already mounted at {target}"))));
        }
    }
    Ok(())
}

/// The services that are on do not stand on each other in a circle.
fn circles(project: &Project) -> Result<()> {
    let on: BTreeMap<&str, &YamlNode> = project.services().collect();
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    for name in on.keys() {
        // A service stands on the stack twice: to have its dependencies looked at, and to be done behind them.
        let mut left = vec![(*name, false)];
        while let Some((name, is_left)) = left.pop() {
            let Some(service) = on.get(name) else { continue };
            if is_left {
                done.insert(name, true);
                continue;
            }
            if done.contains_key(name) {
                continue;
            }
            done.insert(name, false);
            left.push((name, true));
            for (other, dependency) in service.entries_of("depends_on") {
                if done.get(other.as_str()) == Some(&false) {
                    let way: Vec<&str> = left.iter().filter(|(_, is_left)| *is_left).map(|(name, _)| *name).collect();
                    let start = way.iter().position(|name| name == other).unwrap_or(0);
                    let way = way[start..].join(" -> ");
                    let error = Error::input(format!("services depend on each other in a circle: {way} -> {other}"));
                    return Err(dependency.blame_key(error));
                }
                left.push((other, false));
            }
        }
    }
    Ok(())
}

fn active<'a>(project: &'a Project, name: &str) -> Option<&'a YamlNode> {
    project.service(name).filter(|_| project.active.contains(name))
}

/// Fails if there is no `name` in `key` of the file.
fn declared(project: &Project, node: &YamlNode, kind: &str, key: &str, name: &str) -> Result<()> {
    match project.file.get(key).and_then(YamlNode::mapping).is_some_and(|all| all.contains_key(name)) {
        true => Ok(()),
        false => Err(missing(project, node, kind, key, name)),
    }
}

fn missing(project: &Project, node: &YamlNode, kind: &str, key: &str, name: &str) -> Error {
    let error = node.blame_key(Error::not_found(format!("there is no {kind} `{name}` in `{key}` of the file")));
    match suggestion(name, project.file.entries_of(key).map(|(name, _)| name.as_str())) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    }
}
