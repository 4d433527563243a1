//! The one error type: what failed, where, and what to do about it.

pub mod escape;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

/// The outcome of what can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure as its reader needs it.
///
/// `message` says what failed and where (path, URL, digest), in one line; `details` are lines below it. `source` is the
/// cause below it, `hint` the next step to take, `excerpt` the line of the user's file that is to blame. None of them ever
/// holds a credential. All may hold foreign text as it is: whoever shows them escapes it ([`escape`]).
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The class of failure, for a program to act on.
    pub kind: ErrorKind,
    /// One line for people, without a full stop.
    pub message: String,
    /// Further lines, shown below the message; mostly none.
    pub details: Vec<String>,
    /// The cause, which is shown behind the message.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// The next step to take, if one is known.
    pub hint: Option<String>,
    /// The line that is to blame, if the user wrote it.
    pub excerpt: Option<Box<Excerpt>>,
}

/// What class of failure it is, for callers that act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line asks for something that makes no sense; exit code 2.
    Usage,
    /// A file or a spec that the user gave, or a value in it, is wrong.
    Input,
    /// A named thing (file, tag, blob, repository) is not there.
    NotFound,
    /// The operating system refused.
    Io,
    /// Bytes do not match the digest or size they were promised to have.
    Integrity,
    /// A registry asks for credentials or refuses the ones it got.
    Denied,
    /// A registry, or the way to it, failed in another manner.
    Registry,
}

/// In characters: of a longer line only a part is shown.
const LONGEST_LINE: usize = 400;
const ELLIPSIS: &str = "…";

/// In bytes: of a longer line only a part is kept, for a file may have many places on one line.
const LONGEST_KEPT: usize = 4096;

/// One line of a text that the user wrote and the part of it that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Excerpt {
    /// The file's name as the user knows it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The line without its end; of a very long one the part around what is wrong.
    pub text: String,
    /// The characters of the line that stand before `text`.
    pub skipped: usize,
    /// In characters; at least 1.
    pub width: usize,
}

impl Error {
    /// Returns an error of nothing but a message: the `with_…` functions add to it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), details: Vec::new(), source: None, hint: None, excerpt: None }
    }

    /// Returns an error of the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Returns an error of a file or a value that the user gave.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// Returns an error of a named thing that is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Returns an error of bytes that are not what they were promised to be.
    pub fn integrity(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Integrity, message)
    }

    /// Returns the error for what failed with `path`. `action` completes "cannot …", as in "cannot open": the path follows it.
    pub fn io(action: &str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        let hint = match source.kind() {
            std::io::ErrorKind::StorageFull => Some("free some space on that file system, or write elsewhere"),
            std::io::ErrorKind::PermissionDenied => Some("check its owner and its mode"),
            _ => None,
        };
        let mut error = Self::new(kind, format!("cannot {action} {}", path.as_ref().display())).with_source(source);
        error.hint = hint.map(str::to_owned);
        error
    }

    /// Returns what it came of, the nearest first.
    pub fn causes(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        std::iter::successors(std::error::Error::source(self), |cause| cause.source())
    }

    /// Returns the message and its causes in one sentence.
    pub fn with_causes(&self) -> String {
        self.causes().fold(self.message.clone(), |told, cause| format!("{told}: {cause}"))
    }

    /// Replaces the lines below the message.
    pub fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// Sets the cause, in place of one that was set before.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Sets the next step, in place of one that was set before.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the line that is to blame, in place of one that was set before.
    pub fn with_excerpt(mut self, excerpt: Excerpt) -> Self {
        self.excerpt = Some(Box::new(excerpt));
        self
    }

    /// Sets the line that is to blame to `excerpt`, if there is one and none was set before.
    pub fn or_excerpt(mut self, excerpt: Option<&Excerpt>) -> Self {
        self.excerpt = self.excerpt.or_else(|| excerpt.cloned().map(Box::new));
        self
    }

    /// Returns the same error for a value that stands on the command line: where it is wrong, the command was asked wrongly.
    pub fn on_command_line(mut self) -> Self {
        if self.kind == ErrorKind::Input {
            self.kind = ErrorKind::Usage;
        }
        self
    }

    /// Returns the exit code of a process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        if self.kind == ErrorKind::Usage { 2 } else { 1 }
    }
}

impl Excerpt {
    /// Returns the first line that `span` (in bytes) touches in `text`, which came from `file`.
    pub fn new(file: impl Into<String>, text: &str, span: std::ops::Range<usize>) -> Self {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let column = text[line_start..start].chars().count() + 1;
        let line = text[line_start..line_end].trim_end_matches('\r');
        let (skipped, kept) = kept_of(line, start - line_start, column);
        Excerpt {
            file: file.into(),
            line: text[..start].matches('\n').count() + 1,
            column,
            text: kept.to_owned(),
            skipped,
            width: text[start..end.min(line_end).max(start)].chars().count().max(1),
        }
    }
}

impl Excerpt {
    /// What is shown of the line, and where the part that is wrong stands in that: of a long line only what is around it.
    fn shown(&self) -> (Cow<'_, str>, usize, usize) {
        let length = self.text.chars().count();
        let column = self.column.saturating_sub(self.skipped).max(1);
        if length <= LONGEST_LINE {
            return (Cow::Borrowed(&self.text), column, self.width);
        }
        let start = (column - 1).saturating_sub(LONGEST_LINE / 2).min(length - LONGEST_LINE);
        let part: String = self.text.chars().skip(start).take(LONGEST_LINE).collect();
        let (before, after) = (&ELLIPSIS[..ELLIPSIS.len() * usize::from(start > 0)], start + LONGEST_LINE < length);
        let column = column - start + usize::from(start > 0);
        let width = self.width.min((LONGEST_LINE + 2).saturating_sub(column)).max(1);
        (Cow::Owned(format!("{before}{part}{}", if after { ELLIPSIS } else { "" })), column, width)
    }
}

impl fmt::Display for Excerpt {
    /// Four lines, whatever they hold: the text is escaped, and the caret stands under what is seen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let (text, column, width) = self.shown();
        let at = |nth: usize| text.char_indices().nth(nth).map_or(text.len(), |(at, _)| at);
        let (start, end) = (at(column - 1), at(column - 1 + width));
        // Tabs are kept in the lead so that the caret stands under its character whatever a tab's width is.
        let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
        let lead: String = escape::source(&text[..start]).chars().map(blank).collect();
        let seen = escape::source(&text[start..end]).chars().count();
        let width = seen.max(width);
        writeln!(f, "{margin}--> {}:{}:{}", escape::line(&self.file), self.line, self.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", escape::source(&text))?;
        write!(f, "{margin} | {lead}{}", "^".repeat(width))
    }
}

/// Returns what is kept of a line of which the byte `at`, the character `column`, is wrong, and how many characters stand before
/// that. It is more than is shown on either side, as far as the line goes, so that what is shown is the same.
fn kept_of(line: &str, at: usize, column: usize) -> (usize, &str) {
    let at = at.min(line.len());
    if line.len() <= LONGEST_KEPT {
        return (0, line);
    }
    let start = line[..at].char_indices().rev().nth(2 * LONGEST_LINE).map_or(0, |(start, _)| start);
    let end = line[at..].char_indices().nth(2 * LONGEST_LINE).map_or(line.len(), |(end, _)| at + end);
    let skipped = (column - 1).saturating_sub(line[start..at].chars().count());
    (if start == 0 { 0 } else { skipped }, &line[start..end])
}

/// In bytes. Nobody mistypes longer words; to compare two takes as long as the product of their lengths.
const LONGEST_WORD: usize = 128;

/// Returns the nearest of `candidates` to `word`, if one is near enough to be what was meant.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .filter(|candidate| word.len() <= LONGEST_WORD && candidate.len() <= LONGEST_WORD)
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_shown_around_what_is_wrong() {
        let text = format!("{}wrong{}", "a".repeat(1000), "b".repeat(1000));
        let excerpt = Excerpt::new("Dockerfile", &text, 1000..1005);
        let lines: Vec<String> = excerpt.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], " --> Dockerfile:1:1001");
        assert_eq!(lines[2], format!("1 | …{}wrong{}…", "a".repeat(200), "b".repeat(195)));
        assert_eq!(lines[3], format!("  | {}^^^^^", " ".repeat(201)));
    }

    #[test]
    fn what_is_wrong_with_a_long_line_is_marked_as_far_as_it_is_shown() {
        let excerpt = Excerpt::new("Dockerfile", &"a".repeat(1000), 0..1000);
        let lines: Vec<String> = excerpt.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[2], format!("1 | {}…", "a".repeat(400)));
        assert_eq!(lines[3], format!("  | {}", "^".repeat(401)));
        let excerpt = Excerpt::new("Dockerfile", &"a".repeat(1000), 999..1000);
        let lines: Vec<String> = excerpt.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[2], format!("1 | …{}", "a".repeat(400)));
        assert_eq!(lines[3], format!("  | {}^", " ".repeat(400)));
    }

    #[test]
    fn of_a_very_long_line_a_part_is_kept_and_the_same_is_shown() {
        let shown = |before: usize, after: usize| {
            let text = format!("x\n{}wröng{}\ny", "ä".repeat(before), "b".repeat(after));
            let start = 2 + 2 * before;
            let excerpt = Excerpt::new("Dockerfile", &text, start..start + 6);
            assert_eq!((excerpt.line, excerpt.column, excerpt.width), (2, before + 1, 5));
            let lines: Vec<String> = excerpt.to_string().lines().skip(1).map(str::to_owned).collect();
            (lines, excerpt.text.len() < 2 * LONGEST_KEPT)
        };
        for (before, after) in [(0, 1000), (100, 1000), (1000, 0), (1000, 100), (1000, 1000)] {
            let far = |length: usize| if length == 1000 { 100_000 } else { length };
            assert_eq!(shown(far(before), far(after)), (shown(before, after).0, true), "{before} {after}");
        }
    }

    #[test]
    fn nothing_is_suggested_for_what_nobody_mistypes() {
        let long = "a".repeat(LONGEST_WORD);
        assert_eq!(suggestion(&long, [&long[1..]]), Some(&long[1..]));
        assert_eq!(suggestion(&format!("{long}a"), [&long[..]]), None);
        assert_eq!(suggestion(&long, [&format!("{long}a")[..]]), None);
    }
}
