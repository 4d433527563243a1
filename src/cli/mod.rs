//! The command line: arguments are read as written, resolved against environment and files, and run. Only this module
//! reads the environment and touches the terminal; results go to stdout, everything else to stderr.

mod age;
mod annotation;
mod bake;
mod build;
mod bytes;
mod cache;
mod ci;
mod commands;
mod completion;
mod compose;
mod copy;
mod count;
mod docker;
mod docker_proxies;
mod doctor;
mod environment;
mod flags;
mod format;
mod image;
mod image_refs;
mod index;
mod init;
mod inspect;
mod interrupt;
mod login;
mod ls;
mod metadata;
mod namespace;
mod print;
mod progress;
mod push;
mod rebase;
mod resolve;
mod serve;
mod store;
mod tags;
mod terminal;
mod text_file;
mod timings;
mod usage;
mod why;

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};

use self::build::{Beforehand, FoundRecipe};
use self::docker::DockerArguments;
use self::environment::Environment;
use self::namespace::Want;
use self::progress::ProgressFlags;
use crate::error::Result;
use crate::run::namespace::Side;

/// Builds OCI images from plain files and pushes them: no daemon, no root, the same bytes every time.
#[derive(Debug, Parser)]
#[command(name = "ocibake", version, max_term_width = 100, args_override_self = true)]
struct ProgramArguments {
    /// The program was started again, once it was known that commands are to be run
    #[arg(long = namespace::AGAIN, hide = true)]
    again: bool,
    #[command(subcommand)]
    command: ProgramCommand,
}

#[derive(Debug, Subcommand)]
enum ProgramCommand {
    Init(init::InitArguments),
    Build(Box<build::BuildArguments>),
    Bake(Box<bake::BakeArguments>),
    Compose(Box<compose::ComposeArguments>),
    Push(Box<push::PushArguments>),
    Index(index::IndexArguments),
    Rebase(rebase::RebaseArguments),
    Copy(copy::CopyArguments),
    Inspect(inspect::InspectArguments),
    Ls(ls::LsArguments),
    Resolve(resolve::ResolveArguments),
    Serve(serve::ServeArguments),
    Tags(tags::TagsArguments),
    Images(image::list::ImageListArguments),
    Tag(image::tag::TagArguments),
    Rmi(image::remove::RemoveArguments),
    Pull(image::pull::PullArguments),
    Save(image::save::SaveArguments),
    Load(image::load::LoadArguments),
    History(image::history::HistoryArguments),
    Image(image::ImageArguments),
    Login(login::LoginArguments),
    Logout(login::LogoutArguments),
    Cache(cache::CacheArguments),
    Why(why::WhyArguments),
    Doctor(doctor::DoctorArguments),
    Completion(completion::CompletionArguments),
    Man(completion::ManArguments),
}

/// Runs the command that `arguments` (with the program's name first) ask for, shows an error if there is one, and
/// returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    // What is asked wrongly, and --help, clap answers itself, with its own exit codes: 2 and 0.
    let arguments = timings::with_file(arguments.into_iter().collect());
    if let Some(code) = namespace::start_as_user(&arguments) {
        return code;
    }
    if let Some(arguments) = docker::arguments(&arguments) {
        return run_as_docker(arguments);
    }
    let ProgramArguments { again, command } = match ProgramArguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let error = usage::told(error);
            if let Some(word) = usage::unknown_command(&error).filter(|word| docker::elsewhere::is_known(word)) {
                docker::elsewhere::tell_of("ocibake", &[word.into()]);
                return WRONG_USAGE;
            }
            error.exit()
        }
    };
    ended(command.run(again), command.progress())
}

/// The exit code of a command line that makes no sense, and docker's.
const WRONG_USAGE: u8 = 2;
const DOCKERS_WRONG_USAGE: u8 = 1;

/// The same under docker's name.
fn run_as_docker(arguments: Vec<OsString>) -> u8 {
    let arguments = match DockerArguments::read(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let error = usage::told(error);
            let _ = error.print(); // nobody is left to tell if it cannot be
            return usage::docker_exit_code(&error);
        }
    };
    let run = || {
        let mut environment = Environment::read();
        environment.again = arguments.again;
        environment.docker_config = arguments.place.config.clone().or(environment.docker_config.take());
        arguments.place.point(&mut environment.engines);
        place(arguments.want(&environment)?, &environment, |beforehand| arguments.run(&environment, beforehand))
    };
    match ended(run(), arguments.progress()) {
        WRONG_USAGE => DOCKERS_WRONG_USAGE,
        code => code,
    }
}

/// Returns the exit code of what was run, and shows its error.
fn ended(outcome: Result<u8>, progress: Option<ProgressFlags>) -> u8 {
    match outcome {
        Ok(code) => code,
        // Whoever read the result has what was wanted of it.
        Err(error) if print::is_closed(&error) => 0,
        Err(error) => {
            match progress {
                Some(progress) => progress.show(&error),
                None => print::show(&error),
            }
            error.exit_code()
        }
    }
}

/// Does `work` in the place that it wants: here, or in a user namespace, with what was found out on the way. Returns the exit
/// code.
fn place(
    (want, recipe): (Want, Option<FoundRecipe>),
    environment: &Environment,
    work: impl FnOnce(&Beforehand) -> Result<u8>,
) -> Result<u8> {
    let sandbox = match namespace::enter(want, environment)? {
        Side::Inner(sandbox) => sandbox,
        Side::Outer(status) => return Ok(status),
    };
    namespace::keep_user();
    interrupt::watch()?;
    work(&Beforehand { recipe, sandbox })
}

impl ProgramCommand {
    /// Runs it, in a user namespace if it needs one, and returns the exit code.
    fn run(&self, again: bool) -> Result<u8> {
        let mut environment = Environment::read();
        environment.again = again;
        place(self.want(&environment)?, &environment, |beforehand| match self {
            ProgramCommand::Compose(arguments) => arguments.run(&environment, beforehand),
            _ => self.run_here(&environment, beforehand).map(|()| 0),
        })
    }

    /// Returns what it wants of its place, and the recipe of its build, if that had to be looked at.
    fn want(&self, environment: &Environment) -> Result<(Want, Option<FoundRecipe>)> {
        match self {
            ProgramCommand::Build(arguments) => build::want(arguments, environment),
            ProgramCommand::Bake(arguments) => Ok((bake::want(arguments, environment)?, None)),
            ProgramCommand::Compose(arguments) => Ok((arguments.want(environment)?, None)),
            ProgramCommand::Push(arguments) => push::want(arguments, environment),
            ProgramCommand::Image(arguments) => image::want(arguments, environment),
            ProgramCommand::Cache(arguments) => Ok((cache::want(arguments, environment), None)),
            ProgramCommand::Doctor(arguments) => Ok((doctor::want(arguments), None)),
            _ => Ok((Want::Nothing, None)),
        }
    }

    fn run_here(&self, environment: &Environment, beforehand: &Beforehand) -> Result<()> {
        match self {
            ProgramCommand::Init(arguments) => init::run(arguments),
            ProgramCommand::Build(arguments) => build::run(arguments, environment, beforehand),
            ProgramCommand::Bake(arguments) => bake::run(arguments, environment, beforehand),
            ProgramCommand::Compose(arguments) => arguments.run(environment, beforehand).map(drop),
            ProgramCommand::Push(arguments) => push::run(arguments, environment, beforehand),
            ProgramCommand::Index(arguments) => index::run(arguments, environment),
            ProgramCommand::Rebase(arguments) => rebase::run(arguments, environment),
            ProgramCommand::Copy(arguments) => copy::run(arguments, environment),
            ProgramCommand::Inspect(arguments) => inspect::run(arguments, environment),
            ProgramCommand::Ls(arguments) => ls::run(arguments, environment),
            ProgramCommand::Resolve(arguments) => resolve::run(arguments, environment),
            ProgramCommand::Serve(arguments) => serve::run(arguments, environment),
            ProgramCommand::Tags(arguments) => tags::run(arguments, environment),
            ProgramCommand::Images(arguments) => image::list::run(arguments, environment),
            ProgramCommand::Tag(arguments) => image::tag::run(arguments, environment),
            ProgramCommand::Rmi(arguments) => image::remove::run(arguments, environment),
            ProgramCommand::Pull(arguments) => image::pull::run(arguments, environment),
            ProgramCommand::Save(arguments) => image::save::run(arguments, environment),
            ProgramCommand::Load(arguments) => image::load::run(arguments, environment),
            ProgramCommand::History(arguments) => image::history::run(arguments, environment),
            ProgramCommand::Image(arguments) => image::run(arguments, environment, beforehand),
            ProgramCommand::Login(arguments) => login::login(arguments, environment),
            ProgramCommand::Logout(arguments) => login::logout(arguments, environment),
            ProgramCommand::Cache(arguments) => cache::run(arguments, environment),
            ProgramCommand::Why(arguments) => why::run(arguments, environment),
            ProgramCommand::Doctor(arguments) => doctor::run(arguments, environment, beforehand.sandbox.as_ref()),
            ProgramCommand::Completion(arguments) => completion::complete(arguments, ProgramArguments::command()),
            ProgramCommand::Man(arguments) => {
                completion::write_manual(arguments, ProgramArguments::command(), environment)
            }
        }
    }

    fn progress(&self) -> Option<ProgressFlags> {
        let flags = match self {
            ProgramCommand::Build(arguments) => return Some(arguments.progress()),
            ProgramCommand::Bake(arguments) => return Some(arguments.progress()),
            ProgramCommand::Compose(arguments) => return Some(arguments.progress()),
            ProgramCommand::Push(arguments) => Some(&arguments.progress),
            ProgramCommand::Index(arguments) => Some(&arguments.progress),
            ProgramCommand::Rebase(arguments) => Some(&arguments.progress),
            ProgramCommand::Copy(arguments) => Some(&arguments.progress),
            ProgramCommand::Resolve(arguments) => Some(&arguments.progress),
            ProgramCommand::Pull(arguments) => Some(&arguments.progress),
            ProgramCommand::Save(arguments) => Some(&arguments.progress),
            ProgramCommand::Load(arguments) => Some(&arguments.progress),
            ProgramCommand::Image(arguments) => image::progress(arguments),
            _ => None,
        };
        flags.cloned()
    }
}
