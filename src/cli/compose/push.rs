//! `compose push`: the images of services, as the local store has them.

use clap::Args;

use super::find::{LeftAlone, ProjectFlags};
use crate::cli::docker::push::push_name;
use crate::cli::environment::Environment;
use crate::cli::print::{show, tell};
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::error::Result;
use crate::progress::Progress;

/// Push the images of services
#[derive(Debug, Args)]
pub struct ComposePushArguments {
    /// Services whose images are pushed [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Push what can be pushed
    #[arg(long)]
    ignore_push_failures: bool,
    /// Push the images of what services depend on, too
    #[arg(long)]
    include_deps: bool,
    /// Show warnings only
    #[arg(short, long)]
    quiet: bool,
}

impl ComposePushArguments {
    /// Returns how progress is shown; `before` is what was said before the command's name.
    pub fn progress(&self, before: &ProgressFlags) -> ProgressFlags {
        if self.quiet { ProgressFlags::quiet() } else { before.clone() }
    }
}

/// Pushes the images of services that are built and have a name of their own.
pub fn run(
    arguments: &ComposePushArguments,
    flags: &ProjectFlags,
    progress: &ProgressFlags,
    environment: &Environment,
) -> Result<()> {
    let project = flags.read(&arguments.services, LeftAlone::default())?;
    let client = environment.client(false, 0);
    let reporter = Reporter::new(progress);
    let report: Progress<'_> = &|event| reporter.report(event);
    for (service, node) in project.selected(&arguments.services, arguments.include_deps)? {
        let Some(build) = project.build_of(service)?.filter(|_| node.get("image").is_some()) else {
            if progress.is_for_people() {
                tell(&format!("{service} is skipped: it is not built, or its image has no name"));
            }
            continue;
        };
        for name in &build.names {
            if flags.dry_run {
                tell(&format!("{} would be pushed", name.familiar()));
                continue;
            }
            match push_name(name, environment, &client, report) {
                Ok(root) if progress.is_for_people() => {
                    tell(&format!("{} pushed: {}", name.familiar(), root.digest));
                }
                Ok(_) => {}
                Err(error) if arguments.ignore_push_failures => show(&error),
                Err(error) => return Err(error),
            }
        }
    }
    reporter.finish();
    Ok(())
}
