//! An instruction's parts, before they are understood.

use super::flags::{self, FlagKind, Flags};
use super::line::{LineReader, LogicalLine};
use super::split::first_word;
use super::{Heredoc, Text};
use crate::error::{Error, Result};

/// The name, the flags and the rest of one instruction.
pub(super) struct InstructionParts<'a> {
    pub text: &'a Text,
    pub escape: char,
    pub name: LogicalLine,
    pub flags: Vec<LogicalLine>,
    /// The arguments without whitespace around them.
    pub rest: LogicalLine,
    pub heredocs: Vec<Heredoc>,
}

impl<'a> InstructionParts<'a> {
    /// Splits `line`; heredocs are not among what it finds.
    pub fn split(line: &LogicalLine, reader: &LineReader<'a>) -> InstructionParts<'a> {
        let (name, rest) = first_word(&line.trimmed());
        let (flags, rest) = flags::split(&rest.unwrap_or_else(|| name.from(name.text().len())));
        InstructionParts { text: reader.text, escape: reader.escape, name, flags, rest, heredocs: Vec::new() }
    }

    /// Returns the error that shows `place`.
    pub fn error(&self, place: &LogicalLine, message: impl Into<String>) -> Error {
        Error::input(message).with_excerpt(self.text.excerpt(&place.span()))
    }

    /// Returns the error for an instruction whose arguments are missing.
    pub fn missing(&self, message: impl Into<String>, example: &str) -> Error {
        self.error(&self.name, message).with_hint(format!("as in `{example}`"))
    }

    /// Returns the flags, of which `known` are those that the instruction has; another one is an error.
    pub fn flags(&self, known: &[(&'static str, FlagKind)]) -> Result<Flags> {
        Flags::read(self.text, &self.name.text().to_uppercase(), &self.flags, known)
    }
}
