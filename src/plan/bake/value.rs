//! Targets and groups as the values that expressions see of them.

use std::collections::BTreeMap;

use super::credential::{AgentEntry, SecretEntry};
use super::policy::{PolicyEntry, ResourceSettings};
use super::target::{BakeGroup, BakeTarget};
use crate::oci::Map;
use crate::plan::hcl::{Type, Value, convert};

/// Returns what an expression sees of a group.
pub(super) fn of_group(group: &BakeGroup) -> Value {
    object([
        ("name", Value::text(group.name.as_str())),
        ("description", Value::text(group.description.as_str())),
        ("targets", texts(group.targets.as_ref())),
    ])
}

/// Returns what an expression sees of a target: all keys, those that were not said as null.
pub(super) fn of_target(target: &BakeTarget) -> Value {
    let fields = |all: Vec<Map<String>>| {
        let maps = all.into_iter().map(|fields| map(fields.into_iter().map(|(key, text)| (key, Some(text))).collect()));
        Value::list(Type::String.map(), maps.collect())
    };
    let caches = |entries: &Option<Vec<super::entry::CacheEntry>>| {
        fields(entries.iter().flatten().map(super::entry::CacheEntry::to_fields).collect())
    };
    object([
        ("name", Value::text(target.name.as_str())),
        ("description", Value::text(target.description.as_str())),
        ("inherits", texts(target.inherits.as_ref())),
        ("annotations", texts(target.annotations.as_ref())),
        ("attest", fields(target.attest.iter().flatten().map(super::entry::AttestEntry::to_fields).collect())),
        ("context", text(target.context.as_ref())),
        ("contexts", some_map(target.contexts.iter().map(|(key, text)| (key.clone(), Some(text.clone()))).collect())),
        ("dockerfile", text(target.dockerfile.as_ref())),
        ("dockerfile-inline", text(target.dockerfile_inline.as_ref())),
        ("args", some_map(target.args.clone())),
        ("labels", some_map(target.labels.clone())),
        ("tags", texts(target.tags.as_ref())),
        ("cache-from", caches(&target.cache_from)),
        ("cache-to", caches(&target.cache_to)),
        ("target", text(target.target.as_ref())),
        ("secret", list(secret_type(), target.secrets.iter().flatten().map(secret))),
        ("ssh", list(agent_type(), target.ssh.iter().flatten().map(agent))),
        ("platforms", texts(target.platforms.as_ref())),
        ("output", fields(target.outputs.iter().flatten().map(super::entry::OutputEntry::to_fields).collect())),
        ("pull", truth(target.pull)),
        ("no-cache", truth(target.no_cache)),
        ("network", text(target.network.as_ref())),
        ("no-cache-filter", texts(target.no_cache_filter.as_ref())),
        ("shm-size", text(target.shm_size.as_ref())),
        ("ulimits", texts(target.ulimits.as_ref())),
        ("call", text(target.call.as_ref())),
        ("entitlements", texts(target.entitlements.as_ref())),
        ("extra-hosts", some_map(target.extra_hosts.clone())),
        ("policy", fields(target.policy.iter().flatten().map(policy).collect())),
        ("resources", resources(target.resources.as_ref())),
    ])
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn text(text: Option<&String>) -> Value {
    text.map_or(Value::Null(Type::String), |text| Value::text(text.as_str()))
}

fn truth(value: Option<bool>) -> Value {
    value.map_or(Value::Null(Type::Bool), Value::from)
}

fn texts(texts: Option<&Vec<String>>) -> Value {
    match texts {
        Some(texts) => list(Type::String, texts.iter().map(|text| Value::text(text.as_str()))),
        None => Value::Null(Type::String.list()),
    }
}

fn list(element: Type, values: impl Iterator<Item = Value>) -> Value {
    Value::list(element, values.collect())
}

fn map(values: BTreeMap<String, Option<String>>) -> Value {
    let values = values.into_iter().map(|(key, value)| (key, text(value.as_ref())));
    Value::map(Type::String, values.collect())
}

/// A map of which nothing was said is null.
fn some_map(values: BTreeMap<String, Option<String>>) -> Value {
    if values.is_empty() { Value::Null(Type::String.map()) } else { map(values) }
}

fn secret_type() -> Type {
    Type::object(["id", "src", "env"].map(|name| (name.to_owned(), Type::String)))
}

fn secret(secret: &SecretEntry) -> Value {
    let field = |text: &String| Value::text(text.as_str());
    object([("id", field(&secret.id)), ("src", field(&secret.path)), ("env", field(&secret.variable))])
}

fn agent_type() -> Type {
    Type::object([("id".to_owned(), Type::String), ("paths".to_owned(), Type::String.list())])
}

fn agent(agent: &AgentEntry) -> Value {
    object([("id", Value::text(agent.id.as_str())), ("paths", texts(Some(&agent.paths)))])
}

fn policy(policy: &PolicyEntry) -> Map<String> {
    let mut fields = Map::new();
    let mut set = |key: &str, value: Option<String>| fields.extend(value.map(|value| (key.to_owned(), value)));
    set("filename", policy.files.iter().flatten().next().map(|file| file.name.clone()));
    set("reset", policy.is_reset.then(|| true.to_string()));
    set("disabled", policy.is_disabled.then(|| true.to_string()));
    set("strict", policy.is_strict.map(|value| value.to_string()));
    set("log-level", policy.log_level.clone());
    fields
}

fn resources(resources: Option<&ResourceSettings>) -> Value {
    let Some(own) = resources else { return Value::null() };
    let number = |number: Option<i64>| {
        let text = number.map(|number| Value::text(number.to_string()));
        text.and_then(|text| convert(&text, &Type::Number).ok()).unwrap_or(Value::Null(Type::Number))
    };
    object([
        ("memory", text(own.memory.as_ref())),
        ("memory-swap", text(own.memory_swap.as_ref())),
        ("cpu-shares", number(own.cpu_shares)),
        ("cpu-period", number(own.cpu_period)),
        ("cpu-quota", number(own.cpu_quota)),
        ("cpuset-cpus", text(own.cpuset_cpus.as_ref())),
        ("cpuset-mems", text(own.cpuset_mems.as_ref())),
    ])
}
