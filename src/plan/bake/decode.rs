//! From values of expressions to the keys of targets and groups.

use super::credential::{AgentEntry, SecretEntry};
use super::entry::{AttestEntry, CacheEntry, OutputEntry};
use super::policy::{PolicyEntry, RESOURCE_KEYS, ResourceSettings};
use super::target::{BakeGroup, BakeTarget};
use crate::error::{Error, Result};
use crate::oci::Map;
use crate::plan::hcl::{AttributeType, HclAttribute, SequenceKind, Type, Value, convert};

/// The most values that a list may have.
const LONGEST_LIST: usize = 5_000;

const GROUP_KEYS: [&str; 2] = ["description", "targets"];

const TARGET_KEYS: [&str; 29] = [
    "annotations",
    "args",
    "attest",
    "cache-from",
    "cache-to",
    "call",
    "context",
    "contexts",
    "description",
    "dockerfile",
    "dockerfile-inline",
    "entitlements",
    "extra-hosts",
    "inherits",
    "labels",
    "network",
    "no-cache",
    "no-cache-filter",
    "output",
    "platforms",
    "policy",
    "pull",
    "resources",
    "secret",
    "shm-size",
    "ssh",
    "tags",
    "target",
    "ulimits",
];

/// Returns the keys of blocks of this kind.
pub(super) fn keys(kind: &str) -> &'static [&'static str] {
    if kind == "group" { &GROUP_KEYS } else { &TARGET_KEYS }
}

/// Sets a key of a group.
pub(super) fn group(group: &mut BakeGroup, attribute: &HclAttribute, value: &Value) -> Result<()> {
    match attribute.name.as_str() {
        "description" => required_text(value).map(|text| group.description = text),
        _ => texts(value).map(|texts| group.targets = texts),
    }
    .map_err(|error| in_attribute(attribute, error))
}

/// Sets a key of a target.
pub(super) fn target(target: &mut BakeTarget, attribute: &HclAttribute, value: &Value) -> Result<()> {
    set(target, &attribute.name, value).map_err(|error| in_attribute(attribute, error))
}

fn in_attribute(attribute: &HclAttribute, error: Error) -> Error {
    let error = Error { message: format!("`{}`: {}", attribute.name, error.message), ..error };
    attribute.value.place.blame(error)
}

fn set(target: &mut BakeTarget, key: &str, value: &Value) -> Result<()> {
    match key {
        "annotations" => target.annotations = texts(value)?,
        "args" => target.args = map(value)?,
        "attest" => {
            target.attest = Some(entries(
                value,
                |text| Ok(vec![AttestEntry::read(text)?]),
                |value| AttestEntry::of_fields(text_fields(value)?),
            )?)
        }
        "cache-from" => target.cache_from = Some(entries(value, CacheEntry::read, cache_of)?),
        "cache-to" => target.cache_to = Some(entries(value, CacheEntry::read, cache_of)?),
        "call" => target.call = text(value)?,
        "context" => target.context = text(value)?,
        "contexts" => target.contexts = required_values(map(value)?)?,
        "description" => target.description = required_text(value)?,
        "dockerfile" => target.dockerfile = text(value)?,
        "dockerfile-inline" => target.dockerfile_inline = text(value)?,
        "entitlements" => target.entitlements = texts(value)?,
        "extra-hosts" => target.extra_hosts = map(value)?,
        "inherits" => target.inherits = texts(value)?,
        "labels" => target.labels = map(value)?,
        "network" => target.network = text(value)?,
        "no-cache" => target.no_cache = truth(value)?,
        "no-cache-filter" => target.no_cache_filter = texts(value)?,
        "output" => {
            target.outputs = Some(entries(
                value,
                |text| Ok(vec![OutputEntry::read(text)?]),
                |value| OutputEntry::of_fields(text_fields(value)?),
            )?)
        }
        "platforms" => target.platforms = texts(value)?,
        "policy" => target.policy = Some(entries(value, |text| Ok(vec![PolicyEntry::read(text)?]), policy_of)?),
        "pull" => target.pull = truth(value)?,
        "resources" => target.resources = resources(value)?,
        "secret" => {
            target.secrets = Some(entries(value, |text| Ok(vec![SecretEntry::read(text)?]), secret_of)?);
        }
        "shm-size" => target.shm_size = text(value)?,
        "ssh" => target.ssh = Some(entries(value, |text| Ok(vec![AgentEntry::read(text)]), agent_of)?),
        "tags" => target.tags = texts(value)?,
        "target" => target.target = text(value)?,
        "ulimits" => target.ulimits = texts(value)?,
        _ => {}
    }
    Ok(())
}

fn converted(value: &Value, kind: &Type) -> Result<Value> {
    convert(value, kind).map_err(|why| Error::input(format!("unsuitable value: {why}")))
}

fn null() -> Error {
    Error::input("null value is not allowed")
}

fn text(value: &Value) -> Result<Option<String>> {
    Ok(converted(value, &Type::String)?.as_text().map(str::to_owned))
}

fn required_text(value: &Value) -> Result<String> {
    text(value)?.ok_or_else(null)
}

fn truth(value: &Value) -> Result<Option<bool>> {
    Ok(converted(value, &Type::Bool)?.as_bool())
}

fn texts(value: &Value) -> Result<Option<Vec<String>>> {
    let value = converted(value, &Type::String.list())?;
    let Some(elements) = value.as_elements() else { return Ok(None) };
    check_length(elements.len())?;
    let texts = elements.iter().map(|element| element.as_text().map(str::to_owned).ok_or_else(null));
    texts.collect::<Result<_>>().map(Some)
}

fn check_length(length: usize) -> Result<()> {
    match length > LONGEST_LIST {
        true => Err(Error::input(format!("the list has more than {LONGEST_LIST} values"))),
        false => Ok(()),
    }
}

/// The texts of a map or an object; null has none.
fn map(value: &Value) -> Result<Map<Option<String>>> {
    let value = converted(value, &Type::String.map())?;
    let entries = value.as_entries().into_iter().flatten();
    Ok(entries.map(|(name, value)| (name.clone(), value.as_text().map(str::to_owned))).collect())
}

fn required_values(map: Map<Option<String>>) -> Result<Map<String>> {
    map.into_iter().map(|(name, value)| value.map(|value| (name, value)).ok_or_else(null)).collect()
}

fn text_fields(value: &Value) -> Result<Map<String>> {
    if value.is_null() {
        return Err(null());
    }
    required_values(map(value)?)
}

/// The entries of a list, each of which is a text or an object. Empty texts are none.
fn entries<T>(
    value: &Value,
    of_text: impl Fn(&str) -> Result<Vec<T>>,
    of_object: impl Fn(&Value) -> Result<T>,
) -> Result<Vec<T>> {
    let elements = match value {
        Value::Null(_) => return Err(null()),
        Value::Sequence(sequence) if !matches!(sequence.kind, SequenceKind::Set(_)) => &sequence.values,
        other => {
            let error = format!("unsuitable value: expected a list, but this is {}", other.kind().name());
            return Err(Error::input(error).with_hint("write [ before it and ] after it"));
        }
    };
    check_length(elements.len())?;
    let mut entries = Vec::with_capacity(elements.len());
    for element in elements {
        match element {
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => entries.extend(of_text(text)?),
            other => entries.push(of_object(other)?),
        }
    }
    Ok(entries)
}

fn cache_of(value: &Value) -> Result<CacheEntry> {
    CacheEntry::of_fields(text_fields(value)?)
}

/// The fields of an object of which each may be left out.
fn optional_fields(value: &Value, fields: &[(&str, Type)]) -> Result<Value> {
    if value.is_null() {
        return Err(null());
    }
    let field =
        |(name, value): &(&str, Type)| ((*name).to_owned(), AttributeType { value: value.clone(), is_optional: true });
    converted(value, &Type::Object(std::sync::Arc::new(fields.iter().map(field).collect())))
}

fn secret_of(value: &Value) -> Result<SecretEntry> {
    let fields = optional_fields(value, &[("id", Type::String), ("src", Type::String), ("env", Type::String)])?;
    let field = |name: &str| field_text(&fields, name).unwrap_or_default();
    Ok(SecretEntry { id: field("id"), path: field("src"), variable: field("env") })
}

fn agent_of(value: &Value) -> Result<AgentEntry> {
    let fields = optional_fields(value, &[("id", Type::String), ("paths", Type::String.list())])?;
    let paths = fields.as_entries().and_then(|entries| entries.get("paths")).map(texts).transpose()?.flatten();
    Ok(AgentEntry { id: field_text(&fields, "id").unwrap_or_default(), paths: paths.unwrap_or_default() })
}

fn field_text(fields: &Value, name: &str) -> Option<String> {
    fields.as_entries()?.get(name)?.as_text().map(str::to_owned)
}

fn policy_of(value: &Value) -> Result<PolicyEntry> {
    let entries = value.as_entries().ok_or_else(|| {
        Error::input(format!("unsuitable value: expected a text or an object, but this is {}", value.kind().name()))
    })?;
    let mut fields = Vec::new();
    for (name, value) in entries {
        if let Some(text) = text(value)?.filter(|text| !text.is_empty()) {
            fields.push(format!("{name}={text}"));
        }
    }
    PolicyEntry::of_fields(&fields)
}

fn resources(value: &Value) -> Result<Option<ResourceSettings>> {
    if value.is_null() {
        return Ok(None);
    }
    let fields: Vec<(&str, Type)> = RESOURCE_KEYS
        .iter()
        .map(|key| (*key, if key.starts_with("cpu-") { Type::Number } else { Type::String }))
        .collect();
    let fields = optional_fields(value, &fields)?;
    let mut settings = ResourceSettings::default();
    for (name, value) in fields.as_entries().into_iter().flatten() {
        if let Some(text) = text(value)? {
            settings.set(name, &text)?;
        }
    }
    Ok(Some(settings))
}
