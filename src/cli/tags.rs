//! `ocibake tags`: the tags of a version, and the undoing of a push.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::environment::Environment;
use super::flags::tags::TagChoice;
use super::metadata;
use super::print::{answer_json, answer_lines, columns};
use super::progress::Reporter;
use crate::error::Result;
use crate::progress::Event;
use crate::release::record::Return;
use crate::release::rollback;
use crate::release::tag::TagKind;

/// Show the tags that a version stands for, without asking a registry; or undo what a push did to tags
#[derive(Debug, Args)]
#[command(override_usage = "ocibake tags [OPTIONS] <NAME:VERSION>\n       ocibake tags --rollback <FILE> [--dry-run]")]
pub struct TagsArguments {
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
    /// Floating tags return before exact ones. A tag that stands for anything but what that push set is left alone; one that
    /// was new stays, because ocibake deletes nothing in a registry.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "no_fan_out", "tag_template"])]
    rollback: Option<PathBuf>,
    /// With --rollback: show what would be done, and do nothing
    #[arg(long, conflicts_with = "name")]
    dry_run: bool,
    /// With --rollback: allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long, conflicts_with = "name")]
    insecure: bool,
}

/// Answers with the tags of a name, or with what became of those that were returned to what they stood for.
pub fn run(arguments: &TagsArguments, environment: &Environment) -> Result<()> {
    match (&arguments.rollback, &arguments.name) {
        (Some(file), _) => roll_back(file, arguments, environment),
        (None, name) => show(name.as_deref().unwrap_or_default(), arguments, environment),
    }
}

/// Returns the word that programs read for `kind`.
pub fn kind_word(kind: TagKind) -> &'static str {
    match kind {
        TagKind::Exact => "exact",
        TagKind::Floating => "floating",
    }
}

fn show(name: &str, arguments: &TagsArguments, environment: &Environment) -> Result<()> {
    let (repository, _, plan) = arguments.choice.resolve(name, Path::new("."), &environment.ci)?;
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

fn roll_back(file: &Path, arguments: &TagsArguments, environment: &Environment) -> Result<()> {
    let record = metadata::record(file)?;
    let client = environment.client(arguments.insecure, 0);
    let client = client.client()?;
    let reporter = Reporter::aside();
    let progress = |event: Event<'_>| reporter.report(event);
    let steps = rollback::plan(&record, client, &progress)?;
    if !arguments.dry_run {
        rollback::run(&steps, client, &progress)?;
    }
    reporter.finish();
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
