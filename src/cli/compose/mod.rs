//! `ocibake compose`, which is `docker compose` and `docker-compose`: the images of compose files, built, pushed and pulled.

mod build;
mod config;
mod find;
mod flags;
mod print;
mod pull;
mod push;

use std::ffi::OsString;

use clap::{Args, Subcommand};

use self::find::ProjectFlags;
use super::build::Beforehand;
use super::docker::elsewhere;
use super::environment::Environment;
use super::namespace::Want;
use super::print::answer;
use super::progress::ProgressFlags;
use crate::error::Result;

/// Build, push and pull the images of compose files
#[derive(Debug, Args)]
pub struct ComposeArguments {
    #[command(flatten)]
    project: ProjectFlags,
    #[command(flatten)]
    progress: ProgressFlags,
    #[command(subcommand)]
    command: ComposeCommand,
}

#[derive(Debug, Subcommand)]
enum ComposeCommand {
    Build(Box<build::ComposeBuildArguments>),
    Push(push::ComposePushArguments),
    Pull(pull::ComposePullArguments),
    #[command(alias = "convert")]
    Config(Box<config::ComposeConfigArguments>),
    Version(ComposeVersionArguments),
    #[command(external_subcommand)]
    Elsewhere(Vec<OsString>),
}

/// Show the version
#[derive(Debug, Args)]
struct ComposeVersionArguments {
    /// Show only the number
    #[arg(long)]
    short: bool,
    /// Show it as pretty text, or as json
    #[arg(short, long, value_name = "FORMAT", value_parser = ["pretty", "json"])]
    format: Option<String>,
}

impl ComposeArguments {
    /// Returns what the command wants of its place.
    pub fn want(&self, environment: &Environment) -> Result<Want> {
        match &self.command {
            ComposeCommand::Build(arguments) => build::want(arguments, &self.project, environment),
            _ => Ok(Want::Nothing),
        }
    }

    /// Returns how the command shows progress.
    pub fn progress(&self) -> ProgressFlags {
        match &self.command {
            ComposeCommand::Build(arguments) => arguments.progress(&self.progress),
            ComposeCommand::Push(arguments) => arguments.progress(&self.progress),
            ComposeCommand::Pull(arguments) => arguments.progress(&self.progress),
            _ => self.progress.clone(),
        }
    }

    /// Runs the command, and returns docker's exit code.
    pub fn run(&self, environment: &Environment, beforehand: &Beforehand) -> Result<u8> {
        let (project, progress) = (&self.project, self.progress());
        match &self.command {
            ComposeCommand::Build(arguments) => build::run(arguments, project, &progress, environment, beforehand),
            ComposeCommand::Push(arguments) => push::run(arguments, project, &progress, environment),
            ComposeCommand::Pull(arguments) => pull::run(arguments, project, &progress, environment),
            ComposeCommand::Config(arguments) => config::run(arguments, project, environment),
            ComposeCommand::Version(arguments) => version(arguments),
            ComposeCommand::Elsewhere(words) => return Ok(elsewhere::tell_of_compose(words)),
        }
        .map(|()| 0)
    }
}

fn version(arguments: &ComposeVersionArguments) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    match arguments.format.as_deref() {
        _ if arguments.short => answer(version),
        Some("json") => answer(&format!("{{\"version\":\"{version}\"}}")),
        _ => answer(&format!("Docker Compose version {version} (ocibake)")),
    }
}
