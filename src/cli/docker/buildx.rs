//! `docker buildx`: builders, of which there is one, that is always there.

use clap::{Args, Subcommand};

use super::{build, builders, imagetools, usage};
use crate::cli::bake::{self, BakeArguments};
use crate::cli::build::{Beforehand, BuildArguments};
use crate::cli::environment::Environment;
use crate::cli::flags::prune::PruneFlags;
use crate::cli::print::answer;
use crate::error::Result;

/// Build images, with BuildKit's words
#[derive(Debug, Args)]
pub struct BuildxArguments {
    /// Accepted: there is one builder
    #[arg(long, global = true, hide = true)]
    builder: Option<String>,
    #[command(subcommand)]
    command: BuildxCommand,
}

#[derive(Debug, Subcommand)]
enum BuildxCommand {
    #[command(alias = "f")]
    Bake(Box<BakeArguments>),
    #[command(alias = "b")]
    Build(Box<BuildArguments>),
    Create(CreateArguments),
    Du(usage::DiskUsageArguments),
    Imagetools(imagetools::ImagetoolsArguments),
    Inspect(BuilderInspectArguments),
    Install(NoArguments),
    Ls(BuilderListArguments),
    Prune(PruneFlags),
    Rm(AnyArguments),
    Stop(AnyArguments),
    Uninstall(NoArguments),
    Use(AnyArguments),
    Version(NoArguments),
}

/// Accept a name for the builder
#[derive(Debug, Args)]
struct CreateArguments {
    #[arg(long)]
    name: Option<String>,
    #[arg(long, hide = true)]
    driver: Option<String>,
    #[arg(long, hide = true)]
    driver_opt: Vec<String>,
    #[arg(long, hide = true)]
    buildkitd_flags: Option<String>,
    #[arg(long, alias = "config", hide = true)]
    buildkitd_config: Option<String>,
    #[arg(long, hide = true)]
    platform: Vec<String>,
    #[arg(long, hide = true)]
    node: Option<String>,
    #[arg(long = "use", hide = true)]
    is_used: bool,
    #[arg(long, hide = true)]
    bootstrap: bool,
    #[arg(long, hide = true)]
    append: bool,
    #[arg(long, hide = true)]
    leave: bool,
    #[arg(hide = true)]
    endpoint: Option<String>,
}

/// Show the builder
#[derive(Debug, Args)]
struct BuilderInspectArguments {
    #[arg(hide = true)]
    name: Option<String>,
    #[arg(long, hide = true)]
    bootstrap: bool,
}

/// List the builder
#[derive(Debug, Args)]
struct BuilderListArguments {
    #[arg(long, hide = true)]
    no_trunc: bool,
}

/// Accepted: there is one builder, and it is always there
#[derive(Debug, Args)]
struct AnyArguments {
    #[arg(hide = true)]
    names: Vec<String>,
    #[arg(long, hide = true)]
    default: bool,
    #[arg(long, hide = true)]
    global: bool,
    #[arg(short, long, hide = true)]
    force: bool,
    #[arg(long, hide = true)]
    all_inactive: bool,
    #[arg(long, hide = true)]
    keep_state: bool,
    #[arg(long, hide = true)]
    keep_daemon: bool,
}

/// Accepted
#[derive(Debug, Args)]
struct NoArguments {}

impl BuildxArguments {
    /// Returns the arguments of a build, if it is one.
    pub fn builds(&self) -> Option<&BuildArguments> {
        match &self.command {
            BuildxCommand::Build(arguments) => Some(arguments),
            _ => None,
        }
    }

    /// Returns the arguments of a bake, if it is one.
    pub fn bakes(&self) -> Option<&BakeArguments> {
        match &self.command {
            BuildxCommand::Bake(arguments) => Some(arguments),
            _ => None,
        }
    }

    /// Returns the arguments of a bake to be changed, if it is one.
    pub fn bakes_mut(&mut self) -> Option<&mut BakeArguments> {
        match &mut self.command {
            BuildxCommand::Bake(arguments) => Some(arguments),
            _ => None,
        }
    }

    /// Returns whether it removes something from the local store.
    pub fn prunes(&self) -> bool {
        matches!(self.command, BuildxCommand::Prune(_))
    }
}

/// Runs it.
pub fn run(arguments: &BuildxArguments, environment: &Environment, beforehand: &Beforehand) -> Result<()> {
    match &arguments.command {
        BuildxCommand::Bake(arguments) => bake::run(arguments, environment, beforehand),
        BuildxCommand::Build(arguments) => build::run(arguments, environment, beforehand),
        BuildxCommand::Du(arguments) => usage::disk_usage(arguments, environment),
        BuildxCommand::Imagetools(arguments) => imagetools::run(arguments, environment),
        BuildxCommand::Prune(flags) => usage::prune(flags, "Total:  ", environment),
        BuildxCommand::Create(arguments) => builders::create(arguments.name.as_deref(), arguments.is_used, environment),
        BuildxCommand::Inspect(arguments) => builders::show(arguments.name.as_deref(), environment),
        BuildxCommand::Ls(_) => builders::list(environment),
        BuildxCommand::Rm(arguments) => builders::remove(&arguments.names, environment),
        BuildxCommand::Use(arguments) => builders::choose(&arguments.names, environment),
        BuildxCommand::Version(_) => answer(&format!("ocibake {}", env!("CARGO_PKG_VERSION"))),
        BuildxCommand::Stop(_) | BuildxCommand::Install(_) | BuildxCommand::Uninstall(_) => Ok(()),
    }
}
