//! Lines of the file, and the lines that they make together.

use std::ops::Range;
use std::sync::Arc;

use super::{Span, Text, Word};
use crate::error::{Error, Result};

/// Bytes, without the line feed: what BuildKit's scanner takes.
const LONGEST_LINE: usize = 64 * 1024 - 1;

/// Skipped at the file's very beginning.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Text that knows where each of its bytes stands in the file.
#[derive(Debug, Clone)]
pub(super) struct LogicalLine {
    text: String,
    /// The place in the text of each byte, and of what follows the last.
    origins: Vec<usize>,
}

/// The lines of one instruction, joined, before any of its words is looked at.
pub(super) struct Joined {
    pub line: LogicalLine,
    /// Comments that stand right above it, without `#`.
    pub comments: Vec<String>,
    /// The first empty line in it.
    pub gap: Option<Span>,
}

/// Reads lines, one after the other.
pub(super) struct LineReader<'a> {
    pub text: &'a Arc<Text>,
    /// `\` or `` ` ``.
    pub escape: char,
    at: usize,
}

impl LogicalLine {
    /// Returns the characters of the line.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether it has no characters.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns its place in the text.
    pub fn span(&self) -> Span {
        let start = self.origins[0];
        start..self.text.len().checked_sub(1).map_or(start, |last| self.origins[last] + 1)
    }

    /// Returns the line as a word.
    pub fn word(&self) -> Word {
        Word { text: self.text.clone(), span: self.span() }
    }

    /// Returns the part of the line at `range`, in bytes.
    pub fn slice(&self, range: Range<usize>) -> LogicalLine {
        LogicalLine {
            text: self.text[range.clone()].to_owned(),
            origins: self.origins[range.start..=range.end].to_owned(),
        }
    }

    /// Returns the part of the line from the byte `start` on.
    pub fn from(&self, start: usize) -> LogicalLine {
        self.slice(start..self.text.len())
    }

    /// Returns the characters of `kept`, by their places, in that order.
    pub fn pick(&self, kept: &[(usize, char)], end: usize) -> LogicalLine {
        let mut line = LogicalLine { text: String::new(), origins: Vec::new() };
        for &(at, character) in kept {
            line.text.push(character);
            line.origins.extend_from_slice(&self.origins[at..at + character.len_utf8()]);
        }
        line.origins.push(self.origins[end]);
        line
    }

    /// Returns the line without whitespace around it.
    pub fn trimmed(&self) -> LogicalLine {
        let start = self.text.len() - self.text.trim_start().len();
        self.slice(start..start.max(self.text.trim_end().len()))
    }

    /// Returns what stands before and behind the first `separator`; none without one.
    pub fn split_once(&self, separator: char) -> Option<(LogicalLine, LogicalLine)> {
        let at = self.text.find(separator)?;
        Some((self.slice(0..at), self.from(at + separator.len_utf8())))
    }

    fn empty_at(at: usize) -> LogicalLine {
        LogicalLine { text: String::new(), origins: vec![at] }
    }

    fn append(&mut self, text: &str, from: usize) {
        self.text.push_str(text);
        self.origins.pop();
        self.origins.extend(from..=from + text.len());
    }
}

impl<'a> LineReader<'a> {
    /// Reads from byte `start`, where a line begins.
    pub fn new(text: &'a Arc<Text>, escape: char, start: usize) -> Self {
        LineReader { text, escape, at: start }
    }

    /// Returns the place up to which it has read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Returns the next line as it stands, with its end; none behind the last.
    pub fn next_line(&mut self) -> Result<Option<Range<usize>>> {
        let rest = &self.text.content[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let length = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        let start = self.at;
        self.at += length;
        if rest[..length].trim_end_matches('\n').len() > LONGEST_LINE {
            let line = self.text.line(start);
            return Err(Error::input(format!("line {line} of {} is longer than {LONGEST_LINE} bytes", self.text.file))
                .with_hint("break it with continuations, or copy the content from a file of the context"));
        }
        Ok(Some(start..self.at))
    }

    /// Returns the next lines that make one instruction: without comments and empty lines before and in it. None behind
    /// the last.
    pub fn next_instruction(&mut self) -> Result<Option<Joined>> {
        let mut comments = Vec::new();
        while let Some(range) = self.next_line()? {
            let whole = self.body(&range);
            let body = if range.start == 0 { whole.strip_prefix(BYTE_ORDER_MARK).unwrap_or(whole) } else { whole };
            let body = body.trim_start();
            let start = range.start + whole.len() - body.len();
            if let Some(comment) = body.strip_prefix('#') {
                match comment.trim() {
                    "" => comments.clear(),
                    comment => comments.push(comment.to_owned()),
                }
                continue;
            }
            let (kept, ended) = self.without_continuation(body);
            if ended && kept.is_empty() {
                comments.clear();
                continue;
            }
            let mut line = LogicalLine::empty_at(start);
            line.append(kept, start);
            let gap = if ended { None } else { self.continuations(&mut line)? };
            self.check_characters(&line)?;
            return Ok(Some(Joined { line, comments, gap }));
        }
        Ok(None)
    }

    /// Appends the lines that continue `line`, and tells where the first empty one is.
    fn continuations(&mut self, line: &mut LogicalLine) -> Result<Option<Span>> {
        let mut gap = None;
        while let Some(range) = self.next_line()? {
            let body = self.body(&range);
            let words = body.trim_start();
            if words.is_empty() {
                gap.get_or_insert(range.start..range.start + body.len());
                continue;
            }
            if words.starts_with('#') {
                continue;
            }
            let (kept, ended) = self.without_continuation(body);
            line.append(kept, range.start);
            if ended {
                break;
            }
        }
        Ok(gap)
    }

    /// A line without its end.
    fn body(&self, range: &Range<usize>) -> &'a str {
        self.text.content[range.clone()].trim_end_matches(['\r', '\n'])
    }

    /// Returns the line without what continues it, and whether it ends here: the escape character continues it unless
    /// another stands before it.
    fn without_continuation<'t>(&self, body: &'t str) -> (&'t str, bool) {
        match body.trim_end_matches([' ', '\t']).strip_suffix(self.escape) {
            Some(kept) if !kept.ends_with(self.escape) => (kept, false),
            _ => (body, true),
        }
    }

    fn check_characters(&self, line: &LogicalLine) -> Result<()> {
        let broken = line.origins.iter().find_map(|at| self.text.broken_in(&(*at..*at + 1)));
        if let Some(at) = broken {
            return Err(Error::input(format!("{} is not UTF-8 here", self.text.file))
                .with_excerpt(self.text.excerpt(&(at..at + char::REPLACEMENT_CHARACTER.len_utf8())))
                .with_hint("save it as UTF-8"));
        }
        match line.text.find('\0') {
            None => Ok(()),
            Some(at) => Err(Error::input("an instruction cannot hold a NUL byte")
                .with_excerpt(self.text.excerpt(&(line.origins[at]..line.origins[at] + 1)))),
        }
    }
}
