//! `compose build`: the services of a project, all as one build.

use std::iter;
use std::sync::OnceLock;

use clap::Args;

use super::find::{LeftAlone, ProjectFlags};
use super::flags::{ServiceFlags, ServiceRequest};
use super::print::{self, PrintRequest};
use crate::build::RunShell;
use crate::cli::build::{
    Beforehand, BuildRequest, Call, Delivery, GivenRecipe, NamedRequest, Together, of_build, secret, shell,
};
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::namespace::Want;
use crate::cli::print::tell;
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::cli::timings::TimingsFlags;
use crate::error::Result;
use crate::plan::compose::Project;
use crate::plan::dockerfile::{Dockerfile, Warning};
use crate::plan::{Isolation, SecretSource};
use crate::progress::{Event, Progress, WarningKind};

/// Build the images of services
#[derive(Debug, Args)]
pub struct ComposeBuildArguments {
    /// Services to build [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    own: ServiceFlags,
    /// Build what services depend on, too
    #[arg(long)]
    with_dependencies: bool,
    /// Only check the Dockerfiles for mistakes
    #[arg(long)]
    check: bool,
    /// Show what would be built, as a bake file
    #[arg(long)]
    print: bool,
    /// Show warnings only
    #[arg(short, long)]
    quiet: bool,
    #[arg(long, hide = true)]
    builder: Option<String>,
    #[arg(short, long, hide = true)]
    memory: Option<String>,
    #[arg(long, hide = true)]
    compress: bool,
    #[arg(long, hide = true)]
    force_rm: bool,
    #[arg(long, hide = true)]
    no_rm: bool,
    #[arg(long, hide = true)]
    parallel: bool,
    #[command(flatten)]
    progress: ProgressFlags,
    #[command(flatten)]
    timings: TimingsFlags,
    /// The project, once it was read.
    #[arg(skip)]
    project: OnceLock<Project>,
}

impl ComposeBuildArguments {
    /// Returns how progress is shown; `before` is what was said before the command's name.
    pub fn progress(&self, before: &ProgressFlags) -> ProgressFlags {
        if self.quiet { ProgressFlags::quiet() } else { self.progress.clone().or(before) }
    }

    /// Returns the project, which is read once.
    fn project(&self, flags: &ProjectFlags) -> Result<&Project> {
        if let Some(project) = self.project.get() {
            return Ok(project);
        }
        let project = flags.read(&self.services, LeftAlone::default())?;
        Ok(self.project.get_or_init(|| project))
    }

    fn requests(&self, project: &Project) -> Result<Vec<ServiceRequest>> {
        let builds = project.builds(&self.services, self.with_dependencies)?;
        builds.iter().map(|build| ServiceRequest::new(build, project, &builds, &self.own)).collect()
    }
}

/// Returns what the builds want of their place.
pub fn want(arguments: &ComposeBuildArguments, flags: &ProjectFlags, environment: &Environment) -> Result<Want> {
    if arguments.check || arguments.print || flags.dry_run {
        return Ok(Want::Nothing);
    }
    let project = arguments.project(flags)?;
    let mut wanted = Want::Nothing;
    for request in arguments.requests(project)? {
        let want = match &request.dockerfile {
            // What is wrong with it the build will say.
            Some(text) => match Dockerfile::read(INLINE, text.as_bytes()) {
                Ok(dockerfile) if !dockerfile.has_commands() && !environment.again => Want::Nothing,
                _ => Want::Commands(Isolation::default()),
            },
            None => of_build(&request.build, Some(&request.context), environment)?.0,
        };
        if want != Want::Nothing {
            wanted = want;
        }
    }
    Ok(wanted)
}

/// The name of a Dockerfile that stands in a compose file.
const INLINE: &str = "dockerfile_inline";

/// Builds the services, each behind those that it takes from.
pub fn run(
    arguments: &ComposeBuildArguments,
    flags: &ProjectFlags,
    progress: &ProgressFlags,
    environment: &Environment,
    beforehand: &Beforehand,
) -> Result<()> {
    let project = arguments.project(flags)?;
    if arguments.print {
        let request = PrintRequest {
            services: &arguments.services,
            with_dependencies: arguments.with_dependencies,
            checks: arguments.check,
            own: &arguments.own,
        };
        return print::print(project, &request);
    }
    let requests = arguments.requests(project)?;
    if requests.is_empty() {
        tell("there is no service to build");
        return Ok(());
    }
    if flags.dry_run {
        for request in &requests {
            let names: Vec<String> = request.names.iter().map(|name| name.familiar()).collect();
            tell(&format!("{} would be built as {}", request.service, names.join(", ")));
        }
        return Ok(());
    }
    let (reporter, commands) = (Reporter::new(progress), Commands::default());
    for request in &requests {
        for message in &request.warnings {
            reporter.report(Event::Warning { kind: WarningKind::FlagIgnored, message });
        }
        if progress.is_for_people() && !arguments.check {
            reporter.suspended(|| tell(&format!("building {}", request.service)));
        }
    }
    // A variable is the project's: it may come from a file.
    let read_secret = |source: &SecretSource| match source {
        SecretSource::Variable(name) => Ok(project.variables.get(name).cloned().unwrap_or_default().into_bytes()),
        SecretSource::File(_) => secret::value(source),
    };
    let open = |failure: &str, run: RunShell<'_>| shell::open(&reporter, failure, run);
    let is_pushed = |request: &ServiceRequest| arguments.own.is_pushed() && request.has_image;
    let builds: Vec<NamedRequest<'_>> = requests
        .iter()
        .map(|request| NamedRequest {
            name: request.service.as_str().into(),
            request: BuildRequest {
                context: Some(&request.context),
                build: &request.build,
                output: &request.output,
                tag: request.tag.clone(),
                names: request.names.clone(),
                repositories: &[],
                delivery: if is_pushed(request) { Delivery::Push } else { Delivery::Outputs },
                given: request.dockerfile.as_deref().map(GivenRecipe::Dockerfile),
                secret: &read_secret,
                beforehand,
                commands: &commands,
                shell: &open,
            },
        })
        .collect();
    let report: Progress<'_> = &|event| reporter.report(event);
    if arguments.check {
        let warnings = check(&builds, environment, report)?;
        reporter.finish();
        return Call::check().tell_of_checks(Ok((warnings, None)), None, false);
    }
    let title: Vec<&str> =
        iter::once("ocibake compose build").chain(requests.iter().map(|request| request.service.as_str())).collect();
    let together = Together { requests: &builds, outputs: &[], metadata_file: None, share: None };
    arguments.timings.record(&title.join(" "), &reporter, |progress| together.run(environment, progress))?;
    reporter.finish();
    Ok(())
}

/// Returns what the build checks find in the Dockerfiles of all builds. Fails for one that cannot be built though it can be read.
fn check(builds: &[NamedRequest<'_>], environment: &Environment, progress: Progress<'_>) -> Result<Vec<Warning>> {
    let mut warnings = Vec::new();
    for NamedRequest { request, .. } in builds {
        request.ask(environment, progress, |recipe, bases| {
            let (found, failure) = recipe.check(bases)?;
            warnings.extend(found);
            failure.map_or(Ok(()), Err)
        })?;
    }
    Ok(warnings)
}
