//! What a compose file implies: names, the default network, dependencies, and the values of variables.

use super::merge::started;
use super::mount::clean_target;
use super::node::{NodeMapping, NodeValue, YamlNode};
use crate::oci::Map;

/// Networks and volumes of which nothing is said are empty.
pub fn without_nothing(mut file: YamlNode) -> YamlNode {
    for key in ["networks", "volumes"] {
        let resources = file.mapping_mut().and_then(|file| file.get_mut(key)).and_then(YamlNode::mapping_mut);
        for resource in resources.into_iter().flat_map(NodeMapping::values_mut).filter(|resource| resource.is_null()) {
            resource.value = NodeValue::Mapping(NodeMapping::new());
        }
    }
    file
}

/// Says in the deployment of services how many containers there are, where only `scale` says it.
pub fn spread_scale(file: &mut YamlNode) {
    let services = file.mapping_mut().and_then(|file| file.get_mut("services")).and_then(YamlNode::mapping_mut);
    for service in services.into_iter().flat_map(NodeMapping::values_mut).filter_map(YamlNode::mapping_mut) {
        let Some(scale) = service.get("scale").cloned() else { continue };
        if let Some(deploy) = service.get_mut("deploy").and_then(YamlNode::mapping_mut) {
            deploy.insert("replicas".to_owned(), scale);
        }
    }
}

/// Says what `file`, in its long form, implies. `variables` are those of the project `name`.
pub fn normalize(file: &mut YamlNode, name: &str, variables: &Map<String>) {
    let place = file.clone();
    let Some(mapping) = file.mapping_mut() else { return };
    let mut uses_default = false;
    if let Some(services) = mapping.get_mut("services").and_then(YamlNode::mapping_mut) {
        for service in services.values_mut() {
            uses_default |= normalize_service(service, variables);
        }
    }
    if uses_default {
        let networks = mapping.entry("networks".to_owned()).or_insert_with(|| place.with_entries([]));
        let usual = networks.with(NodeValue::Null);
        if let Some(networks) = networks.mapping_mut() {
            networks.entry("default".to_owned()).or_insert(usual);
        }
    }
    for kind in ["networks", "volumes", "configs", "secrets"] {
        if let Some(resources) = mapping.get_mut(kind).and_then(YamlNode::mapping_mut) {
            for (key, resource) in resources {
                name_resource(resource, key, name);
            }
        }
    }
}

fn name_resource(resource: &mut YamlNode, key: &str, project: &str) {
    if resource.is_null() {
        resource.value = NodeValue::Mapping(NodeMapping::new());
    }
    let external = resource.get("external").and_then(YamlNode::scalar).unwrap_or_default().to_lowercase();
    let is_external = matches!(external.as_str(), "true" | "y" | "yes" | "on");
    let name = if is_external { key.to_owned() } else { format!("{project}_{key}") };
    let name = resource.with_text(name);
    if let Some(mapping) = resource.mapping_mut() {
        mapping.entry("name".to_owned()).or_insert(name);
    }
}

/// Returns whether the service uses the default network.
fn normalize_service(service: &mut YamlNode, variables: &Map<String>) -> bool {
    let place = service.clone();
    let Some(mapping) = service.mapping_mut() else { return false };
    if let Some(build) = mapping.get_mut("build") {
        normalize_build(build, variables);
    }
    if let Some(environment) = mapping.get_mut("environment") {
        resolve(environment, variables, true);
    }
    if let Some(NodeValue::List(mounts)) = mapping.get_mut("volumes").map(|node| &mut node.value) {
        for mount in mounts.iter_mut().filter_map(YamlNode::mapping_mut) {
            if let Some(target) = mount.get_mut("target")
                && let Some(text) = target.text()
            {
                *target = target.with_text(clean_target(text));
            }
        }
    }
    if mapping.get("pull_policy").and_then(YamlNode::text) == Some("if_not_present") {
        mapping.insert("pull_policy".to_owned(), place.with_text("missing"));
    }
    for (other, restarts) in implied(&place) {
        let dependencies = mapping.entry("depends_on".to_owned()).or_insert_with(|| place.with_entries([]));
        let mut dependency = started(&place);
        if let (true, Some(entries)) = (restarts, dependency.mapping_mut()) {
            entries.insert("restart".to_owned(), place.with(NodeValue::Boolean(true)));
        }
        if let Some(dependencies) = dependencies.mapping_mut() {
            dependencies.entry(other).or_insert(dependency);
        }
    }
    if mapping.contains_key("provider") || mapping.contains_key("network_mode") {
        return false;
    }
    let networks = mapping.entry("networks".to_owned()).or_insert_with(|| place.with_entries([]));
    let usual = place.with(NodeValue::Null);
    let Some(networks) = networks.mapping_mut() else { return false };
    if networks.is_empty() {
        networks.insert("default".to_owned(), usual);
    }
    networks.contains_key("default")
}

/// The services that another one stands on by what it says elsewhere, and whether it is to be started again with them.
fn implied(service: &YamlNode) -> Vec<(String, bool)> {
    let links = service.values_of("links").iter().filter_map(YamlNode::text);
    let links = links.map(|link| match link.split(':').collect::<Vec<_>>()[..] {
        [name, _] => (name.to_owned(), true),
        _ => (link.to_owned(), true),
    });
    let namespaces = ["network_mode", "ipc", "pid", "uts", "cgroup"].into_iter().filter_map(|key| service.text_of(key));
    let namespaces = namespaces.filter_map(|text| text.strip_prefix("service:")).map(|name| (name.to_owned(), true));
    let mounts = service.values_of("volumes_from").iter().filter_map(YamlNode::text);
    let mounts = mounts.filter(|text| !text.starts_with("container:"));
    let mounts = mounts.map(|text| (text.split(':').next().unwrap_or_default().to_owned(), false));
    links.chain(namespaces).chain(mounts).collect()
}

fn normalize_build(build: &mut YamlNode, variables: &Map<String>) {
    let (context, dockerfile) = (build.with_text("."), build.with_text("Dockerfile"));
    let Some(mapping) = build.mapping_mut() else { return };
    mapping.entry("context".to_owned()).or_insert(context);
    let is_said = |key: &str| mapping.get(key).is_some_and(|node| !node.is_null());
    if !is_said("dockerfile_inline") {
        mapping.entry("dockerfile".to_owned()).or_insert(dockerfile);
    }
    if let Some(arguments) = mapping.get_mut("args") {
        resolve(arguments, variables, false);
    }
}

/// Gives what has no value the one of the variable of its name. What is not set goes, unless it is kept.
fn resolve(node: &mut YamlNode, variables: &Map<String>, keeps_unset: bool) {
    match &mut node.value {
        NodeValue::Mapping(mapping) => {
            for (name, value) in mapping.iter_mut() {
                if let (true, Some(set)) = (value.is_null(), variables.get(name)) {
                    value.value = NodeValue::Text(set.clone());
                }
            }
            mapping.retain(|_, value| keeps_unset || !value.is_null());
        }
        NodeValue::List(values) => {
            for value in values.iter_mut() {
                let Some(name) = value.text().filter(|text| !text.contains('=')) else { continue };
                if let Some(set) = variables.get(name) {
                    *value = value.with_text(format!("{name}={set}"));
                }
            }
            values.retain(|value| keeps_unset || value.text().is_none_or(|text| text.contains('=')));
        }
        _ => {}
    }
}
