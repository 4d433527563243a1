//! What may stand at each place of a compose file.
//!
//! A shape does four things to a value, in this order: [`unified`](Shape::unified) takes out what is there twice,
//! [`check`](Shape::check) says whether it can stand there, [`canonical`](Shape::canonical) brings short forms into long ones, and,
//! once all files are merged, [`decoded`](Shape::decoded) makes it what it means, such as a number of text.

use std::fmt;

use super::kinds::Kinds;
use super::node::YamlNode;
use crate::error::Result;

/// What may stand at one place.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Anything, which stays as it is.
    Any,
    /// One value of these kinds, and what it is read as.
    Scalar(Kinds, ScalarReading),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A mapping of text by free names, or a list of `KEY=VALUE`.
    Entries(EntryRule),
    /// A list.
    List(&'static Shape),
    /// A list in which nothing is there twice, by what the function says: the later one takes the place of the earlier.
    Unique(fn(&YamlNode) -> Result<String>, &'static Shape),
    /// A list in which nothing may be there twice.
    Distinct(&'static Shape),
    /// A mapping of any names.
    Map(&'static Shape),
    /// A mapping of names of letters, digits, `.`, `_` and `-`.
    Named(&'static Shape),
    /// A mapping of these keys, in the order in which they are written.
    Record(&'static [Field]),
    /// A record that is the same as nothing if it is empty.
    Inline(&'static Shape),
    /// A mapping that has to have these keys.
    Needs(&'static [&'static str], &'static Shape),
    /// The first of these that is of the value's kind.
    Either(&'static [Shape]),
    /// The same, or nothing.
    Nullable(&'static Shape),
    /// A number between these.
    Within(i64, i64, &'static Shape),
    /// What the function has nothing against.
    Checked(fn(&YamlNode) -> Result<()>, &'static Shape),
    /// What says something even if it is false, 0 or empty.
    Kept(&'static Shape),
    /// What JSON has even if it is not there.
    Always(&'static Shape),
    /// A short form, of which the function makes the long one.
    Short(fn(YamlNode) -> Result<YamlNode>, &'static Shape),
    /// What the function makes of it at last.
    Made(fn(YamlNode) -> Result<YamlNode>, &'static Shape),
}

/// A key, and what it has.
pub type Field = (&'static str, Shape);

/// What a single value is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarReading {
    /// Text, of whatever it is.
    Text,
    /// A truth.
    Boolean,
    /// A whole number; of others, the part before the point.
    Integer,
    /// A number, as exact as 32 bits are.
    Float,
    /// A number of bytes, as in `64m`, which becomes text of digits.
    Size,
    /// A time as Go writes it, as in `1m30s`.
    Duration,
    /// The mode of a file, which becomes text of octal digits.
    FileMode,
    /// A number of devices; `all` is -1.
    DeviceCount,
}

/// What the entries of a mapping with free names may be.
#[derive(Debug, Clone, Copy)]
pub struct EntryRule {
    /// The kinds of values.
    pub kinds: Kinds,
    /// A list of `KEY=VALUE` is as good.
    pub takes_list: bool,
    /// A key without a value has nothing, and not empty text.
    pub keeps_nothing: bool,
}

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
            None => f.write_str("a compose file"),
            Some(before) if before.before.is_none() => f.write_str(self.key),
            Some(before) => write!(f, "{before}.{}", self.key),
        }
    }
}

impl Shape {
    /// Returns the shape that this one says something more of; none if it stands for itself.
    pub fn inner(&self) -> Option<&Shape> {
        match self {
            Shape::Unique(_, inner)
            | Shape::Distinct(inner)
            | Shape::Inline(inner)
            | Shape::Needs(_, inner)
            | Shape::Nullable(inner)
            | Shape::Within(_, _, inner)
            | Shape::Checked(_, inner)
            | Shape::Kept(inner)
            | Shape::Always(inner)
            | Shape::Short(_, inner)
            | Shape::Made(_, inner) => Some(inner),
            Shape::Any
            | Shape::Scalar(..)
            | Shape::OneOf(_)
            | Shape::Entries(_)
            | Shape::List(_)
            | Shape::Map(_)
            | Shape::Named(_)
            | Shape::Record(_)
            | Shape::Either(_) => None,
        }
    }

    /// Returns the shape that `node` has of those that this one stands for: a record, a map, a list or a single value.
    pub fn plain(&self, node: &YamlNode) -> &Shape {
        match self {
            Shape::Either(shapes) => {
                let fits = shapes.iter().find(|shape| shape.is_of_kind(node));
                fits.map_or(&Shape::Any, |shape| shape.plain(node))
            }
            _ => self.inner().map_or(self, |inner| inner.plain(node)),
        }
    }

    /// Returns whether `node` is a mapping, a list or a single value as this shape wants it, whatever is in it.
    pub fn is_of_kind(&self, node: &YamlNode) -> bool {
        match self {
            Shape::Any => true,
            Shape::Scalar(kinds, _) => kinds.have(node.kinds()),
            Shape::OneOf(_) => node.text().is_some(),
            Shape::Entries(rule) => node.mapping().is_some() || (rule.takes_list && node.list().is_some()),
            Shape::List(_) => node.list().is_some(),
            Shape::Map(_) | Shape::Named(_) | Shape::Record(_) => node.mapping().is_some(),
            Shape::Nullable(inner) => node.is_null() || inner.is_of_kind(node),
            Shape::Either(shapes) => shapes.iter().any(|shape| shape.is_of_kind(node)),
            _ => self.inner().is_some_and(|inner| inner.is_of_kind(node)),
        }
    }

    /// Returns what this shape wants, for errors.
    pub fn wanted(&self) -> String {
        match self {
            Shape::Any => "a value".to_owned(),
            Shape::Scalar(kinds, ScalarReading::Duration) if *kinds == Kinds::TEXT => "a time, as in 1m30s".to_owned(),
            Shape::Scalar(kinds, _) => kinds.wanted(),
            Shape::OneOf(words) => format!("one of {}", words.join(", ")),
            Shape::Entries(rule) if rule.takes_list => "a mapping, or a list of KEY=VALUE".to_owned(),
            Shape::List(_) => "a list".to_owned(),
            Shape::Entries(_) | Shape::Map(_) | Shape::Named(_) | Shape::Record(_) => "a mapping".to_owned(),
            Shape::Either(shapes) => {
                let mut all: Vec<String> = shapes.iter().map(Shape::wanted).collect();
                all.dedup();
                all.join(", or ")
            }
            _ => self.inner().map(Shape::wanted).unwrap_or_default(),
        }
    }
}
