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
mod progress;
mod push;
mod quantity;
mod rebase;
mod recipe;
mod spec_flags;
mod tags;
mod transfer_flags;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::str::FromStr;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::oci::to_json;
use crate::progress::{Event, Progress};
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
    let command = Arguments::parse_from(arguments).command;
    match command.run() {
        Ok(()) => 0,
        Err(error) => {
            match command.progress() {
                Some(progress) => progress.show(&error),
                None => show(&error),
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

/// Shows an error on stderr: what failed, the line that is to blame, the causes, and what to do.
fn show(error: &Error) {
    let (strong, plain) = if std::io::stderr().is_terminal() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    let mut text = format!("{error}\n");
    if let Some(excerpt) = &error.excerpt {
        text += &format!("{excerpt}\n");
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!("  caused by: {cause}\n");
        source = cause.source();
    }
    if let Some(hint) = &error.hint {
        text += &format!("  hint: {hint}\n");
    }
    say(&format!("{strong}error:{plain} {}\n", harmless(text.trim_end())));
}

/// Says something to the user that is not the result.
fn tell(text: &str) {
    say(&format!("{}\n", harmless(text)));
}

fn say(text: &str) {
    // Nobody is left to tell if stderr is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// `text`, which may come from an image or a registry, without what makes a terminal do anything but show it: control
/// characters except line ends and tabs, and those that change the direction of what follows (Unicode's UAX #9) or end
/// a line in another way.
fn harmless(text: &str) -> String {
    let is_hidden = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let replaced = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || is_hidden(c);
    text.chars().map(|c| if replaced(c) { '\u{fffd}' } else { c }).collect()
}

/// Reads the value of a flag; clap shows the error, to which the hint belongs.
fn value<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Error| match error.hint {
        Some(hint) => format!("{} ({hint})", error.message),
        None => error.message,
    })
}

/// Ends the use of the local store, which is brought under its limit if it can be.
fn trim(store: LocalStore, limit: Limit, progress: Progress<'_>) {
    if let Err(error) = store.trim(limit) {
        let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        let message = format!("the local store may be over its limit: {}{hint}", error.message);
        progress(Event::Warning { message: &message });
    }
}

/// Says of an error that it lies in the value of the flag `--name`.
fn flag(name: &str) -> impl Fn(Error) -> Error {
    move |error| Error { message: format!("--{name}: {}", error.message), ..error.on_command_line() }
}

/// Reads a small file that is UTF-8; one over `limit` bytes is refused, as more than any `what` has.
fn read_text(file: &Path, limit: u64, what: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes, which no {what} is")));
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Lines of a name and what is said of it, one below the other.
fn columns(rows: impl IntoIterator<Item = (String, String)>) -> String {
    let rows: Vec<(String, String)> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().map(|(name, text)| format!("{name:width$}  {text}")).collect::<Vec<_>>().join("\n")
}

/// Writes a result, a line or several, to stdout.
fn answer(text: &str) -> Result<()> {
    answer_bytes(format!("{text}\n").as_bytes())
}

/// Writes a result to stdout as JSON.
fn answer_json(value: &impl Serialize) -> Result<()> {
    let mut bytes = to_json(value);
    bytes.push(b'\n');
    answer_bytes(&bytes)
}

/// Writes a result to stdout as it is.
fn answer_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|source| Error::io("write to", "standard output", source))
}
