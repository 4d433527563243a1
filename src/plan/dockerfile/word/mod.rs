//! What the words of a Dockerfile stand for: quotes, escapes and variables, as BuildKit's frontend/dockerfile/shell reads
//! them.
//!
//! Where words are expanded, each with [`Lexer::new`] of the file's escape character unless it says otherwise:
//!
//! | where | taken |
//! |---|---|
//! | FROM's image and `--platform` | `text`; only the arguments before the first FROM and the global platform ones are seen |
//! | ARG's values, unless one is given by `--build-arg` | `text` |
//! | ENV's and LABEL's names and values | `text`; a line sees what stood before it, not its own pairs |
//! | ADD's and COPY's paths, `--chown`, `--chmod`; ADD's `--checksum` | `text` |
//! | WORKDIR, USER, STOPSIGNAL, each of VOLUME's | `text` |
//! | each of EXPOSE's | `words`: one variable may hold several ports |
//! | each value in RUN's `--mount`, but `from=` must have no `$` before its last character | `text` |
//! | a heredoc of ADD and COPY whose name has no quotes | `text` by [`Lexer::heredoc`], escape `\` whatever the file says |
//!
//! Nothing else is: not RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK and their heredocs (a shell expands those), not MAINTAINER,
//! the names of stages, ARG's names, nor any other flag; COPY's `--from` with a `$` is an error. ONBUILD's instruction is expanded
//! when it runs.
//!
//! The line that names heredocs is split by [`Lexer::heredoc_line`]: quotes, escapes and variables stay.

mod pattern;
mod read;

use std::fmt;
use std::ops::Range;

/// Reads words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lexer {
    /// The character that takes the next one as it is: `\`, or a backtick where the file's `# escape=` says so.
    pub escape: char,
    /// The treatment of quotes.
    pub quotes: Quotes,
    /// Escape characters stay, in front of what they escape (BuildKit's RawEscapes). They do so in patterns anyway.
    pub keep_escapes: bool,
    /// A substitution of a variable that is not set stays as it stands (BuildKit's SkipUnsetEnv).
    pub keep_unset: bool,
}

/// The meaning of `'` and `"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quotes {
    /// The text between them is one word: they go.
    Remove,
    /// The text between them is one word, and they stay (BuildKit's RawQuotes).
    Keep,
    /// They are characters like others (BuildKit's SkipProcessQuotes).
    Plain,
}

/// The value of a variable by its name, which may be one of a shell's special ones (`@`, `1`); none if it is not set.
pub type Variables<'v> = dyn Fn(&str) -> Option<&'v str> + 'v;

/// A word with its variables, quotes and escapes replaced by what they stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// All of it, white space too (BuildKit's ProcessWord).
    pub text: String,
    /// The text, split where white space stands outside of quotes, in variables' values too; none is empty (BuildKit's
    /// ProcessWords).
    pub words: Vec<String>,
    /// The variables that were asked for and are not set, each where it stands first. `${A:-}` asks, too.
    pub unset: Vec<Unset>,
    /// The price: bytes that were written, and characters that patterns were tried on.
    pub cost: usize,
}

/// A variable without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unset {
    /// The variable's name, without `$` and braces.
    pub name: String,
    /// The place from where its substitution begins to where its name ends, in bytes of the word.
    pub at: Range<usize>,
}

/// The reason why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandError {
    /// The reason, as one line for people.
    pub message: String,
    /// The part of the word that is wrong, in bytes; never empty.
    pub at: Range<usize>,
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExpandError {}

impl Lexer {
    /// Returns the lexer for words, in which `escape` is the escape character.
    pub fn new(escape: char) -> Self {
        Lexer { escape, quotes: Quotes::Remove, keep_escapes: false, keep_unset: false }
    }

    /// Returns the lexer for the content of a heredoc: only variables and escapes mean something.
    pub fn heredoc() -> Self {
        Lexer { quotes: Quotes::Plain, ..Lexer::new('\\') }
    }

    /// Returns the lexer for the line of an instruction that may name heredocs: it is only split, into `words`.
    pub fn heredoc_line() -> Self {
        Lexer { quotes: Quotes::Keep, keep_escapes: true, keep_unset: true, ..Lexer::new('\\') }
    }
}
