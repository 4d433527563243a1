//! What tells the values of a list from each other, and what text of services may say.

use super::node::{NodeValue, YamlNode};
use crate::error::{Error, Result};

/// Returns what stands before the `=`.
pub fn named(node: &YamlNode) -> Result<String> {
    match node.text() {
        Some(text) => Ok(text.split('=').next().unwrap_or_default().to_owned()),
        None => Err(node.blame(Error::input(format!("a list of text contains {}", node.kind())))),
    }
}

/// Returns the whole of a port that is not published.
pub fn exposed(node: &YamlNode) -> Result<String> {
    match &node.value {
        NodeValue::Text(text) => Ok(text.clone()),
        NodeValue::Integer(number) => Ok(number.to_string()),
        _ => {
            Err(node.blame(Error::input(format!("a port must be text or a whole number, but this is {}", node.kind()))))
        }
    }
}

/// Returns the path of a file of variables.
pub fn variable_file(node: &YamlNode) -> Result<String> {
    match (node.text(), node.text_of("path")) {
        (Some(path), _) | (None, Some(path)) => Ok(path.to_owned()),
        (None, None) if node.mapping().is_some() => {
            Err(node.blame(Error::input("a file of variables has no `path`, but it needs one")))
        }
        (None, None) => Ok(String::new()),
    }
}

/// Returns where a secret is mounted.
pub fn secret(node: &YamlNode) -> Result<String> {
    Ok(mounted("/run/secrets/", node))
}

/// Returns where a config is mounted.
pub fn config(node: &YamlNode) -> Result<String> {
    Ok(mounted("/", node))
}

fn mounted(directory: &str, node: &YamlNode) -> String {
    let source = node.text().or_else(|| node.text_of("source")).unwrap_or_default();
    node.text_of("target").map_or_else(|| format!("{directory}{source}"), str::to_owned)
}

/// Returns where a device is in the container.
pub fn device(node: &YamlNode) -> Result<String> {
    if let Some(text) = node.text() {
        let mut parts = text.split(':');
        let source = parts.next().unwrap_or_default();
        return Ok(parts.next().unwrap_or(source).to_owned());
    }
    match node.text_of("target") {
        Some(target) => Ok(target.to_owned()),
        None if node.mapping().is_some() => Err(node.blame(Error::input("a device has no `target`, but it needs one"))),
        None => Ok(String::new()),
    }
}

/// Returns where a mount is.
pub fn mount(node: &YamlNode) -> Result<String> {
    if node.text().is_some() {
        let long = super::mount::long(node.clone())?;
        return Ok(long.text_of("target").or(long.text()).unwrap_or_default().to_owned());
    }
    match node.text_of("target") {
        Some(target) => Ok(target.to_owned()),
        None if node.mapping().is_some() => {
            let error = Error::input("a mount has no `target`, but it needs one");
            Err(node.blame(error.with_hint("say where in the container it is")))
        }
        None => Ok(String::new()),
    }
}

/// Returns the port: on which address and port of the machine it is, and which it is. A published port that is a number is
/// another one than one that is text, as with compose.
pub fn port(node: &YamlNode) -> Result<String> {
    if node.mapping().is_none() {
        return Ok(node.scalar().unwrap_or_default());
    }
    let text = |key: &str| node.get(key).and_then(YamlNode::scalar);
    let Some(target) = text("target") else {
        return Err(node.blame(Error::input("a port has no `target`, but it needs one")));
    };
    let host = text("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned());
    let protocol = text("protocol").unwrap_or_else(|| "tcp".to_owned());
    let published = node.get("published").map(|node| (node.text().is_some(), node.scalar().unwrap_or_default()));
    Ok(format!("{host}:{published:?}:{target}/{protocol}"))
}

/// Fails for a name that no container can have.
pub fn container_name(node: &YamlNode) -> Result<()> {
    let is_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
    let text = node.text().unwrap_or_default().as_bytes();
    match text.windows(2).any(|pair| pair[0].is_ascii_alphanumeric() && is_name(pair[1])) {
        true => Ok(()),
        false => Err(Error::input(format!("`{}` cannot be the name of a container", node.text().unwrap_or_default()))
            .with_hint("it has two or more letters, digits, `.`, `_` and `-`, and begins with a letter or a digit")),
    }
}

/// Fails for what says nothing about when an image is pulled.
pub fn pull_policy(node: &YamlNode) -> Result<()> {
    const WORDS: [&str; 8] = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    let text = node.text().unwrap_or_default();
    let is_every = |rest: &str| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after.len() < rest.len() && after.starts_with(['w', 'd', 'h', 'm', 's'])
    };
    if WORDS.iter().any(|word| text.contains(word)) || text.split("every_").skip(1).any(is_every) {
        return Ok(());
    }
    let words = WORDS.join(", ");
    Err(Error::input(format!("`{text}` does not say when the image is pulled"))
        .with_hint(format!("write one of {words}, or every_12h")))
}

/// Fails for a list that has a number with a point in it.
pub fn no_fractions(node: &YamlNode) -> Result<()> {
    match node.list().into_iter().flatten().find(|value| matches!(value.value, NodeValue::Float(_))) {
        None => Ok(()),
        Some(wrong) => Err(wrong.blame(Error::input("a group is text or a whole number"))),
    }
}
