//! A Dockerfile's text, and words and places in it.

use std::ops::Range;

use crate::error::Excerpt;

/// The text that instructions were read from, to point at their lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The file's name in errors.
    pub file: String,
    /// Bytes that are not UTF-8 stand as U+FFFD; they occur in comments alone.
    pub content: String,
    /// The places where lines begin.
    lines: Vec<usize>,
    /// The places where bytes were not UTF-8.
    broken: Vec<usize>,
}

/// A part of a [`Text`], in bytes.
pub type Span = Range<usize>;

/// A part of an instruction as it stands, before variables, quotes and escapes mean something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The text without the continuations that it may run over; in a flag, without quotes and backslashes, too.
    pub text: String,
    /// The place in the text, from the first to the last of its characters.
    pub span: Span,
}

impl Text {
    pub(super) fn new(file: &str, bytes: &[u8]) -> Text {
        let mut content = String::with_capacity(bytes.len());
        let mut broken = Vec::new();
        for chunk in bytes.utf8_chunks() {
            content.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                broken.push(content.len());
                content.push(char::REPLACEMENT_CHARACTER);
            }
        }
        let lines = [0].into_iter().chain(content.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        Text { file: file.to_owned(), content, lines, broken }
    }

    /// Returns the line that `span` begins on.
    pub fn excerpt(&self, span: &Span) -> Excerpt {
        let line = self.line(span.start);
        let start = self.lines[line - 1];
        let end = self.lines.get(line).copied().unwrap_or(self.content.len());
        let within = span.start.saturating_sub(start)..span.end.saturating_sub(start);
        Excerpt { line, ..Excerpt::new(&self.file, &self.content[start..end], within) }
    }

    /// Returns the number of the line that a byte stands on, counted from 1.
    pub fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// Returns the first byte in `span` that was not UTF-8; none if all were.
    pub(super) fn broken_in(&self, span: &Span) -> Option<usize> {
        let next = self.broken.partition_point(|at| *at < span.start);
        self.broken.get(next).copied().filter(|at| *at < span.end)
    }
}
