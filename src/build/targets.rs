//! How far each target of a build is, and which of them a step is for.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::graph::{Origin, StateGraph};
use crate::error::Error;
use crate::plan::Target;
use crate::progress::{Event, Progress};
use crate::sync::locked;

/// What was done for a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TargetWork {
    /// The steps that may become layers, those of other targets among them that it takes from.
    pub steps: usize,
    /// The steps that an earlier build, or this one for another target, has done.
    pub known: usize,
    /// The time from the beginning of the build to its last step.
    pub elapsed: Duration,
}

/// The targets of a build.
pub struct BuildTargets<'a> {
    all: &'a [Target],
    /// The targets that each state is needed for, by their numbers.
    needed_for: Vec<Vec<usize>>,
    began: Instant,
    progress: Progress<'a>,
    standing: Mutex<TargetsStanding>,
}

struct TargetsStanding {
    /// The states that have come to something.
    done: Vec<bool>,
    work: Vec<TargetWork>,
    /// The number of steps that are done for each.
    steps_done: Vec<usize>,
}

impl<'a> BuildTargets<'a> {
    pub fn new(all: &'a [Target], graph: &StateGraph<'_>, progress: Progress<'a>) -> Self {
        let mut needed_for = vec![Vec::new(); graph.states.len()];
        let mut work = vec![TargetWork::default(); all.len()];
        for (number, images) in graph.targets.iter().enumerate() {
            let mut left: Vec<usize> =
                images.iter().flat_map(|image| &image.steps).filter_map(|(_, state)| *state).collect();
            while let Some(state) = left.pop() {
                if needed_for[state].last() == Some(&number) {
                    continue;
                }
                needed_for[state].push(number);
                work[number].steps += usize::from(graph.states[state].layer.is_some());
                if let Origin::Step { below, from, .. } = &graph.states[state].origin {
                    left.push(*below);
                    left.extend(from);
                }
            }
        }
        let (done, steps_done) = (vec![false; graph.states.len()], vec![0; all.len()]);
        let standing = Mutex::new(TargetsStanding { done, work, steps_done });
        let targets = BuildTargets { all, needed_for, began: Instant::now(), progress, standing };
        targets.tell(0..all.len());
        targets
    }

    /// Returns the targets that need `state`, by their numbers.
    pub fn of(&self, state: usize) -> &[usize] {
        self.needed_for.get(state).map_or(&[], Vec::as_slice)
    }

    /// Returns the names of all targets; an empty one for the only one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|target| target.name.as_deref().unwrap_or_default())
    }

    /// Notes that the step to `state` has come to something; or that it `is_known` what it comes to.
    pub fn note(&self, graph: &StateGraph<'_>, state: usize, is_known: bool) {
        {
            let standing = &mut *locked(&self.standing);
            if graph.states[state].layer.is_none() || std::mem::replace(&mut standing.done[state], true) {
                return;
            }
            for number in &self.needed_for[state] {
                let is_others = graph.states[state].stage.target != self.all[*number].name;
                let work = &mut standing.work[*number];
                work.known += usize::from(is_known || is_others);
                work.elapsed = self.began.elapsed();
                standing.steps_done[*number] += 1;
            }
        }
        self.tell(self.needed_for[state].iter().copied());
    }

    /// Returns what was done for each of them, now that all is. Steps that nothing has asked for need not be done.
    pub fn finish(self) -> Vec<TargetWork> {
        let TargetsStanding { mut work, steps_done, .. } =
            self.standing.into_inner().unwrap_or_else(|error| error.into_inner());
        for (work, done) in work.iter_mut().zip(&steps_done) {
            work.known += work.steps - done;
        }
        for (target, work) in self.all.iter().zip(&work) {
            tell(target, work.steps, work, self.progress);
        }
        work
    }

    /// Returns `error`, which the step to `state` has ended with, with the name of the target that it is for, and of the others
    /// that need it. Where there is one target alone, everybody knows.
    pub fn blamed(&self, error: Error, state: usize) -> Error {
        let names: Vec<&str> =
            self.needed_for[state].iter().filter_map(|number| self.all[*number].name.as_deref()).collect();
        let Some((first, others)) = names.split_first().filter(|_| self.all.len() > 1) else { return error };
        let message = format!("target {first}: {}", error.message);
        let mut details = error.details.clone();
        match others {
            [] => {}
            [other] => details.push(format!("the target {other} needs the same step, so it is not built either")),
            others => {
                let others = others.join(", ");
                details.push(format!("the targets {others} need the same step, so they are not built either"));
            }
        }
        Error { message, details, ..error }
    }

    fn tell(&self, numbers: impl Iterator<Item = usize>) {
        for number in numbers {
            let (done, work) = {
                let standing = locked(&self.standing);
                (standing.steps_done[number], standing.work[number])
            };
            tell(&self.all[number], done, &work, self.progress);
        }
    }
}

/// Tells how far `target` is, unless it is the only one.
fn tell(target: &Target, done: usize, work: &TargetWork, progress: Progress<'_>) {
    if let Some(target) = target.name.as_deref() {
        progress(Event::TargetAdvanced { target, done, steps: work.steps, known: work.known });
    }
}
