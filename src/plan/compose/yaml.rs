//! YAML as Go's readers read it: YAML 1.2 with the merge keys, the octal numbers and the underscores of 1.1.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::node::{ComposeText, MergeMark, NodeMapping, NodeValue, TextPlace, YamlNode};
use super::scalar;
use crate::error::{Error, Result};

/// The most values that one file may have once its aliases are followed, as compose has it. Long text counts as several.
const MOST_NODES: usize = 100_000;

/// In bytes: so much of a text counts as one value more.
const LONG_TEXT: usize = 512;

/// The most values that may stand within each other.
const DEEPEST: usize = 200;

/// Returns the documents of a file in their order, those left out that hold nothing. Fails for what is no YAML, a key that is
/// there twice, and for more than a compose file has.
pub fn read(text: &Arc<ComposeText>) -> Result<Vec<YamlNode>> {
    let start = text.text.strip_prefix('\u{feff}').unwrap_or(&text.text);
    let mut reader = YamlReader {
        parser: Parser::new_from_str(start),
        text,
        lead: text.text.chars().count() - start.chars().count(),
        anchors: HashMap::new(),
        left: MOST_NODES,
    };
    let mut documents = Vec::new();
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            event => {
                let node = reader.node(event, span, 0)?;
                if !node.is_null() {
                    documents.push(node);
                }
            }
        }
    }
}

struct YamlReader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a Arc<ComposeText>,
    /// The characters before what is parsed.
    lead: usize,
    /// The values that aliases may stand for, and what each weighs.
    anchors: HashMap<usize, (YamlNode, usize)>,
    /// The budget of values.
    left: usize,
}

impl<'a> YamlReader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            None => Ok((Event::StreamEnd, Span::default())),
            Some(Err(error)) => {
                let at = error.marker().index() + self.lead;
                let place = TextPlace { text: self.text.clone(), start: at, end: at + 1 };
                Err(Error::input(format!("this is not YAML: {}", error.info())).with_excerpt(place.excerpt()))
            }
        }
    }

    /// Reads the value that begins with `event`.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<YamlNode> {
        let before = self.left;
        let place = self.place(span);
        if depth > DEEPEST {
            return Err(
                Error::input(format!("values are nested more than {DEEPEST} deep")).with_excerpt(place.excerpt())
            );
        }
        self.spend(1, &place)?;
        let (anchor, tag, value) = match event {
            Event::Alias(anchor) => return self.alias(anchor, place),
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(text.len() / LONG_TEXT, &place)?;
                let value = scalar_value(text, style, tag.as_deref());
                (anchor, tag, value.map_err(|error| error.with_excerpt(place.excerpt()))?)
            }
            Event::SequenceStart(anchor, tag) => (anchor, tag, self.list(depth)?),
            Event::MappingStart(anchor, tag) => (anchor, tag, self.mapping(depth)?),
            _ => return Err(Error::input("there is no value here").with_excerpt(place.excerpt())),
        };
        let mark = match tag.as_deref() {
            Some(Tag { handle, suffix }) if handle == "!" && suffix == "reset" => MergeMark::Reset,
            Some(Tag { handle, suffix }) if handle == "!" && suffix == "override" => MergeMark::Override,
            _ => MergeMark::Merged,
        };
        let node = YamlNode { value, place, key: None, mark };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), before - self.left));
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, place: TextPlace) -> Result<YamlNode> {
        let Some((node, weight)) = self.anchors.get(&anchor) else {
            return Err(Error::input("this alias is inside what it is an alias of").with_excerpt(place.excerpt()));
        };
        let (node, weight) = (node.clone(), *weight);
        self.spend(weight, &place)?;
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<NodeValue> {
        let mut values = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(NodeValue::List(values)),
                (event, span) => values.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<NodeValue> {
        let (mut mapping, mut merged) = (NodeMapping::new(), None);
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = is_merge_key(&event);
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let mut value = self.node(event, span, depth + 1)?;
            let place = key.place.clone();
            if is_merge {
                if merged.replace(value).is_some() {
                    return Err(Error::input("`<<` appears twice").with_excerpt(place.excerpt()));
                }
                continue;
            }
            let Some(name) = key.text().map(str::to_owned) else {
                let error = Error::input(format!("a key must be text, but this is {}", key.kind()));
                return Err(error.with_hint("put it between quotation marks").with_excerpt(place.excerpt()));
            };
            value.key = Some(place.clone());
            if let Some(first) = mapping.insert(name, value) {
                let line = first.key.unwrap_or(first.place).excerpt().line;
                let name = key.text().unwrap_or_default();
                return Err(Error::input(format!("the key `{name}` already exists, in line {line}"))
                    .with_excerpt(place.excerpt()));
            }
        }
        for source in merged.iter().flat_map(merge_sources) {
            let Some(source_mapping) = source.mapping() else {
                return Err(source.blame(Error::input("`<<` takes a mapping, or a list of mappings")));
            };
            for (key, value) in source_mapping {
                if !mapping.contains_key(key) {
                    mapping.insert(key.clone(), value.clone());
                }
            }
        }
        Ok(NodeValue::Mapping(mapping))
    }

    fn spend(&mut self, weight: usize, place: &TextPlace) -> Result<()> {
        match self.left.checked_sub(weight) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Error::input(format!("{} has more than {MOST_NODES} values", self.text.file))
                .with_hint("aliases count as what they stand for")
                .with_excerpt(place.excerpt())),
        }
    }

    fn place(&self, span: Span) -> TextPlace {
        let (start, end) = (span.start.index() + self.lead, span.end.index() + self.lead);
        TextPlace { text: self.text.clone(), start, end }
    }
}

/// Whether a key is `<<`, as it stands there and not as text.
fn is_merge_key(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, _, None) => text == "<<",
        Event::Scalar(_, _, _, Some(tag)) => tag.is_yaml_core_schema() && tag.suffix == "merge",
        _ => false,
    }
}

/// The mappings behind `<<`, the strongest first.
fn merge_sources(node: &YamlNode) -> Vec<&YamlNode> {
    node.list().map_or_else(|| vec![node], |nodes| nodes.iter().collect())
}

fn scalar_value(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<NodeValue> {
    let tag = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    let is_plain = style == ScalarStyle::Plain;
    match tag {
        Some("int" | "float" | "bool" | "null") => match scalar::resolve(&text) {
            NodeValue::Text(text) => {
                let what = tag.unwrap_or_default();
                Err(Error::input(format!("`{text}` is not of the type `{what}`")))
            }
            value => Ok(value),
        },
        None if is_plain => Ok(scalar::resolve(&text)),
        _ => Ok(NodeValue::Text(text.into_owned())),
    }
}
