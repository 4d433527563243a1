//! Dockerfiles as docker/dockerfile 1 of BuildKit reads them (docs.docker.com/reference/dockerfile).
//!
//! [`Dockerfile::read`] decides everything that the text alone decides. Words stay as they were written, with their quotes and
//! escapes and variables: what they stand for depends on the scope, which only the build of a stage knows.

mod command;
mod directive;
pub mod lint;
mod lower;
mod mount;
pub mod word;

pub use command::{
    Add, Argument, Command, CommandLine, Copy, Device, Heredoc, Instruction, Network, Pair, Run, Security, Stage,
};
pub use directive::{Check, Directives, Rules};
pub use lint::{Rule, Warning};
pub use lower::{Lowered, Named, Request};
pub use mount::{Mount, MountFlag, MountKind, Sharing};

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Excerpt, Result};

/// A Dockerfile that was read in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Dockerfile {
    pub text: Arc<Text>,
    pub directives: Directives,
    /// Those that stand before the first `FROM`, which `FROM` lines alone see.
    pub arguments: Vec<Argument>,
    /// At least one.
    pub stages: Vec<Stage>,
    /// What the text alone shows, by line; those that `# check=` skips are among them ([`Check::wants`] tells).
    pub warnings: Vec<Warning>,
}

/// What instructions were read from, to point at their lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its name in errors.
    pub file: String,
    /// Bytes that are not UTF-8 stand as U+FFFD; they occur in comments alone.
    pub content: String,
}

/// A part of a [`Text`], in bytes.
pub type Span = Range<usize>;

/// A part of an instruction as it stands, before variables, quotes and escapes mean something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Without the continuations that it may run over.
    pub text: String,
    pub span: Span,
}

impl Dockerfile {
    /// Reads all of it; `file` is its name in errors and warnings. An error shows the line that is wrong.
    pub fn read(file: &str, text: &[u8]) -> Result<Dockerfile> {
        let _ = (file, text);
        todo!()
    }

    /// The line that `span` begins on.
    pub fn excerpt(&self, span: &Span) -> Excerpt {
        self.text.excerpt(span)
    }

    /// The last stage of that name, regardless of case; names that are numbers are those of stages by their place.
    pub fn stage(&self, name: &str) -> Option<usize> {
        let _ = name;
        todo!()
    }
}

/// Reads what an `ONBUILD` of a base image left behind (`config.OnBuild`). Excerpts show the trigger itself, and `file` names
/// where it comes from.
pub fn read_trigger(file: &str, trigger: &str) -> Result<Instruction> {
    let _ = (file, trigger);
    todo!()
}

impl Text {
    /// The line that `span` begins on.
    pub fn excerpt(&self, span: &Span) -> Excerpt {
        Excerpt::new(&self.file, &self.content, span.clone())
    }
}
