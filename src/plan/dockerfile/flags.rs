//! `--name[=value]` between an instruction's name and its arguments.

use super::line::LogicalLine;
use super::{Text, Word};
use crate::error::{Error, Result, suggestion};
use crate::plan::quantity;

/// The kind of value that a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagKind {
    /// A value, once.
    Text,
    /// A value each time.
    Texts,
    /// A boolean in any letter case, or nothing for `true`; once.
    Switch,
}

/// The flags of one instruction, all of them known to it.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// Names and values, in order; a switch without a value has an empty one.
    given: Vec<(&'static str, LogicalLine)>,
}

/// Splits flags, without their quotes and backslashes, from the arguments behind them. Flags end before the first word that does
/// not begin with `--`, or behind `--` itself.
pub(super) fn split(line: &LogicalLine) -> (Vec<LogicalLine>, LogicalLine) {
    let mut flags = Vec::new();
    let mut at = behind_whitespace(line, 0);
    while line.text()[at..].starts_with("--") {
        let (flag, end) = unquoted(line, at);
        at = behind_whitespace(line, end);
        if flag.text() == "--" {
            break;
        }
        flags.push(flag);
    }
    (flags, line.from(at).trimmed())
}

fn behind_whitespace(line: &LogicalLine, at: usize) -> usize {
    line.text().len() - line.text()[at..].trim_start().len()
}

/// The word that begins at `start` without its quotes and backslashes, and where it ends.
fn unquoted(line: &LogicalLine, start: usize) -> (LogicalLine, usize) {
    let mut kept = Vec::new();
    let mut quote = None;
    let mut characters = line.text()[start..].char_indices().map(|(at, character)| (start + at, character));
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            return (line.pick(&kept, at), at);
        }
        if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && (character == '\'' || character == '"') {
            quote = Some(character);
        } else if character == '\\' {
            kept.extend(characters.next());
        } else {
            kept.push((at, character));
        }
    }
    let end = line.text().len();
    (line.pick(&kept, end), end)
}

impl Flags {
    /// Checks `flags` against those that `instruction` knows, and returns them. Fails for one that it does not know,
    /// one that is given too often, and a value of the wrong kind.
    pub fn read(
        text: &Text,
        instruction: &str,
        flags: &[LogicalLine],
        known: &[(&'static str, FlagKind)],
    ) -> Result<Flags> {
        let mut given: Vec<(&'static str, LogicalLine)> = Vec::new();
        for flag in flags {
            let refuse = |message: String| Error::input(message).with_excerpt(text.excerpt(&flag.span()));
            let (name, value) = flag.split_once('=').map_or((flag.clone(), None), |(name, value)| (name, Some(value)));
            let name = name.text();
            let Some((known_name, kind)) = known.iter().find(|(known, _)| name.strip_prefix("--") == Some(known))
            else {
                return Err(unknown(refuse(format!("`{instruction}` has no flag `{name}`")), name, known));
            };
            if *kind != FlagKind::Texts && given.iter().any(|(given, _)| given == known_name) {
                return Err(refuse(format!("`{name}` is given twice")).with_hint("only one of them can apply"));
            }
            let value = match (kind, value) {
                (FlagKind::Switch, None) => flag.from(flag.text().len()),
                (FlagKind::Switch, Some(value)) => match quantity::boolean(&value.text().to_lowercase()) {
                    Some(_) => value,
                    None => return Err(refuse(format!("`{name}` takes `true` or `false`, not `{}`", value.text()))),
                },
                (_, Some(value)) => value,
                (_, None) => {
                    return Err(refuse(format!("`{name}` needs a value"))
                        .with_hint(format!("write it with an equals sign: `{name}=…`")));
                }
            };
            given.push((known_name, value));
        }
        Ok(Flags { given })
    }

    /// Returns the value of a flag that was given; an empty one is none.
    pub fn text(&self, name: &str) -> Option<Word> {
        self.value(name).filter(|value| !value.is_empty()).map(LogicalLine::word)
    }

    /// Returns the value of a flag; none if it was not given.
    pub fn value(&self, name: &str) -> Option<&LogicalLine> {
        self.values(name).next()
    }

    /// Returns the values of a flag that may be given several times, in their order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &LogicalLine> {
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value)
    }

    /// Returns how a switch is set; none if it was not given.
    pub fn switch(&self, name: &str) -> Option<bool> {
        self.value(name).map(|value| quantity::boolean(&value.text().to_lowercase()) != Some(false))
    }
}

fn unknown(error: Error, name: &str, known: &[(&'static str, FlagKind)]) -> Error {
    let names: Vec<String> = known.iter().map(|(known, _)| format!("--{known}")).collect();
    if names.is_empty() {
        return error.with_hint("it has none");
    }
    match suggestion(name, names.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint(format!("it has {}", names.join(", "))),
    }
}
