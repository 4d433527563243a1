//! What a service mounts, its devices and its health check, in their short forms and their long ones.

use super::node::{NodeValue, YamlNode};
use crate::error::{Error, Result};

/// Returns a mount in its long form.
pub fn long(node: YamlNode) -> Result<YamlNode> {
    let Some(text) = node.text() else { return Ok(with_kind(node)) };
    let parts: Vec<&str> = split(text);
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options] => (Some(source), target, options),
        _ => {
            let error =
                Error::input(format!("`{text}` is no mount")).with_hint("write SOURCE:TARGET, or SOURCE:TARGET:ro");
            return Err(node.blame(error));
        }
    };
    if target.is_empty() || source.is_some_and(str::is_empty) {
        return Err(node.blame(Error::input(format!("`{text}` has an empty part")).with_hint("write SOURCE:TARGET")));
    }
    let is_path = |source: &str| source.starts_with(['.', '/', '~', '\\']);
    let kind = if source.is_some_and(is_path) { "bind" } else { "volume" };
    let mut entries = vec![("type", node.with_text(kind)), ("target", node.with_text(target))];
    entries.extend(source.map(|source| ("source", node.with_text(source))));
    let mut of_kind: Vec<(&str, YamlNode)> = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => entries.push(("read_only", node.with(NodeValue::Boolean(true)))),
            "z" | "Z" => of_kind.push(("selinux", node.with_text(option))),
            "nocopy" => of_kind.push(("nocopy", node.with(NodeValue::Boolean(true)))),
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                of_kind.push(("propagation", node.with_text(option)));
            }
            "cached" | "consistent" | "delegated" => entries.push(("consistency", node.with_text(option))),
            _ => {}
        }
    }
    entries.push((kind, node.with_entries(of_kind)));
    Ok(node.with_entries(entries))
}

/// A mount says what kind it is by what else it says.
fn with_kind(mut node: YamlNode) -> YamlNode {
    let empty = node.with_entries([]);
    let kind = node.text_of("type").unwrap_or_default().to_owned();
    if let (Some(mapping), "bind" | "volume") = (node.mapping_mut(), kind.as_str()) {
        mapping.entry(kind).or_insert(empty);
    }
    node
}

/// Splits at colons, but not behind the letter of a drive of Windows. (`v:/data` is the volume `v`.)
fn split(text: &str) -> Vec<&str> {
    let drive = text.as_bytes();
    let is_drive = drive.len() > 2 && drive[0].is_ascii_alphabetic() && drive[1] == b':' && drive[2] == b'\\';
    let start = if is_drive { 2 } else { 0 };
    let mut parts: Vec<&str> = text[start..].split(':').collect();
    if let (true, Some(first)) = (is_drive, parts.first_mut()) {
        *first = &text[..start + first.len()];
    }
    parts
}

/// Returns what tells a mount from others: where it is.
pub fn key(node: &YamlNode) -> String {
    node.text_of("target").unwrap_or_default().to_owned()
}

/// `SOURCE[:TARGET[:PERMISSIONS]]` is a device.
pub fn device(node: YamlNode) -> Result<YamlNode> {
    let Some(text) = node.text() else { return Ok(node) };
    let mut parts = text.split(':');
    let source = parts.next().unwrap_or_default();
    let target = parts.next().unwrap_or(source);
    let permissions = parts.next().unwrap_or("rwm");
    Ok(node.with_entries([
        ("source", node.with_text(source)),
        ("target", node.with_text(target)),
        ("permissions", node.with_text(permissions)),
    ]))
}

/// Text is a command for a shell.
pub fn health_test(node: YamlNode) -> Result<YamlNode> {
    match node.text() {
        Some(_) => Ok(node.with(NodeValue::List(vec![node.with_text("CMD-SHELL"), node.clone()]))),
        None => Ok(node),
    }
}
