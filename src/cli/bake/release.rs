//! `--tag`: all targets as one release, under the tags of one version.

use std::path::Path;

use clap::Args;

use super::request::TargetRequest;
use crate::cli::build::BuiltTarget;
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::flags::tags::{ReleaseFlags, TagChoice};
use crate::cli::metadata::{self, SystemRecord};
use crate::cli::print::columns;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Reference};
use crate::output::OutputImage;
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::release::record::Record;
use crate::release::{Release, ReleaseTarget};

/// The flags that make a release of all targets.
#[derive(Debug, Args)]
#[command(next_help_heading = "Release")]
pub struct BakeReleaseFlags {
    /// Name every image after its target, or after the repositories of its tags, with this tag; with --push, under all tags that
    /// follow from it, as `push` does
    ///
    /// All content of all images goes to every repository before the first tag is set anywhere; then all tags are set, or none.
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Registry of these names, and what stands before them there, as in registry.example/team
    #[arg(long, value_name = "REGISTRY", requires = "tag")]
    registry: Option<String>,
    /// Show what would become of each tag, and change nothing in registries
    #[arg(long, requires = "tag", conflicts_with_all = ["output", "metadata_file"])]
    dry_run: bool,
    #[command(flatten)]
    release: ReleaseFlags,
    #[command(flatten)]
    choice: TagChoice,
}

/// A target, and the tags that it is to get.
pub struct TargetRelease {
    pub name: String,
    pub targets: Vec<ReleaseTarget>,
    /// The tag that was asked for.
    pub tag: String,
    /// Each repository with that tag.
    pub asked: Vec<Reference>,
}

impl BakeReleaseFlags {
    /// Returns whether images are named by one tag.
    pub fn is_named(&self) -> bool {
        self.tag.is_some()
    }

    /// Returns whether no exact tag that stands for another image may change.
    pub fn is_immutable(&self) -> bool {
        self.release.immutable
    }

    /// Returns whether nothing is to be changed in registries.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Returns the tags of all targets that are asked for; none without a tag. Fails for names that there cannot be, and for two
    /// targets of one name.
    pub fn of(&self, requests: &[TargetRequest], environment: &Environment) -> Result<Vec<TargetRelease>> {
        let Some(tag) = &self.tag else { return Ok(Vec::new()) };
        let mut all: Vec<TargetRelease> = Vec::new();
        for request in requests.iter().filter(|request| !request.is_linked) {
            let release = self.of_target(request, tag, environment)?;
            for other in &all {
                if let Some(name) = release.asked.iter().find(|name| other.asked.contains(name)) {
                    let message = format!("the targets {} and {} would both be named {name}", other.name, release.name);
                    return Err(Error::input(message).with_hint("give one of them `tags` in another repository"));
                }
            }
            all.push(release);
        }
        Ok(all)
    }

    fn of_target(&self, request: &TargetRequest, tag: &str, environment: &Environment) -> Result<TargetRelease> {
        let of_target =
            |error: Error| Error { message: format!("target {}: {}", request.name, error.message), ..error };
        let checkout = if request.context.is_dir() { &*request.context } else { Path::new(".") };
        let mut release =
            TargetRelease { name: request.name.clone(), targets: Vec::new(), tag: tag.to_owned(), asked: Vec::new() };
        for repository in repositories(request, self.registry.as_deref()) {
            let name = format!("{repository}:{tag}");
            let found = self.release.target(&self.choice, &name, checkout, &environment.ci);
            let (target, tag) = found.map_err(of_target)?;
            let given = target.tags.iter().find(|tag| tag.reason == "as given").or(target.tags.first());
            release.asked.extend(given.map(|tag| target.repository.with_tag(&tag.name)));
            release.targets.push(target);
            release.tag = tag;
        }
        Ok(release)
    }
}

impl TargetRelease {
    /// Returns the names that the image gets: all if it is released, else those that were asked for.
    pub fn names(&self, is_released: bool) -> Vec<Reference> {
        match is_released {
            true => self.targets.iter().flat_map(ReleaseTarget::names).collect(),
            false => self.asked.clone(),
        }
    }
}

/// Returns the repositories of a target: those of its tags, else the one of its own name. `registry` takes the place of the
/// registry that a name has.
fn repositories(request: &TargetRequest, registry: Option<&str>) -> Vec<String> {
    let mut repositories: Vec<String> = Vec::new();
    let names = request.given.names.iter().chain(&request.given.repositories);
    let own = names.map(|name| {
        let familiar = name.with_tag("latest").familiar();
        let short = familiar.strip_suffix(":latest").unwrap_or(&familiar);
        let Some(registry) = registry.map(|registry| registry.trim_end_matches('/')) else { return short.to_owned() };
        let path = short.strip_prefix(name.registry()).map_or(short, |path| path.trim_start_matches('/'));
        // What the registry ends with need not be said twice.
        let rest =
            path.split_once('/').filter(|(team, _)| registry.ends_with(&format!("/{team}"))).map(|(_, rest)| rest);
        match short.strip_prefix(registry).is_some_and(|rest| rest.starts_with('/')) {
            true => short.to_owned(),
            false => format!("{registry}/{}", rest.unwrap_or(path)),
        }
    });
    for repository in own {
        if !repositories.contains(&repository) {
            repositories.push(repository);
        }
    }
    if repositories.is_empty() {
        let registry = registry.map(|registry| format!("{}/", registry.trim_end_matches('/')));
        repositories.push(format!("{}{}", registry.unwrap_or_default(), request.name));
    }
    repositories
}

type Keeper<'a> = Box<dyn Fn(OutputImage<'_>, Record) -> Result<()> + Sync + 'a>;

/// The release of all targets, with one record.
pub struct SystemRelease<'a> {
    releases: &'a [TargetRelease],
    immutable: bool,
    undo: Option<String>,
    record: SystemRecord<'a>,
}

impl<'a> SystemRelease<'a> {
    /// Returns a release whose record is kept in `file`.
    pub fn new(
        releases: &'a [TargetRelease],
        immutable: bool,
        file: Option<&'a Path>,
        commands: &'a Commands,
        are_several: bool,
    ) -> Self {
        SystemRelease {
            releases,
            immutable,
            undo: file.map(metadata::undo),
            record: SystemRecord::new(file, commands, are_several),
        }
    }

    /// Returns what keeps the record of each target.
    pub fn keepers(&self) -> Vec<Keeper<'_>> {
        let keeper = |release: &'a TargetRelease| -> Keeper<'_> {
            Box::new(move |image, record| self.record.keep(&release.name, image, record))
        };
        self.releases.iter().map(keeper).collect()
    }

    /// Returns the release of a target; none for one that gets no tags.
    pub fn release<'b>(&'b self, name: &str, keepers: &'b [Keeper<'b>]) -> Option<Release<'b>> {
        let (release, keep) = self.releases.iter().zip(keepers).find(|(release, _)| release.name == name)?;
        Some(Release {
            targets: &release.targets,
            immutable: self.immutable,
            undo: self.undo.as_deref(),
            keep: &**keep,
        })
    }

    /// Returns lines that say what would become of each tag.
    pub fn rehearse(
        &self,
        built: &[BuiltTarget],
        releases: &[Option<Release<'_>>],
        client: &OnDemand,
        progress: Progress<'_>,
    ) -> Result<Vec<String>> {
        let mut rows = Vec::new();
        for (target, release) in built.iter().zip(releases) {
            let root: &Descriptor = &target.built.root;
            let steps = release.map_or(Ok(Vec::new()), |release| release.plan(root, client.client()?, progress))?;
            rows.extend(steps.iter().map(|step| (step.name.to_string(), step.change.to_string())));
        }
        Ok(columns(rows))
    }
}
