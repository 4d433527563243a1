//! The command line: arguments are read as written, resolved against environment and files, and run. Only this module
//! reads the environment and touches the terminal; results go to stdout, everything else to stderr.

mod build;
mod cache;
mod commands;
mod copy;
mod docker_proxies;
mod doctor;
mod environment;
mod flags;
mod index;
mod inspect;
mod interrupt;
mod login;
mod metadata;
mod print;
mod progress;
mod push;
mod rebase;
mod store;
mod tags;
mod terminal;
mod text_file;
mod usage;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use self::environment::Environment;
use self::progress::ProgressFlags;
use crate::error::Result;

/// Builds OCI images from plain files and pushes them: no daemon, no root, the same bytes every time.
#[derive(Debug, Parser)]
#[command(name = "ocibake", version, max_term_width = 100)]
struct ProgramArguments {
    #[command(subcommand)]
    command: ProgramCommand,
}

#[derive(Debug, Subcommand)]
enum ProgramCommand {
    Build(build::BuildArguments),
    Push(push::PushArguments),
    Index(index::IndexArguments),
    Rebase(rebase::RebaseArguments),
    Copy(copy::CopyArguments),
    #[command(visible_alias = "ls")]
    Inspect(inspect::InspectArguments),
    Tags(tags::TagsArguments),
    Login(login::LoginArguments),
    Logout(login::LogoutArguments),
    Cache(cache::CacheArguments),
    Doctor(doctor::DoctorArguments),
}

/// Runs the command that `arguments` (with the program's name first) ask for, shows an error if there is one, and
/// returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    // What is asked wrongly, and --help, clap answers itself, with its own exit codes: 2 and 0.
    let command = match ProgramArguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.command,
        Err(error) => usage::escaped(error).exit(),
    };
    match command.run() {
        Ok(()) => 0,
        Err(error) => {
            match command.progress() {
                Some(progress) => progress.show(&error),
                None => print::show(&error),
            }
            error.exit_code()
        }
    }
}

impl ProgramCommand {
    fn run(&self) -> Result<()> {
        interrupt::watch()?;
        let environment = Environment::read();
        match self {
            ProgramCommand::Build(arguments) => build::run(arguments, &environment),
            ProgramCommand::Push(arguments) => push::run(arguments, &environment),
            ProgramCommand::Index(arguments) => index::run(arguments, &environment),
            ProgramCommand::Rebase(arguments) => rebase::run(arguments, &environment),
            ProgramCommand::Copy(arguments) => copy::run(arguments, &environment),
            ProgramCommand::Inspect(arguments) => inspect::run(arguments, &environment),
            ProgramCommand::Tags(arguments) => tags::run(arguments, &environment),
            ProgramCommand::Login(arguments) => login::login(arguments, &environment),
            ProgramCommand::Logout(arguments) => login::logout(arguments, &environment),
            ProgramCommand::Cache(arguments) => cache::run(arguments, &environment),
            ProgramCommand::Doctor(arguments) => doctor::run(arguments, &environment),
        }
    }

    fn progress(&self) -> Option<&ProgressFlags> {
        match self {
            ProgramCommand::Build(arguments) => Some(&arguments.progress),
            ProgramCommand::Push(arguments) => Some(&arguments.progress),
            ProgramCommand::Index(arguments) => Some(&arguments.progress),
            ProgramCommand::Rebase(arguments) => Some(&arguments.progress),
            ProgramCommand::Copy(arguments) => Some(&arguments.progress),
            _ => None,
        }
    }
}
