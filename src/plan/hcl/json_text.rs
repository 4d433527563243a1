//! JSON, each value with its place.

use std::ops::Range;
use std::sync::Arc;

use serde::de::IgnoredAny;

use super::place::{BakePlace, BakeText};
use crate::error::{Error, Result};

/// How deep values may stand within each other.
const DEEPEST: usize = 64;

/// A value, and where it stands.
#[derive(Debug)]
pub struct JsonNode {
    /// What it is.
    pub kind: JsonKind,
    /// Where it stands, in bytes.
    pub span: Range<usize>,
}

/// What a value is.
#[derive(Debug)]
pub enum JsonKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written.
    Number(String),
    /// A string without its escapes.
    Text(String),
    /// Values in their order.
    List(Vec<JsonNode>),
    /// Values with their keys, in their order.
    Object(Vec<(JsonKey, JsonNode)>),
}

/// The key of a value in an object.
#[derive(Debug)]
pub struct JsonKey {
    /// What it says.
    pub name: String,
    /// Where it stands, in bytes.
    pub span: Range<usize>,
}

/// Returns the value that a file is. Fails, with the place, for what is no JSON.
pub fn parse(text: &Arc<BakeText>) -> Result<JsonNode> {
    let json = text.text.trim_start_matches('\u{feff}');
    let lead = text.text.len() - json.len();
    if let Err(error) = serde_json::from_str::<IgnoredAny>(json) {
        return Err(refused(text, lead, &error));
    }
    JsonWalk { text, at: lead }.value(0)
}

fn refused(text: &Arc<BakeText>, lead: usize, error: &serde_json::Error) -> Error {
    let json = &text.text[lead..];
    let line_start = match error.line() {
        0 | 1 => 0,
        line => json.match_indices('\n').nth(line - 2).map_or(json.len(), |(at, _)| at + 1),
    };
    let at = lead + (line_start + error.column().saturating_sub(1)).min(json.len());
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    BakePlace::new(text, at..at + 1).error(format!("this is not JSON: {message}"))
}

/// Goes through text that is known to be JSON.
struct JsonWalk<'a> {
    text: &'a Arc<BakeText>,
    at: usize,
}

impl JsonWalk<'_> {
    fn value(&mut self, depth: usize) -> Result<JsonNode> {
        self.skip(|byte| byte.is_ascii_whitespace());
        let start = self.at;
        if depth > DEEPEST {
            let place = BakePlace::new(self.text, start..start + 1);
            return Err(place.error(format!("values are nested more than {DEEPEST} deep")));
        }
        let kind = match self.peek() {
            b'{' => self.object(depth)?,
            b'[' => self.list(depth)?,
            b'"' => JsonKind::Text(self.string()?),
            _ => {
                self.skip(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b',' | b']' | b'}'));
                match &self.text.text[start..self.at] {
                    "null" => JsonKind::Null,
                    "true" => JsonKind::Bool(true),
                    "false" => JsonKind::Bool(false),
                    number => JsonKind::Number(number.to_owned()),
                }
            }
        };
        Ok(JsonNode { kind, span: start..self.at })
    }

    fn object(&mut self, depth: usize) -> Result<JsonKind> {
        let mut entries = Vec::new();
        while self.next_item(b'}') {
            let start = self.at;
            let name = self.string()?;
            let key = JsonKey { name, span: start..self.at };
            self.skip(|byte| byte.is_ascii_whitespace() || byte == b':');
            entries.push((key, self.value(depth + 1)?));
        }
        Ok(JsonKind::Object(entries))
    }

    fn list(&mut self, depth: usize) -> Result<JsonKind> {
        let mut nodes = Vec::new();
        while self.next_item(b']') {
            nodes.push(self.value(depth + 1)?);
        }
        Ok(JsonKind::List(nodes))
    }

    /// Goes to the next item behind an opening bracket or an item. Returns whether there is one; if not, it goes past the end.
    fn next_item(&mut self, close: u8) -> bool {
        if matches!(self.peek(), b'{' | b'[') {
            self.at += 1;
        }
        self.skip(|byte| byte.is_ascii_whitespace() || byte == b',');
        let is_end = self.peek() == close || self.at >= self.text.text.len();
        self.at += usize::from(self.peek() == close);
        !is_end
    }

    fn string(&mut self) -> Result<String> {
        let start = self.at;
        self.at += 1;
        while self.at < self.text.text.len() && self.peek() != b'"' {
            self.at += 1 + usize::from(self.peek() == b'\\');
        }
        self.at = (self.at + 1).min(self.text.text.len());
        let written = self.text.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(written).map_err(|error| {
            BakePlace::new(self.text, start..self.at).error("this is not a string of JSON").with_source(error)
        })
    }

    fn peek(&self) -> u8 {
        self.text.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }

    fn skip(&mut self, is_skipped: fn(u8) -> bool) {
        while self.at < self.text.text.len() && is_skipped(self.peek()) {
            self.at += 1;
        }
    }
}
