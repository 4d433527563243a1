//! `compose build --print`: what is built, as the bake file that docker compose makes of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::flags::ServiceFlags;
use crate::cli::print::answer_json;
use crate::error::Result;
use crate::plan::SecretSource;
use crate::plan::compose::{Project, ServiceBuild, ServiceDockerfile, YamlNode, clean, image_name};

/// What is asked for.
pub struct PrintRequest<'a> {
    /// The services that are named; all if there are none.
    pub services: &'a [String],
    /// What they depend on is asked for, too.
    pub with_dependencies: bool,
    /// Dockerfiles are only looked at.
    pub checks: bool,
    /// The flags that change builds.
    pub own: &'a ServiceFlags,
}

/// Answers with the builds of `project` that are asked for, and those that they depend on; with nothing if nothing is built.
pub fn print(project: &Project, request: &PrintRequest<'_>) -> Result<()> {
    let all = project.builds(request.services, true)?;
    let asked = project.builds(request.services, request.with_dependencies)?;
    if asked.is_empty() {
        return Ok(());
    }
    let mut targets = Map::new();
    for build in &all {
        if let Some(service) = project.service(&build.service) {
            targets.insert(target_name(&build.service), target(project, build, service, request));
        }
    }
    let mut names: Vec<String> = asked.iter().map(|build| target_name(&build.service)).collect();
    names.sort();
    answer_json(&json!({"group": {"default": {"targets": names}}, "target": targets}))
}

/// The name of a service as bake can have it.
fn target_name(service: &str) -> String {
    service.replace('.', "_")
}

fn target(project: &Project, build: &ServiceBuild, service: &YamlNode, request: &PrintRequest<'_>) -> Value {
    let own = request.own;
    let empty = service.with_entries([]);
    let node = service.get("build").unwrap_or(&empty);
    let texts = |key: &str| -> Vec<&str> { node.values_of(key).iter().filter_map(YamlNode::text).collect() };
    let mut arguments = build.arguments.clone();
    for text in &own.build_arg {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let set = project.variables.get(name);
        let value = if text.contains('=') { Some(value.to_owned()) } else { set.cloned() };
        arguments.extend(value.map(|value| (name.to_owned(), value)));
    }
    // Bake would take it for a variable.
    let escaped = |text: &str| text.replace("${", "$${");
    let arguments: Map<String, Value> =
        arguments.iter().map(|(name, value)| (name.clone(), escaped(value).into())).collect();
    let context = |text: &str| {
        text.strip_prefix("service:").map_or(text.to_owned(), |name| format!("target:{}", target_name(name)))
    };
    let contexts: Map<String, Value> = node
        .entries_of("additional_contexts")
        .filter_map(|(name, node)| Some((name.clone(), context(node.text()?).into())))
        .collect();
    let image = image_name(&project.name, &build.service, service);
    let tags: Vec<String> = texts("tags").into_iter().map(str::to_owned).chain([image]).collect();
    let limit = |(name, node): (&String, &YamlNode)| match node.scalar() {
        Some(both) if both == "0" => format!("{name}=0:0"),
        Some(both) => format!("{name}={both}"),
        None => {
            let part = |key: &str| node.get(key).and_then(YamlNode::scalar).unwrap_or_else(|| "0".to_owned());
            format!("{name}={}:{}", part("soft"), part("hard"))
        }
    };
    let is_pushed = own.is_pushed() && service.get("image").is_some();
    let output = match build.platforms.len() {
        0 | 1 if is_pushed => "type=registry".to_owned(),
        0 | 1 => "type=docker".to_owned(),
        _ => format!("type=image,push={is_pushed}"),
    };
    let mut told = json!({
        "context": build.context,
        "contexts": contexts,
        "dockerfile": dockerfile(build, node),
        "dockerfile-inline": node.text_of("dockerfile_inline").map(escaped).unwrap_or_default(),
        "args": arguments,
        "labels": build.labels,
        "tags": tags,
        "cache-from": texts("cache_from"),
        "cache-to": texts("cache_to"),
        "target": build.target.clone().unwrap_or_default(),
        "platforms": build.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "pull": build.pull || own.pull == Some(true),
        "no-cache": build.no_cache || own.no_cache == Some(true),
        "network": node.text_of("network").unwrap_or_default(),
        "no-cache-filter": build.no_cache_filter,
        "ulimits": node.entries_of("ulimits").map(limit).collect::<Vec<_>>(),
        "extra-hosts": hosts(&texts("extra_hosts")),
        "secret": build.secrets.iter().map(secret).collect::<Vec<_>>(),
        "ssh": texts("ssh").into_iter().chain(own.ssh.iter().map(String::as_str)).map(agent).collect::<Vec<_>>(),
        "attest": attestations(node),
        "entitlements": entitlements(node),
    });
    match request.checks {
        true => told["call"] = "lint".into(),
        false => told["output"] = json!([output]),
    }
    if let Some(size) = node.text_of("shm_size").and_then(|size| size.parse::<u64>().ok()) {
        told["shm-size"] = size.to_string().into();
    }
    // What says nothing is not told.
    if let Some(told) = told.as_object_mut() {
        told.retain(|_, value| match value {
            Value::String(text) => !text.is_empty(),
            Value::Array(values) => !values.is_empty(),
            Value::Object(values) => !values.is_empty(),
            Value::Bool(value) => *value,
            _ => true,
        });
    }
    told
}

fn dockerfile(build: &ServiceBuild, node: &YamlNode) -> String {
    match &build.dockerfile {
        ServiceDockerfile::File(path) => clean(path).display().to_string(),
        ServiceDockerfile::Inline(_) => node.text_of("dockerfile").unwrap_or_default().to_owned(),
    }
}

/// The hosts by their names, each with all of its addresses.
fn hosts(texts: &[&str]) -> Map<String, Value> {
    let mut hosts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, address) in texts.iter().filter_map(|text| text.split_once('=')) {
        hosts.entry(name).or_default().push(address);
    }
    hosts.into_iter().map(|(name, addresses)| (name.to_owned(), addresses.join(",").into())).collect()
}

fn secret((id, source): &(String, SecretSource)) -> String {
    match source {
        SecretSource::Variable(name) => format!("id={id},type=env,env={name}"),
        SecretSource::File(path) => format!("id={id},type=file,src={}", path.display()),
    }
}

fn agent(text: &str) -> String {
    if text.contains('=') { text.to_owned() } else { format!("{text}=") }
}

/// What is asked to be attested of the image.
fn attestations(node: &YamlNode) -> Vec<String> {
    let attestation = |key: &str| match node.text_of(key) {
        None | Some("false") => None,
        Some("true") => Some(format!("type={key}")),
        Some(more) => Some(format!("type={key},{more}")),
    };
    ["provenance", "sbom"].into_iter().filter_map(attestation).collect()
}

fn entitlements(node: &YamlNode) -> Vec<String> {
    let given = node.values_of("entitlements").iter().filter_map(YamlNode::text).map(str::to_owned);
    let privileged = node.get("privileged").map(|_| "security.insecure".to_owned());
    given.chain(privileged).collect()
}
