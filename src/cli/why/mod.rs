//! `ocibake why`: what the last build has done with each step, and why.

mod compared;
mod words;

use clap::Args;
use serde_json::{Value, json};

use self::compared::Comparison;
use super::age::ago;
use super::environment::Environment;
use super::flags::cache::RegistryCache;
use super::flags::value::value;
use super::print::{answer_json, answer_lines};
use crate::build::account::{BuildAccount, StepAccount};
use crate::error::{Error, Result, escape};
use crate::plan::label::rfc3339;
use crate::progress::StepOutcome;
use crate::source::step_cache::RegistrySteps;
use crate::store::LocalStore;

/// Show why the last build did what it did: for each step, where it was taken from, or why it was done again
///
/// A step that was done is compared with the nearest one that earlier builds of its stage have left here: files that it takes,
/// its instruction, variables, what it stands on.
#[derive(Debug, Args)]
pub struct WhyArguments {
    /// Targets or stages to show [default: all]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Compare with the steps that a registry keeps, as --cache-from names it: NAME, or type=registry,ref=NAME
    #[arg(long, value_name = "CACHE", value_parser = value::<RegistryCache>)]
    cache_from: Option<RegistryCache>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

/// Answers with the steps.
pub fn run(arguments: &WhyArguments, environment: &Environment) -> Result<()> {
    let store = LocalStore::open(environment.store()?)?;
    let Some(account) = BuildAccount::last(&store) else {
        return Err(Error::not_found(format!("the local store at {} knows of no build", store.root().display()))
            .with_hint("build something first, with the same OCIBAKE_STORE"));
    };
    let shown = shown(&account, &arguments.targets)?;
    let client = environment.client(arguments.insecure, 0);
    let cache = arguments.cache_from.as_ref().map(|RegistryCache(name)| RegistrySteps::new(name.clone(), &client));
    let comparison = Comparison::new(&account, &store, cache.transpose()?)?;
    if arguments.json {
        let steps: Vec<Value> = shown.iter().map(|place| document(&comparison, *place)).collect::<Result<_>>()?;
        return answer_json(&json!({
            "ended": rfc3339(account.ended)?, "isFailed": account.is_failed, "contexts": account.contexts, "steps": steps,
        }));
    }
    let mut lines = vec![heading(&account, &shown)];
    let mut last = String::new();
    for place in shown {
        let step = &account.steps[place];
        let group = group(step);
        if group != last {
            lines.extend([String::new(), escape::line(&group)]);
            last = group;
        }
        let (word, explained) = (words::outcome(step), comparison.explained(place)?);
        lines.push(format!("  {word:<5}  {}", escape::line(&words::name(step))));
        lines.extend(explained.iter().map(|line| format!("         {}", escape::line(line))));
    }
    answer_lines(lines)
}

/// The places of the steps that `targets` name.
fn shown(account: &BuildAccount, targets: &[String]) -> Result<Vec<usize>> {
    let is_of = |step: &StepAccount, name: &String| step.targets.contains(name) || step.stage == *name;
    if let Some(unknown) = targets.iter().find(|name| !account.steps.iter().any(|step| is_of(step, name))) {
        let mut names: Vec<&str> = account.steps.iter().flat_map(|step| &step.targets).map(String::as_str).collect();
        names.extend(account.steps.iter().map(|step| &*step.stage));
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        names.dedup();
        return Err(Error::usage(format!("the last build has no target and no stage `{unknown}`"))
            .with_hint(format!("it has {}", names.join(", "))));
    }
    let is_shown = |step: &StepAccount| targets.is_empty() || targets.iter().any(|name| is_of(step, name));
    let places = account.steps.iter().enumerate().filter(|(_, step)| is_shown(step));
    let mut places: Vec<usize> = places.map(|(place, _)| place).collect();
    // Steps of a stage stand together, in the order in which stages are begun.
    let first_of = |place: usize| {
        let group = group(&account.steps[place]);
        account.steps.iter().position(|step| self::group(step) == group)
    };
    places.sort_by_cached_key(|place| (first_of(*place), *place));
    Ok(places)
}

fn heading(account: &BuildAccount, shown: &[usize]) -> String {
    let steps: Vec<&StepAccount> =
        shown.iter().map(|place| &account.steps[*place]).filter(|step| !step.is_base).collect();
    let done = steps.iter().filter(|step| matches!(step.outcome, Some(StepOutcome::Done(_)))).count();
    let of = match &account.contexts[..] {
        [] => String::new(),
        [context, ..] => format!(" of {}", escape::line(context)),
    };
    let when = u64::try_from(account.ended).map(ago).unwrap_or_default();
    let failed = if account.is_failed { ", and it failed" } else { "" };
    format!("the last build{of} ended {}: {done} of {} steps were done{failed}", when.to_lowercase(), steps.len())
}

/// The stage of `step`, with its platform and the targets that need it.
fn group(step: &StepAccount) -> String {
    let StepAccount { stage, platform, targets, .. } = step;
    let targets: Vec<&str> = targets.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    match &targets[..] {
        [] => format!("{stage}, {platform}"),
        targets => format!("{stage}, {platform}, for {}", targets.join(", ")),
    }
}

fn document(comparison: &Comparison<'_>, place: usize) -> Result<Value> {
    let StepAccount { title, is_base, stage, number, platform, targets, place: line, outcome, cache, layer, .. } =
        &comparison.account.steps[place];
    let (file, line) = line.as_ref().map(|(file, line)| (file, line)).unzip();
    let because = match outcome {
        Some(StepOutcome::Known(by)) => Some(by.name()),
        Some(StepOutcome::Done(because)) => Some(because.name()),
        Some(StepOutcome::Same(_)) | None => None,
    };
    let same_as = match outcome {
        Some(StepOutcome::Same(other)) => Some(other),
        _ => None,
    };
    let outcome = outcome.map(|outcome| match outcome {
        StepOutcome::Known(_) => "known",
        StepOutcome::Same(_) => "same",
        StepOutcome::Done(_) => "done",
    });
    Ok(json!({
        "index": place, "title": title, "isBase": is_base, "stage": stage, "number": number, "platform": platform,
        "targets": targets, "file": file, "line": line, "outcome": outcome, "because": because, "sameAs": same_as,
        "cache": cache, "layer": layer.as_ref().map(|layer| &layer.descriptor),
        "reasons": comparison.explained(place)?,
    }))
}
