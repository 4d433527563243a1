//! A project as `config` tells of it: the services that are meant, and what they use.

use std::collections::{BTreeMap, BTreeSet};

use super::interpolation::{TextPiece, pieces};
use super::model::Project;
use super::node::{NodeMapping, NodeValue, YamlNode};
use super::shape::Shape;
use super::{schema, write, write_json};
use crate::error::Result;

/// A variable that compose files name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedVariable {
    /// Its name.
    pub name: String,
    /// It has to be set.
    pub is_required: bool,
    /// What stands for it if it is not set.
    pub default: String,
    /// What stands there if it is set.
    pub alternate: String,
}

/// The keys of resources.
const RESOURCES: [&str; 5] = ["networks", "volumes", "secrets", "configs", "models"];

impl Project {
    /// Returns the project with the services `names` (all that are on, if there are none) and those that they depend on, and
    /// with the resources that these use, or `all` of them.
    pub fn told(&self, names: &[String], all: bool) -> Result<YamlNode> {
        let selected = self.selected(names, true)?;
        let service = |(name, node): (&&str, &&YamlNode)| {
            ((*name).to_owned(), shown(node, names, |name| selected.contains_key(name)))
        };
        let services: NodeMapping = selected.iter().map(service).collect();
        let mut told = self.file.clone();
        let Some(mapping) = told.mapping_mut() else { return Ok(told) };
        if !all {
            for key in RESOURCES {
                let used = used(&services, key);
                if let Some(resources) = mapping.get_mut(key).and_then(YamlNode::mapping_mut) {
                    resources.retain(|name, _| used.contains(name));
                }
            }
            mapping.retain(|key, node| {
                !RESOURCES.contains(&key.as_str()) || node.mapping().is_none_or(|resources| !resources.is_empty())
            });
        }
        let services = self.file.with(NodeValue::Mapping(services));
        mapping.insert("services".to_owned(), services);
        Ok(told)
    }

    /// Returns the names of the services that are on, each behind those that it depends on.
    pub fn in_order(&self) -> Vec<&str> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        let on: BTreeMap<&str, &YamlNode> = self.services().collect();
        // A service stands on the stack twice: to have its dependencies looked at, and to be listed behind them.
        for name in on.keys() {
            let mut left = vec![(*name, false)];
            while let Some((name, is_listed)) = left.pop() {
                let Some(service) = on.get(name) else { continue };
                if is_listed {
                    order.push(name);
                } else if seen.insert(name) {
                    left.push((name, true));
                    let others: Vec<&str> = service.entries_of("depends_on").map(|(other, _)| other.as_str()).collect();
                    left.extend(others.into_iter().rev().map(|other| (other, false)));
                }
            }
        }
        order
    }

    /// Returns the profiles that services name.
    pub fn profiles(&self) -> BTreeSet<&str> {
        let services = self.file.entries_of("services");
        services.flat_map(|(_, service)| service.values_of("profiles")).filter_map(YamlNode::text).collect()
    }

    /// Returns the variables that the files name, if they were read with their variables left in.
    pub fn named_variables(&self) -> BTreeMap<String, NamedVariable> {
        let mut variables = BTreeMap::new();
        collect(&self.file, &mut variables);
        variables
    }
}

/// Returns a project as YAML, as compose writes it.
pub fn project_yaml(told: &YamlNode) -> String {
    write::yaml(told, &schema::FILE)
}

/// Returns a project whose variables were left in as YAML.
pub fn raw_yaml(told: &YamlNode) -> String {
    write::yaml(told, &Shape::Any)
}

/// Returns a project as JSON, as compose writes it.
pub fn project_json(told: &YamlNode) -> String {
    write_json::whole(told, &schema::FILE)
}

/// Returns a project whose variables were left in as JSON.
pub fn raw_json(told: &YamlNode) -> String {
    write_json::whole(told, &Shape::Any)
}

/// Returns variables that files name as YAML.
pub fn raw_variables(variables: &BTreeMap<String, NamedVariable>) -> String {
    let mut text = String::new();
    for (name, variable) in variables {
        let entries = [("defaultvalue", &variable.default), ("presencevalue", &variable.alternate)];
        let values = entries.map(|(key, value)| format!("    {key}: {}\n", write::scalar(value)));
        let is_required = variable.is_required;
        text.push_str(&format!("{name}:\n    name: {name}\n{}    required: {is_required}\n", values.concat()));
    }
    text
}

/// Returns what a service says of its containers, on one line; it is by the digest of this that compose knows whether they are as
/// the file says.
pub fn service_line(service: &YamlNode) -> String {
    let mut service = shown(service, &[], |_| true);
    if let Some(mapping) = service.mapping_mut() {
        for key in ["build", "pull_policy", "scale", "depends_on", "profiles"] {
            mapping.remove(key);
        }
        if let Some(deploy) = mapping.get_mut("deploy").and_then(YamlNode::mapping_mut) {
            deploy.remove("replicas");
        }
    }
    write_json::line(&service, &schema::SERVICE)
}

/// A service as it is told of: with those of its dependencies that are there, if it was one of `names` that are asked for.
fn shown(service: &YamlNode, names: &[String], is_there: impl Fn(&str) -> bool) -> YamlNode {
    let mut service = service.clone();
    let Some(mapping) = service.mapping_mut() else { return service };
    if let (false, Some(dependencies)) =
        (names.is_empty(), mapping.get_mut("depends_on").and_then(YamlNode::mapping_mut))
    {
        dependencies.retain(|name, _| is_there(name));
        if dependencies.is_empty() {
            mapping.remove("depends_on");
        }
    }
    for file in list(mapping.get_mut("env_file")) {
        let is_required = !matches!(file.get("required").map(|node| &node.value), Some(NodeValue::Boolean(false)));
        if let (true, Some(path)) = (is_required, file.get("path")) {
            *file = path.clone();
        }
    }
    limits(mapping);
    if let Some(build) = mapping.get_mut("build").and_then(YamlNode::mapping_mut) {
        for agent in list(build.get_mut("ssh")) {
            if let Some((name, path)) = agent.text().and_then(|text| text.split_once('=')) {
                *agent = agent.with_text(format!("{name}: {path}"));
            }
        }
        limits(build);
    }
    service
}

/// No limit is one of two zeros.
fn limits(mapping: &mut NodeMapping) {
    let limits = mapping.get_mut("ulimits").and_then(YamlNode::mapping_mut);
    for limit in limits.into_iter().flat_map(NodeMapping::values_mut) {
        if matches!(limit.value, NodeValue::Integer(0)) {
            *limit = limit.with_entries([("soft", limit.clone()), ("hard", limit.clone())]);
        }
    }
}

fn list(node: Option<&mut YamlNode>) -> &mut [YamlNode] {
    match node.map(|node| &mut node.value) {
        Some(NodeValue::List(values)) => values,
        _ => &mut [],
    }
}

/// The resources of the kind `key` that services use.
fn used(services: &NodeMapping, key: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for service in services.values() {
        match key {
            "networks" | "models" => used.extend(service.entries_of(key).map(|(name, _)| name.clone())),
            _ => {
                let build = service.get("build").map(|build| build.values_of(key)).unwrap_or_default();
                let is_meant = |node: &&YamlNode| key != "volumes" || node.text_of("type") == Some("volume");
                let sources = service.values_of(key).iter().filter(is_meant).chain(build);
                let sources = sources.filter_map(|node| node.text_of("source"));
                used.extend(sources.map(str::to_owned));
            }
        }
    }
    used
}

fn collect(node: &YamlNode, variables: &mut BTreeMap<String, NamedVariable>) {
    match &node.value {
        NodeValue::Text(text) => collect_text(text, 0, variables),
        NodeValue::List(values) => values.iter().for_each(|value| collect(value, variables)),
        NodeValue::Mapping(mapping) => mapping.values().for_each(|value| collect(value, variables)),
        _ => {}
    }
}

fn collect_text(text: &str, depth: usize, variables: &mut BTreeMap<String, NamedVariable>) {
    // What is not a form at all names nothing.
    for piece in pieces(text).unwrap_or_default() {
        let TextPiece::VariableUse(substitution) = piece else { continue };
        let (sign, word) = substitution.operation.unwrap_or(("", ""));
        let of = |wanted: char| if sign.ends_with(wanted) { word.to_owned() } else { String::new() };
        let variable = NamedVariable {
            name: substitution.name.to_owned(),
            is_required: sign.ends_with('?'),
            default: of('-'),
            alternate: of('+'),
        };
        variables.insert(variable.name.clone(), variable);
        if depth < 100 {
            collect_text(word, depth + 1, variables);
        }
    }
}
