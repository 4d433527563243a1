//! Values without what is there twice, in their long form, and as what they mean.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::go_time::duration;
use super::node::{NodeMapping, NodeValue, YamlNode};
use super::shape::{EntryRule, Field, KeyTrail, ScalarReading, Shape};
use super::shape_check::unfit;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::quantity::{Size, go_duration};

/// In bytes: what the numbers of Go's sizes end at.
const LARGEST_SIZE: i128 = i64::MAX as i128;

impl Shape {
    /// Returns `node` without what is there twice. What cannot stand there stays.
    pub fn unified(&self, node: YamlNode) -> Result<YamlNode> {
        self.rewritten(node, false)
    }

    /// Returns `node` with its short forms made long, and without what is there twice then. What cannot stand there stays.
    pub fn canonical(&self, node: YamlNode) -> Result<YamlNode> {
        self.rewritten(node, true)
    }

    fn rewritten(&self, node: YamlNode, is_made_long: bool) -> Result<YamlNode> {
        let rewrite = |shape: &Shape, node: YamlNode| shape.rewritten(node, is_made_long);
        match self {
            Shape::Short(make, inner) if is_made_long => {
                let (key, mark) = (node.key.clone(), node.mark);
                let made = if node.is_null() { node } else { make(node)? };
                rewrite(inner, YamlNode { key, mark, ..made })
            }
            Shape::Unique(key, inner) => unique(rewrite(inner, node)?, *key),
            Shape::Either(shapes) => match shapes.iter().find(|shape| shape.is_of_kind(&node)) {
                Some(shape) => rewrite(shape, node),
                None => Ok(node),
            },
            Shape::List(inner) => each_of_list(node, |value| rewrite(inner, value)),
            Shape::Map(inner) | Shape::Named(inner) => each(node, |_, value| rewrite(inner, value)),
            Shape::Record(fields) => each(node, |key, value| match fields.iter().find(|(name, _)| *name == key) {
                Some((_, shape)) => rewrite(shape, value),
                None => Ok(value),
            }),
            _ => match self.inner() {
                Some(inner) => rewrite(inner, node),
                None => Ok(node),
            },
        }
    }

    /// Returns `node`, which stands at `at` in its long form, as what it means. Fails for what means nothing; the error shows the
    /// line.
    pub fn decoded(&self, node: YamlNode, at: &KeyTrail<'_>) -> Result<YamlNode> {
        if node.is_null() {
            return Ok(node);
        }
        match self {
            Shape::Scalar(kinds, reading) => {
                let wanted = || unfit(&node, at, &kinds.wanted());
                if !kinds.have(node.kinds()) {
                    return Err(wanted());
                }
                let key = node.key.clone();
                Ok(YamlNode { key, ..read(*reading, &node, at)? })
            }
            Shape::Entries(rule) => entries(*rule, node, at),
            Shape::Made(make, inner) => {
                let key = node.key.clone();
                Ok(YamlNode { key, ..make(inner.decoded(node, at)?)? })
            }
            Shape::Either(shapes) => match shapes.iter().find(|shape| shape.is_of_kind(&node)) {
                Some(shape) => shape.decoded(node, at),
                None => Err(unfit(&node, at, &self.wanted())),
            },
            Shape::List(inner) => {
                let NodeValue::List(values) = node.value else { return Err(unfit(&node, at, &self.wanted())) };
                let value = |(number, value): (usize, YamlNode)| inner.decoded(value, &at.then(&number.to_string()));
                let values = values.into_iter().enumerate().map(value).collect::<Result<_>>()?;
                Ok(YamlNode { value: NodeValue::List(values), ..node })
            }
            Shape::Map(inner) | Shape::Named(inner) => match node.mapping() {
                Some(_) => each(node, |key, value| inner.decoded(value, &at.then(key))),
                None => Err(unfit(&node, at, &self.wanted())),
            },
            Shape::Record(fields) => record(node, fields, at),
            _ => match self.inner() {
                Some(inner) => inner.decoded(node, at),
                None => Ok(node),
            },
        }
    }

    /// Returns whether a record leaves the key out whose value is `node`.
    fn is_left_out(&self, node: &YamlNode) -> bool {
        match self {
            _ if node.is_null() => true,
            Shape::Kept(_) | Shape::Always(_) | Shape::Any => false,
            Shape::Inline(_) => node.mapping().is_some_and(NodeMapping::is_empty),
            Shape::Needs(_, inner)
            | Shape::Within(_, _, inner)
            | Shape::Checked(_, inner)
            | Shape::Short(_, inner)
            | Shape::Nullable(inner) => inner.is_left_out(node),
            Shape::Record(_) => false,
            Shape::Scalar(_, ScalarReading::Size) => node.text() == Some("0"),
            Shape::Scalar(_, ScalarReading::Duration) => node.text() == Some("0s"),
            Shape::Scalar(_, ScalarReading::FileMode) => false,
            _ => match &node.value {
                NodeValue::Boolean(value) => !value,
                NodeValue::Integer(number) => *number == 0,
                NodeValue::Float(number) => *number == 0.0,
                NodeValue::Text(text) => text.is_empty(),
                NodeValue::List(values) => values.is_empty(),
                NodeValue::Mapping(mapping) => mapping.is_empty(),
                NodeValue::Null => true,
            },
        }
    }
}

fn each_of_list(node: YamlNode, make: impl FnMut(YamlNode) -> Result<YamlNode>) -> Result<YamlNode> {
    let NodeValue::List(values) = node.value else { return Ok(node) };
    let values = values.into_iter().map(make).collect::<Result<_>>()?;
    Ok(YamlNode { value: NodeValue::List(values), ..node })
}

fn each(node: YamlNode, mut make: impl FnMut(&str, YamlNode) -> Result<YamlNode>) -> Result<YamlNode> {
    let NodeValue::Mapping(mapping) = node.value else { return Ok(node) };
    let mut made = NodeMapping::new();
    for (name, value) in mapping {
        let key = value.key.clone();
        let value = if name.starts_with("x-") { value } else { make(&name, value)? };
        made.insert(name, YamlNode { key, ..value });
    }
    Ok(YamlNode { value: NodeValue::Mapping(made), ..node })
}

fn unique(node: YamlNode, key: fn(&YamlNode) -> Result<String>) -> Result<YamlNode> {
    let NodeValue::List(values) = node.value else { return Ok(node) };
    let mut places = HashMap::new();
    let mut kept: Vec<YamlNode> = Vec::with_capacity(values.len());
    for value in values {
        match places.entry(key(&value)?) {
            Entry::Occupied(place) => kept[*place.get()] = value,
            Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(value);
            }
        }
    }
    Ok(YamlNode { value: NodeValue::List(kept), ..node })
}

fn record(node: YamlNode, fields: &[Field], at: &KeyTrail<'_>) -> Result<YamlNode> {
    let NodeValue::Mapping(mapping) = node.value else { return Err(unfit(&node, at, "a mapping")) };
    let mut made = NodeMapping::new();
    for (name, value) in mapping {
        let Some((_, shape)) = fields.iter().find(|(field, _)| *field == name) else {
            made.insert(name, value);
            continue;
        };
        let key = value.key.clone();
        let value = shape.decoded(value, &at.then(&name))?;
        if !shape.is_left_out(&value) {
            made.insert(name, YamlNode { key, ..value });
        }
    }
    Ok(YamlNode { value: NodeValue::Mapping(made), ..node })
}

/// A mapping of text, from a mapping or from a list of `KEY=VALUE`.
fn entries(rule: EntryRule, node: YamlNode, at: &KeyTrail<'_>) -> Result<YamlNode> {
    let nothing = |node: &YamlNode| if rule.keeps_nothing { node.with(NodeValue::Null) } else { node.with_text("") };
    let mut made = NodeMapping::new();
    match &node.value {
        NodeValue::Mapping(mapping) => {
            for (name, value) in mapping {
                let text = match value.scalar() {
                    Some(text) => value.with_text(text),
                    None if value.is_null() => nothing(value),
                    None => return Err(unfit(value, &at.then(name), &rule.kinds.wanted())),
                };
                made.insert(name.clone(), text);
            }
        }
        NodeValue::List(values) if rule.takes_list => {
            for value in values {
                let text = value.scalar().unwrap_or_default();
                let (name, value) = match text.split_once('=') {
                    Some((name, content)) => (name.to_owned(), value.with_text(content)),
                    None => (text, nothing(value)),
                };
                if rule.keeps_nothing && name.ends_with(char::is_whitespace) {
                    let error = format!("the name of the variable `{name}` ends with a blank");
                    return Err(value.blame(Error::input(error)));
                }
                made.insert(name, value);
            }
        }
        _ => return Err(unfit(&node, at, &Shape::Entries(rule).wanted())),
    }
    Ok(YamlNode { value: NodeValue::Mapping(made), ..node })
}

fn read(reading: ScalarReading, node: &YamlNode, at: &KeyTrail<'_>) -> Result<YamlNode> {
    let wrong = |wanted: &str| {
        let told = node.scalar().unwrap_or_default();
        node.blame(Error::input(format!("{at} is `{told}`, but it must be {wanted}")))
    };
    let value = match (reading, &node.value) {
        (ScalarReading::Text, _) => NodeValue::Text(node.scalar().unwrap_or_default()),
        (ScalarReading::Boolean, NodeValue::Text(text)) => {
            NodeValue::Boolean(truth(text).ok_or_else(|| wrong("true or false"))?)
        }
        (ScalarReading::Integer, NodeValue::Text(text)) => {
            NodeValue::Integer(text.parse::<i64>().map_err(|_| wrong("a whole number"))?.into())
        }
        (ScalarReading::Integer, NodeValue::Float(number)) => NodeValue::Integer(*number as i64 as i128),
        (ScalarReading::Float, NodeValue::Text(text)) => {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite());
            NodeValue::Float(single(number.ok_or_else(|| wrong("a number"))?))
        }
        (ScalarReading::Float, NodeValue::Integer(number)) => NodeValue::Float(single(*number as f64)),
        (ScalarReading::Float, NodeValue::Float(number)) => NodeValue::Float(single(*number)),
        (ScalarReading::Size, NodeValue::Integer(number)) => NodeValue::Text(number.to_string()),
        // What has a point and stands there as a number is nothing to compose.
        (ScalarReading::Size, NodeValue::Float(_)) => NodeValue::Text("0".to_owned()),
        (ScalarReading::Size, NodeValue::Text(text)) => NodeValue::Text(size(text).map_err(|error| node.blame(error))?),
        (ScalarReading::Duration, NodeValue::Text(text)) => {
            NodeValue::Text(go_duration(duration(text).ok_or_else(|| wrong("a time, as in 1m30s"))?))
        }
        (ScalarReading::FileMode, NodeValue::Integer(mode)) if *mode >= 0 => NodeValue::Text(format!("0{mode:o}")),
        (ScalarReading::FileMode, NodeValue::Text(text)) => {
            let mode = i64::from_str_radix(text, 8).map_err(|_| wrong("octal digits, as in 0440"))?;
            NodeValue::Text(format!("0{mode:o}"))
        }
        (ScalarReading::FileMode, _) => return Err(wrong("octal digits, as in 0440")),
        (ScalarReading::DeviceCount, NodeValue::Text(text)) if text.eq_ignore_ascii_case("all") => {
            NodeValue::Integer(-1)
        }
        (ScalarReading::DeviceCount, NodeValue::Text(text)) => {
            NodeValue::Integer(text.parse::<i64>().map_err(|_| wrong("a whole number, or `all`"))?.into())
        }
        (_, value) => value.clone(),
    };
    Ok(node.with(value))
}

/// A truth as text.
fn truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// As exact as 32 bits are, and no more digits than they need.
fn single(number: f64) -> f64 {
    (number as f32).to_string().parse().unwrap_or(number)
}

fn size(text: &str) -> Result<String> {
    // A number may have an exponent, as Go reads it.
    if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0) {
        return Ok((number as i64).to_string());
    }
    let Size(bytes) = text.parse::<Size>().map_err(|error| Error { kind: ErrorKind::Input, ..error })?;
    Ok(i128::from(bytes).min(LARGEST_SIZE).to_string())
}
