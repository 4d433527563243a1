//! The command line: arguments are read as written, resolved against environment and files, and run. Only this module
//! reads the environment and touches the terminal; results go to stdout, everything else to stderr.

mod base_flags;
mod build;
mod cache;
mod copy;
mod doctor;
mod environment;
mod epoch;
mod index;
mod inspect;
mod interrupt;
mod login;
mod metadata;
mod print;
mod progress;
mod push;
mod rebase;
mod recipe;
mod spec_flags;
mod tags;
mod transfer_flags;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};

use crate::error::{Error, Result, escape};
use crate::progress::{Event, Progress, WarningKind};
use crate::store::LocalStore;
use crate::store::prune::Limit;
use environment::Environment;
use progress::ProgressFlags;

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
        Err(error) => escaped(error).exit(),
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

/// An error of clap's, in which arguments are shown that a script may have from elsewhere.
fn escaped(mut error: clap::Error) -> clap::Error {
    let shown: Vec<(ContextKind, ContextValue)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, ContextValue::String(escape::line(text)))),
            ContextValue::Strings(texts) => {
                Some((kind, ContextValue::Strings(texts.iter().map(|text| escape::line(text)).collect())))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in shown {
        error.insert(kind, value);
    }
    error
}

/// Reads the value of a flag; clap shows the error, to which the hint belongs.
fn value<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Error| {
        escape::line(&match error.hint {
            Some(hint) => format!("{} ({hint})", error.message),
            None => error.message,
        })
    })
}

/// Ends the use of the local store, which is brought under its limit if it can be.
fn trim(store: LocalStore, limit: Limit, progress: Progress<'_>) {
    if let Err(error) = store.trim(limit) {
        let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        let message = format!("the local store may be over its limit: {}{hint}", error.message);
        progress(Event::Warning { kind: WarningKind::StoreNotTrimmed, message: &message });
    }
}

/// Says of an error that it lies in the value of the flag `--name`.
fn flag(name: &str) -> impl Fn(Error) -> Error {
    move |error| Error { message: format!("--{name}: {}", error.message), ..error.on_command_line() }
}

/// Reads a small file that is UTF-8, which errors call `name`; one over `limit` bytes is refused, as more than any `what` has.
fn read_text(file: File, name: &str, limit: u64, what: &str) -> Result<String> {
    let read = || {
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::other(format!("it is larger than {limit} bytes, which no {what} is")));
        }
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    };
    read().map_err(|source| Error::io("read", name, source))
}
