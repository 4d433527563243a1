//! What is told of the steps of a build: which there are, what threads do for them and when, and what they come to.

use std::time::Instant;

use super::cache::Mark;
use super::graph::{Origin, StateGraph};
use super::ledger::{Phase, Task};
use super::targets::BuildTargets;
use crate::progress::{DoneBecause, Event, PlannedStep, Progress, StepOutcome, StepPart};

/// Tells of all steps of `graph`, which the `targets` need.
pub fn planned(graph: &StateGraph<'_>, targets: &BuildTargets<'_>, progress: Progress<'_>) {
    let step = |state: usize| PlannedStep {
        place: graph.states[state].place(),
        base: match graph.states[state].origin {
            Origin::Start(image) => image.map(|image| &*image.name),
            Origin::Step { .. } => None,
        },
        stands_on: stands_on(graph, state),
        layer: graph.states[state].layer,
        targets: targets.of(state).to_vec(),
    };
    let steps: Vec<PlannedStep<'_>> = (0..graph.states.len()).map(step).collect();
    let names: Vec<&str> = targets.names().collect();
    progress(Event::StepsPlanned { steps: &steps, targets: &names });
}

/// The states that `state` stands on and takes files from, each once.
fn stands_on(graph: &StateGraph<'_>, state: usize) -> Vec<usize> {
    let Origin::Step { below, from, .. } = &graph.states[state].origin else { return Vec::new() };
    let mut all: Vec<usize> = [*below].into_iter().chain(from.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Returns what becomes of a step that is known by `mark`, and that nobody has done on the same, in a build that `trusts_times`
/// of files.
pub fn done(mark: Mark, trusts_times: bool) -> StepOutcome {
    StepOutcome::Done(match trusts_times {
        _ if mark.is_anew => DoneBecause::Anew,
        true => DoneBecause::Unseen,
        false => DoneBecause::Untrusted,
    })
}

/// Tells of a part of a step, from its start until this goes.
pub struct ToldPart<'a> {
    progress: Progress<'a>,
    index: usize,
    part: StepPart,
    is_done: bool,
}

impl<'a> ToldPart<'a> {
    /// Tells that the thread `worker` begins with `task`, for which it has been ready since `ready`.
    pub fn begin(progress: Progress<'a>, task: Task, ready: Instant, worker: usize) -> Self {
        let part = match task.phase {
            Phase::Mark => StepPart::Mark,
            Phase::Ask => StepPart::Ask,
            Phase::Recall => StepPart::Recall,
            Phase::Files => StepPart::Files,
            Phase::Change => StepPart::Change,
            Phase::Layer => StepPart::Layer,
        };
        progress(Event::PartStarted { index: task.state, part, waited: ready.elapsed(), worker });
        ToldPart { progress, index: task.state, part, is_done: false }
    }

    /// Notes that it has not failed, which is told when this goes.
    pub fn complete(mut self) {
        self.is_done = true;
    }
}

impl Drop for ToldPart<'_> {
    fn drop(&mut self) {
        let ToldPart { index, part, is_done, .. } = *self;
        (self.progress)(Event::PartFinished { index, part, is_done });
    }
}
