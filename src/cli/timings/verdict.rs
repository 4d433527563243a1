//! What has become of a step, and why, in words.

use serde::Serialize;

use super::recording::{Recording, TimedStep};
use crate::progress::{CommandEnd, DoneBecause, KnownBy, StepOutcome};

/// What has become of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepVerdict {
    /// It is what a stage starts from.
    Start,
    /// It was done.
    Done,
    /// An earlier build had done it, or an image has its layer.
    Cached,
    /// Another step of the build makes the same.
    Same,
    /// Nobody needed what it makes.
    Unneeded,
    Failed,
    /// It had begun, and all was over before its end.
    Stopped,
}

impl StepVerdict {
    /// Returns the name of the verdict.
    pub fn name(self) -> &'static str {
        match self {
            StepVerdict::Start => "start",
            StepVerdict::Done => "done",
            StepVerdict::Cached => "cached",
            StepVerdict::Same => "same",
            StepVerdict::Unneeded => "unneeded",
            StepVerdict::Failed => "failed",
            StepVerdict::Stopped => "stopped",
        }
    }
}

/// How far a step can have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepStanding {
    /// The build was over before all was done.
    Cut,
    /// The same, and this step has ended it.
    Failed,
    /// All was done that was to be done.
    Whole,
}

/// Returns what has become of `step`, and why.
pub fn verdict(recording: &Recording, step: &TimedStep, standing: StepStanding) -> (StepVerdict, String) {
    let is_image = step.is_start && step.title != "scratch";
    let is_open = step.parts.iter().any(|part| part.is_broken || part.ended.is_none());
    match step.outcome {
        _ if standing == StepStanding::Failed => (StepVerdict::Failed, failure(step)),
        _ if is_open => (StepVerdict::Stopped, "stopped: the build ended first".to_owned()),
        _ if step.is_start => (StepVerdict::Start, if is_image { "a base image" } else { "nothing" }.to_owned()),
        Some(StepOutcome::Known(by)) => (StepVerdict::Cached, cached(step, by)),
        Some(StepOutcome::Same(other)) => {
            let title = recording.steps.get(other).map(|other| format!("{} of {}", other.title, other.stage));
            (StepVerdict::Same, format!("done once, with {}", title.unwrap_or_default()))
        }
        Some(StepOutcome::Done(because)) => (StepVerdict::Done, done(step, because)),
        None if standing == StepStanding::Cut => (StepVerdict::Stopped, "not done: the build ended first".to_owned()),
        None => (StepVerdict::Unneeded, "not needed: what takes from it is cached".to_owned()),
    }
}

fn cached(step: &TimedStep, by: KnownBy) -> String {
    let from = step.layer.as_ref().and_then(|layer| layer.from.as_deref());
    match (by, from) {
        (KnownBy::Mark, _) => "cached: nothing that it is made from has changed".to_owned(),
        (KnownBy::Content, _) => "cached: what it is made from was rebuilt with the same content".to_owned(),
        (KnownBy::Files, _) => "cached: its files are those of another layer".to_owned(),
        (KnownBy::Once, _) => "cached: another step of this build has done the same".to_owned(),
        (KnownBy::Cache, Some(from)) => format!("cached: another machine has done the same, by {from}"),
        (KnownBy::Cache, None) => "cached: another machine has done the same".to_owned(),
        (KnownBy::Image, Some(from)) => format!("cached: the layer is taken from {from}"),
        (KnownBy::Image, None) => "cached: the layer is taken from an image".to_owned(),
    }
}

fn done(step: &TimedStep, because: DoneBecause) -> String {
    let reason = match because {
        DoneBecause::Unseen => "done: never seen before",
        DoneBecause::Anew => "done: --no-cache or --no-cache-filter, here or in what it stands on",
        DoneBecause::Untrusted => "done: --no-stat-cache",
        DoneBecause::NotKept => "done: each time, because no image has its layer",
    };
    let is_empty = step.layer.is_none() && because != DoneBecause::NotKept;
    format!("{reason}{}", if is_empty { "; it changed nothing" } else { "" })
}

fn failure(step: &TimedStep) -> String {
    match step.command.and_then(|command| command.end) {
        Some(CommandEnd::Status(0)) | None => "failed".to_owned(),
        Some(CommandEnd::Status(status)) => format!("failed: exit code {status}"),
        Some(CommandEnd::Signal(signal)) => format!("failed: signal {signal}"),
    }
}
