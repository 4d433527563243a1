//! The ports of a service, in their short form and their long one.

use super::node::{NodeValue, YamlNode};
use crate::error::{Error, Result};

/// The most ports that one range stands for.
const MOST: u32 = 65_535;

/// Returns a list of ports of which each is in its long form.
pub fn list(node: YamlNode) -> Result<YamlNode> {
    let Some(values) = node.list() else { return Ok(node) };
    let mut ports = Vec::new();
    for value in values {
        match &value.value {
            NodeValue::Mapping(_) => ports.push(with_defaults(value.clone())),
            _ => match value.scalar() {
                Some(text) => {
                    let more = short(&text, value).ok_or_else(|| {
                        let error = Error::input(format!("`{text}` is no port"));
                        value.blame(error.with_hint("write \"8080:80\", \"127.0.0.1:8080:80/tcp\" or \"3000-3005\""))
                    })?;
                    ports.extend(more);
                }
                None => ports.push(value.clone()),
            },
        }
        if ports.len() > 2 * MOST as usize {
            return Err(value.blame(Error::input("these are more ports than there are")));
        }
    }
    Ok(node.with(NodeValue::List(ports)))
}

/// Returns what tells a port from others.
pub fn key(node: &YamlNode) -> String {
    let text = |key: &str| node.get(key).and_then(YamlNode::scalar);
    let host = text("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned());
    let protocol = text("protocol").unwrap_or_else(|| "tcp".to_owned());
    format!("{host}:{}:{}/{protocol}", text("published").unwrap_or_default(), text("target").unwrap_or_default())
}

fn with_defaults(mut node: YamlNode) -> YamlNode {
    let (mode, protocol) = (node.with_text("ingress"), node.with_text("tcp"));
    if let Some(mapping) = node.mapping_mut() {
        mapping.entry("mode".to_owned()).or_insert(mode);
        mapping.entry("protocol".to_owned()).or_insert(protocol);
    }
    node
}

fn short(text: &str, node: &YamlNode) -> Option<Vec<YamlNode>> {
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (before, target) = rest.rsplit_once(':').map_or((None, rest), |(before, target)| (Some(before), target));
    let (host, published) = match before {
        None => (None, None),
        Some(before) => match before.rsplit_once(':') {
            // The address may be one of IPv6, with or without brackets.
            Some((host, published)) => (Some(host.trim_start_matches('[').trim_end_matches(']')), Some(published)),
            None => (None, Some(before)),
        },
    };
    let published = published.filter(|published| !published.is_empty());
    let targets = range(target)?;
    let publisheds = published.map(range).map_or(Some(None), |range| range.map(Some))?;
    let count = targets.1 - targets.0 + 1;
    let single = |target: u32, published: Option<String>| {
        let mut entries = vec![
            ("mode", node.with_text("ingress")),
            ("protocol", node.with_text(protocol.to_lowercase())),
            ("target", node.with(NodeValue::Integer(target.into()))),
        ];
        entries.extend(host.filter(|host| !host.is_empty()).map(|host| ("host_ip", node.with_text(host))));
        entries.extend(published.map(|published| ("published", node.with_text(published))));
        node.with_entries(entries)
    };
    match publisheds {
        // One port on any of a range of the machine's.
        Some((first, last)) if count == 1 && first != last => {
            Some(vec![single(targets.0, published.map(str::to_owned))])
        }
        Some((first, last)) if last - first + 1 != count => None,
        _ => {
            let of = |number: u32| publisheds.map(|(first, _)| (first + number).to_string());
            Some((0..count).map(|number| single(targets.0 + number, of(number))).collect())
        }
    }
}

fn range(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= MOST);
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}
