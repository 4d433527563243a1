//! What may stand at each place of a compose file, and the one form that it is brought into, whichever way it was written.

use std::fmt;

use super::node::{NodeMapping, NodeValue, YamlNode};
use super::{scalar, short_form};
use crate::error::{Error, Result, suggestion};
use crate::plan::quantity::{self, Size};

/// What may stand at one place.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Anything, which stays as it is.
    Any,
    /// Text.
    Text,
    /// Text, or a number or a truth, which becomes text.
    Scalar,
    /// A truth; false is the same as nothing.
    Boolean,
    /// A truth of which false says something.
    Choice,
    /// A whole number; 0 is the same as nothing.
    Integer,
    /// A whole number of which 0 says something.
    Count,
    /// A number.
    Number,
    /// A number of bytes, as in `64m`, which becomes text of digits.
    Size,
    /// A time as Go writes it, as in `1m30s`.
    Duration,
    /// The mode of a file, which becomes text of octal digits.
    FileMode,
    /// A command: a list of words, or text that a shell would split into them.
    Command,
    /// Text, or a list of it, which it becomes.
    TextOrTexts,
    /// A list of text and numbers, which become text.
    Scalars,
    /// A mapping, or a list of `KEY=VALUE`; what has no value has nothing.
    Variables,
    /// The same; what has no value has empty text.
    Pairs,
    /// A list.
    List(&'static Shape),
    /// A list in which nothing is there twice, by what the function says: the later one takes the place of the earlier.
    Unique(fn(&YamlNode) -> String, &'static Shape),
    /// A mapping of any names.
    Map(&'static Shape),
    /// A mapping of these keys, in the order in which they are written.
    Record(&'static [Field]),
    /// What the function makes of it.
    Short(fn(YamlNode) -> Result<YamlNode>, &'static Shape),
}

/// A key, and what it has.
pub type Field = (&'static str, Shape);

/// The way from the top of the file to a value.
#[derive(Clone, Copy)]
pub struct KeyTrail<'a> {
    before: Option<&'a KeyTrail<'a>>,
    key: &'a str,
}

impl KeyTrail<'_> {
    /// The top.
    pub const TOP: KeyTrail<'static> = KeyTrail { before: None, key: "" };

    /// Returns the way to the value of `key`.
    pub fn then<'a>(&'a self, key: &'a str) -> KeyTrail<'a> {
        KeyTrail { before: Some(self), key }
    }
}

impl fmt::Display for KeyTrail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.before {
            None => Ok(()),
            Some(before) if before.before.is_none() => f.write_str(self.key),
            Some(before) => write!(f, "{before}.{}", self.key),
        }
    }
}

impl Shape {
    /// Returns `node`, which stands at `at`, in its one form. Fails for what cannot stand there; the error shows the line.
    pub fn canonical(&self, node: YamlNode, at: &KeyTrail<'_>) -> Result<YamlNode> {
        let wanted =
            |what: &str| Err(node.blame(Error::input(format!("{at} is {}, and it has to be {what}", node.kind()))));
        if node.is_null() {
            return Ok(node);
        }
        match self {
            Shape::Any => Ok(node),
            Shape::Text => node.text().map_or_else(|| wanted("text"), |_| Ok(node.clone())),
            Shape::Scalar => match node.scalar() {
                Some(text) => Ok(node.with_text(text)),
                None => wanted("text or a number"),
            },
            Shape::Boolean | Shape::Choice => match truth(&node) {
                Some(value) => Ok(node.with(NodeValue::Boolean(value))),
                None => wanted("true or false"),
            },
            Shape::Integer | Shape::Count => match whole(&node) {
                Some(number) => Ok(node.with(NodeValue::Integer(number))),
                None => wanted("a whole number"),
            },
            Shape::Number => match number(&node) {
                Some(number) => Ok(node.with(NodeValue::Float(number))),
                None => wanted("a number"),
            },
            // Less than none is no limit.
            Shape::Size if matches!(node.value, NodeValue::Integer(number) if number < 0) => {
                Ok(node.with_text(node.scalar().unwrap_or_default()))
            }
            Shape::Size => match node.scalar().map(|text| text.parse::<Size>()) {
                Some(Ok(Size(bytes))) => Ok(node.with_text(bytes.to_string())),
                Some(Err(error)) => Err(node.blame(Error { kind: crate::error::ErrorKind::Input, ..error })),
                None => wanted("a size, as in 64m"),
            },
            Shape::Duration => match node.text().and_then(quantity::duration) {
                Some(nanoseconds) => Ok(node.with_text(go_duration(nanoseconds))),
                None => wanted("a time, as in 1m30s"),
            },
            Shape::FileMode => match &node.value {
                NodeValue::Integer(mode) if *mode >= 0 => Ok(node.with_text(format!("0{mode:o}"))),
                NodeValue::Text(text) => match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
                    Ok(mode) => Ok(node.with_text(format!("0{mode:o}"))),
                    Err(_) => wanted("octal digits, as in 0440"),
                },
                _ => wanted("octal digits, as in 0440"),
            },
            Shape::Command => short_form::command(node),
            Shape::TextOrTexts => match node.text() {
                Some(_) => Ok(node.with(NodeValue::List(vec![node.clone()]))),
                None => Shape::List(&Shape::Text).canonical(node, at),
            },
            Shape::Scalars => Shape::List(&Shape::Scalar).canonical(node, at),
            Shape::Variables => variables(node, at, |node| node.with(NodeValue::Null)),
            Shape::Pairs => variables(node, at, |node| node.with_text("")),
            Shape::List(shape) => list(node, shape, at),
            Shape::Unique(key, shape) => Ok(unique(shape.canonical(node, at)?, *key)),
            Shape::Map(shape) => map(node, shape, at),
            Shape::Record(fields) => record(node, fields, at),
            Shape::Short(long, shape) => shape.canonical(long(node)?, at),
        }
    }

    /// Returns whether a record leaves the key out whose value is `node`.
    fn is_left_out(&self, node: &YamlNode) -> bool {
        match (&node.value, self) {
            (NodeValue::Null, _) => true,
            (_, Shape::Any | Shape::Choice | Shape::Count | Shape::Command | Shape::Record(_)) => false,
            (NodeValue::Mapping(_), Shape::Short(_, Shape::Record(_))) => false,
            (NodeValue::Boolean(value), _) => !value,
            (NodeValue::Integer(number), _) => *number == 0,
            (NodeValue::Float(number), _) => *number == 0.0,
            (NodeValue::Text(text), Shape::Size) => text == "0",
            (NodeValue::Text(text), _) => text.is_empty(),
            (NodeValue::List(values), _) => values.is_empty(),
            (NodeValue::Mapping(mapping), _) => mapping.is_empty(),
        }
    }
}

fn list(node: YamlNode, shape: &Shape, at: &KeyTrail<'_>) -> Result<YamlNode> {
    let Some(values) = node.list() else {
        return Err(node.blame(Error::input(format!("{at} is {}, and it has to be a list", node.kind()))));
    };
    let value = |(number, value): (usize, &YamlNode)| shape.canonical(value.clone(), &at.then(&number.to_string()));
    let values = values.iter().filter(|value| !value.is_null()).enumerate().map(value).collect::<Result<Vec<_>>>()?;
    Ok(node.with(NodeValue::List(values)))
}

fn unique(node: YamlNode, key: fn(&YamlNode) -> String) -> YamlNode {
    let Some(values) = node.list() else { return node };
    let mut places = std::collections::HashMap::new();
    let mut kept: Vec<YamlNode> = Vec::with_capacity(values.len());
    for value in values {
        match places.entry(key(value)) {
            std::collections::hash_map::Entry::Occupied(place) => kept[*place.get()] = value.clone(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(value.clone());
            }
        }
    }
    node.with(NodeValue::List(kept))
}

fn map(node: YamlNode, shape: &Shape, at: &KeyTrail<'_>) -> Result<YamlNode> {
    let Some(mapping) = node.mapping() else {
        return Err(node.blame(Error::input(format!("{at} is {}, and it has to be a mapping", node.kind()))));
    };
    let value = |(key, value): (&String, &YamlNode)| {
        let shape = if key.starts_with("x-") { &Shape::Any } else { shape };
        let mut made = shape.canonical(value.clone(), &at.then(key))?;
        made.key = value.key.clone();
        Ok((key.clone(), made))
    };
    let mapping = mapping.iter().map(value).collect::<Result<NodeMapping>>()?;
    Ok(node.with(NodeValue::Mapping(mapping)))
}

fn record(node: YamlNode, fields: &[Field], at: &KeyTrail<'_>) -> Result<YamlNode> {
    let Some(mapping) = node.mapping() else {
        return Err(node.blame(Error::input(format!("{at} is {}, and it has to be a mapping", node.kind()))));
    };
    let mut made = NodeMapping::new();
    for (key, value) in mapping {
        let Some((_, shape)) = fields.iter().find(|(name, _)| name == key) else {
            if !key.starts_with("x-") {
                return Err(unknown(key, value, fields, at));
            }
            made.insert(key.clone(), value.clone());
            continue;
        };
        let mut node = shape.canonical(value.clone(), &at.then(key))?;
        node.key = value.key.clone();
        if !shape.is_left_out(&node) {
            made.insert(key.clone(), node);
        }
    }
    Ok(node.with(NodeValue::Mapping(made)))
}

fn unknown(key: &str, value: &YamlNode, fields: &[Field], at: &KeyTrail<'_>) -> Error {
    let place = at.to_string();
    let place = if place.is_empty() { "a compose file".to_owned() } else { format!("`{place}`") };
    let error = value.blame_key(Error::input(format!("{place} has no key `{key}`")));
    match suggestion(key, fields.iter().map(|(name, _)| *name)) {
        Some(near) => error.with_hint(format!("did you mean `{near}`? Keys of your own begin with `x-`")),
        None => error.with_hint("keys of your own begin with `x-`"),
    }
}

/// A mapping of text, from a mapping or from a list of `KEY=VALUE`; `nothing` makes what has no value.
fn variables(node: YamlNode, at: &KeyTrail<'_>, nothing: impl Fn(&YamlNode) -> YamlNode) -> Result<YamlNode> {
    let mut made = NodeMapping::new();
    match &node.value {
        NodeValue::Mapping(mapping) => {
            for (key, value) in mapping {
                let text = match value.scalar() {
                    Some(text) => value.with_text(text),
                    None if value.is_null() => nothing(value),
                    None => {
                        let error = format!("{} is {}, and it has to be text", at.then(key), value.kind());
                        return Err(value.blame(Error::input(error)));
                    }
                };
                made.insert(key.clone(), text);
            }
        }
        NodeValue::List(values) => {
            for value in values {
                let Some(text) = value.scalar() else {
                    let error = format!("{at} has {} in its list, and it has to be text", value.kind());
                    return Err(value.blame(Error::input(error).with_hint("write KEY=VALUE")));
                };
                let (key, value) = match text.split_once('=') {
                    Some((key, content)) => (key.to_owned(), value.with_text(content)),
                    None => (text, nothing(value)),
                };
                made.insert(key, value);
            }
        }
        _ => {
            let error = format!("{at} is {}, and it has to be a mapping, or a list of KEY=VALUE", node.kind());
            return Err(node.blame(Error::input(error)));
        }
    }
    Ok(node.with(NodeValue::Mapping(made)))
}

/// A truth, also as text that a variable may have.
fn truth(node: &YamlNode) -> Option<bool> {
    match &node.value {
        NodeValue::Boolean(value) => Some(*value),
        NodeValue::Text(text) => match text.to_lowercase().as_str() {
            "true" | "y" | "yes" | "on" | "1" => Some(true),
            "false" | "n" | "no" | "off" | "0" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn whole(node: &YamlNode) -> Option<i128> {
    match &node.value {
        NodeValue::Integer(number) => Some(*number),
        NodeValue::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => Some(*number as i128),
        NodeValue::Text(text) => scalar::integer(text),
        _ => None,
    }
}

fn number(node: &YamlNode) -> Option<f64> {
    match &node.value {
        NodeValue::Integer(number) => Some(*number as f64),
        NodeValue::Float(number) => Some(*number),
        NodeValue::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// Returns a time in nanoseconds as Go prints it: `1h0m0s`, `1.5s`, `100ms`.
fn go_duration(nanoseconds: i64) -> String {
    let (sign, all) = if nanoseconds < 0 { ("-", nanoseconds.unsigned_abs()) } else { ("", nanoseconds as u64) };
    let with_part = |unit: u64, name: &str| {
        let part = format!("{:09}", (all % unit) * (1_000_000_000 / unit));
        let part = part.trim_end_matches('0');
        let point = if part.is_empty() { "" } else { "." };
        format!("{sign}{}{point}{part}{name}", all / unit)
    };
    match all {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{all}ns"),
        1_000..1_000_000 => with_part(1_000, "µs"),
        1_000_000..1_000_000_000 => with_part(1_000_000, "ms"),
        _ => {
            let seconds = all / 1_000_000_000;
            let part = format!("{:09}", all % 1_000_000_000);
            let part = part.trim_end_matches('0');
            let point = if part.is_empty() { "" } else { "." };
            let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{rest}{point}{part}s"),
                (0, _) => format!("{sign}{minutes}m{rest}{point}{part}s"),
                _ => format!("{sign}{hours}h{minutes}m{rest}{point}{part}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        for (text, written) in [
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1.5s", "1.5s"),
            ("100ms", "100ms"),
            ("1500us", "1.5ms"),
            ("10ns", "10ns"),
            ("0s", "0s"),
            ("1h1ms", "1h0m0.001s"),
        ] {
            assert_eq!(go_duration(quantity::duration(text).unwrap()), written, "{text}");
        }
    }
}
