//! The command line: arguments are read as written, resolved against environment and files, and run. Only this module
//! reads the environment and touches the terminal; results go to stdout, everything else to stderr.

mod build;
mod cache;
mod copy;
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
mod quantity;
mod rebase;
mod store;
mod tags;
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
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Arguments),
    Push(push::Arguments),
    Index(index::Arguments),
    Rebase(rebase::Arguments),
    Copy(copy::Arguments),
    #[command(visible_alias = "ls")]
    Inspect(inspect::Arguments),
    Tags(tags::Arguments),
    Login(login::LoginArguments),
    Logout(login::LogoutArguments),
    Cache(cache::Arguments),
    Doctor(doctor::Arguments),
}

/// Runs the command that `arguments` (with the program's name first) ask for, shows an error if there is one, and
/// returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    // What is asked wrongly, and --help, clap answers itself, with its own exit codes: 2 and 0.
    let command = match Arguments::try_parse_from(arguments) {
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

impl Command {
    fn run(&self) -> Result<()> {
        interrupt::watch()?;
        let environment = Environment::read();
        match self {
            Command::Build(arguments) => build::run(arguments, &environment),
            Command::Push(arguments) => push::run(arguments, &environment),
            Command::Index(arguments) => index::run(arguments, &environment),
            Command::Rebase(arguments) => rebase::run(arguments, &environment),
            Command::Copy(arguments) => copy::run(arguments, &environment),
            Command::Inspect(arguments) => inspect::run(arguments, &environment),
            Command::Tags(arguments) => tags::run(arguments, &environment),
            Command::Login(arguments) => login::login(arguments, &environment),
            Command::Logout(arguments) => login::logout(arguments, &environment),
            Command::Cache(arguments) => cache::run(arguments, &environment),
            Command::Doctor(arguments) => doctor::run(arguments, &environment),
        }
    }

    fn progress(&self) -> Option<&ProgressFlags> {
        match self {
            Command::Build(arguments) => Some(&arguments.progress),
            Command::Push(arguments) => Some(&arguments.progress),
            Command::Index(arguments) => Some(&arguments.progress),
            Command::Rebase(arguments) => Some(&arguments.progress),
            Command::Copy(arguments) => Some(&arguments.progress),
            _ => None,
        }
    }
}
