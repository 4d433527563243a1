//! What a service mounts, its devices and its health check, in their short forms and their long ones.

use super::node::{NodeValue, YamlNode};
use crate::error::{Error, Result};

/// Returns a mount in its long form.
pub fn long(node: YamlNode) -> Result<YamlNode> {
    let Some(text) = node.text() else { return Ok(node) };
    if matches!(text.len(), 1 | 2) {
        return Ok(node.with_entries([("type", node.with_text("volume")), ("target", node.with_text(text))]));
    }
    let parts = split(text);
    // With its variables left in, it may be anything.
    if text.contains('$') && (parts.len() > 3 || parts.iter().any(|part| part.is_empty())) {
        return Ok(node);
    }
    if parts.iter().any(|part| part.is_empty()) {
        return Err(node.blame(Error::input(format!("`{text}` has an empty part")).with_hint("write SOURCE:TARGET")));
    }
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options] => (Some(source), target, options),
        _ => {
            let error =
                Error::input(format!("`{text}` is not a mount")).with_hint("write SOURCE:TARGET, or SOURCE:TARGET:ro");
            return Err(node.blame(error));
        }
    };
    let is_bind = source.is_some_and(is_path);
    let kind = if is_bind { "bind" } else { "volume" };
    let mut entries = vec![("type", node.with_text(kind)), ("target", node.with_text(clean_target(target)))];
    entries.extend(source.map(|source| ("source", node.with_text(source))));
    let (mut bind, mut volume): (Entries, Entries) = (Vec::new(), Vec::new());
    let yes = || node.with(NodeValue::Boolean(true));
    let mut is_read_only = false;
    for option in options.split(',') {
        match option {
            "ro" => is_read_only = true,
            "rw" => is_read_only = false,
            "z" | "Z" => bind.push(("selinux", node.with_text(option))),
            "nocopy" => volume = vec![("nocopy", yes())],
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                bind.push(("propagation", node.with_text(option)));
            }
            _ => {}
        }
    }
    if is_read_only {
        entries.push(("read_only", yes()));
    }
    if is_bind {
        bind.push(("create_host_path", yes()));
    }
    if is_bind || !bind.is_empty() {
        entries.push(("bind", node.with_entries(bind)));
    }
    if !is_bind || !volume.is_empty() {
        entries.push(("volume", node.with_entries(volume)));
    }
    Ok(node.with_entries(entries))
}

/// Returns a mount in its long form as it is; one that is still in its short form is none.
pub fn whole(node: YamlNode) -> Result<YamlNode> {
    match node.text() {
        None => Ok(node),
        Some(text) => Err(node.blame(Error::input(format!("`{text}` is not a mount")))),
    }
}

type Entries = Vec<(&'static str, YamlNode)>;

/// Returns the path of a mount without `.`, `..` and doubled slashes.
pub fn clean_target(target: &str) -> String {
    match super::paths::clean(std::path::Path::new(target)).to_string_lossy() {
        path if path.is_empty() => ".".to_owned(),
        path => path.into_owned(),
    }
}

/// Whether the source of a mount is a path, and no volume. A letter and a colon are a drive of Windows.
fn is_path(source: &str) -> bool {
    let mut characters = source.chars();
    let is_drive = characters.next().is_some_and(char::is_alphabetic) && characters.next() == Some(':');
    source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") || is_drive
}

/// Splits at colons, but not behind one letter, which is a drive of Windows, nor within a variable that was left in.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut open) = (Vec::new(), 0, 0_usize);
    for (at, c) in text.char_indices() {
        let part = &text[start..at];
        match c {
            '$' if text[at..].starts_with("${") => open += 1,
            '}' => open = open.saturating_sub(1),
            ':' if open == 0 && !(part.chars().count() == 1 && part.starts_with(char::is_alphabetic)) => {
                parts.push(part);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Reads `SOURCE[:TARGET[:PERMISSIONS]]` as a device.
pub fn device(node: YamlNode) -> Result<YamlNode> {
    let Some(text) = node.text() else { return Ok(node) };
    let mut parts = text.split(':');
    let source = parts.next().unwrap_or_default();
    let target = parts.next().filter(|target| !target.is_empty()).unwrap_or(source);
    let permissions = parts.next().unwrap_or("rwm");
    if parts.next().is_some() {
        let error = Error::input(format!("`{text}` is not a device")).with_hint("write SOURCE:TARGET:PERMISSIONS");
        return Err(node.blame(error));
    }
    Ok(node.with_entries([
        ("source", node.with_text(source)),
        ("target", node.with_text(target)),
        ("permissions", node.with_text(permissions)),
    ]))
}

/// Reads text as a command for a shell.
pub fn health_test(node: YamlNode) -> Result<YamlNode> {
    match node.text() {
        Some(_) => Ok(node.with(NodeValue::List(vec![node.with_text("CMD-SHELL"), node.clone()]))),
        None => Ok(node),
    }
}
