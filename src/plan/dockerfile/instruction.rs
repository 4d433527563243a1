//! From the lines of an instruction to what it says.

use super::line::{Joined, LineReader, LogicalLine};
use super::parts::InstructionParts;
use super::split::{WHITESPACE, first_word, quoted_words, words};
use super::{Argument, Command, DockerfileStage, Instruction, Span, Word};
use super::{arguments, copy, flags, health, heredoc, run, setting};
use crate::error::{Result, suggestion};
use flags::FlagKind;

const NAMES: &[&str] = &[
    "add",
    "arg",
    "cmd",
    "copy",
    "entrypoint",
    "env",
    "expose",
    "from",
    "healthcheck",
    "label",
    "maintainer",
    "onbuild",
    "run",
    "shell",
    "stopsignal",
    "user",
    "volume",
    "workdir",
];

/// An instruction that was read: the `FROM` of a stage, or one within a stage.
pub(super) enum Statement {
    Stage(DockerfileStage, InstructionManner),
    Instruction(Instruction, InstructionManner),
}

/// The way in which an instruction was written, for the build checks.
pub(super) struct InstructionManner {
    /// The name as it was written.
    pub name: Word,
    /// The words behind its flags, between whitespace.
    pub words: Vec<Word>,
    /// `ENV` and `LABEL` without an equals sign.
    pub legacy: bool,
    /// Comments right above it.
    pub comments: Vec<String>,
    /// The first empty line in it.
    pub gap: Option<Span>,
    /// All of it.
    pub span: Span,
}

impl Statement {
    /// Takes the heredocs from the lines that follow.
    pub fn read(joined: Joined, reader: &mut LineReader<'_>) -> Result<Statement> {
        let Joined { line, comments, gap } = joined;
        let mut parts = InstructionParts::split(&line, reader);
        let name = parts.known_name()?;
        if parts.may_have_heredocs(name, reader)? {
            parts.heredocs = heredoc::read(&line, reader)?;
        }
        let span = line.span().start..reader.position();
        let span = span.start..span.start + reader.text.content[span.clone()].trim_end().len();
        let original = line.text().trim().to_owned();
        let legacy = parts.is_legacy(name);
        let words = words(&parts.rest).iter().map(LogicalLine::word).collect();
        let manner = InstructionManner { name: parts.name.word(), words, legacy, comments, gap, span: span.clone() };
        let number = reader.text.line(span.start);
        if name == "from" {
            return Ok(Statement::Stage(parts.stage(original, span, number)?, manner));
        }
        let command = parts.command(name, &line)?;
        let instruction = Instruction { command, original, span, line: number, text: reader.text.clone() };
        Ok(Statement::Instruction(instruction, manner))
    }
}

impl InstructionParts<'_> {
    fn known_name(&self) -> Result<&'static str> {
        let written = self.name.text();
        if let Some(name) = NAMES.iter().find(|name| written.eq_ignore_ascii_case(name)) {
            return Ok(name);
        }
        let error = self.error(&self.name, format!("unknown instruction `{written}`"));
        Err(match suggestion(written, NAMES.iter().copied()) {
            Some(near) => error.with_hint(format!("did you mean `{}`?", near.to_uppercase())),
            None => error.with_hint("a line continues below only if it ends with the escape character"),
        })
    }

    fn may_have_heredocs(&self, name: &str, reader: &LineReader<'_>) -> Result<bool> {
        match name {
            "add" | "copy" | "run" => Ok(arguments::json(self.text, &self.rest)?.is_none()),
            "onbuild" => {
                let trigger = InstructionParts::split(&self.rest, reader);
                let name = trigger.name.text().to_lowercase();
                Ok(name != "onbuild" && trigger.may_have_heredocs(&name, reader)?)
            }
            _ => Ok(false),
        }
    }

    fn is_legacy(&self, name: &str) -> bool {
        let first = || quoted_words(&self.rest, self.escape).into_iter().next();
        matches!(name, "env" | "label") && first().is_some_and(|word| !word.text().contains('='))
    }

    fn command(&self, name: &str, line: &LogicalLine) -> Result<Command> {
        match name {
            "add" => copy::add(self).map(Command::Add),
            "arg" => self.arguments().map(Command::Arg),
            "cmd" => self.without_flags()?.command_line().map(Command::Cmd),
            "copy" => copy::copy(self).map(Command::Copy),
            "entrypoint" => self.without_flags()?.command_line().map(Command::Entrypoint),
            "env" => setting::pairs(self.without_flags()?, "ENV").map(Command::Env),
            "expose" => setting::expose(self.without_flags()?).map(Command::Expose),
            "healthcheck" => health::read(self).map(Command::Healthcheck),
            "label" => setting::pairs(self.without_flags()?, "LABEL").map(Command::Label),
            "maintainer" => self.without_flags()?.single("MAINTAINER").map(Command::Maintainer),
            "onbuild" => self.without_flags()?.trigger(line).map(Command::OnBuild),
            "run" => run::read(self).map(Command::Run),
            "shell" => setting::shell(self.without_flags()?).map(Command::Shell),
            "stopsignal" => self.without_flags()?.single("STOPSIGNAL").map(Command::StopSignal),
            "user" => self.without_flags()?.single("USER").map(Command::User),
            "volume" => setting::volume(self.without_flags()?).map(Command::Volume),
            _ => self.without_flags()?.single("WORKDIR").map(Command::Workdir),
        }
    }

    fn without_flags(&self) -> Result<&Self> {
        self.flags(&[]).map(|_| self)
    }

    fn command_line(&self) -> Result<super::CommandLine> {
        arguments::command_line(self.text, &self.rest)
    }

    /// All that stands there, as one word.
    fn single(&self, name: &str) -> Result<Word> {
        match self.rest.is_empty() {
            true => Err(self.error(&self.name, format!("`{name}` needs an argument"))),
            false => Ok(self.rest.word()),
        }
    }

    fn stage(&self, original: String, span: Span, line: usize) -> Result<DockerfileStage> {
        let words = words(&self.rest);
        let (base, name) = match &words[..] {
            [base] => (base, None),
            [base, keyword, name] if keyword.text().eq_ignore_ascii_case("as") => (base, Some(name)),
            [] => return Err(self.missing("`FROM` needs an image", "FROM debian")),
            [_, more @ ..] => {
                let place = more.first().unwrap_or(&self.rest);
                return Err(self
                    .error(place, "`FROM` takes an image, or an image and a name")
                    .with_hint("as in `FROM debian` or `FROM debian AS build`"));
            }
        };
        let flags = self.flags(&[("platform", FlagKind::Text)])?;
        Ok(DockerfileStage {
            base: base.word(),
            platform: flags.text("platform"),
            name: name.map(|name| self.stage_name(name)).transpose()?,
            instructions: Vec::new(),
            original,
            span,
            line,
        })
    }

    /// `[a-z][a-z0-9-_.]*`, in any case.
    fn stage_name(&self, name: &LogicalLine) -> Result<Word> {
        let word = Word { text: name.text().to_lowercase(), span: name.span() };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        if word.text.starts_with(|c: char| c.is_ascii_lowercase()) && word.text.chars().all(allowed) {
            return Ok(word);
        }
        Err(self
            .error(name, format!("`{}` cannot be the name of a stage", name.text()))
            .with_hint("a name begins with a letter, followed by letters, digits, `-`, `_` and `.`"))
    }

    fn arguments(&self) -> Result<Vec<Argument>> {
        self.without_flags()?;
        let words = quoted_words(&self.rest, self.escape);
        if words.is_empty() {
            return Err(self.missing("`ARG` needs a name", "ARG VERSION=1"));
        }
        let argument = |word: &LogicalLine| match word.split_once('=') {
            None => Ok(Argument { name: word.word(), default: None }),
            Some((name, _)) if name.is_empty() => {
                Err(self.error(word, "there is no name before the equals sign").with_hint("as in `ARG VERSION=1`"))
            }
            Some((name, default)) => Ok(Argument { name: name.word(), default: Some(default.word()) }),
        };
        words.iter().map(argument).collect()
    }

    /// The text that a build on top of this image will read.
    fn trigger(&self, line: &LogicalLine) -> Result<Word> {
        let (name, _) = first_word(&self.rest);
        match name.text().to_uppercase().as_str() {
            "" => return Err(self.missing("`ONBUILD` needs an instruction", "ONBUILD COPY . /src")),
            "ONBUILD" => return Err(self.error(&name, "`ONBUILD` is not allowed in `ONBUILD`")),
            name_of_trigger @ ("FROM" | "MAINTAINER") => {
                return Err(self.error(&name, format!("`{name_of_trigger}` is not allowed in `ONBUILD`")));
            }
            _ => {}
        }
        // Nothing is taken from the end: BuildKit keeps what stands there.
        let written = line.text().trim_start();
        let mut text = written["ONBUILD".len()..].trim_start_matches(WHITESPACE).to_owned();
        for heredoc in &self.heredocs {
            text = format!("{text}\n{}{}", heredoc.content, heredoc.name);
        }
        Ok(Word { text, span: self.rest.span() })
    }
}
