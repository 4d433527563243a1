//! The short forms of compose's keys, brought into their long ones.

use super::merge::{as_build, as_names, as_pairs, nothing, started};
use super::node::{NodeMapping, NodeValue, YamlNode};
use crate::error::{Error, Result};

/// Text is the words of a shell's line.
pub fn command(node: YamlNode) -> Result<YamlNode> {
    match &node.value {
        NodeValue::Text(text) => {
            let words = words(text).ok_or_else(|| node.blame(Error::input("a quotation mark has no end")))?;
            let words = words.into_iter().map(|word| node.with_text(word)).collect();
            Ok(node.with(NodeValue::List(words)))
        }
        NodeValue::List(values) => {
            let word = |value: &YamlNode| match value.scalar() {
                Some(text) => Ok(value.with_text(text)),
                None => {
                    Err(value.blame(Error::input(format!("a word of a command is text, and this is {}", value.kind()))))
                }
            };
            Ok(node.with(NodeValue::List(values.iter().map(word).collect::<Result<_>>()?)))
        }
        _ => {
            Err(node.blame(Error::input(format!("a command is text or a list of words, and this is {}", node.kind()))))
        }
    }
}

/// The words of a line, as a shell that only knows quotation marks and backslashes splits it.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == c => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, _) if c.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Text is the context; the default of one that is not said is the directory of the project.
pub fn build(node: YamlNode) -> Result<YamlNode> {
    Ok(as_build(node))
}

/// Text is the source.
pub fn source(node: YamlNode) -> Result<YamlNode> {
    match node.text() {
        Some(_) => Ok(node.with_entries([("source", node.clone())])),
        None => Ok(node),
    }
}

/// A list of names is a mapping of dependencies; each has to be there unless it says otherwise.
pub fn dependencies(node: YamlNode) -> Result<YamlNode> {
    let mut node = as_names(node, started);
    for dependency in node.mapping_mut().into_iter().flat_map(NodeMapping::values_mut) {
        let required = dependency.with(NodeValue::Boolean(true));
        if let Some(mapping) = dependency.mapping_mut() {
            mapping.entry("required".to_owned()).or_insert(required);
        }
    }
    Ok(node)
}

/// A list of names is a mapping with nothing of each.
pub fn networks(node: YamlNode) -> Result<YamlNode> {
    Ok(as_names(node, nothing))
}

/// Text, and each text of a list, is the path of a file that has to be there.
pub fn variable_files(node: YamlNode) -> Result<YamlNode> {
    let values = match &node.value {
        NodeValue::List(values) => values.clone(),
        NodeValue::Null => return Ok(node),
        _ => vec![node.clone()],
    };
    let file = |value: YamlNode| match value.text() {
        Some(_) => value.with_entries([("path", value.clone())]),
        None => value,
    };
    let file = |value: YamlNode| {
        let (mut file, required) = (file(value.clone()), value.with(NodeValue::Boolean(true)));
        if let Some(mapping) = file.mapping_mut() {
            mapping.entry("required".to_owned()).or_insert(required);
        }
        file
    };
    Ok(node.with(NodeValue::List(values.into_iter().map(file).collect())))
}

/// Text is the service.
pub fn extends(node: YamlNode) -> Result<YamlNode> {
    match node.text() {
        Some(_) => Ok(node.with_entries([("service", node.clone())])),
        None => Ok(node),
    }
}

/// `NAME:ADDRESS`, `NAME=ADDRESS` or a mapping, as a sorted list of `NAME=ADDRESS`.
pub fn hosts(node: YamlNode) -> Result<YamlNode> {
    let mut hosts: Vec<YamlNode> = as_pairs(&node).into_iter().map(host).collect::<Result<_>>()?;
    hosts.sort_by(|a, b| a.text().cmp(&b.text()));
    hosts.dedup_by(|a, b| a.text() == b.text());
    Ok(node.with(NodeValue::List(hosts)))
}

/// The same for a build, where the last address of a name counts.
pub fn build_hosts(node: YamlNode) -> Result<YamlNode> {
    let mut hosts = std::collections::BTreeMap::new();
    for pair in as_pairs(&node) {
        let host = host(pair)?;
        let name = host.text().unwrap_or_default().split('=').next().unwrap_or_default().to_owned();
        hosts.insert(name, host);
    }
    Ok(node.with(NodeValue::List(hosts.into_values().collect())))
}

fn host(node: YamlNode) -> Result<YamlNode> {
    let parts = node.text().and_then(|text| text.split_once(['=', ':']));
    match parts.filter(|(name, address)| !name.is_empty() && !address.is_empty()) {
        Some((name, address)) => {
            let inner = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
            Ok(node.with_text(format!("{name}={inner}")))
        }
        None => Err(node.blame(Error::input("a host is its name and its address").with_hint("write NAME=ADDRESS"))),
    }
}

/// A mapping, or a list of `ID` and `ID=PATH`, as such a list.
pub fn agents(node: YamlNode) -> Result<YamlNode> {
    let agents = as_pairs(&node).into_iter().map(|agent| match agent.text() {
        Some(text) => Ok(agent.with_text(text.strip_suffix('=').unwrap_or(text))),
        None => Err(agent.blame(Error::input("an SSH agent is `default`, or ID=PATH"))),
    });
    Ok(node.with(NodeValue::List(agents.collect::<Result<_>>()?)))
}

/// A number is the limit; a mapping has `soft` and `hard`.
pub fn limit(node: YamlNode) -> Result<YamlNode> {
    Ok(node)
}

/// `external: {name: NAME}` is external, and has that name.
pub fn external(mut node: YamlNode) -> Result<YamlNode> {
    let Some(external) = node.get("external").cloned() else { return Ok(node) };
    let name = external.get("name").cloned();
    if let (Some(mapping), true) = (node.mapping_mut(), external.mapping().is_some()) {
        if let Some(name) = name {
            mapping.entry("name".to_owned()).or_insert(name);
        }
        mapping.insert("external".to_owned(), external.with(NodeValue::Boolean(true)));
    }
    Ok(node)
}
