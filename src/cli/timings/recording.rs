//! What events tell of time: when each step was worked at, and when something came or went.

use std::collections::HashMap;
use std::time::Duration;

use crate::error::escape;
use crate::oci::{Descriptor, Digest};
use crate::progress::{BlobOutcome, CommandEnd, Event, Fetched, PlannedStep, StepOutcome, StepPart, StepPlace};

/// So much of a name is kept: a page is to stay small, whatever is written in a Dockerfile.
const LONGEST_NAME: usize = 400;

/// So many things that come or go are kept.
const MOST_TRANSFERS: usize = 20_000;

/// What has happened so far. All times are since the beginning.
#[derive(Debug, Default)]
pub struct Recording {
    /// The steps of all plans, one behind the other.
    pub steps: Vec<TimedStep>,
    /// The names of the targets.
    pub targets: Vec<String>,
    pub transfers: Vec<TimedTransfer>,
    pub outputs: Vec<TimedOutput>,
    pub warnings: usize,
    /// The requests that were made again.
    pub retries: usize,
    /// How many plans there were, and where the steps of the last one begin.
    plans: usize,
    first: usize,
    /// The step of each layer and of each command, by their numbers.
    layers: HashMap<usize, usize>,
    commands: HashMap<usize, usize>,
    /// The transfers that are under way.
    fetches: HashMap<usize, usize>,
    blobs: HashMap<Digest, usize>,
}

/// A step, or what a stage starts from.
#[derive(Debug, Default)]
pub struct TimedStep {
    pub title: String,
    pub stage: String,
    pub platform: String,
    /// Its number in its stage, counted from 1.
    pub number: usize,
    pub line: Option<usize>,
    /// The number of its plan: those of a second build come later.
    pub plan: usize,
    /// It is not a step: a stage starts from an image, or from nothing.
    pub is_start: bool,
    /// By their places among all steps.
    pub stands_on: Vec<usize>,
    pub targets: Vec<usize>,
    pub parts: Vec<TimedPart>,
    pub outcome: Option<StepOutcome>,
    pub command: Option<TimedCommand>,
    pub layer: Option<TimedLayer>,
}

/// A part of a step.
#[derive(Debug, Clone, Copy)]
pub struct TimedPart {
    pub part: StepPart,
    pub worker: usize,
    /// When nothing but a thread was missing.
    pub ready: Duration,
    pub began: Duration,
    /// None as long as it is under way.
    pub ended: Option<Duration>,
    /// It has failed, or was stopped.
    pub is_broken: bool,
}

/// The command of a step.
#[derive(Debug, Clone, Copy)]
pub struct TimedCommand {
    pub began: Duration,
    pub ended: Option<Duration>,
    pub end: Option<CommandEnd>,
}

/// The layer of a step.
#[derive(Debug, Clone, Default)]
pub struct TimedLayer {
    /// The size of the tar; none where it was not made.
    pub unpacked: Option<u64>,
    /// The blob and its size; none where it is not there yet.
    pub blob: Option<(Digest, u64)>,
    /// The image that it was taken from.
    pub from: Option<String>,
}

/// Something that comes from elsewhere, or goes there.
#[derive(Debug)]
pub struct TimedTransfer {
    pub kind: TransferKind,
    /// The repository, the URL or the name.
    pub name: String,
    pub digest: Option<Digest>,
    pub size: Option<u64>,
    /// Bytes that have really moved.
    pub moved: u64,
    pub began: Duration,
    pub ended: Option<Duration>,
    /// How a blob that went came there.
    pub outcome: Option<BlobOutcome>,
    /// It has not come in whole.
    pub is_broken: bool,
}

/// What comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferKind {
    Name,
    Pull,
    Download,
    Repository,
    Push,
    /// To a file.
    Write,
}

/// An output, or a repository that blobs go to.
#[derive(Debug)]
pub struct TimedOutput {
    pub name: String,
    pub began: Duration,
}

impl TransferKind {
    /// Returns the word for it, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            TransferKind::Name => "resolve",
            TransferKind::Pull => "pull",
            TransferKind::Download => "download",
            TransferKind::Repository => "fetch",
            TransferKind::Push => "push",
            TransferKind::Write => "write",
        }
    }
}

impl TimedStep {
    /// Returns the beginning of the first part and the end of the last one, which is `now` if that is under way.
    pub fn span(&self, now: Duration) -> Option<(Duration, Duration)> {
        let began = self.parts.iter().map(|part| part.began).min()?;
        let ended = self.parts.iter().map(|part| part.ended.unwrap_or(now)).max()?;
        Some((began, ended))
    }

    /// Returns the time that was worked at it.
    pub fn worked(&self, now: Duration) -> Duration {
        self.parts.iter().map(|part| part.ended.unwrap_or(now).saturating_sub(part.began)).sum()
    }

    /// Returns the time for which nothing but a thread was missing.
    pub fn waited(&self) -> Duration {
        self.parts.iter().map(|part| part.began.saturating_sub(part.ready)).sum()
    }

    /// Returns whether its command has ended, and not well.
    pub fn has_failed_command(&self) -> bool {
        self.command.and_then(|command| command.end).is_some_and(|end| end != CommandEnd::Status(0))
    }
}

impl Recording {
    /// Notes what `event`, which happens `now`, tells.
    pub fn note(&mut self, event: Event<'_>, now: Duration) {
        match event {
            Event::StepsPlanned { steps, targets } => self.plan(steps, targets),
            Event::PartStarted { index, part, waited, worker } => {
                let ready = now.saturating_sub(waited);
                let part = TimedPart { part, worker, ready, began: now, ended: None, is_broken: false };
                self.with_step(index, |step| step.parts.push(part));
            }
            Event::PartFinished { index, part, is_done } => self.with_step(index, |step| {
                let is_open = |known: &&mut TimedPart| known.part == part && known.ended.is_none();
                if let Some(known) = step.parts.iter_mut().rev().find(is_open) {
                    (known.ended, known.is_broken) = (Some(now), !is_done);
                }
            }),
            Event::StepSettled { index, outcome, layer } => {
                let outcome = match outcome {
                    StepOutcome::Same(other) => StepOutcome::Same(self.first + other),
                    outcome => outcome,
                };
                self.with_step(index, |step| {
                    step.outcome = Some(outcome);
                    if let Some(Descriptor { digest, size, .. }) = layer {
                        step.layer.get_or_insert_default().blob = Some((*digest, *size));
                    }
                });
            }
            Event::CommandStarted { command, step } => {
                self.commands.insert(command, self.first + step.index);
                let timed = TimedCommand { began: now, ended: None, end: None };
                self.with_step(step.index, |step| step.command = Some(timed));
            }
            Event::CommandFinished { command, end, .. } => {
                let step = self.commands.get(&command).and_then(|step| self.steps.get_mut(*step));
                if let Some(command) = step.and_then(|step| step.command.as_mut()) {
                    (command.ended, command.end) = (Some(now), end);
                }
            }
            Event::LayerStarted { layer, size, .. } => self.with_layer(layer, |layer| layer.unpacked = Some(size)),
            Event::LayerTaken { layer, from, .. } => self.with_layer(layer, |layer| layer.from = Some(name(from))),
            Event::Retrying { .. } => self.retries += 1,
            Event::Warning { .. } => self.warnings += 1,
            event => self.note_transfer(event, now),
        }
    }

    fn note_transfer(&mut self, event: Event<'_>, now: Duration) {
        match event {
            Event::FetchStarted { fetch, what, size } => {
                let (kind, title, digest) = match what {
                    Fetched::Name(name) => (TransferKind::Name, name, None),
                    Fetched::Blob { digest, repository } => (TransferKind::Pull, repository, Some(digest)),
                    Fetched::File(url) => (TransferKind::Download, url, None),
                    Fetched::Repository(url) => (TransferKind::Repository, url, None),
                };
                if let Some(number) = self.begin(kind, title, digest, size, now) {
                    self.fetches.insert(fetch, number);
                }
            }
            Event::FetchAdvanced { fetch, bytes } => {
                if let Some(transfer) = self.fetches.get(&fetch).and_then(|number| self.transfers.get_mut(*number)) {
                    transfer.moved += bytes;
                }
            }
            Event::FetchFinished { fetch, is_whole } => {
                let number = self.fetches.remove(&fetch);
                if let Some(transfer) = number.and_then(|number| self.transfers.get_mut(number)) {
                    (transfer.ended, transfer.is_broken) = (Some(now), !is_whole);
                }
            }
            Event::OutputStarted { output, .. } => {
                // What is sent while the build goes on is sent before that is told.
                let unnamed = |one: &&mut TimedTransfer| one.kind == TransferKind::Push && one.name.is_empty();
                self.transfers.iter_mut().filter(unnamed).for_each(|one| one.name = name(output));
                self.outputs.push(TimedOutput { name: name(output), began: now });
            }
            Event::OutputWritten { output } if self.outputs.last().is_none_or(|last| last.name != name(output)) => {
                self.outputs.push(TimedOutput { name: name(output), began: now });
            }
            Event::BlobStarted { descriptor } => {
                let output = self.outputs.last().map(|output| output.name.clone()).unwrap_or_default();
                let (digest, size) = (descriptor.digest, descriptor.size);
                if let Some(number) = self.begin(TransferKind::Push, &output, Some(digest), Some(size), now) {
                    self.blobs.insert(digest, number);
                }
            }
            Event::BlobAdvanced { digest, bytes } => {
                if let Some(transfer) = self.blobs.get(&digest).and_then(|number| self.transfers.get_mut(*number)) {
                    transfer.moved += bytes;
                }
            }
            Event::BlobFinished { digest, outcome } => {
                let started = self.blobs.remove(&digest);
                let output = || self.outputs.last().map(|output| output.name.clone()).unwrap_or_default();
                let number = match started {
                    Some(number) => Some(number),
                    // One that was there already may not have started.
                    None => {
                        let output = output();
                        self.begin(TransferKind::Push, &output, Some(digest), None, now)
                    }
                };
                if let Some(transfer) = number.and_then(|number| self.transfers.get_mut(number)) {
                    (transfer.ended, transfer.outcome) = (Some(now), Some(outcome));
                    if outcome == BlobOutcome::Written {
                        transfer.kind = TransferKind::Write;
                    }
                }
            }
            _ => {}
        }
    }

    fn plan(&mut self, steps: &[PlannedStep<'_>], targets: &[&str]) {
        self.plans += 1;
        self.first = self.steps.len();
        (self.layers, self.commands) = Default::default();
        let targets: Vec<usize> = targets.iter().map(|target| self.target(name(target))).collect();
        for step in steps {
            let number = self.first + step.place.index;
            self.layers.extend(step.layer.map(|layer| (layer, number)));
            let StepPlace { title, stage, platform, number, line, .. } = step.place;
            let is_start = number == 0;
            self.steps.push(TimedStep {
                title: name(if is_start { step.base.unwrap_or("scratch") } else { title }),
                stage: name(stage),
                platform: name(&platform.to_string()),
                number,
                line,
                plan: self.plans,
                is_start,
                stands_on: step.stands_on.iter().map(|other| self.first + other).collect(),
                targets: step.targets.iter().filter_map(|target| targets.get(*target).copied()).collect(),
                ..TimedStep::default()
            });
        }
    }

    /// Returns the number of the target of that name, which a plan before may have had.
    fn target(&mut self, name: String) -> usize {
        let known = self.targets.iter().position(|known| *known == name);
        known.unwrap_or_else(|| {
            self.targets.push(name);
            self.targets.len() - 1
        })
    }

    fn with_step(&mut self, index: usize, change: impl FnOnce(&mut TimedStep)) {
        if let Some(step) = self.steps.get_mut(self.first + index) {
            change(step);
        }
    }

    /// Layers that are put together of several steps are none's.
    fn with_layer(&mut self, layer: usize, change: impl FnOnce(&mut TimedLayer)) {
        if let Some(step) = self.layers.get(&layer).and_then(|step| self.steps.get_mut(*step)) {
            change(step.layer.get_or_insert_default());
        }
    }

    /// Returns the number of a transfer that begins now; none once there are enough.
    fn begin(
        &mut self,
        kind: TransferKind,
        title: &str,
        digest: Option<Digest>,
        size: Option<u64>,
        now: Duration,
    ) -> Option<usize> {
        let number = self.transfers.len();
        let transfer = TimedTransfer {
            kind,
            name: name(title),
            digest,
            size,
            moved: 0,
            began: now,
            ended: None,
            outcome: None,
            is_broken: false,
        };
        (number < MOST_TRANSFERS).then(|| self.transfers.push(transfer))?;
        Some(number)
    }

    /// Returns the step that has ended it all with its failure: one whose command has failed, else the first that was broken
    /// off.
    pub fn failed(&self) -> Option<usize> {
        let command = self.steps.iter().position(TimedStep::has_failed_command);
        let broken = self.steps.iter().enumerate().flat_map(|(number, step)| {
            step.parts.iter().filter(|part| part.is_broken).map(move |part| (part.ended, number))
        });
        command.or_else(|| broken.min().map(|(_, number)| number))
    }
}

/// Returns a name as it is shown: in one line, and not too long.
fn name(text: &str) -> String {
    match text.char_indices().nth(LONGEST_NAME) {
        Some((at, _)) => format!("{}…", escape::line(&text[..at])),
        None => escape::line(text),
    }
}
