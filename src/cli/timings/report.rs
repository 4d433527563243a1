//! What a recording comes to, as data: for the page, and as JSON for programs.

use std::time::Duration;

use serde::Serialize;

use super::critical::{CriticalStretch, CriticalWork, critical_path};
use super::processor::ProcessorSample;
use super::recording::{Recording, TimedPart, TimedStep, TimedTransfer, TransferKind};
use super::verdict::{StepStanding, StepVerdict, verdict};
use crate::oci::Digest;
use crate::progress::{BlobOutcome, CommandEnd};

/// How long everything took. Times are in seconds; moments are seconds since the beginning.
#[derive(Debug, Serialize)]
pub struct TimingsReport {
    /// The number of this form, which programs look at.
    pub version: u32,
    /// The program and its version.
    pub program: String,
    /// What was built.
    pub title: String,
    /// The time of the beginning, as in RFC 3339.
    pub started: String,
    pub ending: TimingsEnding,
    pub seconds: f64,
    /// The time of all processors.
    pub processor_seconds: f64,
    pub processors: usize,
    pub totals: Totals,
    pub targets: Vec<String>,
    pub steps: Vec<StepReport>,
    pub critical_path: Vec<StretchReport>,
    pub transfers: Vec<TransferReport>,
    pub outputs: Vec<OutputReport>,
    /// Moments, and how many processors were in use up to each since the one before.
    pub processor_use: Vec<(f64, f64)>,
}

/// The way in which it all ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum TimingsEnding {
    Done,
    Failed { message: String, at: Option<String>, line: Option<String>, hint: Option<String> },
    Interrupted { message: String },
}

/// What there was in all.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    pub steps: usize,
    pub done: usize,
    pub cached: usize,
    pub unneeded: usize,
    /// The bytes that came from elsewhere.
    pub pulled: u64,
    /// The bytes that went to registries.
    pub pushed: u64,
    /// The sizes of all layers as stored, each once.
    pub layers: u64,
    /// The sizes of those that were written, as tars and as stored.
    pub written_unpacked: u64,
    pub written: u64,
    /// The time for which steps had all but a thread.
    pub waited: f64,
    pub warnings: usize,
    pub retries: usize,
}

/// A step.
#[derive(Debug, Serialize)]
pub struct StepReport {
    pub index: usize,
    pub title: String,
    pub stage: String,
    pub platform: String,
    /// The number of the step in its stage; 0 for what the stage starts from.
    pub step: usize,
    pub line: Option<usize>,
    pub targets: Vec<usize>,
    pub stands_on: Vec<usize>,
    pub verdict: StepVerdict,
    /// The verdict in words.
    pub why: String,
    /// How much of the critical path it is.
    pub critical: f64,
    pub began: Option<f64>,
    pub ended: Option<f64>,
    /// The time that was worked at it.
    pub worked: f64,
    /// The time for which it had all but a thread.
    pub waited: f64,
    pub parts: Vec<PartReport>,
    pub command: Option<CommandReport>,
    pub layer: Option<StepLayerReport>,
}

/// A part of a step.
#[derive(Debug, Serialize)]
pub struct PartReport {
    pub part: &'static str,
    pub worker: usize,
    pub ready: f64,
    pub began: f64,
    pub ended: f64,
}

/// The command of a step.
#[derive(Debug, Serialize)]
pub struct CommandReport {
    pub began: f64,
    pub ended: f64,
    pub status: Option<i32>,
    pub signal: Option<i32>,
}

/// The layer of a step.
#[derive(Debug, Serialize)]
pub struct StepLayerReport {
    pub digest: Option<Digest>,
    pub size: Option<u64>,
    pub unpacked: Option<u64>,
    pub from: Option<String>,
}

/// A stretch of the critical path.
#[derive(Debug, Serialize)]
pub struct StretchReport {
    /// `before` any step, a `step`, or `after` the last one.
    pub work: &'static str,
    /// The index of the step.
    pub step: Option<usize>,
    pub began: f64,
    pub ended: f64,
    pub waited: f64,
}

/// Something that came or went.
#[derive(Debug, Serialize)]
pub struct TransferReport {
    pub kind: &'static str,
    pub name: String,
    pub digest: Option<Digest>,
    pub size: Option<u64>,
    pub bytes: u64,
    pub began: f64,
    pub ended: f64,
    /// `whole`, `broken`, or what became of a blob: `sent`, `written`, `present`, `mounted`.
    pub outcome: &'static str,
}

/// An output, or a repository that blobs went to.
#[derive(Debug, Serialize)]
pub struct OutputReport {
    pub name: String,
    pub began: f64,
}

/// What is known of a run beside its events.
pub struct RunFacts {
    pub title: String,
    pub started: String,
    pub ending: TimingsEnding,
    /// The time at which it ended.
    pub end: Duration,
    pub processors: usize,
    pub samples: Vec<ProcessorSample>,
}

impl TimingsReport {
    /// Returns what `recording` comes to.
    pub fn new(recording: &Recording, facts: RunFacts) -> Self {
        let RunFacts { title, started, ending, end, processors, samples } = facts;
        let path = critical_path(recording, end);
        let mut critical = vec![Duration::ZERO; recording.steps.len()];
        for stretch in &path {
            if let CriticalWork::Step(number) = stretch.work {
                critical[number] += stretch.ended.saturating_sub(stretch.began);
            }
        }
        let failed = recording.failed().filter(|_| matches!(ending, TimingsEnding::Failed { .. }));
        let standing = |index: usize| match &ending {
            TimingsEnding::Done => StepStanding::Whole,
            _ if failed == Some(index) => StepStanding::Failed,
            _ => StepStanding::Cut,
        };
        let step = |(index, step): (usize, &TimedStep)| {
            let (verdict, why) = verdict(recording, step, standing(index));
            step_report(index, step, (verdict, why), critical[index], end)
        };
        let steps: Vec<StepReport> = recording.steps.iter().enumerate().map(step).collect();
        TimingsReport {
            version: 1,
            program: concat!("ocibake ", env!("CARGO_PKG_VERSION")).to_owned(),
            title,
            started,
            ending,
            seconds: seconds(end),
            processor_seconds: samples.last().map_or(0.0, |last| seconds(last.used)),
            processors,
            totals: totals(recording, &steps),
            targets: recording.targets.clone(),
            steps,
            critical_path: path.iter().map(stretch_report).collect(),
            transfers: recording.transfers.iter().map(|transfer| transfer_report(transfer, end)).collect(),
            outputs: recording
                .outputs
                .iter()
                .map(|output| OutputReport { name: output.name.clone(), began: seconds(output.began) })
                .collect(),
            processor_use: processor_use(&samples),
        }
    }
}

fn step_report(
    index: usize,
    step: &TimedStep,
    (verdict, why): (StepVerdict, String),
    critical: Duration,
    end: Duration,
) -> StepReport {
    let span = step.span(end);
    let part = |part: &TimedPart| PartReport {
        part: part.part.name(),
        worker: part.worker,
        ready: seconds(part.ready),
        began: seconds(part.began),
        ended: seconds(part.ended.unwrap_or(end)),
    };
    StepReport {
        index,
        title: step.title.clone(),
        stage: step.stage.clone(),
        platform: step.platform.clone(),
        step: step.number,
        line: step.line,
        targets: step.targets.clone(),
        stands_on: step.stands_on.clone(),
        verdict,
        why,
        critical: seconds(critical),
        began: span.map(|(began, _)| seconds(began)),
        ended: span.map(|(_, ended)| seconds(ended)),
        worked: seconds(step.worked(end)),
        waited: seconds(step.waited()),
        parts: step.parts.iter().map(part).collect(),
        command: step.command.map(|command| CommandReport {
            began: seconds(command.began),
            ended: seconds(command.ended.unwrap_or(end)),
            status: match command.end {
                Some(CommandEnd::Status(status)) => Some(status),
                _ => None,
            },
            signal: match command.end {
                Some(CommandEnd::Signal(signal)) => Some(signal),
                _ => None,
            },
        }),
        layer: step.layer.as_ref().map(|layer| StepLayerReport {
            digest: layer.blob.map(|(digest, _)| digest),
            size: layer.blob.map(|(_, size)| size),
            unpacked: layer.unpacked,
            from: layer.from.clone(),
        }),
    }
}

fn totals(recording: &Recording, steps: &[StepReport]) -> Totals {
    let real = || steps.iter().filter(|step| step.step > 0);
    let count = |wanted: &[StepVerdict]| real().filter(|step| wanted.contains(&step.verdict)).count();
    let moved =
        |wanted: fn(&&TimedTransfer) -> bool| recording.transfers.iter().filter(wanted).map(|one| one.moved).sum();
    let mut layers: Vec<(Digest, u64)> =
        recording.steps.iter().filter_map(|step| step.layer.as_ref().and_then(|layer| layer.blob)).collect();
    layers.sort_unstable();
    layers.dedup();
    let written = || {
        let is_written = |step: &&StepReport| step.verdict == StepVerdict::Done;
        real().filter(is_written).filter_map(|step| step.layer.as_ref())
    };
    Totals {
        steps: real().count(),
        done: count(&[StepVerdict::Done]),
        cached: count(&[StepVerdict::Cached, StepVerdict::Same]),
        unneeded: count(&[StepVerdict::Unneeded]),
        pulled: moved(|one| !matches!(one.kind, TransferKind::Push | TransferKind::Write)),
        pushed: moved(|one| one.kind == TransferKind::Push),
        layers: layers.iter().map(|(_, size)| size).sum(),
        written_unpacked: written().filter_map(|layer| layer.unpacked).sum(),
        written: written().filter_map(|layer| layer.size).sum(),
        waited: seconds(recording.steps.iter().map(TimedStep::waited).sum()),
        warnings: recording.warnings,
        retries: recording.retries,
    }
}

fn stretch_report(stretch: &CriticalStretch) -> StretchReport {
    let (work, step) = match stretch.work {
        CriticalWork::Before => ("before", None),
        CriticalWork::Step(number) => ("step", Some(number)),
        CriticalWork::After => ("after", None),
    };
    StretchReport {
        work,
        step,
        began: seconds(stretch.began),
        ended: seconds(stretch.ended),
        waited: seconds(stretch.waited),
    }
}

fn transfer_report(transfer: &TimedTransfer, end: Duration) -> TransferReport {
    TransferReport {
        kind: transfer.kind.name(),
        name: transfer.name.clone(),
        digest: transfer.digest,
        size: transfer.size,
        bytes: transfer.moved,
        began: seconds(transfer.began),
        ended: seconds(transfer.ended.unwrap_or(end)),
        outcome: match (transfer.outcome, transfer.ended) {
            (Some(BlobOutcome::Sent), _) => "sent",
            (Some(BlobOutcome::Written), _) => "written",
            (Some(BlobOutcome::Present), _) => "present",
            (Some(BlobOutcome::Mounted), _) => "mounted",
            (None, Some(_)) if !transfer.is_broken => "whole",
            (None, _) => "broken",
        },
    }
}

fn processor_use(samples: &[ProcessorSample]) -> Vec<(f64, f64)> {
    let of_two = |two: &[ProcessorSample]| {
        let (time, used) = (two[1].at.saturating_sub(two[0].at), two[1].used.saturating_sub(two[0].used));
        // What is almost no time says nothing: what is used is counted in hundredths of a second.
        (time >= Duration::from_millis(20)).then(|| (seconds(two[1].at), rounded(used.div_duration_f64(time))))
    };
    samples.windows(2).filter_map(of_two).collect()
}

/// Returns a time in seconds, to the tenth of a millisecond.
fn seconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64())
}

fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}
