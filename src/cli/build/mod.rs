//! `ocibake build`.

mod answer;
mod caches;
mod call;
mod call_document;
mod epoch;
mod find;
mod given;
mod key_agent;
mod leave;
mod lock;
mod names;
mod recipe;
mod request;
pub mod secret;
pub mod shell;
mod times;
mod together;
mod verify;
mod want;
mod warn;

use std::iter;
use std::path::PathBuf;

use clap::Args;

pub use self::answer::{answer_call, document_of_call};
pub use self::call::Call;
pub use self::find::FoundRecipe;
pub use self::given::GivenRecipe;
pub use self::names::GivenNames;
pub use self::request::{BuildRequest, Delivery};
pub use self::together::{BuildShare, BuiltTarget, NamedRequest, PlannedBuild, Together};
pub use self::want::{Beforehand, keep_input, of_build};
use crate::build::{self, Built};
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::flags::accepted::AcceptedFlags;
use crate::cli::flags::build::BuildFlags;
use crate::cli::flags::output::OutputFlags;
use crate::cli::flags::value::{on_or_off, value};
use crate::cli::namespace::Want;
use crate::cli::print::answer;
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::cli::timings::TimingsFlags;
use crate::error::Result;
use crate::progress::{Event, WarningKind};

/// Build an image from a Dockerfile, from ocibake.toml, or from flags
#[derive(Debug, Clone, Args)]
pub struct BuildArguments {
    /// What to build from: a directory, a tar, the URL of a tar or of a git repository, or - for a tar or a Dockerfile on
    /// standard input [default: .]
    context: Option<PathBuf>,
    /// Name of the image
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// Push to the registry of each name, as -o type=registry does
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    push: Option<bool>,
    /// Only check the Dockerfile for mistakes; exit with code 1 if there are any
    #[arg(long, conflicts_with = "push", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    check: Option<bool>,
    /// Show warnings only, as --progress quiet does
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    quiet: Option<bool>,
    /// Ask about the Dockerfile: check, outline (what it takes) or targets (its stages); with ,format=json as JSON
    #[arg(long, alias = "print", conflicts_with = "push", value_name = "METHOD", value_parser = value::<Call>)]
    call: Option<Call>,
    #[command(flatten)]
    accepted: AcceptedFlags,
    #[command(flatten)]
    build: BuildFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    progress: ProgressFlags,
    #[command(flatten)]
    timings: TimingsFlags,
    /// What is said is said in docker's words.
    #[arg(skip)]
    is_dockers: bool,
}

impl BuildArguments {
    /// Returns how progress is shown.
    pub fn progress(&self) -> ProgressFlags {
        if self.quiet == Some(true) { ProgressFlags::quiet() } else { self.progress.clone() }
    }

    /// Returns whether only warnings are shown, and the ID.
    pub fn is_quiet(&self) -> bool {
        self.quiet == Some(true)
    }

    /// Returns whether an output goes to standard output. Fails where that is a terminal.
    pub fn streams(&self) -> Result<bool> {
        self.output.streams()
    }

    /// Takes a path that is an output for a directory of files, a Dockerfile rather than a spec, and `platform` for the one to
    /// build for where none is named, as docker does.
    pub fn in_dockers_words(mut self, platform: Option<&str>) -> Self {
        self.output.take_dockers_words();
        self.build.recipe.prefers_dockerfile = true;
        self.is_dockers = true;
        self.build.spec.usual_platform(platform);
        self
    }

    /// Returns the names that the image is to have, as they were typed.
    pub fn names(&self) -> &[String] {
        if self.output.is_by_digest() { &[] } else { &self.tag }
    }

    /// Returns the question that is asked in the place of a build.
    fn call(&self) -> Option<Call> {
        let call = match self.call {
            Some(call) if call.question.is_some() => Some(call),
            other if self.check != Some(true) => other,
            _ => Some(Call::check()),
        };
        call.filter(|call| call.question.is_some())
    }
}

/// Returns what a build wants of its place, and its recipe, if that had to be looked at.
pub fn want(arguments: &BuildArguments, environment: &Environment) -> Result<(Want, Option<FoundRecipe>)> {
    match arguments.call() {
        Some(_) => Ok((Want::Nothing, None)),
        None => of_build(&arguments.build, arguments.context.as_deref(), environment),
    }
}

/// Builds an image and answers with its digest, or with what its Dockerfile should not say.
pub fn run(arguments: &BuildArguments, environment: &Environment, beforehand: &Beforehand) -> Result<()> {
    match build(arguments, environment, beforehand)? {
        Some(built) if !arguments.output.streams()? => answer(&built.root.digest.to_string()),
        _ => Ok(()),
    }
}

/// Builds an image, and returns it; or answers with what its Dockerfile should not say.
pub fn build(arguments: &BuildArguments, environment: &Environment, beforehand: &Beforehand) -> Result<Option<Built>> {
    arguments.accepted.check()?;
    let GivenNames { names, repositories, tag } = GivenNames::read(&arguments.tag, &arguments.output)?;
    shell::check(&arguments.build.run)?;
    arguments.output.streams()?;
    let (reporter, commands) = (Reporter::new(&arguments.progress()), Commands::default());
    let ignored = arguments.accepted.given();
    if !ignored.is_empty() {
        let message = format!("{} changes nothing here", ignored.join(", "));
        reporter.report(Event::Warning { kind: WarningKind::FlagIgnored, message: &message });
    }
    let open = |failure: &str, run: build::RunShell<'_>| shell::open(&reporter, failure, run);
    let request = BuildRequest {
        context: arguments.context.as_deref(),
        build: &arguments.build,
        output: &arguments.output,
        tag,
        names,
        repositories: &repositories,
        delivery: if arguments.push == Some(true) { Delivery::Push } else { Delivery::Outputs },
        given: None,
        secret: &secret::value,
        beforehand,
        commands: &commands,
        shell: &open,
    };
    if let Some(asked) = arguments.call() {
        answer_call(asked, &request, arguments.is_dockers, environment, &reporter)?;
        reporter.finish();
        return Ok(None);
    }
    let title: Vec<&str> = iter::once("ocibake build").chain(arguments.tag.iter().map(String::as_str)).collect();
    let built = arguments.timings.record(&title.join(" "), &reporter, |progress| request.run(environment, progress))?;
    reporter.finish();
    Ok(Some(built))
}
