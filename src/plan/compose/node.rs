//! The values of a compose file, each with the place where it was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kinds::Kinds;
use crate::error::{Error, Excerpt};

/// The text of one file, and its name as the user knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct ComposeText {
    /// The name in errors.
    pub file: String,
    /// All of it.
    pub text: String,
}

/// A part of a file. It is found again when somebody is to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPlace {
    pub(super) text: Arc<ComposeText>,
    /// In characters.
    pub(super) start: usize,
    /// In characters.
    pub(super) end: usize,
}

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub struct YamlNode {
    /// What it is.
    pub value: NodeValue,
    /// Where it was written.
    pub place: TextPlace,
    /// Where its key was written, if it has one.
    pub key: Option<TextPlace>,
    /// What it does to the value of an earlier file.
    pub mark: MergeMark,
}

/// What `!reset` and `!override` say of a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MergeMark {
    /// It is merged.
    #[default]
    Merged,
    /// It takes away what is there.
    Reset,
    /// It stands in the place of what is there.
    Override,
}

/// A value as YAML has it.
#[derive(Debug, Clone)]
pub enum NodeValue {
    /// Nothing.
    Null,
    /// `true` or `false`, and no other word.
    Boolean(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// Values in their order.
    List(Vec<YamlNode>),
    /// Values by their names, whose order means nothing.
    Mapping(NodeMapping),
}

/// Values by their names.
pub type NodeMapping = BTreeMap<String, YamlNode>;

impl TextPlace {
    /// Returns the line and the part of it.
    pub fn excerpt(&self) -> Excerpt {
        let text = &self.text.text;
        let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]).skip(self.start);
        let start = starts.next().unwrap_or(text.len());
        let end = match self.end.saturating_sub(self.start) {
            0 => start,
            width => starts.nth(width - 1).unwrap_or(text.len()),
        };
        Excerpt::new(&self.text.file, text, start..end)
    }
}

impl YamlNode {
    /// Returns `value` in the place of this one, of which it is made.
    pub fn with(&self, value: NodeValue) -> YamlNode {
        YamlNode { value, place: self.place.clone(), key: self.key.clone(), mark: MergeMark::Merged }
    }

    /// Returns text in the place of this one.
    pub fn with_text(&self, text: impl Into<String>) -> YamlNode {
        self.with(NodeValue::Text(text.into()))
    }

    /// Returns the mapping of `entries` in the place of this one.
    pub fn with_entries<'a>(&self, entries: impl IntoIterator<Item = (&'a str, YamlNode)>) -> YamlNode {
        let entries = entries.into_iter().map(|(key, node)| (key.to_owned(), node));
        self.with(NodeValue::Mapping(entries.collect()))
    }

    /// Returns `error` with the line of this value.
    pub fn blame(&self, error: Error) -> Error {
        error.or_excerpt(Some(&self.place.excerpt()))
    }

    /// Returns `error` with the line of this value's key, if it has one.
    pub fn blame_key(&self, error: Error) -> Error {
        error.or_excerpt(Some(&self.key.as_ref().unwrap_or(&self.place).excerpt()))
    }

    /// Returns whether it is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.value, NodeValue::Null)
    }

    /// Returns the text; none if it is something else.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the values of a list; none if it is something else.
    pub fn list(&self) -> Option<&[YamlNode]> {
        match &self.value {
            NodeValue::List(values) => Some(values),
            _ => None,
        }
    }

    /// Returns the mapping; none if it is something else.
    pub fn mapping(&self) -> Option<&NodeMapping> {
        match &self.value {
            NodeValue::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// Returns the mapping; none if it is something else.
    pub fn mapping_mut(&mut self) -> Option<&mut NodeMapping> {
        match &mut self.value {
            NodeValue::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// Returns the value of `key`; none if there is none or this is not a mapping.
    pub fn get(&self, key: &str) -> Option<&YamlNode> {
        self.mapping()?.get(key).filter(|node| !node.is_null())
    }

    /// Returns the text of `key`; none if there is none.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// Returns the entries of the mapping that `key` has; none if there are none.
    pub fn entries_of(&self, key: &str) -> impl Iterator<Item = (&String, &YamlNode)> {
        self.get(key).and_then(YamlNode::mapping).into_iter().flatten()
    }

    /// Returns the values of the list that `key` has; none if there are none.
    pub fn values_of(&self, key: &str) -> &[YamlNode] {
        self.get(key).and_then(YamlNode::list).unwrap_or_default()
    }

    /// Returns it as text, as Go prints it: none if it is a list, a mapping or nothing.
    pub fn scalar(&self) -> Option<String> {
        match &self.value {
            NodeValue::Text(text) => Some(text.clone()),
            NodeValue::Boolean(value) => Some(value.to_string()),
            NodeValue::Integer(number) => Some(number.to_string()),
            NodeValue::Float(number) => Some(float(*number)),
            NodeValue::Null | NodeValue::List(_) | NodeValue::Mapping(_) => None,
        }
    }

    /// Returns the kind of a single value; none of them for a list or a mapping.
    pub(super) fn kinds(&self) -> Kinds {
        match self.value {
            NodeValue::Null => Kinds::NULL,
            NodeValue::Boolean(_) => Kinds::BOOLEAN,
            NodeValue::Integer(_) => Kinds::INTEGER,
            NodeValue::Float(number) if number.fract() == 0.0 => Kinds::INTEGER,
            NodeValue::Float(_) => Kinds::NUMBER,
            NodeValue::Text(_) => Kinds::TEXT,
            NodeValue::List(_) | NodeValue::Mapping(_) => Kinds::MORE,
        }
    }

    /// Returns what it is, for errors.
    pub fn kind(&self) -> &'static str {
        match self.value {
            NodeValue::Null => "nothing",
            NodeValue::Boolean(_) => "true or false",
            NodeValue::Integer(_) | NodeValue::Float(_) => "a number",
            NodeValue::Text(_) => "text",
            NodeValue::List(_) => "a list",
            NodeValue::Mapping(_) => "a mapping",
        }
    }

    /// Returns whether both say the same, wherever they stand.
    pub fn says_the_same(&self, other: &YamlNode) -> bool {
        match (&self.value, &other.value) {
            (NodeValue::Null, NodeValue::Null) => true,
            (NodeValue::Boolean(a), NodeValue::Boolean(b)) => a == b,
            (NodeValue::Integer(a), NodeValue::Integer(b)) => a == b,
            (NodeValue::Float(a), NodeValue::Float(b)) => a.to_bits() == b.to_bits(),
            (NodeValue::Text(a), NodeValue::Text(b)) => a == b,
            (NodeValue::List(a), NodeValue::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.says_the_same(b))
            }
            (NodeValue::Mapping(a), NodeValue::Mapping(b)) => {
                let same = |((own, a), (other, b)): ((&String, &YamlNode), (&String, &YamlNode))| {
                    own == other && a.says_the_same(b)
                };
                a.len() == b.len() && a.iter().zip(b).all(same)
            }
            _ => false,
        }
    }

    /// Takes away all marks.
    pub fn unmark(&mut self) {
        self.mark = MergeMark::Merged;
        match &mut self.value {
            NodeValue::List(values) => {
                values.retain(|value| value.mark != MergeMark::Reset);
                values.iter_mut().for_each(YamlNode::unmark);
            }
            NodeValue::Mapping(mapping) => {
                mapping.retain(|_, value| value.mark != MergeMark::Reset);
                mapping.values_mut().for_each(YamlNode::unmark);
            }
            _ => {}
        }
    }
}

/// Returns a number as Go's `%v` prints it: the shortest digits, with an exponent from a million on and below 1e-4.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let exponent = format!("{number:e}");
    let (digits, power) = exponent.split_once('e').unwrap_or((&exponent, "0"));
    match power.parse::<i32>() {
        Ok(power) if number != 0.0 && !(-4..6).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", power.abs())
        }
        _ => number.to_string(),
    }
}
