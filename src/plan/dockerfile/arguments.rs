//! Arguments that are a JSON array, or words if they are none.

use serde_json::Value;

use super::line::LogicalLine;
use super::split::words;
use super::{CommandLine, Text, Word};
use crate::error::{Error, Result};

/// Returns the strings of a JSON array, and none if `line` is something else. Fails for an array of other things.
pub fn json(text: &Text, line: &LogicalLine) -> Result<Option<Vec<String>>> {
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

/// Returns a JSON array's strings, or else the words between whitespace. Fails for an array of other things.
pub fn list(text: &Text, line: &LogicalLine) -> Result<Vec<Word>> {
    Ok(match json(text, line)? {
        Some(strings) => strings.into_iter().map(|text| Word { text, span: line.span() }).collect(),
        None => words(line).iter().map(LogicalLine::word).collect(),
    })
}

/// Returns the exec form for a JSON array, or else the shell form. Fails for an array of other things.
pub fn command_line(text: &Text, line: &LogicalLine) -> Result<CommandLine> {
    Ok(match json(text, line)? {
        Some(arguments) => CommandLine::Exec(arguments),
        None => CommandLine::Shell(line.word()),
    })
}
