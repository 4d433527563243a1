//! `compose pull`: the images of services that are not built, into the local store.

use std::collections::BTreeSet;

use clap::Args;

use super::find::{LeftAlone, ProjectFlags};
use crate::cli::environment::Environment;
use crate::cli::print::{show, tell};
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::cli::store::trim;
use crate::error::{Error, Result};
use crate::oci::{Platform, Reference};
use crate::plan::compose::{YamlNode, image_name};
use crate::progress::Progress;
use crate::source::pulled::pull;
use crate::store::LocalStore;

/// Pull the images of services
#[derive(Debug, Args)]
pub struct ComposePullArguments {
    /// Services whose images are pulled [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Leave out images that can be built
    #[arg(long)]
    ignore_buildable: bool,
    /// Pull what can be pulled
    #[arg(long)]
    ignore_pull_failures: bool,
    /// When to pull: always, or only what is missing
    #[arg(long, value_name = "WHEN", value_parser = ["always", "missing"])]
    policy: Option<String>,
    /// Pull the images of what services depend on, too
    #[arg(long)]
    include_deps: bool,
    /// Show warnings only
    #[arg(short, long)]
    quiet: bool,
}

impl ComposePullArguments {
    /// Returns how progress is shown; `before` is what was said before the command's name.
    pub fn progress(&self, before: &ProgressFlags) -> ProgressFlags {
        if self.quiet { ProgressFlags::quiet() } else { before.clone() }
    }
}

/// Pulls, each image once. That of a service that is built is pulled, too, and need not be there.
pub fn run(
    arguments: &ComposePullArguments,
    flags: &ProjectFlags,
    progress: &ProgressFlags,
    environment: &Environment,
) -> Result<()> {
    let project = flags.read(&arguments.services, LeftAlone::default())?;
    let limit = environment.store_limit()?;
    let store = LocalStore::open(environment.store()?)?;
    let client = environment.client(false, 0);
    let reporter = Reporter::new(progress);
    let report: Progress<'_> = &|event| reporter.report(event);
    let say = |text: String| {
        if progress.is_for_people() {
            tell(&text);
        }
    };
    let mut done = BTreeSet::new();
    for (service, node) in project.selected(&arguments.services, arguments.include_deps)? {
        let is_built = node.get("build").is_some();
        if node.get("image").is_none() || (is_built && arguments.ignore_buildable) {
            say(format!("{service} is skipped: its image is built"));
            continue;
        }
        let blame = |error: Error| node.get("image").unwrap_or(node).blame(error);
        let name: Reference = image_name(&project.name, service, node).parse().map_err(blame)?;
        let name = if name.tag().is_some() || name.digest().is_some() { name } else { name.with_tag("latest") };
        let platform = node.text_of("platform").map(str::parse).transpose().map_err(blame)?;
        if !is_wanted(node, arguments.policy.as_deref(), &store, &name) {
            say(format!("{service} is skipped: {} is here", name.familiar()));
            continue;
        }
        let platform = platform.unwrap_or_else(Platform::host);
        if !done.insert((name.to_string(), platform.to_string())) {
            continue;
        }
        if flags.dry_run {
            tell(&format!("{} would be pulled", name.familiar()));
            continue;
        }
        match pull(&name, &platform, &store, &client, 0, report) {
            Ok(image) => say(format!("{} pulled: {}", name.familiar(), image.root.digest)),
            Err(error) if is_built => say(format!("{service} is not pulled, and can be built: {}", error.message)),
            Err(error) if arguments.ignore_pull_failures => show(&error),
            Err(error) => return Err(error),
        }
    }
    trim(store, limit, report);
    reporter.finish();
    Ok(())
}

/// Whether an image is to be pulled, by what the flag says, or else the service.
fn is_wanted(service: &YamlNode, policy: Option<&str>, store: &LocalStore, name: &Reference) -> bool {
    match policy.or(service.text_of("pull_policy")) {
        Some("never" | "build") => false,
        Some("missing") => store.named(name).is_none(),
        _ => true,
    }
}
