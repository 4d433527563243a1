//! YAML as a text that is edited: its values, each with the bytes in which it was written. Aliases are not followed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use crate::error::Error;

/// The most values that one file may have.
pub const MOST_VALUES: usize = 1_000_000;

/// The most values that may stand within each other.
const DEEPEST: usize = 200;

/// The documents of a part of a text.
#[derive(Debug)]
pub struct SpannedYaml<'a> {
    /// All of the text.
    pub text: &'a str,
    values: Vec<SpannedValue<'a>>,
    /// The value of each document.
    pub roots: Vec<usize>,
}

/// A value and its bytes, with its anchor and its tag.
#[derive(Debug)]
pub struct SpannedValue<'a> {
    pub content: SpannedContent<'a>,
    pub span: Range<usize>,
}

/// What a value is; other values by their numbers.
#[derive(Debug)]
pub enum SpannedContent<'a> {
    /// What it says, and whether it stands there without quotation marks.
    Scalar(Cow<'a, str>, bool),
    List(Vec<usize>),
    Mapping(Vec<(usize, usize)>),
    Alias(usize),
}

/// What is wrong with a text, and where.
#[derive(Debug)]
pub struct YamlFault {
    pub error: Error,
    pub span: Range<usize>,
}

/// Returns the parts of `text` that are read by themselves: what lies between the markers `---`, each with the one before it.
pub fn parts(text: &str) -> Vec<Range<usize>> {
    let start = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    let (mut parts, mut begin, mut at, mut has_content) = (Vec::new(), start, start, false);
    for line in text[start..].split_inclusive('\n') {
        let is_marker =
            line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker && has_content {
            parts.push(begin..at);
            (begin, has_content) = (at, false);
        }
        // Directives belong to the document that follows.
        has_content |= is_marker || !(line.trim().is_empty() || line.starts_with(['#', '%']));
        at += line.len();
    }
    parts.push(begin..at);
    parts
}

impl<'a> SpannedYaml<'a> {
    /// Reads the part `part` of `text`, which errors call `file`; `left` values may still be read.
    pub fn read(file: &str, text: &'a str, part: Range<usize>, left: &mut usize) -> Result<Self, YamlFault> {
        let source = &text[part.clone()];
        let starts = (!source.is_ascii()).then(|| source.char_indices().map(|(at, _)| at).collect::<Vec<_>>());
        let mut reader = SpannedReader {
            parser: Parser::new_from_str(source),
            file,
            place: SpannedPlace { part, starts },
            yaml: SpannedYaml { text, values: Vec::new(), roots: Vec::new() },
            anchors: HashMap::new(),
            left,
        };
        loop {
            let (event, span) = reader.next()?;
            match event {
                Event::StreamEnd => return Ok(reader.yaml),
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                event => {
                    let root = reader.value(event, span, 0)?;
                    reader.yaml.roots.push(root);
                }
            }
        }
    }

    pub fn value(&self, number: usize) -> &SpannedValue<'a> {
        &self.values[number]
    }

    /// Returns the bytes of a scalar with its quotation marks, but without its anchor and its tag, and what the parser takes
    /// with it: blanks and a comment behind it. None for what is not a scalar, or spans lines without quotation marks.
    pub fn written(&self, number: usize) -> Option<Range<usize>> {
        let SpannedValue { content: SpannedContent::Scalar(text, is_plain), span } = self.value(number) else {
            return None;
        };
        let source = &self.text[span.clone()];
        let start = properties(source);
        let rest = &source[start..];
        let (from, length) = match rest.chars().next() {
            Some('"') if !is_plain => (0, quoted(rest, '"')?),
            Some('\'') if !is_plain => (0, quoted(rest, '\'')?),
            _ => (rest.find(&**text)?, text.len()),
        };
        let start = span.start + start + from;
        Some(start..start + length)
    }

    /// Returns the text of a scalar, also where an alias stands for it; none if it is something else.
    pub fn scalar(&self, number: usize) -> Option<&str> {
        match &self.value(number).content {
            SpannedContent::Scalar(text, _) => Some(text),
            SpannedContent::Alias(meant) => match &self.value(*meant).content {
                SpannedContent::Scalar(text, _) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns whether it is a scalar that says nothing: `null`, `~`, or no text at all.
    pub fn is_empty(&self, number: usize) -> bool {
        match &self.value(number).content {
            SpannedContent::Scalar(text, true) => matches!(&**text, "" | "~" | "null" | "Null" | "NULL"),
            SpannedContent::Scalar(text, false) => text.is_empty(),
            _ => false,
        }
    }

    /// Returns the keys of a mapping, and their values; nothing for anything else.
    pub fn entries(&self, number: usize) -> &[(usize, usize)] {
        match &self.value(number).content {
            SpannedContent::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the key `name` of a mapping and its value; none if there is none.
    pub fn entry(&self, number: usize, name: &str) -> Option<(usize, usize)> {
        self.entries(number).iter().find(|(key, _)| self.scalar(*key) == Some(name)).copied()
    }

    /// Returns the text of the key `name` of a mapping; none if there is none, or an empty one.
    pub fn text_of(&self, number: usize, name: &str) -> Option<&str> {
        let (_, value) = self.entry(number, name)?;
        self.scalar(value).filter(|_| !self.is_empty(value))
    }
}

/// Returns where a value begins behind its anchor and its tag.
fn properties(source: &str) -> usize {
    let mut rest = source;
    while rest.starts_with(['&', '!']) {
        rest = rest.find(char::is_whitespace).map_or("", |at| &rest[at..]).trim_start();
    }
    source.len() - rest.len()
}

/// Returns the bytes up to the end of the quotation that `rest` begins with; none if it has no end.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if quote == '"' => drop(letters.next()),
            '\'' if quote == '\'' && letters.next_if(|(_, next)| *next == '\'').is_some() => {}
            _ if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A part of a text, and where its characters begin if these are not bytes.
struct SpannedPlace {
    part: Range<usize>,
    starts: Option<Vec<usize>>,
}

impl SpannedPlace {
    /// Returns where a character stands in all of the text.
    fn byte(&self, character: usize) -> usize {
        let at = match &self.starts {
            Some(starts) => starts.get(character).copied(),
            None => Some(character),
        };
        self.part.start + at.unwrap_or(self.part.len()).min(self.part.len())
    }
}

struct SpannedReader<'a, 'f> {
    parser: Parser<'a, StrInput<'a>>,
    file: &'f str,
    place: SpannedPlace,
    yaml: SpannedYaml<'a>,
    anchors: HashMap<usize, usize>,
    left: &'f mut usize,
}

impl<'a> SpannedReader<'a, '_> {
    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), YamlFault> {
        match self.parser.next_event() {
            Some(Ok((event, Span { start, end }))) => {
                let start = self.place.byte(start.index());
                Ok((event, start..self.place.byte(end.index()).max(start)))
            }
            None => Ok((Event::StreamEnd, 0..0)),
            Some(Err(error)) => {
                let at = self.place.byte(error.marker().index());
                let error = Error::input(format!("this is not YAML: {}", error.info()));
                Err(YamlFault { error, span: at..at + 1 })
            }
        }
    }

    /// Reads the value that begins with `event`, and returns its number.
    fn value(&mut self, event: Event<'a>, span: Range<usize>, depth: usize) -> Result<usize, YamlFault> {
        if depth > DEEPEST {
            let error = Error::input(format!("values are nested more than {DEEPEST} deep"));
            return Err(YamlFault { error, span });
        }
        let Some(left) = self.left.checked_sub(1) else {
            let error = Error::input(format!("{} has more than {MOST_VALUES} values", self.file));
            return Err(YamlFault { error, span });
        };
        *self.left = left;
        let (anchor, content) = match event {
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(meant) => (0, SpannedContent::Alias(*meant)),
                None => {
                    let error = Error::input("this alias is inside what it is an alias of");
                    return Err(YamlFault { error, span });
                }
            },
            Event::Scalar(text, style, anchor, _) => {
                (anchor, SpannedContent::Scalar(text, style == ScalarStyle::Plain))
            }
            Event::SequenceStart(anchor, _) => (anchor, SpannedContent::List(self.list(depth)?)),
            Event::MappingStart(anchor, _) => (anchor, SpannedContent::Mapping(self.mapping(depth)?)),
            _ => return Err(YamlFault { error: Error::input("there is no value here"), span }),
        };
        let number = self.yaml.values.len();
        self.yaml.values.push(SpannedValue { content, span });
        if anchor > 0 {
            self.anchors.insert(anchor, number);
        }
        Ok(number)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<usize>, YamlFault> {
        let mut values = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(values),
                (event, span) => values.push(self.value(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(usize, usize)>, YamlFault> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(entries);
            }
            let key = self.value(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            entries.push((key, self.value(event, span, depth + 1)?));
        }
    }
}
