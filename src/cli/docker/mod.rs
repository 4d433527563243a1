//! Docker's command line: the same program under docker's name, for scripts that have it.

mod build;
mod builders;
mod buildx;
mod context;
pub mod elsewhere;
mod imagetools;
mod inspect;
mod manifest;
pub mod push;
mod usage;
mod version;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::bake::{self, BakeArguments};
use super::build::{Beforehand, BuildArguments, FoundRecipe};
use super::completion::{self, CompletionArguments};
use super::compose::ComposeArguments;
use super::environment::Environment;
use super::flags::prune::PruneFlags;
use super::image::{history, list, load, prune, pull, remove, save, tag};
use super::login::{self, LoginArguments, LogoutArguments};
use super::namespace::{AGAIN, Want};
use super::print::answer;
use super::progress::ProgressFlags;
use crate::error::Result;
use crate::output::engine::EngineSettings;

/// The program under docker's name: images are built and shipped, without a daemon
#[derive(Debug, Parser)]
#[command(
    name = "docker",
    display_name = "Docker version",
    version = version::IN_ONE_LINE,
    disable_version_flag = true,
    max_term_width = 100,
    args_override_self = true
)]
pub struct DockerArguments {
    #[command(flatten)]
    pub place: PlaceFlags,
    /// Print version
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[arg(long = AGAIN, hide = true)]
    pub again: bool,
    #[command(subcommand)]
    command: DockerCommand,
}

/// Docker's flags about the daemon, of which there is none.
#[derive(Debug, Args)]
pub struct PlaceFlags {
    /// Directory of the client's configuration
    #[arg(long, value_name = "DIR")]
    pub config: Option<PathBuf>,
    #[arg(short = 'H', long, hide = true)]
    host: Vec<String>,
    #[arg(short, long, hide = true)]
    context: Option<String>,
    #[arg(short = 'D', long, hide = true)]
    debug: bool,
    #[arg(short, long, hide = true)]
    log_level: Option<String>,
    #[arg(long, hide = true)]
    tls: bool,
    #[arg(long, hide = true)]
    tlsverify: bool,
    #[arg(long, hide = true)]
    tlscacert: Option<PathBuf>,
    #[arg(long, hide = true)]
    tlscert: Option<PathBuf>,
    #[arg(long, hide = true)]
    tlskey: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum DockerCommand {
    Build(Box<BuildArguments>),
    Bake(Box<BakeArguments>),
    Buildx(buildx::BuildxArguments),
    Builder(BuilderArguments),
    Compose(Box<ComposeArguments>),
    Context(context::ContextArguments),
    Push(push::DockerPushArguments),
    Pull(pull::PullArguments),
    Tag(tag::TagArguments),
    Images(list::ImageListArguments),
    Rmi(remove::RemoveArguments),
    Save(save::SaveArguments),
    Load(load::LoadArguments),
    History(history::HistoryArguments),
    Inspect(inspect::DockerInspectArguments),
    Image(DockerImageArguments),
    Manifest(manifest::ManifestArguments),
    Login(LoginArguments),
    Logout(LogoutArguments),
    System(SystemArguments),
    Version(version::VersionArguments),
    Info(version::InfoArguments),
    Completion(CompletionArguments),
    #[command(external_subcommand)]
    Elsewhere(Vec<OsString>),
}

/// Work with images
#[derive(Debug, Args)]
struct DockerImageArguments {
    #[command(subcommand)]
    command: DockerImageCommand,
}

#[derive(Debug, Subcommand)]
enum DockerImageCommand {
    Build(Box<BuildArguments>),
    History(history::HistoryArguments),
    Inspect(inspect::DockerInspectArguments),
    Load(load::LoadArguments),
    #[command(alias = "list")]
    Ls(list::ImageListArguments),
    Prune(prune::ImagePruneArguments),
    Pull(pull::PullArguments),
    Push(push::DockerPushArguments),
    #[command(alias = "remove")]
    Rm(remove::RemoveArguments),
    Save(save::SaveArguments),
    Tag(tag::TagArguments),
}

/// Work with what builds have left
#[derive(Debug, Args)]
struct BuilderArguments {
    #[command(subcommand)]
    command: BuilderCommand,
}

#[derive(Debug, Subcommand)]
enum BuilderCommand {
    Build(Box<BuildArguments>),
    Prune(PruneFlags),
}

/// Work with the local store
#[derive(Debug, Args)]
struct SystemArguments {
    #[command(subcommand)]
    command: SystemCommand,
}

#[derive(Debug, Subcommand)]
enum SystemCommand {
    Df(usage::SystemUsageArguments),
    Info(version::InfoArguments),
    Prune(SystemPruneArguments),
}

/// Remove what no name keeps from the local store, including what builds could reuse
#[derive(Debug, Args)]
struct SystemPruneArguments {
    #[command(flatten)]
    images: prune::ImagePruneArguments,
    /// Accepted, as with docker: there are no volumes
    #[arg(long, hide = true)]
    volumes: bool,
}

impl PlaceFlags {
    /// Has an engine looked for where the flags say.
    pub fn point(&self, engines: &mut EngineSettings) {
        if let Some(host) = self.host.last() {
            engines.docker_host = Some(host.clone());
        } else if let Some(context) = &self.context {
            (engines.docker_host, engines.docker_context) = (None, Some(context.clone()));
        }
    }
}

/// Returns the arguments as docker has them, `docker` first, if the program was started under docker's name or as
/// `ocibake docker`.
pub fn arguments(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let (program, rest) = arguments.split_first()?;
    let is_again = |word: &&OsString| word.to_str().and_then(|word| word.strip_prefix("--")) == Some(AGAIN);
    // What was started again says so first.
    let (again, rest) = match rest.split_first() {
        Some((first, rest)) if is_again(&first) => (Some(first), rest),
        _ => (None, rest),
    };
    let (below, rest): (Option<&str>, _) = match Path::new(program).file_name().and_then(OsStr::to_str)? {
        "docker" => (None, rest),
        "docker-buildx" => (Some("buildx"), rest),
        "docker-compose" => (Some("compose"), rest),
        _ => (None, rest.split_first().filter(|(first, _)| *first == "docker")?.1),
    };
    let words = [OsString::from("docker")].into_iter().chain(again.cloned()).chain(below.map(OsString::from));
    Some(words.chain(rest.iter().cloned()).collect())
}

impl DockerArguments {
    /// Reads the command line as docker does: what follows a flag that wants a value is its value, whatever it begins with.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> std::result::Result<Self, clap::Error> {
        let mut command = with_any_values(Self::command());
        let matches = command.try_get_matches_from_mut(words)?;
        let mut arguments = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        match &mut arguments.command {
            DockerCommand::Bake(arguments) => arguments.in_dockers_words(),
            DockerCommand::Buildx(arguments) => {
                arguments.bakes_mut().into_iter().for_each(BakeArguments::in_dockers_words)
            }
            _ => {}
        }
        Ok(arguments)
    }

    /// Returns what the command wants of its place, and the recipe of its build, if that had to be looked at.
    pub fn want(&self, environment: &Environment) -> Result<(Want, Option<FoundRecipe>)> {
        match (&self.command, self.builds()) {
            (DockerCommand::Compose(arguments), _) => Ok((arguments.want(environment)?, None)),
            (DockerCommand::Bake(arguments), _) => Ok((bake::want(arguments, environment)?, None)),
            (DockerCommand::Buildx(arguments), _) if arguments.bakes().is_some() => {
                let want = arguments.bakes().map(|arguments| bake::want(arguments, environment));
                Ok((want.transpose()?.unwrap_or(Want::Nothing), None))
            }
            (_, Some(arguments)) => {
                let words = arguments.clone().in_dockers_words(environment.docker.default_platform.as_deref());
                super::build::want(&words, environment)
            }
            (_, None) if self.prunes() => Ok((Want::of_removal(environment), None)),
            (_, None) => Ok((Want::Nothing, None)),
        }
    }

    /// Runs the command, and returns docker's exit code.
    pub fn run(&self, environment: &Environment, beforehand: &Beforehand) -> Result<u8> {
        match &self.command {
            DockerCommand::Build(arguments) => build::run(arguments, environment, beforehand),
            DockerCommand::Bake(arguments) => bake::run(arguments, environment, beforehand),
            DockerCommand::Context(arguments) => context::run(arguments),
            DockerCommand::Push(arguments) => push::run(arguments, environment),
            DockerCommand::Pull(arguments) => pull::run(arguments, environment),
            DockerCommand::Tag(arguments) => tag::run(arguments, environment),
            DockerCommand::Images(arguments) => list::run(arguments, environment),
            DockerCommand::Rmi(arguments) => remove::run(arguments, environment),
            DockerCommand::Save(arguments) => save::run(arguments, environment),
            DockerCommand::Load(arguments) => load::run(arguments, environment),
            DockerCommand::History(arguments) => history::run(arguments, environment),
            DockerCommand::Inspect(arguments) => return inspect::run(arguments, "object", environment),
            DockerCommand::Image(arguments) => return arguments.command.run(environment, beforehand),
            DockerCommand::Manifest(arguments) => manifest::run(arguments, environment),
            DockerCommand::Login(arguments) => {
                // Scripts look for it.
                login::login(arguments, environment).and_then(|()| answer("Login Succeeded"))
            }
            DockerCommand::Logout(arguments) => login::logout(arguments, environment),
            DockerCommand::Version(arguments) => version::version(arguments),
            DockerCommand::Info(arguments) => version::info(arguments, environment),
            DockerCommand::Completion(arguments) => completion::complete(arguments, Self::command()),
            DockerCommand::Buildx(arguments) => buildx::run(arguments, environment, beforehand),
            DockerCommand::Builder(BuilderArguments { command }) => match command {
                BuilderCommand::Build(arguments) => build::run(arguments, environment, beforehand),
                BuilderCommand::Prune(flags) => usage::prune(flags, "Total reclaimed space: ", environment),
            },
            DockerCommand::System(SystemArguments { command }) => match command {
                SystemCommand::Df(arguments) => usage::system_usage(arguments, environment),
                SystemCommand::Info(arguments) => version::info(arguments, environment),
                SystemCommand::Prune(arguments) => prune::run(&arguments.images, environment),
            },
            DockerCommand::Compose(arguments) => return arguments.run(environment, beforehand),
            DockerCommand::Elsewhere(words) => return Ok(elsewhere::tell_of("docker", words)),
        }
        .map(|()| 0)
    }

    /// Returns how the command shows progress, if it does.
    pub fn progress(&self) -> Option<ProgressFlags> {
        match &self.command {
            DockerCommand::Compose(arguments) => Some(arguments.progress()),
            DockerCommand::Bake(arguments) => Some(arguments.progress()),
            DockerCommand::Buildx(arguments) if arguments.bakes().is_some() => {
                arguments.bakes().map(BakeArguments::progress)
            }
            _ => self.builds().map(|arguments| arguments.progress()),
        }
    }

    fn prunes(&self) -> bool {
        match &self.command {
            DockerCommand::Buildx(arguments) => arguments.prunes(),
            DockerCommand::Builder(BuilderArguments { command }) => matches!(command, BuilderCommand::Prune(_)),
            DockerCommand::Image(DockerImageArguments { command }) => matches!(command, DockerImageCommand::Prune(_)),
            DockerCommand::System(SystemArguments { command }) => matches!(command, SystemCommand::Prune(_)),
            _ => false,
        }
    }

    fn builds(&self) -> Option<&BuildArguments> {
        match &self.command {
            DockerCommand::Build(arguments) => Some(arguments),
            DockerCommand::Buildx(arguments) => arguments.builds(),
            DockerCommand::Builder(BuilderArguments { command: BuilderCommand::Build(arguments) }) => Some(arguments),
            DockerCommand::Image(DockerImageArguments { command: DockerImageCommand::Build(arguments) }) => {
                Some(arguments)
            }
            _ => None,
        }
    }
}

fn with_any_values(command: Command) -> Command {
    let wants_a_value = |argument: &Arg| {
        let takes_one = argument.get_num_args().is_none_or(|number| number.min_values() > 0);
        takes_one && argument.get_action().takes_values() && !argument.is_positional()
    };
    let command = command.mut_args(|argument| match wants_a_value(&argument) {
        true => argument.allow_hyphen_values(true),
        false => argument,
    });
    command.mut_subcommands(with_any_values)
}

impl DockerImageCommand {
    /// Runs the command, and returns docker's exit code.
    fn run(&self, environment: &Environment, beforehand: &Beforehand) -> Result<u8> {
        match self {
            DockerImageCommand::Build(arguments) => build::run(arguments, environment, beforehand),
            DockerImageCommand::History(arguments) => history::run(arguments, environment),
            DockerImageCommand::Inspect(arguments) => return inspect::run(arguments, "image", environment),
            DockerImageCommand::Load(arguments) => load::run(arguments, environment),
            DockerImageCommand::Ls(arguments) => list::run(arguments, environment),
            DockerImageCommand::Prune(arguments) => prune::run(arguments, environment),
            DockerImageCommand::Pull(arguments) => pull::run(arguments, environment),
            DockerImageCommand::Push(arguments) => push::run(arguments, environment),
            DockerImageCommand::Rm(arguments) => remove::run(arguments, environment),
            DockerImageCommand::Save(arguments) => save::run(arguments, environment),
            DockerImageCommand::Tag(arguments) => tag::run(arguments, environment),
        }
        .map(|()| 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_stands_in_the_way_of_another() {
        DockerArguments::command().debug_assert();
    }

    #[test]
    fn the_name_of_the_program_says_whose_words_are_meant() {
        let read = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            arguments(&words)
                .map(|words| words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(read(&["/usr/bin/docker", "build", "."]).as_deref(), Some("docker build ."));
        assert_eq!(read(&["docker-buildx", "ls"]).as_deref(), Some("docker buildx ls"));
        assert_eq!(read(&["./docker-compose"]).as_deref(), Some("docker compose"));
        assert_eq!(read(&["ocibake", "docker", "images"]).as_deref(), Some("docker images"));
        assert_eq!(read(&["ocibake", "build", "docker"]), None);
        let again = format!("--{AGAIN}");
        let expected = format!("docker {again} buildx build .");
        for words in
            [&["docker-buildx", &again, "build", "."][..], &["ocibake", &again, "docker", "buildx", "build", "."]]
        {
            assert_eq!(read(words), Some(expected.clone()));
        }
        assert_eq!(read(&["ocibake", &again, "build", "."]), None);
        assert_eq!(read(&["docker.sh", "build"]), None);
        assert_eq!(read(&[]), None);
    }
}
