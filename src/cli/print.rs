//! The one place that prints. What is printed are lines, each given as one piece and escaped as one
//! ([`crate::error::escape`]), whoever wrote what it is made of: only this place ends a line.

use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde_json::json;
use serde_json::ser::PrettyFormatter;

use super::annotation::Annotations;
use super::terminal::is_coloured;
use crate::error::{Error, Excerpt, Result, escape};
use crate::oci::to_json;

/// Says something to the user that is not the result, in one line.
pub fn tell(line: &str) {
    say(&[escape::line(line)]);
}

/// Says the same for a program that reads along: JSON on one line.
pub fn tell_json(value: &serde_json::Value) {
    say(&[escape::json(&value.to_string())]);
}

/// Asks for a line of input, and stays in the line of the question, which is ours.
pub fn ask(question: &'static str) {
    say_text(question);
}

/// Tells the runner of a workflow to show something beside a line: [`Annotations`] makes the command, with all that is foreign escaped.
pub fn annotate(command: &str) {
    say(&[command.to_owned()]);
}

/// Shows an error on stderr: what failed, the line that is to blame, the causes, and what to do; and beside that line where a workflow
/// is run.
pub fn show(error: &Error) {
    let title = if is_coloured() { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
    say(&error_lines(title, error));
    Annotations::of_environment().iter().for_each(|annotations| annotate(&annotations.error(error)));
}

fn error_lines(title: &str, error: &Error) -> Vec<String> {
    let mut lines = vec![format!("{title} {}", escape::line(&error.message))];
    lines.extend(error.details.iter().map(|detail| format!("  {}", escape::line(detail))));
    lines.extend(error.excerpt.iter().flat_map(|excerpt| excerpt_lines(excerpt)));
    lines.extend(causes(error).iter().map(|cause| format!("  caused by: {}", escape::line(cause))));
    lines.extend(error.hint.iter().map(|hint| format!("  hint: {}", escape::line(hint))));
    lines
}

/// Shows an error as an event.
pub fn show_json(error: &Error) {
    tell_json(&error_event(error));
}

fn error_event(error: &Error) -> serde_json::Value {
    let excerpt = error.excerpt.as_ref().map(
        |excerpt| json!({"file": excerpt.file, "line": excerpt.line, "column": excerpt.column, "text": excerpt.text}),
    );
    json!({
        "event": "error",
        "message": error.message,
        "details": error.details,
        "causes": causes(error),
        "hint": error.hint,
        "excerpt": excerpt,
    })
}

fn causes(error: &Error) -> Vec<String> {
    error.causes().map(ToString::to_string).collect()
}

/// An excerpt escapes what it shows by itself: its tabs stay.
fn excerpt_lines(excerpt: &Excerpt) -> Vec<String> {
    excerpt.to_string().lines().map(str::to_owned).collect()
}

fn say(lines: &[String]) {
    say_text(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
}

fn say_text(text: &str) {
    // Nobody is left to tell if stderr is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes a result of one line to stdout.
pub fn answer(line: &str) -> Result<()> {
    answer_lines([line])
}

/// Writes a result to stdout, each of its lines escaped.
pub fn answer_lines(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Result<()> {
    let lines = lines.into_iter().map(|line| format!("{}\n", escape::line(line.as_ref())));
    answer_bytes(lines.collect::<String>().as_bytes())
}

/// Writes lines of a file to a terminal, each escaped so that its tabs stay.
pub fn answer_sources<'a>(lines: impl Iterator<Item = &'a str>) -> Result<()> {
    answer_bytes(lines.map(|line| format!("{}\n", escape::source(line))).collect::<String>().as_bytes())
}

/// Writes a message and the line that it is about to stdout, and an empty line.
pub fn answer_excerpt(message: &str, excerpt: &Excerpt) -> Result<()> {
    answer(message)?;
    let lines = excerpt_lines(excerpt).into_iter().map(|line| format!("{line}\n"));
    answer_bytes(format!("{}\n", lines.collect::<String>()).as_bytes())
}

/// Writes a result to stdout as JSON.
pub fn answer_json(value: &impl Serialize) -> Result<()> {
    let document = to_json(value);
    answer_bytes(format!("{}\n", escape::json(&String::from_utf8_lossy(&document))).as_bytes())
}

/// Writes a result to stdout as JSON for people, a member on each line, with `indent` before it.
pub fn answer_readable_json(value: &impl Serialize, indent: &str) -> Result<()> {
    let mut document = Vec::new();
    let form = PrettyFormatter::with_indent(indent.as_bytes());
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut document, form))
        .map_err(|source| Error::input("a result cannot be shown").with_source(source))?;
    let lines =
        String::from_utf8_lossy(&document).lines().map(|line| format!("{}\n", escape::json(line))).collect::<String>();
    answer_bytes(lines.as_bytes())
}

/// Writes a result to stdout as it is, for whoever asked for just these bytes.
pub fn answer_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|source| Error::io("write to", "standard output", source))
}

/// Returns whether `error` is that nobody reads the standard output any more.
pub fn is_closed(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe) && has_no_reader(io::stdout())
}

/// Whether what is written there goes nowhere any more.
fn has_no_reader(stream: impl AsFd) -> bool {
    let mut ends = [PollFd::new(&stream, PollFlags::empty())];
    poll(&mut ends, Some(&Timespec::default())).is_ok() && ends[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Returns lines of a name and what is said of it, one below the other.
pub fn columns(rows: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    let rows: Vec<(String, String)> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().map(|(name, text)| format!("{name:width$}  {text}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    /// Text with what could end a line or more.
    fn foreign() -> impl Strategy<Value = String> {
        let hostile =
            prop::sample::select(vec!['\n', '\r', '\u{1b}', '\u{85}', '\u{2028}', '\u{202e}', '\t', ':', '#', '[']);
        let command = prop::sample::select(vec!["\n::error::", "##vso[", "::", "##[", "x"]);
        let text = prop::collection::vec(prop_oneof![hostile, any::<char>()], 0..12);
        (text, command).prop_map(|(text, command)| text.into_iter().collect::<String>() + command)
    }

    fn error() -> impl Strategy<Value = Error> {
        let texts = (foreign(), foreign(), foreign(), foreign(), foreign());
        (texts, prop::collection::vec(foreign(), 0..3), 1..9_usize, 1..9_usize).prop_map(
            |((message, cause, hint, file, text), details, column, width)| {
                let excerpt = Excerpt { file, line: 3, column, text, skipped: 0, width };
                let cause = Error::input(cause).with_source(io::Error::other(message.clone()));
                Error::new(ErrorKind::Io, message)
                    .with_details(details)
                    .with_source(cause)
                    .with_hint(hint)
                    .with_excerpt(excerpt)
            },
        )
    }

    proptest! {
        #[test]
        fn what_an_error_names_adds_no_line_and_does_nothing(error in error()) {
            let lines = error_lines("error:", &error);
            assert_eq!(lines.len(), 1 + error.details.len() + 4 + 2 + 1);
            for line in &lines {
                assert!(!line.chars().any(|c| c.is_control() && c != '\t'), "{line:?}");
                assert!(!line.contains(['\u{2028}', '\u{202e}']), "{line:?}");
                assert!(!line.trim_start().starts_with("::") && !line.contains("##[") && !line.contains("##vso["));
            }
            // The caret stands under what is seen.
            let excerpt = &lines[1 + error.details.len()..][..4];
            let caret = excerpt[3].find('^').expect("there is one");
            assert!(excerpt[3].starts_with("  | ") && caret >= 4, "{excerpt:?}");
        }

        #[test]
        fn an_error_as_an_event_is_one_line_that_reads_the_same(error in error()) {
            let event = error_event(&error);
            let line = escape::json(&event.to_string());
            assert!(!line.chars().any(char::is_control) && !line.contains("##["), "{line:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), event);
        }
    }
}
