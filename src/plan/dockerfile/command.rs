//! What a Dockerfile says, as data.

use std::sync::Arc;

use super::{MountFlag, Span, Text, Word};
use crate::error::Excerpt;
use crate::oci::Healthcheck;

/// The part of a Dockerfile from one `FROM` to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct DockerfileStage {
    /// The image or the stage that it stands on, or `scratch`.
    pub base: Word,
    /// The value of `--platform`.
    pub platform: Option<Word>,
    /// The name behind `AS`, in lower case.
    pub name: Option<Word>,
    pub instructions: Vec<Instruction>,
    /// The `FROM` in one line.
    pub original: String,
    /// The place of the whole `FROM` line.
    pub span: Span,
    /// The line of the `FROM`, counted from 1.
    pub line: usize,
}

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    pub command: Command,
    /// The instruction in one line as it was written, continuations joined, without heredocs' contents: BuildKit puts
    /// that into progress.
    pub original: String,
    /// The place from its name to its last line, heredocs included.
    pub span: Span,
    /// The line that it begins on, counted from 1.
    pub line: usize,
    /// The text that the spans of it and its words refer to.
    pub text: Arc<Text>,
}

/// An instruction's name with what it says.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Add(AddCommand),
    Arg(Vec<Argument>),
    Cmd(CommandLine),
    Copy(CopyCommand),
    Entrypoint(CommandLine),
    Env(Vec<Pair>),
    Expose(Vec<Word>),
    /// The health check, in which nothing is expanded.
    Healthcheck(Healthcheck),
    Label(Vec<Pair>),
    Maintainer(Word),
    /// The trigger: an instruction with its heredocs as the image's configuration keeps it, for [`super::read_trigger`]. Only
    /// its name was looked at.
    OnBuild(Word),
    Run(RunCommand),
    /// The words of the shell, in which nothing is expanded.
    Shell(Vec<String>),
    StopSignal(Word),
    User(Word),
    Volume(Vec<Word>),
    Workdir(Word),
}

/// `name[=default]` of `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    pub name: Word,
    pub default: Option<Word>,
}

/// `key=value` of `ENV` and `LABEL`; the key is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub key: Word,
    pub value: Word,
}

/// `COPY`.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyCommand {
    pub transfer: Transfer,
    /// A stage, a named context or an image; a number is a stage's place.
    pub from: Option<Word>,
    pub parents: bool,
}

/// `ADD`.
#[derive(Debug, Clone, PartialEq)]
pub struct AddCommand {
    pub transfer: Transfer,
    pub checksum: Option<Word>,
    pub keep_git_dir: Option<bool>,
    pub unpack: Option<bool>,
}

/// The part that `COPY` and `ADD` share. A flag that was written without a value, or with an empty one, is as good as
/// absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// Paths, and URLs of `ADD`, in order; they come before `texts` whatever was written first.
    pub sources: Vec<Word>,
    /// Heredocs: the name of each is the file's.
    pub texts: Vec<Heredoc>,
    pub to: Word,
    pub chown: Option<Word>,
    pub chmod: Option<Word>,
    pub link: bool,
    pub exclude: Vec<Word>,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunCommand {
    pub line: CommandLine,
    /// The heredocs in the order in which the line begins them.
    pub heredocs: Vec<Heredoc>,
    pub mounts: Vec<MountFlag>,
    pub network: Network,
    pub security: Security,
    pub devices: Vec<Device>,
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// The strings of a JSON array; possibly none.
    Exec(Vec<String>),
    /// A line for the shell, after whitespace before and after it was taken away; possibly empty.
    Shell(Word),
}

/// A text that stands in the lines below an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, without quotes.
    pub name: String,
    /// The lines, each with its line feed; empty for none. Tabs that `<<-` takes away are still there: see
    /// [`Heredoc::stripped`].
    pub content: String,
    /// Variables are expanded in it: its name was not quoted.
    pub expand: bool,
    /// It was written with `<<-`.
    pub strip_tabs: bool,
    /// The number as in `3<<EOF`; 0 if none was written.
    pub file_descriptor: u32,
    /// The place of `<<NAME`, or of the content if that is on lines of its own.
    pub span: Span,
}

/// The network that a command has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    #[default]
    Default,
    None,
    Host,
}

/// The rights that a command has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Security {
    #[default]
    Sandbox,
    Insecure,
}

/// `--device=NAME[,required]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub name: Word,
    pub required: bool,
}

impl Command {
    /// Returns the instruction's name as the reference writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Add(_) => "ADD",
            Command::Arg(_) => "ARG",
            Command::Cmd(_) => "CMD",
            Command::Copy(_) => "COPY",
            Command::Entrypoint(_) => "ENTRYPOINT",
            Command::Env(_) => "ENV",
            Command::Expose(_) => "EXPOSE",
            Command::Healthcheck(_) => "HEALTHCHECK",
            Command::Label(_) => "LABEL",
            Command::Maintainer(_) => "MAINTAINER",
            Command::OnBuild(_) => "ONBUILD",
            Command::Run(_) => "RUN",
            Command::Shell(_) => "SHELL",
            Command::StopSignal(_) => "STOPSIGNAL",
            Command::User(_) => "USER",
            Command::Volume(_) => "VOLUME",
            Command::Workdir(_) => "WORKDIR",
        }
    }
}

impl Instruction {
    /// Returns the line that `span`, one of its own or its words', begins on.
    pub fn excerpt(&self, span: &Span) -> Excerpt {
        self.text.excerpt(span)
    }
}

impl Heredoc {
    /// Returns the content as the build sees it before expansion: without tabs at the beginning of lines if it was
    /// written with `<<-`.
    pub fn stripped(&self) -> String {
        let strip = |line| if self.strip_tabs { str::trim_start_matches(line, '\t') } else { line };
        self.content.split_inclusive('\n').map(strip).collect()
    }
}
