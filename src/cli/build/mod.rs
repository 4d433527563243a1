//! `ocibake build`.

mod epoch;
mod find;
mod key_agent;
mod lock;
mod recipe;
mod request;
mod secret;
pub mod shell;
mod times;
mod verify;
mod want;
mod warn;

use std::path::PathBuf;

use clap::Args;

pub use self::request::{BuildRequest, Delivery};
pub use self::want::of_build;
use crate::build;
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::flags::build::BuildFlags;
use crate::cli::flags::output::OutputFlags;
use crate::cli::namespace::Want;
use crate::cli::print::{answer, answer_excerpt};
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::error::{Error, Result};
use crate::plan::dockerfile::Warning;
use crate::plan::version;
use crate::release::tag;

/// Build an image from a Dockerfile, from ocibake.toml, or from flags
#[derive(Debug, Args)]
pub struct BuildArguments {
    /// What to build from: a directory, a tar, the URL of a tar or of a git repository, or - for a tar or a Dockerfile on
    /// standard input [default: .]
    context: Option<PathBuf>,
    /// Name of the image
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// Push to the registry of each name, as -o type=registry does
    #[arg(long)]
    push: bool,
    /// Only look for what the Dockerfile should not say; exit code 1 if there is anything
    #[arg(long, conflicts_with = "push")]
    check: bool,
    #[command(flatten)]
    build: BuildFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    pub progress: ProgressFlags,
}

/// Returns what a build wants of its place.
pub fn want(arguments: &BuildArguments, environment: &Environment) -> Result<Want> {
    match arguments.check {
        true => Ok(Want::Nothing),
        false => of_build(&arguments.build, arguments.context.as_deref(), environment),
    }
}

/// Builds an image and answers with its digest, or with what its Dockerfile should not say.
pub fn run(arguments: &BuildArguments, environment: &Environment) -> Result<()> {
    let named = arguments.tag.iter().map(|name| tag::split_name(name).map_err(Error::on_command_line));
    let named = named.collect::<Result<Vec<_>>>()?;
    let mut names = Vec::with_capacity(named.len());
    for (repository, tag) in &named {
        for tag in tag::alone(tag.as_deref().unwrap_or("latest")).map_err(Error::on_command_line)?.tags {
            let name = repository.with_tag(&tag.name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let versions = || named.iter().filter_map(|(_, tag)| tag.clone());
    shell::check(&arguments.build.run)?;
    let streams = arguments.output.streams()?;
    let (reporter, commands) = (Reporter::new(&arguments.progress), Commands::default());
    let open = |failure: &str, run: build::RunShell<'_>| shell::open(&reporter, failure, run);
    let request = BuildRequest {
        context: arguments.context.as_deref(),
        build: &arguments.build,
        output: &arguments.output,
        tag: versions().find(|tag| version::of_tag(tag).is_some()).or_else(|| versions().next()),
        names,
        delivery: if arguments.push { Delivery::Push } else { Delivery::Outputs },
        commands: &commands,
        shell: &open,
    };
    if arguments.check {
        let warnings = request.check(environment, &|event| reporter.report(event))?;
        return tell_of_checks(&warnings);
    }
    let built = request.run(environment, &|event| reporter.report(event))?;
    reporter.finish();
    if streams { Ok(()) } else { answer(&built.root.digest.to_string()) }
}

/// Answers with the warnings of the build checks; fails if there is one.
fn tell_of_checks(warnings: &[Warning]) -> Result<()> {
    if warnings.is_empty() {
        return answer("no warnings");
    }
    for Warning { rule, message, place, .. } in warnings {
        answer_excerpt(&format!("{}: {message}", rule.name()), place)?;
    }
    let count = warnings.len();
    Err(Error::input(format!("{count} {}", if count == 1 { "warning" } else { "warnings" }))
        .with_hint("a line `# check=skip=RULE` at the top of the Dockerfile leaves a check out"))
}
