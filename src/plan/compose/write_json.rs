//! A project as JSON, in the order of compose.

use super::node::{NodeMapping, NodeValue, YamlNode, float};
use super::shape::{Field, Shape};
use crate::error::escape;

/// Returns `node` as JSON on several lines. Keys of one's own are kept at the top alone, as compose does it.
pub fn whole(node: &YamlNode, shape: &Shape) -> String {
    let mut writer = JsonWriter { text: String::new(), is_on_lines: true, depth: 0 };
    match (&node.value, shape) {
        // The top is a mapping to compose, and no record.
        (NodeValue::Mapping(mapping), Shape::Record(fields)) => {
            let shape =
                |key: &str| fields.iter().find(|(name, _)| *name == key).map_or(&Shape::Any, |(_, shape)| shape);
            let told = mapping.iter().filter(|(key, _)| *key != "models");
            writer.entries(told.map(|(key, node)| (key.as_str(), Some(node), shape(key))));
        }
        _ => writer.value(node, shape),
    }
    writer.text
}

/// Returns `node` as JSON on one line.
pub fn line(node: &YamlNode, shape: &Shape) -> String {
    let mut writer = JsonWriter { text: String::new(), is_on_lines: false, depth: 0 };
    writer.value(node, shape);
    writer.text
}

struct JsonWriter {
    text: String,
    is_on_lines: bool,
    depth: usize,
}

impl JsonWriter {
    fn value(&mut self, node: &YamlNode, shape: &Shape) {
        let shape = shape.plain(node);
        match (&node.value, shape) {
            (NodeValue::Null, _) => self.text.push_str("null"),
            (NodeValue::Boolean(value), _) => self.text.push_str(&value.to_string()),
            (NodeValue::Integer(number), _) => self.text.push_str(&number.to_string()),
            (NodeValue::Float(number), _) if number.is_finite() => self.text.push_str(&number.to_string()),
            (NodeValue::Float(number), _) => self.string(&float(*number)),
            (NodeValue::Text(text), _) => self.string(text),
            (NodeValue::List(values), _) => self.list(values, shape),
            (NodeValue::Mapping(mapping), Shape::Record(fields)) => self.record(mapping, fields),
            (NodeValue::Mapping(mapping), Shape::Map(inner) | Shape::Named(inner)) => {
                self.entries(mapping.iter().map(|(key, node)| (key.as_str(), Some(node), *inner)));
            }
            (NodeValue::Mapping(mapping), _) => {
                self.entries(mapping.iter().map(|(key, node)| (key.as_str(), Some(node), &Shape::Any)));
            }
        }
    }

    fn record(&mut self, mapping: &NodeMapping, fields: &[Field]) {
        let there = fields.iter().filter_map(|(name, shape)| match (mapping.get(*name), shape) {
            (Some(node), _) => Some((*name, Some(node), shape)),
            (None, Shape::Always(_) | Shape::Inline(_)) => Some((*name, None, shape)),
            (None, _) => None,
        });
        self.entries(there);
    }

    /// Writes entries; one that is not there is nothing, or an empty record.
    fn entries<'a>(&mut self, entries: impl Iterator<Item = (&'a str, Option<&'a YamlNode>, &'a Shape)>) {
        self.text.push('{');
        self.depth += 1;
        let mut is_first = true;
        for (key, node, shape) in entries {
            self.next(&mut is_first);
            self.string(key);
            self.text.push_str(if self.is_on_lines { ": " } else { ":" });
            match (node, shape) {
                (Some(node), _) => self.value(node, shape),
                (None, Shape::Inline(inner)) => self.empty(inner),
                (None, _) => self.text.push_str("null"),
            }
        }
        self.end(is_first, '}');
    }

    fn empty(&mut self, shape: &Shape) {
        match shape {
            Shape::Record(fields) => self.record(&NodeMapping::new(), fields),
            Shape::Needs(_, inner) => self.empty(inner),
            _ => self.text.push_str("{}"),
        }
    }

    fn list(&mut self, values: &[YamlNode], shape: &Shape) {
        let inner = if let Shape::List(inner) = shape { inner } else { &Shape::Any };
        self.text.push('[');
        self.depth += 1;
        let mut is_first = true;
        for value in values {
            self.next(&mut is_first);
            self.value(value, inner);
        }
        self.end(is_first, ']');
    }

    fn next(&mut self, is_first: &mut bool) {
        if !std::mem::take(is_first) {
            self.text.push(',');
        }
        self.line();
    }

    fn end(&mut self, is_empty: bool, bracket: char) {
        self.depth -= 1;
        if !is_empty {
            self.line();
        }
        self.text.push(bracket);
    }

    fn line(&mut self) {
        if self.is_on_lines {
            self.text.push('\n');
            self.text.push_str(&"  ".repeat(self.depth));
        }
    }

    /// Text with the escapes of Go, which does without what HTML would take for its own.
    fn string(&mut self, text: &str) {
        let spelled = serde_json::Value::from(text).to_string();
        for c in escape::json(&spelled).chars() {
            match c {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => self.text.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => self.text.push(c),
            }
        }
    }
}
