//! The doing of a plan's steps: each as soon as what it stands on is there, several at once, each once.
//!
//! A state is worked at in up to four tasks. Its *mark* is what it is known by: where an earlier build has remembered what
//! that came to, nothing else is done. Else the step's *change* is found out, which takes the *files* of other states, and it
//! becomes a *layer*. What a task leaves is kept as long as another may ask for it.

mod account;
mod change;
mod recall;

use std::iter;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::Instant;

use super::cache::{self, By, Key, Mark};
use super::graph::{Origin, State, StateGraph};
use super::inputs::Inputs;
use super::layers::{self, Layers};
use super::ledger::{Duty, Found, LayerSource, Ledger, Marked, Outcome, Phase, PortableMark, Task};
use super::step::{self, Doing, Leaves, MarkGiven, SharedChange};
use super::targets::BuildTargets;
use super::told::{self, ToldPart};
use super::windows;
use crate::error::{Error, Result};
use crate::image::InlineStep;
use crate::layer::{Layer, with_whiteouts};
use crate::net::Stop;
use crate::oci::KeyPart;
use crate::plan::Step;
use crate::progress::{Event, KnownBy, StepOutcome};
use crate::sync::{Memo, Once, locked};
use crate::tree::Files;

/// Makes the layers of all states of `graph` that images have, on so many threads as the pool of `inputs` has, and as many
/// that write layers. The first error ends all that is under way, which `stop` does for what waits for others.
///
/// Returns what each state came to.
pub fn run<'p>(
    graph: &'p StateGraph<'p>,
    inputs: &'p Inputs<'p>,
    targets: &BuildTargets<'p>,
    stop: &Stop,
) -> Result<StateOutcomes> {
    let jobs = inputs.pool.current_num_threads();
    let layers = Layers::new(inputs.options, inputs.pool);
    let schedule = Schedule {
        graph,
        inputs,
        layers: &layers,
        targets,
        stop,
        jobs,
        ledger: Mutex::new(Ledger::new(graph)),
        changed: Condvar::new(),
        serving: Once::default(),
        commands: Memo::default(),
        told: Mutex::new(0),
    };
    let made = graph.states.iter().filter(|state| state.layer.is_some()).count();
    let schedule = &schedule;
    let tell = |done| (inputs.options.progress)(Event::StepsAdvanced { done, steps: made });
    tell(0);
    thread::scope(|scope| {
        // This thread does steps, too.
        let steps = jobs.min(graph.states.len()).saturating_sub(1);
        let asked = graph.states.iter().filter(|state| state.may_be_recalled).count();
        let asks = (Duty::Asks, MOST_ASKS.min(asked));
        let duties = [(Duty::Steps, steps), (Duty::Layers, jobs.min(made)), asks];
        let duties = duties.into_iter().flat_map(|(duty, threads)| iter::repeat_n(duty, threads));
        for (number, duty) in duties.enumerate() {
            let started = thread::Builder::new().spawn_scoped(scope, move || schedule.work(number + 1, duty, scope));
            if let Err(source) = started {
                schedule.fail(layers::no_thread(source));
            }
        }
        schedule.work(0, Duty::Steps, scope);
    });
    schedule.keep();
    let outcome = schedule.outcome();
    // A build is not worse for it that nobody can ask why.
    let _ = schedule.account(outcome.is_err());
    // Steps that nothing has asked for need not be done.
    outcome.inspect(|_| tell(made))
}

/// What each state of a graph came to.
pub struct StateOutcomes {
    /// None of one that no image has, or that changes nothing.
    pub layers: Vec<Option<Layer>>,
    /// What an image says of the step; none of one that is not known on other machines, and of all if no image says anything.
    pub inline_steps: Vec<Option<InlineStep>>,
}

/// So many questions to other machines are on their way at a time.
const MOST_ASKS: usize = 8;

struct Schedule<'s, 'p> {
    graph: &'p StateGraph<'p>,
    inputs: &'p Inputs<'p>,
    layers: &'s Layers<'p>,
    targets: &'s BuildTargets<'p>,
    stop: &'s Stop,
    jobs: usize,
    ledger: Mutex<Ledger>,
    changed: Condvar,
    /// The threads that write layers are started when there is one to write.
    serving: Once<()>,
    /// What commands have changed, by what they are known by through their content, and whether they were run in any case.
    commands: Memo<(Key, bool), SharedChange>,
    /// The number of steps that were last told to be done.
    told: Mutex<usize>,
}

impl<'p> Schedule<'_, 'p> {
    /// Does one task after the other, until all are done or one has failed.
    fn work<'scope>(&'scope self, worker: usize, duty: Duty, scope: &'scope Scope<'scope, '_>) {
        let _presence = Presence(self);
        while let Some((task, since)) = self.next(duty) {
            let told = ToldPart::begin(self.inputs.options.progress, task, since, worker);
            let ready = match duty {
                Duty::Steps | Duty::Asks => Ok(&()),
                Duty::Layers => self.serving.get_or_find(|| self.layers.serve(scope)),
            };
            match ready.and_then(|()| self.find(task)) {
                Ok(found) => {
                    told.complete();
                    let known = locked(&self.ledger).note(self.graph, task, found);
                    known.iter().for_each(|known| self.targets.note(self.graph, task.state, *known));
                    self.tell_done();
                }
                Err(error) => {
                    drop(told);
                    self.fail(self.targets.blamed(error, task.state));
                }
            }
            self.changed.notify_all();
        }
        self.layers.close();
    }

    /// Tells how many of the steps that become layers have, if it is more than before.
    fn tell_done(&self) {
        let mut told = locked(&self.told);
        let done = locked(&self.ledger).layers_known(self.graph);
        if done > *told {
            *told = done;
            let steps = self.graph.states.iter().filter(|state| state.layer.is_some()).count();
            (self.inputs.options.progress)(Event::StepsAdvanced { done, steps });
        }
    }

    fn outcome(&self) -> Result<StateOutcomes> {
        if let Some(error) = self.inputs.failure() {
            return Err(error);
        }
        let mut ledger = locked(&self.ledger);
        if let Some(error) = ledger.failure.take() {
            return Err(error);
        }
        let layers = (0..ledger.slots.len()).map(|state| ledger.came_to(state).flatten().cloned()).collect();
        Ok(StateOutcomes { layers, inline_steps: self.inline_steps(&mut ledger) })
    }

    /// The next task that may be done, which it may have to wait for, and since when it may be; none once there is none to come.
    fn next(&self, duty: Duty) -> Option<(Task, Instant)> {
        let mut ledger = locked(&self.ledger);
        loop {
            if ledger.is_over {
                return None;
            }
            if let Some(next) = ledger.begin(duty, self.jobs) {
                return Some(next);
            }
            if ledger.board.is_empty() {
                ledger.is_over = true;
                self.changed.notify_all();
                return None;
            }
            ledger = self.changed.wait(ledger).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends all that is under way. The first error counts: those that come later come of the end.
    fn fail(&self, error: Error) {
        let mut ledger = locked(&self.ledger);
        if !ledger.is_over {
            ledger.is_over = true;
            ledger.failure = Some(error);
        }
        drop(ledger);
        self.end();
    }

    fn end(&self) {
        self.stop.end();
        self.layers.close();
        self.changed.notify_all();
    }

    fn find(&self, Task { phase, state }: Task) -> Result<Found> {
        match (&self.graph.states[state].origin, phase) {
            (Origin::Start(_), Phase::Files) => {
                let files = self.start(state).map(Found::Files);
                files.map_err(|error| match self.asker(state) {
                    Some(step) => error.or_excerpt(step.place.as_ref()),
                    None => error,
                })
            }
            (Origin::Start(_), _) => {
                let (mark, parts) = self.start_mark(state);
                let portable = Some(PortableMark { key: mark.key, parts: Vec::new() });
                Ok(Found::Mark(Box::new(Marked { mark, parts, portable, outcome: Outcome::Unknown })))
            }
            (Origin::Step { .. }, Phase::Ask) => Ok(Found::Ask(self.ask(state).map(Box::new))),
            (Origin::Step { step, .. }, Phase::Recall) => Ok(Found::Recall(self.recall(state, step))),
            (Origin::Step { step, .. }, phase) => {
                let found = match phase {
                    Phase::Mark | Phase::Ask | Phase::Recall => self.mark(state),
                    Phase::Change => self
                        .change(state)
                        .map(|change| change.map_or(Found::Postponed, |it| Found::Change(Box::new(it)))),
                    Phase::Files => self.files(state).map(Found::Files),
                    Phase::Layer => {
                        return self.layer(state).map(|(layer, is_known)| Found::Layer(layer.map(Box::new), is_known));
                    }
                };
                found.map_err(|error| error.or_excerpt(step.place.as_ref()))
            }
        }
    }

    fn start(&self, state: usize) -> Result<Files> {
        match self.graph.states[state].origin {
            Origin::Start(Some(image)) if self.is_run_on(state) => {
                Ok(self.inputs.roots.image(image, &self.inputs.bases)?.files.clone())
            }
            Origin::Start(Some(image)) => self.inputs.bases.files(image),
            _ => Ok(Files::new()),
        }
    }

    /// Returns whether a command stands on `state` of which no outcome is known yet: it will hardly be known without running it.
    fn is_run_on(&self, state: usize) -> bool {
        let ledger = locked(&self.ledger);
        let stands_on = |mut above: usize| {
            while let (true, Origin::Step { below, .. }) = (above != state, &self.graph.states[above].origin) {
                above = *below;
            }
            above == state
        };
        (0..self.graph.states.len()).any(|above| {
            let is_unknown = matches!(ledger.slots[above].outcome, Outcome::Unknown);
            is_unknown && self.graph.states[above].is_on_disk() && stands_on(above)
        })
    }

    /// A step that has asked for the files of `state`.
    fn asker(&self, state: usize) -> Option<&'p Step> {
        let ledger = locked(&self.ledger);
        self.graph.states.iter().enumerate().find_map(|(number, asker)| {
            let Origin::Step { step, below, from } = &asker.origin else { return None };
            let is_asked = ledger.board.is_asked(Task { phase: Phase::Change, state: number });
            (is_asked && (*below == state || from.contains(&state))).then_some(*step)
        })
    }

    /// What the state that a stage starts from is known by.
    fn start_mark(&self, state: usize) -> (Mark, Vec<KeyPart>) {
        let State { stage, origin, .. } = &self.graph.states[state];
        let image = match origin {
            Origin::Start(image) => image.map(|image| image.manifest),
            Origin::Step { .. } => None,
        };
        let kind = match (image, stage.platform.is_windows()) {
            (None, false) => return (Mark::default(), Vec::new()),
            (None, true) => "windows",
            (Some(_), true) => "image for windows",
            (Some(_), false) => "image",
        };
        let key = Key::step(kind, None, self.inputs.options.compression).part("manifest", &image);
        let parts = key.parts().to_vec();
        (Mark { key: Some(Key::of_parts(key)), is_settled: true, is_anew: false }, parts)
    }

    fn mark(&self, state: usize) -> Result<Found> {
        let (step, work, below, from) = self.step(state)?;
        let (below, from) = {
            let ledger = locked(&self.ledger);
            let mark = |state: usize| ledger.slots[state].mark;
            let from: Vec<Mark> = from.iter().map(|from| mark(*from).unwrap_or_default()).collect();
            (mark(below).unwrap_or_default(), from)
        };
        let key = Key::step(work.kind(), below.key.as_ref(), self.inputs.options.compression);
        let stage = self.graph.states[state].stage;
        let given = MarkGiven { from: &from, run: &stage.run, by: By::Look };
        let (key, is_settled) = work.mark(key, given, self.inputs)?;
        let parts = key.parts().to_vec();
        let key = Key::of_parts(key);
        let options = self.inputs.options;
        let is_anew = stage.run.is_made_anew(&stage.title);
        let is_anew = is_anew || below.is_anew || from.iter().any(|from| from.is_anew);
        let mark = Mark { key: Some(key), is_settled: below.is_settled && is_settled, is_anew };
        let portable = self.portable(state)?;
        let found = |outcome| Ok(Found::Mark(Box::new(Marked { mark, parts, portable, outcome })));
        let Some(number) = self.graph.states[state].layer else { return found(Outcome::Unknown) };
        let maker = *locked(&self.ledger).makers.entry(key).or_insert(state);
        // What a command leaves, nobody knows but who has run it.
        if maker != state && !work.takes().on_disk {
            self.settle(state, StepOutcome::Same(maker), None);
            return found(Outcome::SameAs(maker));
        }
        let outcome = if is_anew || !self.trusts_times(state) { None } else { key.outcome(options.store) };
        if let Some(Some(layer)) = &outcome {
            self.layers.take(number, &step.title, layer);
        }
        if let Some(layer) = &outcome {
            self.settle(state, StepOutcome::Known(KnownBy::Mark), layer.as_ref());
            work.takes().on_disk.then(|| self.tell_known(state));
        }
        found(outcome.map_or(Outcome::Unknown, |layer| Outcome::Layer(layer.map(Box::new))))
    }

    /// The file system that a step leaves.
    fn files(&self, state: usize) -> Result<Files> {
        let (_, _, below, _) = self.step(state)?;
        let (mut files, removed, entries) = {
            let mut ledger = locked(&self.ledger);
            let files = match ledger.slots[state].leaves.take() {
                Some(Leaves::Files(files)) => return Ok(files),
                Some(Leaves::Over(files)) => files,
                Some(Leaves::OverBelow) | None => ledger.taken(below),
            };
            let slot = &ledger.slots[state];
            (files, slot.removed.clone(), slot.entries.clone().unwrap_or_default())
        };
        removed.iter().for_each(|path| files.remove(path));
        files.put_all(&entries);
        Ok(files)
    }

    /// Whether files that look as they did are taken for the same, unread.
    fn trusts_times(&self, state: usize) -> bool {
        self.inputs.options.trust_times && !self.graph.states[state].stage.run.no_cache
    }

    /// The layer that a step becomes, none if it has changed nothing; and whether it was known.
    fn layer(&self, state: usize) -> Result<(Option<Layer>, bool)> {
        let State { stage, layer: number, .. } = &self.graph.states[state];
        let (step, work, ..) = self.step(state)?;
        let number = number.ok_or_else(|| Error::input(format!("the step `{}` has no layer", step.title)))?;
        let source = locked(&self.ledger).layer_source(state);
        let LayerSource { entries, removed, has_xattrs, mark, content } = source;
        let options = self.inputs.options;
        let is_windows = stage.platform.is_windows();
        let mut is_misnamed = false;
        let mut is_known = content.as_ref().is_some_and(|content| content.layer.is_some() || content.is_shared);
        let shared = content.as_ref().filter(|content| content.is_shared).map(|_| StepOutcome::Known(KnownBy::Once));
        let outcome = shared.unwrap_or_else(|| told::done(mark, self.trusts_times(state)));
        let (layer, made_of) = if let Some(known) = content.as_ref().and_then(|content| content.layer.clone()) {
            if let Some(layer) = &known {
                self.layers.take(number, &step.title, layer);
            }
            (known, None)
        } else if entries.is_empty() && removed.is_empty() {
            self.settle(state, outcome, None);
            (None, None)
        } else {
            let misnamed = layers::misnamed(&entries);
            is_misnamed = misnamed.is_some();
            let time = options.modified.of_made();
            let entries = match removed.is_empty() {
                true => entries,
                false => Arc::new(with_whiteouts(&entries, &removed, time)),
            };
            let entries = match is_windows {
                true => Arc::new(windows::layer(&entries, time)?),
                false => entries,
            };
            let has_xattrs = has_xattrs && !is_windows;
            let (title, trusts_times) = (step.title.as_str(), self.trusts_times(state));
            let task = layers::LayerTask { number, title, entries, misnamed, has_xattrs, trusts_times };
            let made = self.layers.make(task, self.inputs)?;
            is_known |= made.is_known && !work.takes().on_disk;
            // A command has been run, whoever else makes such a layer.
            let found = made.known_by.filter(|_| !work.takes().on_disk);
            self.settle(state, found.map_or(outcome, StepOutcome::Known), Some(&made.layer));
            (Some(made.layer), Some(made.key))
        };
        // One that is taken from a cached image may not be in the store.
        let is_certain = layer.as_ref().is_none_or(|layer| cache::is_certain(options.store, layer));
        // What is to be said of the files is said each time, so they are looked at each time.
        // And what others say is not remembered as what was found out here.
        let is_by_recall = || options.steps.is_some() && locked(&self.ledger).by_recall(self.graph)[state];
        let by_mark = mark.key.filter(|_| mark.is_settled && !is_misnamed && !is_by_recall());
        let by_content = content.map(|content| content.key);
        for key in by_mark.into_iter().chain(by_content).filter(|_| is_certain) {
            key.remember_outcome(options.store, layer.as_ref(), made_of)?;
        }
        Ok((layer, is_known))
    }

    fn step(&self, state: usize) -> Result<(&'p Step, &'p dyn Doing, usize, &'p [usize])> {
        let nothing = || Error::input("the plan starts where it should go on");
        match &self.graph.states[state].origin {
            Origin::Step { step, below, from } => Ok((step, step::work(&step.work).ok_or_else(nothing)?, *below, from)),
            Origin::Start(_) => Err(nothing()),
        }
    }
}

/// A thread at work: should it panic, the others end.
struct Presence<'a, 's, 'p>(&'a Schedule<'s, 'p>);

impl Drop for Presence<'_, '_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            locked(&self.0.ledger).is_over = true;
            self.0.end();
        }
    }
}
