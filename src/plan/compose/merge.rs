//! How a later file changes what an earlier one says: mappings by their keys, lists one behind the other, all else replaced; and
//! the keys for which that is otherwise.

use std::collections::BTreeSet;

use super::node::{MergeMark, NodeMapping, NodeValue, YamlNode};
use crate::error::{Error, Result};

/// The most address ranges that are laid over each other: those of one file times those of the other.
const MOST_RANGES: usize = 10_000;

/// How the values at one place are merged.
#[derive(Clone, Copy)]
enum MergeRule {
    /// The later one counts.
    Replace,
    /// Both as lists of `KEY=VALUE`, one behind the other; what a key has twice is sorted out when it is read.
    Pairs,
    /// A directory, or a mapping.
    Build,
    /// Names, or a mapping with something of each.
    Names(fn(&YamlNode) -> YamlNode),
    /// Mappings, if both are about the same driver.
    Logging,
    /// Lists of hosts, without what both say in the same words.
    Hosts,
    /// Lists of address ranges, those of one subnet laid over each other.
    AddressRanges,
}

/// The places of rules, `*` for any key.
const RULES: &[(&str, MergeRule)] = &[
    ("networks.*.ipam.config", MergeRule::AddressRanges),
    ("networks.*.labels", MergeRule::Pairs),
    ("volumes.*.labels", MergeRule::Pairs),
    ("services.*.annotations", MergeRule::Pairs),
    ("services.*.build", MergeRule::Build),
    ("services.*.build.additional_contexts", MergeRule::Pairs),
    ("services.*.build.args", MergeRule::Pairs),
    ("services.*.build.extra_hosts", MergeRule::Hosts),
    ("services.*.build.labels", MergeRule::Pairs),
    ("services.*.command", MergeRule::Replace),
    ("services.*.depends_on", MergeRule::Names(started)),
    ("services.*.deploy.labels", MergeRule::Pairs),
    ("services.*.dns", MergeRule::Pairs),
    ("services.*.dns_opt", MergeRule::Pairs),
    ("services.*.dns_search", MergeRule::Pairs),
    ("services.*.entrypoint", MergeRule::Replace),
    ("services.*.env_file", MergeRule::Pairs),
    ("services.*.environment", MergeRule::Pairs),
    ("services.*.extra_hosts", MergeRule::Hosts),
    ("services.*.healthcheck.test", MergeRule::Replace),
    ("services.*.label_file", MergeRule::Pairs),
    ("services.*.labels", MergeRule::Pairs),
    ("services.*.logging", MergeRule::Logging),
    ("services.*.models", MergeRule::Names(nothing)),
    ("services.*.networks", MergeRule::Names(nothing)),
    ("services.*.sysctls", MergeRule::Pairs),
    ("services.*.tmpfs", MergeRule::Pairs),
    ("services.*.ulimits.*", MergeRule::Replace),
];

/// The keys from the top of the file to a value.
pub type KeyPath<'a> = Vec<&'a str>;

/// Returns what `base` is once `over` is laid over it. What `over` marks stays marked. An error shows the line of `over`.
pub fn merge<'a>(base: YamlNode, over: YamlNode, path: &mut KeyPath<'a>) -> Result<YamlNode> {
    if over.mark != MergeMark::Merged {
        return Ok(over);
    }
    match rule(path) {
        Some(MergeRule::Replace) => Ok(over),
        Some(MergeRule::Pairs) => Ok(pairs(base, over)),
        Some(MergeRule::Hosts) => Ok(hosts(&base, &over)),
        Some(MergeRule::AddressRanges) => address_ranges(base, over, path),
        Some(MergeRule::Build) => usual(as_build(base), as_build(over), path),
        Some(MergeRule::Names(with)) => usual(as_names(base, with), as_names(over, with), path),
        Some(MergeRule::Logging) => match (base.text_of("driver"), over.text_of("driver")) {
            (Some(own), Some(other)) if own != other => Ok(over),
            _ => usual(base, over, path),
        },
        None => usual(base, over, path),
    }
}

fn rule(path: &[&str]) -> Option<MergeRule> {
    let fits = |pattern: &str| {
        let mut parts = pattern.split('.');
        path.iter().all(|key| parts.next().is_some_and(|part| part == "*" || part == *key)) && parts.next().is_none()
    };
    RULES.iter().find(|(pattern, _)| fits(pattern)).map(|(_, rule)| *rule)
}

fn usual<'a>(mut base: YamlNode, over: YamlNode, path: &mut KeyPath<'a>) -> Result<YamlNode> {
    let (key, place) = (over.key.clone(), over.place.clone());
    match (&mut base.value, over.value) {
        (_, NodeValue::Null) => Ok(base),
        (NodeValue::Mapping(mapping), NodeValue::Mapping(other)) => {
            merge_mappings(mapping, other, path)?;
            Ok(base)
        }
        (NodeValue::List(values), NodeValue::List(other)) => {
            values.extend(other);
            Ok(base)
        }
        (NodeValue::Mapping(_) | NodeValue::List(_), value) => {
            let over = YamlNode { value, key, place, mark: MergeMark::Merged };
            let error = format!(
                "{} is {} here, but {} in the file that this overrides",
                path.join("."),
                over.kind(),
                base.kind()
            );
            Err(over.blame(Error::input(error).with_hint("`!override` before it replaces what is there")))
        }
        (_, value) => Ok(YamlNode { value, key, place, mark: MergeMark::Merged }),
    }
}

fn merge_mappings(mapping: &mut NodeMapping, other: NodeMapping, path: &mut KeyPath<'_>) -> Result<()> {
    for (key, value) in other {
        let merged = match mapping.remove(&key) {
            Some(base) => {
                let mut path: KeyPath<'_> = path.iter().copied().chain([key.as_str()]).collect();
                merge(base, value, &mut path)?
            }
            None => value,
        };
        mapping.insert(key, merged);
    }
    Ok(())
}

fn hosts(base: &YamlNode, over: &YamlNode) -> YamlNode {
    let mut values = as_pairs(base);
    let known: BTreeSet<String> = values.iter().filter_map(YamlNode::scalar).collect();
    values.extend(as_pairs(over).into_iter().filter(|host| host.scalar().is_none_or(|text| !known.contains(&text))));
    YamlNode { key: base.key.clone(), ..over.with(NodeValue::List(values)) }
}

/// Each range of `base` with each of `over`, as compose goes through them: of one subnet they are laid over each other.
fn address_ranges(base: YamlNode, over: YamlNode, path: &mut KeyPath<'_>) -> Result<YamlNode> {
    let (Some(ranges), Some(others)) = (base.list(), over.list()) else {
        let error =
            format!("{} is {} here, but {} in the file that this overrides", path.join("."), over.kind(), base.kind());
        return Err(over.blame(Error::input(error)));
    };
    if ranges.len() * others.len() > MOST_RANGES {
        return Err(over.blame(Error::input("there are too many address ranges to merge")));
    }
    let subnet = |node: &YamlNode| node.get("subnet").and_then(YamlNode::scalar);
    let mut made: Vec<YamlNode> = Vec::new();
    for range in ranges {
        let mut range = range.clone();
        for other in others {
            let place =
                |made: &[YamlNode], wanted: &YamlNode| made.iter().position(|known| subnet(known) == subnet(wanted));
            if subnet(other) != subnet(&range) && place(&made, other).is_none() {
                made.push(other.clone());
                continue;
            }
            range = usual(range, other.clone(), path)?;
            match place(&made, &range) {
                Some(at) => made[at] = range.clone(),
                None => made.push(range.clone()),
            }
        }
    }
    Ok(YamlNode { key: base.key.clone(), ..over.with(NodeValue::List(made)) })
}

/// Both as lists, one behind the other. A key that is taken away in `over` is gone from `base`.
fn pairs(base: YamlNode, over: YamlNode) -> YamlNode {
    let gone = |item: &YamlNode| {
        let name = item.text().map(|text| text.split('=').next().unwrap_or_default());
        let marked = name.and_then(|name| over.mapping()?.get(name));
        marked.is_some_and(|value| value.mark == MergeMark::Reset)
    };
    let mut values: Vec<YamlNode> = as_pairs(&base).into_iter().filter(|item| !gone(item)).collect();
    values.extend(as_pairs(&over));
    YamlNode { key: base.key.clone(), ..over.with(NodeValue::List(values)) }
}

/// Returns a mapping as a list of `KEY=VALUE`, and one value as a list of it.
pub fn as_pairs(node: &YamlNode) -> Vec<YamlNode> {
    match &node.value {
        NodeValue::Null => Vec::new(),
        NodeValue::List(values) => values.clone(),
        NodeValue::Mapping(mapping) => {
            let of = |(key, value): (&String, &YamlNode)| match &value.value {
                _ if value.mark == MergeMark::Reset => Vec::new(),
                NodeValue::List(values) => {
                    let value =
                        |value: &YamlNode| value.with_text(format!("{key}={}", value.scalar().unwrap_or_default()));
                    values.iter().map(value).collect()
                }
                _ => match value.scalar() {
                    Some(text) => vec![value.with_text(format!("{key}={text}"))],
                    // Only what is nothing has no text here: a mapping is found out where it is read.
                    None if value.is_null() => vec![value.with_text(key.clone())],
                    None => vec![value.clone()],
                },
            };
            let mut pairs: Vec<YamlNode> = mapping.iter().flat_map(of).collect();
            pairs.sort_by(|a, b| a.text().cmp(&b.text()));
            pairs
        }
        _ => vec![node.clone()],
    }
}

/// Returns the mapping of a build: text is its context.
pub fn as_build(node: YamlNode) -> YamlNode {
    match &node.value {
        NodeValue::Text(_) => {
            let context = YamlNode { mark: MergeMark::Merged, ..node.clone() };
            YamlNode { mark: node.mark, ..node.with_entries([("context", context)]) }
        }
        _ => node,
    }
}

/// Returns the mapping of a list of names, each with what `with` makes for it.
pub fn as_names(node: YamlNode, with: fn(&YamlNode) -> YamlNode) -> YamlNode {
    let Some(values) = node.list() else { return node };
    if !values.iter().all(|value| value.text().is_some()) {
        return node;
    }
    let entry = |value: &YamlNode| {
        let made = YamlNode { key: Some(value.place.clone()), ..with(value) };
        (value.text().unwrap_or_default().to_owned(), made)
    };
    node.with(NodeValue::Mapping(values.iter().map(entry).collect()))
}

/// Returns what a dependency is that is only named.
pub fn started(node: &YamlNode) -> YamlNode {
    let required = node.with(NodeValue::Boolean(true));
    node.with_entries([("condition", node.with_text("service_started")), ("required", required)])
}

/// Returns what a network is that is only named.
pub fn nothing(node: &YamlNode) -> YamlNode {
    node.with(NodeValue::Null)
}
