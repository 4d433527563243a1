//! `compose push`: the images of services, as the local store has them.

use clap::Args;

use super::find::{LeftAlone, ProjectFlags};
use crate::cli::docker::push::push_names;
use crate::cli::environment::Environment;
use crate::cli::print::{show, tell};
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::error::Result;
use crate::oci::{Descriptor, Reference};
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

/// Pushes the images of services that are built and have a name of their own: all content of all of them, and then the tags.
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
    let mut names = Vec::new();
    for (service, node) in project.selected(&arguments.services, arguments.include_deps)? {
        let Some(build) = project.build_of(service)?.filter(|_| node.get("image").is_some()) else {
            if progress.is_for_people() {
                tell(&format!("{service} is skipped: it is not built, or its image has no name"));
            }
            continue;
        };
        names.extend(build.names.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    }
    if flags.dry_run {
        names.iter().for_each(|name| tell(&format!("{} would be pushed", name.familiar())));
        return Ok(());
    }
    let say = |name: &Reference, root: &Descriptor| {
        if progress.is_for_people() {
            reporter.suspended(|| tell(&format!("{} pushed: {}", name.familiar(), root.digest)));
        }
    };
    if !arguments.ignore_push_failures {
        let roots = push_names(&names, environment, &client, report)?;
        names.iter().zip(&roots).for_each(|(name, root)| say(name, root));
    } else {
        for name in &names {
            match push_names(std::slice::from_ref(name), environment, &client, report) {
                Ok(roots) => roots.iter().for_each(|root| say(name, root)),
                Err(error) => reporter.suspended(|| show(&error)),
            }
        }
    }
    reporter.finish();
    Ok(())
}
