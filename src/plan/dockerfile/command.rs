//! What a Dockerfile says, as data.

use std::sync::Arc;

use super::{MountFlag, Span, Text, Word};
use crate::error::Excerpt;
use crate::oci::Healthcheck;
use crate::plan::{RunNetwork, RunSecurity};

/// The part of a Dockerfile from one `FROM` to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct DockerfileStage {
    /// The image or the stage that it stands on, or `scratch`.
    pub base: Word,
    /// The value of `--platform`.
    pub platform: Option<Word>,
    /// The name behind `AS`, in lower case.
    pub name: Option<Word>,
    /// The instructions after the `FROM`, in the order in which they stand; possibly none.
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
    /// The name and the arguments, parsed; variables in its words are not expanded yet.
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
    /// `ADD`.
    Add(AddCommand),
    /// `ARG`: at least one argument.
    Arg(Vec<Argument>),
    /// `CMD`: the command of containers, or the arguments of the entry point.
    Cmd(CommandLine),
    /// `COPY`.
    Copy(CopyCommand),
    /// `ENTRYPOINT`: the command that containers cannot do without.
    Entrypoint(CommandLine),
    /// `ENV`, in either form: at least one variable, in the order in which they were written.
    Env(Vec<Pair>),
    /// `EXPOSE`: ports as they were written, each possibly a range and with a protocol.
    Expose(Vec<Word>),
    /// The health check, in which nothing is expanded.
    Healthcheck(Healthcheck),
    /// `LABEL`: at least one label, in the order in which they were written.
    Label(Vec<Pair>),
    /// `MAINTAINER`, which is deprecated: the author of the image.
    Maintainer(Word),
    /// The trigger: an instruction with its heredocs as the image's configuration keeps it, for [`super::read_trigger`]. Only
    /// its name was looked at.
    OnBuild(Word),
    /// `RUN`.
    Run(RunCommand),
    /// The words of the shell, in which nothing is expanded.
    Shell(Vec<String>),
    /// `STOPSIGNAL`: the signal by name or number.
    StopSignal(Word),
    /// `USER`: `user[:group]`, by name or number.
    User(Word),
    /// `VOLUME`: paths of the image, in the order in which they were written.
    Volume(Vec<Word>),
    /// `WORKDIR`: a path, relative to the last one if it has no leading slash.
    Workdir(Word),
}

/// `name[=default]` of `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The variable that it declares.
    pub name: Word,
    /// The value unless a build argument gives another; without a default, the variable may stay unset.
    pub default: Option<Word>,
}

/// `key=value` of `ENV` and `LABEL`; the key is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The variable or the label.
    pub key: Word,
    /// The value with its quotes and escapes, possibly empty.
    pub value: Word,
}

/// `COPY`.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyCommand {
    /// The sources, the destination and the flags that `ADD` has, too.
    pub transfer: Transfer,
    /// A stage, a named context or an image; a number is a stage's place.
    pub from: Option<Word>,
    /// `--parents`: the directories of each source are kept below the destination.
    pub parents: bool,
}

/// `ADD`.
#[derive(Debug, Clone, PartialEq)]
pub struct AddCommand {
    /// The sources, the destination and the flags that `COPY` has, too.
    pub transfer: Transfer,
    /// `--checksum`: the digest that a download has, or the commit of a repository.
    pub checksum: Option<Word>,
    /// `--keep-git-dir`; none leaves it to the URL of the repository.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`; none unpacks archives of the context, and nothing that is downloaded.
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
    /// The destination, the last word of the line: a directory if it ends with a slash.
    pub to: Word,
    /// `--chown`: `user[:group]`, by name or number.
    pub chown: Option<Word>,
    /// `--chmod`: a mode, octal or symbolic.
    pub chmod: Option<Word>,
    /// `--link`: the layer does not depend on what is below it.
    pub link: bool,
    /// `--exclude`, once for each time that it is given: patterns of `.dockerignore`'s language.
    pub exclude: Vec<Word>,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunCommand {
    /// The command, without the heredocs that it names.
    pub line: CommandLine,
    /// The heredocs in the order in which the line begins them.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, once for each time that it is given, in this order.
    pub mounts: Vec<MountFlag>,
    /// `--network`.
    pub network: RunNetwork,
    /// `--security`.
    pub security: RunSecurity,
    /// `--device`, once for each time that it is given, in this order.
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

/// `--device=NAME[,required]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device by its CDI name, `vendor/class=name`, or a whole class.
    pub name: Word,
    /// The build fails if the device is not there; without it, the command goes without the device.
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
