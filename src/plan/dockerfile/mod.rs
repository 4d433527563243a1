//! Dockerfiles as docker/dockerfile 1 of BuildKit reads them (docs.docker.com/reference/dockerfile).
//!
//! [`Dockerfile::read`] decides everything that the text alone decides. Words stay as they were written, with their quotes and
//! escapes and variables: what they stand for depends on the scope, which only the build of a stage knows.

mod arguments;
mod check;
mod command;
mod copy;
mod directive;
mod flags;
mod health;
mod heredoc;
mod instruction;
mod line;
pub mod lint;
mod lower;
mod mount;
mod options;
mod parts;
mod run;
mod setting;
mod split;
mod text;
pub mod word;

pub use command::{
    AddCommand, Argument, Command, CommandLine, CopyCommand, Device, DockerfileStage, Heredoc, Instruction, Pair,
    RunCommand, Transfer,
};
pub use directive::{Check, Directives, Rules};
pub use lint::{LintRule, Warning};
pub use lower::{
    Epoch, Lowered, LoweringRequest, NamedSource, OfferedStage, Outline, OutlineArgument, OutlineMount,
    SOURCE_DATE_EPOCH,
};
pub use mount::{Mount, MountFlag, MountKind};
pub use text::{Span, Text, Word};

use std::ops::RangeInclusive;
use std::sync::Arc;

use self::check::Spoken;
use self::instruction::{InstructionManner, Statement};
use self::line::LineReader;
use crate::error::{Error, Excerpt, Result};

/// A Dockerfile that was read in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Dockerfile {
    /// The text as it was read, which all spans refer to.
    pub text: Arc<Text>,
    /// The directives at its top.
    pub directives: Directives,
    /// The arguments before the first `FROM`, which `FROM` lines alone see.
    pub arguments: Vec<Argument>,
    /// At least one.
    pub stages: Vec<DockerfileStage>,
    /// The warnings of the text alone, by line; those that `# check=` skips are among them ([`Dockerfile::wants`]
    /// tells).
    pub warnings: Vec<Warning>,
    /// The lines of instructions that have a `# check=` of their own, in their order, and what holds there.
    own_checks: Vec<(RangeInclusive<usize>, Check)>,
    /// The places of `FROM`s and `ARG`s, in their order, and the comments right above each.
    comments: Vec<(Span, Vec<String>)>,
}

impl Dockerfile {
    /// Returns whether there is a `RUN` in it.
    pub fn has_commands(&self) -> bool {
        let mut instructions = self.stages.iter().flat_map(|stage| &stage.instructions);
        instructions.any(|instruction| matches!(instruction.command, Command::Run(_)))
    }

    /// Reads all of it; `file` is its name in errors and warnings. An error shows the line that is wrong.
    pub fn read(file: &str, text: &[u8]) -> Result<Dockerfile> {
        if text.is_empty() {
            return Err(Error::input(format!("{file} is empty")).with_hint(FIRST_LINE));
        }
        let text = Arc::new(Text::new(file, text));
        let (directives, start) = Directives::read(&text)?;
        let mut reader = LineReader::new(&text, directives.escape, start);
        let mut reading = DockerfileReading::default();
        while let Some(line) = reader.next_instruction()? {
            let statement = Statement::read(line, &mut reader)?;
            reading.take(statement)?;
        }
        let DockerfileReading { arguments, stages, spoken } = reading;
        if stages.is_empty() {
            let found = if spoken.is_empty() { "no instructions" } else { "no `FROM`" };
            return Err(Error::input(format!("{file} has {found}: there is nothing to build")).with_hint(FIRST_LINE));
        }
        let warnings = check::warnings(&text, &stages, &spoken);
        let own_checks = own_checks(&text, &directives.check, &spoken);
        let comments = comments(spoken);
        Ok(Dockerfile { text, directives, arguments, stages, warnings, own_checks, comments })
    }

    /// Returns whether `warning` is shown: the file, and what stands right above the instruction, may leave its rule
    /// out.
    pub fn wants(&self, warning: &Warning) -> bool {
        let line = warning.place.line;
        let behind = self.own_checks.partition_point(|(lines, _)| *lines.end() < line);
        let own = self.own_checks.get(behind).filter(|(lines, _)| lines.contains(&line));
        let own = own.filter(|_| warning.place.file == self.text.file).map(|(_, check)| check);
        own.unwrap_or(&self.directives.check).wants(warning.rule)
    }

    /// Returns the line that `span` begins on.
    pub fn excerpt(&self, span: &Span) -> Excerpt {
        self.text.excerpt(span)
    }

    /// Returns the stage that `COPY --from` or a mount's `from` means by `name`: the last one of that name, regardless
    /// of case, or the one at that place, counted from 0; none if there is no such stage. (`FROM` is stricter: it knows
    /// only earlier stages, by their lower-case names.)
    pub fn stage(&self, name: &str) -> Option<usize> {
        if let Ok(place) = name.parse::<usize>() {
            return Some(place).filter(|place| *place < self.stages.len());
        }
        let name = name.to_lowercase();
        self.stages.iter().rposition(|stage| stage.name.as_ref().is_some_and(|word| word.text == name))
    }
}

/// Reads what an `ONBUILD` of a base image left behind (`config.OnBuild`). Excerpts show the trigger itself, and `file` names
/// where it comes from.
pub fn read_trigger(file: &str, trigger: &str) -> Result<Instruction> {
    let text = Arc::new(Text::new(file, trigger.as_bytes()));
    let mut reader = LineReader::new(&text, directive::ESCAPE, 0);
    let single = || Error::input(format!("a trigger of {file} is not one instruction: {trigger:?}"));
    let line = reader.next_instruction()?.ok_or_else(single)?;
    match Statement::read(line, &mut reader)? {
        Statement::Instruction(instruction, _) if reader.next_instruction()?.is_none() => Ok(instruction),
        Statement::Stage(stage, _) => Err(Error::input("`FROM` cannot be a trigger")
            .with_excerpt(text.excerpt(&stage.span))
            .with_hint("the image that the trigger comes from has to be built again without it")),
        Statement::Instruction(..) => Err(single()),
    }
}

fn own_checks(text: &Text, check: &Check, spoken: &[Spoken]) -> Vec<(RangeInclusive<usize>, Check)> {
    let own = |spoken: &Spoken| {
        let InstructionManner { comments, span, .. } = &spoken.manner;
        let own = comments.iter().filter_map(|comment| Check::of_comment(comment)).reduce(Check::with)?;
        Some((text.line(span.start)..=text.line(span.end), check.clone().with(own)))
    };
    spoken.iter().filter_map(own).collect()
}

/// Returns the places of what comments may describe, and the comments.
fn comments(spoken: Vec<Spoken>) -> Vec<(Span, Vec<String>)> {
    let is_described = |spoken: &Spoken| {
        let name = &spoken.manner.name.text;
        name.eq_ignore_ascii_case("FROM") || name.eq_ignore_ascii_case("ARG")
    };
    spoken.into_iter().filter(is_described).map(|Spoken { manner, .. }| (manner.span, manner.comments)).collect()
}

const FIRST_LINE: &str = "a Dockerfile starts with its base image, as in `FROM debian` or `FROM scratch`";

/// The part of a Dockerfile that was read so far.
#[derive(Default)]
struct DockerfileReading {
    arguments: Vec<Argument>,
    stages: Vec<DockerfileStage>,
    spoken: Vec<Spoken>,
}

impl DockerfileReading {
    fn take(&mut self, statement: Statement) -> Result<()> {
        match statement {
            Statement::Stage(stage, manner) => {
                self.stages.push(stage);
                self.note(manner);
            }
            Statement::Instruction(instruction, manner) => match (self.stages.last_mut(), instruction.command) {
                (Some(stage), command) => {
                    stage.instructions.push(Instruction { command, ..instruction });
                    self.note(manner);
                }
                (None, Command::Arg(arguments)) => {
                    self.arguments.extend(arguments);
                    self.note(manner);
                }
                (None, command) => {
                    return Err(Error::input(format!("`{}` comes before the first `FROM`", command.name()))
                        .with_excerpt(instruction.text.excerpt(&manner.name.span))
                        .with_hint("only `ARG` may: a stage begins with `FROM`"));
                }
            },
        }
        Ok(())
    }

    fn note(&mut self, manner: InstructionManner) {
        let stage = self.stages.len().checked_sub(1);
        let instruction = stage.and_then(|stage| self.stages[stage].instructions.len().checked_sub(1));
        self.spoken.push(Spoken { stage, instruction, manner });
    }
}
