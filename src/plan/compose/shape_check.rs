//! Whether values can stand where they do, by the specification's schema.

use std::collections::BTreeSet;

use super::node::{NodeValue, YamlNode};
use super::shape::{EntryRule, Field, KeyTrail, Shape};
use crate::error::{Error, Result, suggestion};

impl Shape {
    /// Fails if `node`, which stands at `at`, cannot stand there; the error shows the line.
    pub fn check(&self, node: &YamlNode, at: &KeyTrail<'_>) -> Result<()> {
        match self {
            Shape::Nullable(_) if node.is_null() => Ok(()),
            _ if !self.is_of_kind(node) => Err(unfit(node, at, &self.wanted())),
            Shape::OneOf(words) => match node.text().filter(|text| !words.contains(text)) {
                None => Ok(()),
                Some(text) => {
                    let error = node.blame(Error::input(format!("{at} is `{text}`, but it must be {}", self.wanted())));
                    Err(match suggestion(text, words.iter().copied()) {
                        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                        None => error,
                    })
                }
            },
            Shape::Entries(rule) => check_entries(*rule, node, at),
            Shape::List(inner) => check_list(inner, node, at),
            Shape::Distinct(inner) => {
                inner.check(node, at)?;
                check_distinct(node, at)
            }
            Shape::Map(inner) => check_map(inner, node, at),
            Shape::Named(inner) => {
                check_names(node, at)?;
                check_map(inner, node, at)
            }
            Shape::Record(fields) => check_record(fields, node, at),
            Shape::Needs(keys, inner) => {
                inner.check(node, at)?;
                check_needs(keys, node, at)
            }
            Shape::Either(shapes) => {
                let fits = shapes.iter().find(|shape| shape.is_of_kind(node));
                fits.map_or(Ok(()), |shape| shape.check(node, at))
            }
            Shape::Within(least, most, inner) => {
                inner.check(node, at)?;
                check_within(*least, *most, node, at)
            }
            Shape::Checked(check, inner) => {
                inner.check(node, at)?;
                check(node).map_err(|error| node.blame(error))
            }
            _ => self.inner().map_or(Ok(()), |inner| inner.check(node, at)),
        }
    }
}

/// Returns the error for a value of another kind.
pub fn unfit(node: &YamlNode, at: &KeyTrail<'_>, wanted: &str) -> Error {
    let error = Error::input(format!("{at} is {}, but it must be {wanted}", node.kind()));
    if node.is_null() { node.blame_key(error) } else { node.blame(error) }
}

fn check_entries(rule: EntryRule, node: &YamlNode, at: &KeyTrail<'_>) -> Result<()> {
    if let Some(mapping) = node.mapping() {
        for (key, value) in mapping {
            if !rule.kinds.have(value.kinds()) {
                return Err(unfit(value, &at.then(key), &rule.kinds.wanted()));
            }
        }
        return Ok(());
    }
    if let Some(wrong) = node.list().into_iter().flatten().find(|value| value.text().is_none()) {
        let error = format!("{at} has {} in its list, but it must be text", wrong.kind());
        return Err(wrong.blame(Error::input(error).with_hint("write KEY=VALUE")));
    }
    check_distinct(node, at)
}

fn check_list(inner: &Shape, node: &YamlNode, at: &KeyTrail<'_>) -> Result<()> {
    for (number, value) in node.list().into_iter().flatten().enumerate() {
        inner.check(value, &at.then(&number.to_string()))?;
    }
    Ok(())
}

fn check_distinct(node: &YamlNode, at: &KeyTrail<'_>) -> Result<()> {
    // Of mappings it is enough to know what is there twice to the letter.
    let mut seen = BTreeSet::new();
    for value in node.list().into_iter().flatten() {
        let Some(text) = value.scalar() else { continue };
        if !seen.insert((value.text().is_some(), text.clone())) {
            return Err(value
                .blame(Error::input(format!("{at} has `{text}` twice")))
                .with_hint("leave out one of the two"));
        }
    }
    Ok(())
}

fn check_map(inner: &Shape, node: &YamlNode, at: &KeyTrail<'_>) -> Result<()> {
    for (key, value) in node.mapping().into_iter().flatten() {
        inner.check(value, &at.then(key))?;
    }
    Ok(())
}

fn check_names(node: &YamlNode, at: &KeyTrail<'_>) -> Result<()> {
    let is_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    let wrong = |name: &str| name.is_empty() || !name.bytes().all(is_name);
    match node.mapping().into_iter().flatten().find(|(name, _)| wrong(name)) {
        None => Ok(()),
        Some((name, value)) => {
            let error = Error::input(format!("`{name}` cannot be a name in `{at}`"));
            Err(value.blame_key(error.with_hint("names have letters, digits, `.`, `_` and `-`")))
        }
    }
}

fn check_record(fields: &[Field], node: &YamlNode, at: &KeyTrail<'_>) -> Result<()> {
    for (key, value) in node.mapping().into_iter().flatten() {
        match fields.iter().find(|(name, _)| name == key) {
            Some((_, shape)) => shape.check(value, &at.then(key))?,
            None if key.starts_with("x-") => {}
            None => return Err(unknown(key, value, fields, at)),
        }
    }
    Ok(())
}

fn unknown(key: &str, value: &YamlNode, fields: &[Field], at: &KeyTrail<'_>) -> Error {
    let place = at.to_string();
    let place = if place.contains(' ') { place } else { format!("`{place}`") };
    let error = value.blame_key(Error::input(format!("{place} has no key `{key}`")));
    match suggestion(key, fields.iter().map(|(name, _)| *name)) {
        Some(near) => error.with_hint(format!("did you mean `{near}`? Keys of your own begin with `x-`")),
        None => error.with_hint("keys of your own begin with `x-`"),
    }
}

fn check_needs(keys: &[&str], node: &YamlNode, at: &KeyTrail<'_>) -> Result<()> {
    let Some(mapping) = node.mapping() else { return Ok(()) };
    match keys.iter().find(|key| !mapping.contains_key(**key)) {
        None => Ok(()),
        Some(key) => Err(node.blame(Error::input(format!("{at} has no `{key}`, but it needs one")))),
    }
}

fn check_within(least: i64, most: i64, node: &YamlNode, at: &KeyTrail<'_>) -> Result<()> {
    let number = match &node.value {
        NodeValue::Integer(number) => *number,
        NodeValue::Float(number) => *number as i128,
        NodeValue::Text(text) => match text.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => return Ok(()),
        },
        _ => return Ok(()),
    };
    if number >= least.into() && number <= most.into() {
        return Ok(());
    }
    let wanted = match most {
        i64::MAX => format!("{least} or more"),
        most => format!("between {least} and {most}"),
    };
    Err(node.blame(Error::input(format!("{at} is {number}, but it must be {wanted}"))))
}
