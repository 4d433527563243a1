//! The commands on images of the local store, by themselves and as `ocibake image …`.

pub mod chosen;
pub mod history;
pub mod list;
pub mod load;
pub mod prune;
pub mod pull;
pub mod remove;
pub mod row;
pub mod save;
pub mod tag;

use clap::{Args, Subcommand};

use super::build::{Beforehand, FoundRecipe};
use super::environment::Environment;
use super::inspect::{self, InspectArguments};
use super::namespace::Want;
use super::progress::ProgressFlags;
use super::push::{self, PushArguments};
use crate::error::Result;

/// List, name, fetch, save and remove images of the local store
#[derive(Debug, Args)]
pub struct ImageArguments {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    History(history::HistoryArguments),
    Inspect(InspectArguments),
    Load(load::LoadArguments),
    #[command(visible_alias = "list")]
    Ls(list::ImageListArguments),
    Prune(prune::ImagePruneArguments),
    Pull(pull::PullArguments),
    Push(Box<PushArguments>),
    #[command(visible_alias = "remove")]
    Rm(remove::RemoveArguments),
    Save(save::SaveArguments),
    Tag(tag::TagArguments),
}

/// Returns what a command wants of its place, and the recipe of its build, if that had to be looked at.
pub fn want(arguments: &ImageArguments, environment: &Environment) -> Result<(Want, Option<FoundRecipe>)> {
    match &arguments.command {
        ImageCommand::Push(arguments) => push::want(arguments, environment),
        ImageCommand::Prune(_) => Ok((Want::of_removal(environment), None)),
        _ => Ok((Want::Nothing, None)),
    }
}

/// Runs it.
pub fn run(arguments: &ImageArguments, environment: &Environment, beforehand: &Beforehand) -> Result<()> {
    match &arguments.command {
        ImageCommand::History(arguments) => history::run(arguments, environment),
        ImageCommand::Inspect(arguments) => inspect::run(arguments, environment),
        ImageCommand::Load(arguments) => load::run(arguments, environment),
        ImageCommand::Ls(arguments) => list::run(arguments, environment),
        ImageCommand::Prune(arguments) => prune::run(arguments, environment),
        ImageCommand::Pull(arguments) => pull::run(arguments, environment),
        ImageCommand::Push(arguments) => push::run(arguments, environment, beforehand),
        ImageCommand::Rm(arguments) => remove::run(arguments, environment),
        ImageCommand::Save(arguments) => save::run(arguments, environment),
        ImageCommand::Tag(arguments) => tag::run(arguments, environment),
    }
}

/// Returns the flags of a command that say how progress is shown, if it has some.
pub fn progress(arguments: &ImageArguments) -> Option<&ProgressFlags> {
    match &arguments.command {
        ImageCommand::Load(arguments) => Some(&arguments.progress),
        ImageCommand::Pull(arguments) => Some(&arguments.progress),
        ImageCommand::Push(arguments) => Some(&arguments.progress),
        ImageCommand::Save(arguments) => Some(&arguments.progress),
        _ => None,
    }
}
