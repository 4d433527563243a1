use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::environment::Environment;
use super::metadata;
use super::print::{answer_json, answer_lines, columns};
use crate::error::{Error, Result};
use crate::oci::Reference;
use crate::plan::version;
use crate::progress::silent;
use crate::release::record::Return;
use crate::release::tag::{self, TagKind, TagPlan};
use crate::release::{ReleaseTarget, rollback};
use crate::source::git;

/// Show the tags that a version stands for, without asking a registry; or undo what a push did to tags
#[derive(Debug, Args)]
#[command(override_usage = "ocibake tags [OPTIONS] <NAME:VERSION>\n       ocibake tags --rollback <FILE> [--dry-run]")]
pub struct Arguments {
    /// Name as for `push`, such as registry.example/org/api:v0.2.0
    #[arg(value_name = "NAME:VERSION", required_unless_present = "rollback")]
    name: Option<String>,
    #[command(flatten)]
    choice: TagChoice,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Return each tag to what it stood for before the push that wrote FILE, its --metadata-file
    ///
    /// Floating tags return before exact ones. A tag that stands for anything but what that push set is left alone; one
    /// that was new stays, for ocibake deletes nothing in a registry.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "no_fan_out", "tag_template"])]
    rollback: Option<PathBuf>,
    /// With --rollback: show what would be done, and do nothing
    #[arg(long, conflicts_with = "name")]
    dry_run: bool,
    /// With --rollback: allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long, conflicts_with = "name")]
    insecure: bool,
}

/// Which tags a name stands for.
#[derive(Debug, Args, Default, PartialEq, Eq)]
pub struct TagChoice {
    /// Set only the tag that is named
    #[arg(long)]
    pub no_fan_out: bool,
    /// Set these tags instead, such as '{version},{major}.{minor},latest'
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "no_fan_out")]
    pub tag_template: Option<String>,
}

impl TagChoice {
    /// The name taken apart, and its tags; without a tag it is `latest`. `checkout` is a directory in the git checkout
    /// whose branch counts.
    pub fn resolve(&self, name: &str, checkout: &Path) -> Result<(Reference, String, TagPlan)> {
        let (repository, tag) = tag::split_name(name).map_err(Error::on_command_line)?;
        let tag = tag.unwrap_or_else(|| "latest".to_owned());
        // Where git will not answer, no tag is a branch's.
        let branch = git::checkout(checkout).ok().flatten().and_then(|checkout| checkout.branch);
        let plan = match &self.tag_template {
            Some(template) => tag::from_template(template, &tag, branch.as_ref()),
            None if self.no_fan_out => tag::alone(&tag),
            None => tag::fan_out(&tag, branch.as_ref()),
        };
        Ok((repository, tag, plan.map_err(Error::on_command_line)?))
    }
}

/// What a push may do to tags that are there already.
#[derive(Debug, Args)]
pub struct ReleaseFlags {
    /// Move floating tags back, too, if a newer release holds them
    #[arg(long)]
    force_tags: bool,
    /// Refuse to change an exact tag that stands for another image
    #[arg(long)]
    pub immutable: bool,
}

impl ReleaseFlags {
    /// Where a push to `name` goes, and the tag that the name has; as [`TagChoice::resolve`] has it.
    pub fn target(&self, choice: &TagChoice, name: &str, checkout: &Path) -> Result<(ReleaseTarget, String)> {
        let (repository, tag, mut plan) = choice.resolve(name, checkout)?;
        if self.force_tags {
            plan.tags.iter_mut().for_each(|tag| tag.line = None);
        }
        Ok((ReleaseTarget { repository, version: version::of_tag(&tag), tags: plan.tags }, tag))
    }
}

pub fn run(arguments: &Arguments, environment: &Environment) -> Result<()> {
    match (&arguments.rollback, &arguments.name) {
        (Some(file), _) => roll_back(file, arguments, environment),
        (None, name) => show(name.as_deref().unwrap_or_default(), arguments),
    }
}

/// In a word, for programs.
pub fn kind_word(kind: TagKind) -> &'static str {
    match kind {
        TagKind::Exact => "exact",
        TagKind::Floating => "floating",
    }
}

fn show(name: &str, arguments: &Arguments) -> Result<()> {
    let (repository, _, plan) = arguments.choice.resolve(name, Path::new("."))?;
    if !arguments.json {
        return answer_lines(plan.tags.iter().map(|tag| repository.with_tag(&tag.name).to_string()));
    }
    let tags: Vec<_> = plan
        .tags
        .iter()
        .map(|tag| {
            let (name, kind) = (repository.with_tag(&tag.name).to_string(), kind_word(tag.kind));
            json!({"name": name, "tag": tag.name, "kind": kind, "reason": tag.reason})
        })
        .collect();
    answer_json(&json!({"repository": repository.name(), "tags": tags}))
}

fn roll_back(file: &Path, arguments: &Arguments, environment: &Environment) -> Result<()> {
    let record = metadata::record(file)?;
    let client = environment.client(arguments.insecure, 0);
    let client = client.client()?;
    let steps = rollback::plan(&record, client, &silent)?;
    if !arguments.dry_run {
        rollback::run(&steps, client, &silent)?;
    }
    if arguments.json {
        let tags: Vec<_> = steps.iter().map(returned_json).collect();
        return answer_json(&json!({"complete": record.complete, "tags": tags}));
    }
    answer_lines(columns(steps.iter().map(|step| (step.name.to_string(), returned_text(&step.back)))))
}

fn returned_text(back: &Return) -> String {
    match back {
        Return::Unchanged => "was not changed".to_owned(),
        Return::Done => "is back already".to_owned(),
        Return::Back(former) => format!("back to {}", former.digest),
        Return::New => "was new and stays: nothing is deleted in a registry".to_owned(),
        Return::Gone => "was new and is gone".to_owned(),
        Return::Elsewhere(Some(digest)) => format!("left alone: it is {digest}, which that push did not set"),
        Return::Elsewhere(None) => "left alone: it is gone".to_owned(),
    }
}

fn returned_json(step: &rollback::RollbackStep) -> Value {
    let (outcome, digest) = match &step.back {
        Return::Unchanged => ("unchanged", None),
        Return::Done => ("done", None),
        Return::Back(former) => ("back", Some(former.digest)),
        Return::New => ("new", None),
        Return::Gone => ("gone", None),
        Return::Elsewhere(now) => ("left", *now),
    };
    json!({"name": step.name.to_string(), "tag": step.name.tag(), "outcome": outcome, "digest": digest})
}
