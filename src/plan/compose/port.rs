//! The ports of a service in their short form.

use std::net::IpAddr;

use super::node::{NodeValue, YamlNode};
use crate::error::{Error, Result};

/// The most ports that one range stands for.
const MOST: u32 = 65_535;

/// Returns a list of ports of which each is in its long form.
pub fn list(node: YamlNode) -> Result<YamlNode> {
    let Some(values) = node.list() else { return Ok(node) };
    let mut ports = Vec::new();
    for value in values {
        match (&value.value, value.scalar()) {
            (NodeValue::Integer(_) | NodeValue::Text(_), Some(text)) => {
                match short(&text, value) {
                    Some(more) => ports.extend(more),
                    // With its variables left in, it may be anything.
                    None if text.contains('$') => return Ok(node),
                    None => return Err(no_port(value)),
                }
            }
            (NodeValue::Float(_), _) => return Err(value.blame(Error::input("a port has no fraction"))),
            _ => ports.push(value.clone()),
        }
        if ports.len() > 2 * MOST as usize {
            return Err(value.blame(Error::input("this is more ports than there can be")));
        }
    }
    Ok(node.with(NodeValue::List(ports)))
}

/// Returns a port in its long form as it is; one that is still in its short form is none.
pub fn whole(node: YamlNode) -> Result<YamlNode> {
    if node.mapping().is_some() { Ok(node) } else { Err(no_port(&node)) }
}

fn no_port(node: &YamlNode) -> Error {
    let error = Error::input(format!("`{}` is not a port", node.scalar().unwrap_or_default()));
    node.blame(error.with_hint("write \"8080:80\", \"127.0.0.1:8080:80/tcp\" or \"3000-3005\""))
}

fn short(text: &str, node: &YamlNode) -> Option<Vec<YamlNode>> {
    let mut parts = text.split('/');
    let (rest, protocol) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let protocol = match protocol.to_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return None,
    };
    let (before, target) = rest.rsplit_once(':').map_or((None, rest), |(before, target)| (Some(before), target));
    let (host, published) = match before.map(|before| (before.rsplit_once(':'), before)) {
        None => ("", ""),
        Some((Some((host, published)), _)) => (address(host)?, published),
        Some((None, published)) => ("", published),
    };
    let targets = range(target)?;
    let publisheds = (!published.is_empty()).then(|| range(published));
    let publisheds = match publisheds {
        Some(range) => Some(range?),
        None => None,
    };
    let count = targets.1 - targets.0 + 1;
    let single = |target: u32, published: Option<String>| {
        let mut entries = vec![
            ("mode", node.with_text("ingress")),
            ("protocol", node.with_text(protocol)),
            ("target", node.with(NodeValue::Integer(target.into()))),
        ];
        entries.extend((!host.is_empty()).then(|| ("host_ip", node.with_text(host))));
        entries.extend(published.map(|published| ("published", node.with_text(published))));
        node.with_entries(entries)
    };
    match publisheds {
        // One port on any of a range of the machine's.
        Some((first, last)) if count == 1 && first != last => {
            Some(vec![single(targets.0, Some(format!("{first}-{last}")))])
        }
        Some((first, last)) if last - first + 1 != count => None,
        _ => {
            let mut numbers: Vec<u32> = (0..count).collect();
            // In the order of their text, as compose has them.
            numbers.sort_by_cached_key(|number| (targets.0 + number).to_string());
            let of = |number: u32| publisheds.map(|(first, _)| (first + number).to_string());
            Some(numbers.into_iter().map(|number| single(targets.0 + number, of(number))).collect())
        }
    }
}

/// An address without the brackets that those of IPv6 stand in; none if it is not an address.
fn address(host: &str) -> Option<&str> {
    let inner = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    match inner {
        None if host.contains(':') => None,
        _ => {
            let address = inner.unwrap_or(host);
            (address.is_empty() || address.parse::<IpAddr>().is_ok()).then_some(address)
        }
    }
}

fn range(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| is_number(text) && *number <= MOST);
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}
