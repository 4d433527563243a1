//! `docker buildx imagetools`: images as registries have them.

mod create;
mod go;
mod inspect;
mod origin;

use clap::{Args, Subcommand};

use crate::cli::environment::Environment;
use crate::error::Result;

/// Work with images in registries
#[derive(Debug, Args)]
pub struct ImagetoolsArguments {
    #[command(subcommand)]
    command: ImagetoolsCommand,
}

#[derive(Debug, Subcommand)]
enum ImagetoolsCommand {
    Create(create::CreateImageArguments),
    Inspect(inspect::InspectRemoteArguments),
}

/// Runs it.
pub fn run(arguments: &ImagetoolsArguments, environment: &Environment) -> Result<()> {
    match &arguments.command {
        ImagetoolsCommand::Create(arguments) => create::run(arguments, environment),
        ImagetoolsCommand::Inspect(arguments) => inspect::run(arguments, environment),
    }
}
