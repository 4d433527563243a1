//! `--call`: what is asked of a Dockerfile in the place of a build, and answered as buildx does.

use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use super::call_document::{Lint, OutlineDocument, Targets};
use crate::cli::annotation::Annotations;
use crate::cli::print::{annotate, answer, answer_excerpt, answer_lines, answer_readable_json};
use crate::error::{Error, Excerpt, Result};
use crate::plan::dockerfile::{OfferedStage, Outline, OutlineMount, Text, Warning};
use crate::plan::quantity;

/// What `--call` asks, and how it is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// None for a build.
    pub question: Option<Question>,
    is_json: bool,
    ignores_status: bool,
}

/// A question about a Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// What the Dockerfile should not say.
    Check,
    /// What a stage takes.
    Outline,
    /// Which stages there are.
    Targets,
}

impl Call {
    /// Returns the word for the question in a bake file, as buildx writes it; none for a build.
    pub fn method(self) -> Option<&'static str> {
        self.question.map(|question| match question {
            Question::Check => "lint",
            Question::Outline => "outline",
            Question::Targets => "targets",
        })
    }
}

impl FromStr for Call {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut fields = text.split(',');
        let method = fields.next().unwrap_or_default();
        let question = match method.strip_prefix("type=").unwrap_or(method) {
            "" | "build" => None,
            "check" | "lint" => Some(Question::Check),
            "outline" => Some(Question::Outline),
            "targets" => Some(Question::Targets),
            other => {
                return Err(Error::usage(format!("there is no method `{other}`"))
                    .with_hint("known methods are build, check, outline and targets"));
            }
        };
        let mut call = Call { question, ..Call::check() };
        for field in fields {
            match field.split_once('=').unwrap_or((field, "true")) {
                ("format", "json") => call.is_json = true,
                ("format", "text") => call.is_json = false,
                ("ignorestatus", value) if quantity::boolean(value).is_some() => {
                    call.ignores_status = quantity::boolean(value) == Some(true);
                }
                _ => {
                    return Err(Error::usage(format!("`{field}` is not known"))
                        .with_hint("known options are format=json, format=text and ignorestatus=BOOL"));
                }
            }
        }
        Ok(call)
    }
}

impl Call {
    /// Returns the call that `--check` is short for.
    pub fn check() -> Self {
        Call { question: Some(Question::Check), is_json: false, ignores_status: false }
    }

    /// Returns whether it asks something, in the place of a build.
    pub fn asks(self) -> bool {
        self.question.is_some()
    }

    /// Returns whether the answer is JSON.
    pub fn is_json(self) -> bool {
        self.is_json
    }

    /// Returns what the build checks of `text` find as JSON, and whether it is nothing, or nothing that counts.
    pub fn document_of_checks(
        self,
        checked: Result<(Vec<Warning>, Option<Error>)>,
        text: Option<&Text>,
    ) -> Result<(Value, bool)> {
        let (warnings, failure) = checked.unwrap_or_else(|error| (Vec::new(), Some(error)));
        let is_fine = failure.is_none() && (warnings.is_empty() || self.ignores_status);
        Ok((document(&Lint::of(&warnings, failure.as_ref(), text))?, is_fine))
    }

    /// Returns what a stage of `text` takes as JSON.
    pub fn document_of_outline(outline: &Outline, text: &Text) -> Result<Value> {
        document(&OutlineDocument::of(outline, text))
    }

    /// Returns the stages of `text` as JSON.
    pub fn document_of_targets(stages: &[OfferedStage], text: &Text) -> Result<Value> {
        document(&Targets::of(stages, text))
    }

    /// Answers with what the build checks of `text` find: warnings, and why it cannot be built, if that came to light. Fails if
    /// there is either. `is_dockers` is whether the words are docker's.
    pub fn tell_of_checks(
        self,
        checked: Result<(Vec<Warning>, Option<Error>)>,
        text: Option<&Text>,
        is_dockers: bool,
    ) -> Result<()> {
        let (warnings, failure) = checked.unwrap_or_else(|error| (Vec::new(), Some(error)));
        if let Some(annotations) = Annotations::of_environment().filter(|_| !self.is_json) {
            warnings.iter().for_each(|warning| annotate(&annotations.check(warning)));
        }
        match (self.is_json, is_dockers) {
            (true, _) => answer_readable_json(&Lint::of(&warnings, failure.as_ref(), text), "  ")?,
            // Nothing is found yet, but that is not all there is to say.
            (false, _) if warnings.is_empty() && failure.is_some() => {}
            (false, true) => answer_lines(dockers_lines(&warnings, text))?,
            (false, false) if warnings.is_empty() => answer("no warnings")?,
            (false, false) => {
                for Warning { rule, message, place, .. } in &warnings {
                    answer_excerpt(&format!("{}: {message}", rule.name()), place)?;
                }
            }
        }
        match failure {
            Some(failure) => Err(failure),
            None if warnings.is_empty() || self.ignores_status => Ok(()),
            None => {
                let count = warnings.len();
                Err(Error::input(format!("{count} {}", if count == 1 { "warning" } else { "warnings" }))
                    .with_hint("a line `# check=skip=RULE` at the top of the Dockerfile leaves a check out"))
            }
        }
    }

    /// Answers with the stages of `text`.
    pub fn tell_of_targets(self, stages: &[OfferedStage], text: &Text) -> Result<()> {
        if self.is_json {
            return answer_readable_json(&Targets::of(stages, text), "  ");
        }
        let row = |stage: &OfferedStage| {
            let name = match (stage.name.as_deref(), stage.is_default) {
                (None, true) => "(default)".to_owned(),
                (name, true) => format!("{} (default)", name.unwrap_or_default()),
                (name, false) => name.unwrap_or_default().to_owned(),
            };
            vec![name, stage.description.clone()]
        };
        answer_lines(table(1, &["TARGET", "DESCRIPTION"], stages.iter().map(row)))
    }

    /// Answers with what a stage of `text` takes.
    pub fn tell_of_outline(self, outline: &Outline, text: &Text) -> Result<()> {
        if self.is_json {
            return answer_readable_json(&OutlineDocument::of(outline, text), "  ");
        }
        let mut lines = Vec::new();
        let mut add = |table: Vec<String>| {
            lines.extend(table);
            lines.push(String::new());
        };
        if outline.name.is_some() || !outline.description.is_empty() {
            let name = outline.name.as_deref().unwrap_or("(default)");
            let described = Some(vec!["DESCRIPTION:".to_owned(), outline.description.clone()]);
            add(table(1, &["TARGET:", name], described.filter(|_| !outline.description.is_empty()).into_iter()));
        }
        if !outline.arguments.is_empty() {
            let row = outline.arguments.iter().map(|argument| {
                vec![argument.name.clone(), argument.value.clone().unwrap_or_default(), argument.description.clone()]
            });
            add(table(3, &["BUILD ARG", "VALUE", "DESCRIPTION"], row));
        }
        for (title, mounts) in [("SECRET", &outline.secrets), ("SSH", &outline.agents)] {
            if !mounts.is_empty() {
                let required = |mount: &OutlineMount| if mount.required { "true".to_owned() } else { String::new() };
                let row = mounts.iter().map(|mount| vec![mount.id.clone(), required(mount)]);
                add(table(3, &[title, "REQUIRED"], row));
            }
        }
        answer_lines(lines)
    }
}

fn document(answer: &impl Serialize) -> Result<Value> {
    serde_json::to_value(answer).map_err(|source| Error::input("a result cannot be shown").with_source(source))
}

/// Returns the lines of a table as Go's `text/tabwriter` aligns it: a cell is as wide as the widest of its column and `gap`, but
/// for the last one.
fn table(gap: usize, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let head = head.iter().map(|title| (*title).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let line = |row: &Vec<String>| {
        let cell = |(column, cell): (usize, &String)| match column + 1 == row.len() {
            true => cell.clone(),
            false => format!("{cell:width$}", width = width(column).unwrap_or_default() + gap),
        };
        row.iter().enumerate().map(cell).collect::<String>()
    };
    rows.iter().map(line).collect()
}

/// Returns what buildx says of warnings.
fn dockers_lines(warnings: &[Warning], text: Option<&Text>) -> Vec<String> {
    let mut lines = match warnings.len() {
        0 => return vec!["Check complete, no warnings found.".to_owned()],
        1 => vec!["Check complete, 1 warning has been found!".to_owned()],
        count => vec![format!("Check complete, {count} warnings have been found!")],
    };
    for Warning { rule, message, place, .. } in warnings {
        let url = rule.url().map(|url| format!(" - {url}")).unwrap_or_default();
        lines.extend([String::new(), format!("WARNING: {}{url}", rule.name()), message.clone()]);
        lines.push(format!("{}:{}", place.file, place.line));
        lines.push(RULE.to_owned());
        lines.extend(around(place, text));
        lines.push(RULE.to_owned());
    }
    lines
}

/// The line that buildx puts above and below a part of a Dockerfile.
const RULE: &str = "--------------------";

/// So many lines of a file does buildx show around one.
const AROUND: usize = 4;

/// Returns the lines around the one at `place`, with a mark at that.
fn around(place: &Excerpt, text: Option<&Text>) -> Vec<String> {
    let shown = |line: usize, text: &str| {
        let mark = if line == place.line { ">>>" } else { "   " };
        format!(" {line:>3} | {mark} {text}")
    };
    let lines: Vec<&str> = match text {
        Some(text) if text.file == place.file => text.content.split('\n').collect(),
        _ => return vec![shown(place.line, &place.text)],
    };
    let (mut start, mut end, mut added) = (place.line, place.line.min(lines.len()), 0);
    while added < AROUND {
        if start > 1 {
            start -= 1;
            added += 1;
        }
        if end < lines.len() {
            end += 1;
            added += 1;
        }
        added += 1;
    }
    (start..=end).filter_map(|line| Some(shown(line, lines.get(line - 1)?.trim_end_matches('\r')))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_as_buildx_writes_them() {
        let read = |text: &str| text.parse::<Call>().map(|call| (call.question, call.is_json, call.ignores_status));
        assert_eq!(read("build").unwrap(), (None, false, false));
        assert_eq!(read("check").unwrap(), (Some(Question::Check), false, false));
        assert_eq!(read("lint,format=json").unwrap(), (Some(Question::Check), true, false));
        assert_eq!(read("outline,format=text").unwrap(), (Some(Question::Outline), false, false));
        assert_eq!(read("check,ignorestatus").unwrap(), (Some(Question::Check), false, true));
        assert_eq!(read("targets,ignorestatus=false").unwrap(), (Some(Question::Targets), false, false));
        assert_eq!(read("describe").unwrap_err().message, "there is no method `describe`");
        assert_eq!(read("check,format=xml").unwrap_err().message, "`format=xml` is not known");
    }
}
