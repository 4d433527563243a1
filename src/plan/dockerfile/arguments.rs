//! The ways in which what follows an instruction's name is split up.

use serde_json::Value;

use super::line::Line;
use super::{CommandLine, Text, Word};
use crate::error::{Error, Result};

/// What Dockerfiles call whitespace between words; Unicode has more.
pub(super) const WHITESPACE: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// Words between whitespace, whatever quotes say.
pub(super) fn words(line: &Line) -> Vec<Line> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, character) in line.text().char_indices() {
        match (WHITESPACE.contains(&character), start) {
            (true, Some(from)) => {
                words.push(line.slice(from..at));
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.map(|from| line.from(from)));
    words
}

/// The first word, and what stands behind the whitespace after it.
pub(super) fn first_word(line: &Line) -> (Line, Option<Line>) {
    let Some(end) = line.text().find(WHITESPACE) else { return (line.clone(), None) };
    let rest = line.from(end);
    let start = rest.text().len() - rest.text().trim_start_matches(WHITESPACE).len();
    (line.slice(0..end), Some(rest.from(start)))
}

/// Words between whitespace that is neither quoted nor escaped. Quotes and escapes stay in them.
pub(super) fn quoted_words(line: &Line, escape: char) -> Vec<Line> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut characters = line.text().char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            words.extend(start.take().map(|from| line.slice(from..at)));
            continue;
        }
        let from = *start.get_or_insert(at);
        if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && (character == '\'' || character == '"') {
            quote = Some(character);
        } else if character == escape && quote != Some('\'') && characters.next().is_none() {
            // An escape character that nothing follows says nothing.
            words.extend(Some(line.slice(from..at)).filter(|word| !word.is_empty()));
            return words;
        }
    }
    words.extend(start.map(|from| line.from(from)));
    words
}

/// The strings of a JSON array, or None if it is something else. An array of other things is an error.
pub(super) fn json(text: &Text, line: &Line) -> Result<Option<Vec<String>>> {
    if !line.text().trim_start().starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<Value>>(line.text()) else { return Ok(None) };
    let string = |value| match value {
        Value::String(string) => Ok(string),
        other => Err(Error::input(format!("`{other}` in a JSON array is not a string"))
            .with_excerpt(text.excerpt(&line.span()))
            .with_hint("put it in double quotes, or write the line without brackets for the shell form")),
    };
    values.into_iter().map(string).collect::<Result<_>>().map(Some)
}

/// A JSON array's strings, or words between whitespace.
pub(super) fn list(text: &Text, line: &Line) -> Result<Vec<Word>> {
    Ok(match json(text, line)? {
        Some(strings) => strings.into_iter().map(|text| Word { text, span: line.span() }).collect(),
        None => words(line).iter().map(Line::word).collect(),
    })
}

pub(super) fn command_line(text: &Text, line: &Line) -> Result<CommandLine> {
    Ok(match json(text, line)? {
        Some(arguments) => CommandLine::Exec(arguments),
        None => CommandLine::Shell(line.word()),
    })
}
