//! `ocibake completion` and `ocibake man`: what shells and `man` know of the command line, made of the same words that it is
//! read by.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Arg, ArgAction, Args, Command};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use super::environment::{Environment, epoch};
use super::print::answer_bytes;
use crate::error::{Error, Result};
use crate::plan::label::rfc3339;

/// Print a script that completes commands and flags in a shell
///
/// bash: `ocibake completion bash > /etc/bash_completion.d/ocibake`; zsh: to the file `_ocibake` in a directory of $fpath;
/// fish: to ~/.config/fish/completions/ocibake.fish; PowerShell: at the end of $PROFILE.
#[derive(Debug, Args)]
pub struct CompletionArguments {
    /// Shell that the script is for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Write the manual pages of all commands to a directory
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct ManArguments {
    /// Directory to write to, which is made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Answers with the script for `command`, the whole command line.
pub fn complete(arguments: &CompletionArguments, mut command: Command) -> Result<()> {
    command.build();
    let (mut shown, name) = (shown(&command), command.get_name().to_owned());
    let mut script = Vec::new();
    generate(arguments.shell, &mut shown, name, &mut script);
    answer_bytes(&script)
}

/// Writes a page for `command`, the whole command line, and one for each command below it. They are of the time that
/// `SOURCE_DATE_EPOCH` says, else of today.
pub fn write_manual(arguments: &ManArguments, command: Command, environment: &Environment) -> Result<()> {
    let seconds = match environment.source_date_epoch() {
        Some(text) => epoch(text)?,
        None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs() as i64),
    };
    let directory = &arguments.directory;
    fs::create_dir_all(directory).map_err(|source| Error::io("create the directory", directory, source))?;
    let version = command.get_version().unwrap_or_default().to_owned();
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let date = rfc3339(seconds)?;
    let manual = Manual { date: date.split('T').next().unwrap_or_default(), source: format!("ocibake {version}") };
    manual.write(command, directory)
}

/// What all pages have in their heads and feet.
struct Manual<'a> {
    date: &'a str,
    source: String,
}

impl Manual<'_> {
    fn write(&self, command: Command, directory: &Path) -> Result<()> {
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            self.write(below.clone(), directory)?;
        }
        let page = Man::new(command).date(self.date).source(&self.source).manual("User Commands");
        let path = directory.join(page.get_filename());
        let mut text = Vec::new();
        let rendered = page.render(&mut text).and_then(|()| {
            // Lines that are broken before and after an empty one are none that `man` knows.
            let text = String::from_utf8_lossy(&text).replace("\n.br\n\n.br\n", "\n.sp\n");
            fs::write(&path, text)
        });
        rendered.map_err(|source| Error::io("write to", &path, source))
    }
}

/// Returns `command` with what help shows of it, for the scripts would complete what is hidden, too.
fn shown(command: &Command) -> Command {
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set()).map(bare);
    let below = command.get_subcommands().filter(|below| !below.is_hide_set()).map(shown);
    let shown = Command::new(command.get_name().to_owned())
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args(arguments)
        .subcommands(below)
        .visible_aliases(command.get_visible_aliases().map(str::to_owned).collect::<Vec<_>>());
    match command.get_about() {
        Some(about) => shown.about(about.clone()),
        None => shown,
    }
}

/// Returns `argument` without what it has to do with others, which may be hidden.
fn bare(argument: &Arg) -> Arg {
    let mut bare = Arg::new(argument.get_id().clone())
        .action(match argument.get_action() {
            // They would want to know the version, or end the program.
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version => ArgAction::SetTrue,
            action => action.clone(),
        })
        .value_hint(argument.get_value_hint())
        .short(argument.get_short())
        .index(argument.get_index())
        .visible_aliases(argument.get_visible_aliases().unwrap_or_default().into_iter().map(str::to_owned))
        .help(argument.get_help().cloned().unwrap_or_default());
    if let Some(long) = argument.get_long() {
        bare = bare.long(long.to_owned());
    }
    if argument.get_action().takes_values() {
        bare = bare.value_parser(argument.get_value_parser().clone());
        bare = bare.value_names(argument.get_value_names().unwrap_or_default().to_vec());
        if let Some(number) = argument.get_num_args() {
            bare = bare.num_args(number);
        }
    }
    bare
}
