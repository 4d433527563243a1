//! How far a build has come: the tasks that are to be done, and what there is of each state so far.

use std::collections::HashMap;
use std::iter;
use std::sync::Arc;
use std::time::Instant;

use super::board::Board;
use super::cache::{Key, Mark};
use super::graph::{Origin, StateGraph};
use super::inputs::DiskRoot;
use super::step::{self, Below, ContentMark, Leaves, StepChange};
use crate::error::Error;
use crate::layer::Layer;
use crate::oci::{Digest, KeyBuilder, KeyPart};
use crate::progress::StepOutcome;
use crate::source::step_cache::FoundStep;
use crate::tree::{Entry, Files};

/// What a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// All but layers, and what others are asked.
    Steps,
    Layers,
    /// Others are asked what steps came to.
    Asks,
}

/// Something that is to be done for a state of the graph, which is known by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    pub phase: Phase,
    pub state: usize,
}

/// What of a state is found out. Tasks that may wait for others on a network come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    Mark,
    Ask,
    Recall,
    Files,
    Change,
    Layer,
}

/// How far a build has come.
#[derive(Default)]
pub struct Ledger {
    pub board: Board<Task>,
    /// What there is of each state.
    pub slots: Vec<Slot>,
    /// The state that makes the layer of each key.
    pub makers: HashMap<Key, usize>,
    /// Steps that are to become layers and whose changes are being found out or wait: so many of them are in memory.
    in_hand: usize,
    /// The first error.
    pub failure: Option<Error>,
    /// Nothing more is begun.
    pub is_over: bool,
}

/// What there is of a state.
#[derive(Default)]
pub struct Slot {
    pub mark: Option<Mark>,
    /// The parts of the key of the mark.
    pub parts: Vec<KeyPart>,
    /// What was told of what has become of it.
    pub settled: Option<StepOutcome>,
    /// None if it is not known on other machines, or nobody is to be asked.
    pub portable: Option<PortableMark>,
    /// What another machine says of it.
    pub found: Option<Box<FoundStep>>,
    /// The outcome is what another machine says.
    pub is_recalled: bool,
    /// What stands for the file system as it came about, once it was asked for.
    chain: Option<Digest>,
    pub outcome: Outcome,
    pub entries: Option<Arc<Vec<Entry>>>,
    /// The paths that go before the entries come.
    pub removed: Arc<Vec<Vec<u8>>>,
    has_xattrs: bool,
    /// It is to become a layer that nobody has made yet.
    becomes_layer: bool,
    pub leaves: Option<Leaves>,
    pub files: Option<Files>,
    /// The same, kept to the end: what stands on it may have to be brought to disk.
    pub foundation: Option<Files>,
    /// The same on disk, if it came to be there.
    pub root: Option<Arc<DiskRoot>>,
    pub content: Option<Arc<ContentMark>>,
    /// The last lines that its command has written.
    pub printed: Vec<String>,
    /// How many others may still take files from it.
    takers: usize,
    /// It takes nothing from others any more.
    is_settled: bool,
}

/// What a state is known by on all machines.
#[derive(Debug, Clone, Default)]
pub struct PortableMark {
    /// None for an empty file system.
    pub key: Option<Key>,
    /// The parts of the key.
    pub parts: Vec<KeyPart>,
}

/// What a step has come to.
#[derive(Default)]
pub enum Outcome {
    #[default]
    Unknown,
    /// None if it changes nothing.
    Layer(Option<Box<Layer>>),
    /// The same as another state, which has the same key.
    SameAs(usize),
}

/// What a layer is made of.
pub struct LayerSource {
    pub entries: Arc<Vec<Entry>>,
    /// What goes before the entries come.
    pub removed: Arc<Vec<Vec<u8>>>,
    /// The entries get extended attributes.
    pub has_xattrs: bool,
    pub mark: Mark,
    pub content: Option<Arc<ContentMark>>,
}

/// What a state is known by, and what it has come to, where it is known by that.
pub struct Marked {
    pub mark: Mark,
    /// The parts of its key.
    pub parts: Vec<KeyPart>,
    pub portable: Option<PortableMark>,
    pub outcome: Outcome,
}

/// What a task has found out.
pub enum Found {
    Mark(Box<Marked>),
    /// What another machine says of it; none if nobody knows.
    Ask(Option<Box<FoundStep>>),
    /// Whether that is what it comes to.
    Recall(bool),
    Change(Box<StepChange>),
    Files(Files),
    /// With whether it was known.
    Layer(Option<Box<Layer>>, bool),
    /// The files of the stages that it takes from have to be there before.
    Postponed,
}

/// What a task stands on.
fn needs(graph: &StateGraph<'_>, Task { phase, state }: Task) -> Vec<Task> {
    let Origin::Step { step, below, from } = &graph.states[state].origin else { return Vec::new() };
    let takes = step::work(&step.work).map(|work| work.takes().below);
    let task = |phase, state| Task { phase, state };
    let with_from =
        |first: Option<Task>, phase| first.into_iter().chain(from.iter().map(|from| task(phase, *from))).collect();
    match phase {
        Phase::Mark => with_from(Some(task(Phase::Mark, *below)), Phase::Mark),
        Phase::Ask => vec![task(Phase::Mark, state)],
        // What was done on something else is not taken.
        Phase::Recall => {
            let mut below = *below;
            while let (false, Origin::Step { below: lower, .. }) =
                (graph.states[below].may_be_recalled, &graph.states[below].origin)
            {
                below = *lower;
            }
            let below = graph.states[below].may_be_recalled.then_some(task(Phase::Recall, below));
            [Some(task(Phase::Ask, state)), below].into_iter().flatten().collect()
        }
        Phase::Change => {
            let below = (takes != Some(Below::Unseen)).then_some(task(Phase::Files, *below));
            match graph.states[state].may_be_recalled {
                false => with_from(below, Phase::Files),
                // What other machines know of it may be all that is needed.
                true => below.into_iter().chain([task(Phase::Recall, state)]).collect(),
            }
        }
        // What was changed regardless of what is below leaves that with it.
        Phase::Files => {
            let below = (takes != Some(Below::Changed)).then_some(task(Phase::Files, *below));
            [Some(task(Phase::Change, state)), below].into_iter().flatten().collect()
        }
        Phase::Layer => vec![task(Phase::Change, state)],
    }
}

impl Slot {
    /// Returns whether files that others may take are still to be made of its entries.
    fn becomes_files(&self) -> bool {
        self.takers > 0 && matches!(self.leaves, Some(Leaves::Over(_) | Leaves::OverBelow))
    }
}

impl Ledger {
    /// Asks for what every state of `graph` is known by.
    pub fn new(graph: &StateGraph<'_>) -> Self {
        let slots = graph.states.iter().map(|state| Slot { takers: state.takers, ..Slot::default() }).collect();
        let mut ledger = Ledger { slots, ..Ledger::default() };
        for state in 0..graph.states.len() {
            ledger.board.ask(Task { phase: Phase::Mark, state }, |task| needs(graph, task));
        }
        ledger
    }

    /// Begins a task, if there is one that may be begun, and says since when it might.
    pub fn begin(&mut self, duty: Duty, jobs: usize) -> Option<(Task, Instant)> {
        let Ledger { board, slots, in_hand, .. } = self;
        let may_begin = |task: &Task| match task.phase {
            Phase::Layer => duty == Duty::Layers,
            Phase::Ask => duty == Duty::Asks,
            _ if duty != Duty::Steps => false,
            // What waits to be written is in memory, and so the changes do not run far ahead of the writing.
            Phase::Change => *in_hand < jobs.max(2) || !slots[task.state].becomes_layer,
            Phase::Mark | Phase::Recall | Phase::Files => true,
        };
        let (task, ready) = board.begin(may_begin)?;
        if task.phase == Phase::Change && slots[task.state].becomes_layer {
            *in_hand += 1;
        }
        Some((task, ready))
    }

    /// Notes what a task has found out, and asks for what is to be done with it. Returns whether what the step comes to was
    /// known; none as long as it has not come to anything.
    pub fn note(&mut self, graph: &StateGraph<'_>, task: Task, found: Found) -> Option<bool> {
        let Task { state, .. } = task;
        if let Found::Postponed = found {
            self.postpone(graph, task);
            return None;
        }
        self.board.finish(task);
        let slot = &mut self.slots[state];
        let mut is_known = None;
        match found {
            Found::Mark(marked) => {
                let Marked { mark, parts, portable, outcome } = *marked;
                is_known = (!matches!(outcome, Outcome::Unknown)).then_some(true);
                let is_wanted = graph.states[state].is_in_image && matches!(outcome, Outcome::Unknown);
                (slot.mark, slot.parts, slot.portable, slot.outcome) = (Some(mark), parts, portable, outcome);
                if is_wanted && graph.states[state].may_be_recalled {
                    self.board.ask(Task { phase: Phase::Recall, state }, |task| needs(graph, task));
                } else if is_wanted {
                    self.ask_layer(graph, state);
                }
            }
            Found::Ask(found) => slot.found = found,
            Found::Recall(is_taken) => {
                is_known = is_taken.then_some(true);
                if graph.states[state].is_in_image && matches!(slot.outcome, Outcome::Unknown) {
                    self.ask_layer(graph, state);
                }
            }
            Found::Change(change) => {
                let StepChange { entries, removed, leaves, has_xattrs, root, content, printed } = *change;
                (slot.root, slot.content, slot.printed) = (root, content.map(Arc::new), printed);
                // What takes long is remembered, whether an image has it or not.
                let is_to_keep = graph.states[state].layer.is_some() && matches!(slot.outcome, Outcome::Unknown);
                if is_to_keep && !slot.becomes_layer {
                    slot.becomes_layer = true;
                    self.in_hand += 1;
                    self.board.ask(Task { phase: Phase::Layer, state }, |task| needs(graph, task));
                }
                (slot.entries, slot.removed) = (Some(entries), Arc::new(removed));
                (slot.leaves, slot.has_xattrs) = (Some(leaves), has_xattrs);
            }
            Found::Files(files) => {
                slot.foundation = graph.states[state].is_foundation.then(|| files.clone());
                slot.files = Some(files);
            }
            Found::Layer(layer, known) => {
                is_known = Some(known);
                slot.outcome = Outcome::Layer(layer);
                self.in_hand -= 1;
            }
            Found::Postponed => {}
        }
        self.release(graph, state);
        is_known
    }

    /// Returns whether the files of all stages are there that the step to `state` takes from.
    pub fn has_taken(&self, graph: &StateGraph<'_>, state: usize) -> bool {
        let Origin::Step { from, .. } = &graph.states[state].origin else { return true };
        from.iter().all(|from| self.board.is_done(Task { phase: Phase::Files, state: *from }))
    }

    fn postpone(&mut self, graph: &StateGraph<'_>, task: Task) {
        let Origin::Step { from, .. } = &graph.states[task.state].origin else { return };
        if self.slots[task.state].becomes_layer {
            self.in_hand -= 1;
        }
        self.board.postpone(task, |asked| match asked == task {
            true => from.iter().map(|from| Task { phase: Phase::Files, state: *from }).collect(),
            false => needs(graph, asked),
        });
    }

    fn ask_layer(&mut self, graph: &StateGraph<'_>, state: usize) {
        self.slots[state].becomes_layer = true;
        self.board.ask(Task { phase: Phase::Layer, state }, |task| needs(graph, task));
    }

    /// Returns what stands for the file system of `state` as it came about: for what its image and its layers are. None if
    /// that is not known yet.
    pub fn chain(&mut self, graph: &StateGraph<'_>, state: usize) -> Option<Digest> {
        let (mut way, mut chain, mut next) = (Vec::new(), None, Some(state));
        while let Some(state) = next {
            chain = self.slots[state].chain;
            if chain.is_some() {
                break;
            }
            way.push(state);
            next = match graph.states[state].origin {
                Origin::Step { below, .. } => Some(below),
                Origin::Start(_) => None,
            };
        }
        for state in way.into_iter().rev() {
            let slot = &self.slots[state];
            let key = KeyBuilder::new("chain 1").part("below", &chain);
            let key = match (&graph.states[state].origin, graph.states[state].layer) {
                (Origin::Step { .. }, Some(_)) => key.part("layer", &self.came_to(state)?.map(|layer| layer.diff_id)),
                // Its key says all that it is.
                _ => key.part("key", &slot.portable.as_ref()?.key.as_ref().map(Key::digest)),
            };
            chain = Some(key.finish());
            self.slots[state].chain = chain;
        }
        chain
    }

    /// Returns the layer that the step to `state` came to, or none if it changes nothing; none at all if that is not known yet.
    pub fn came_to(&self, state: usize) -> Option<Option<&Layer>> {
        let outcome = match &self.slots[state].outcome {
            Outcome::SameAs(other) => &self.slots[*other].outcome,
            outcome => outcome,
        };
        match outcome {
            Outcome::Layer(layer) => Some(layer.as_deref()),
            Outcome::Unknown | Outcome::SameAs(_) => None,
        }
    }

    /// Takes what another machine says of the step to `state`, if that has done it on what it stands on here, and nothing
    /// else is known of it. Returns whether it is taken.
    pub fn take_found(&mut self, graph: &StateGraph<'_>, state: usize) -> bool {
        let Origin::Step { below, .. } = graph.states[state].origin else { return false };
        let chain = self.chain(graph, below);
        let slot = &mut self.slots[state];
        let Some(found) = slot.found.as_ref().filter(|_| matches!(slot.outcome, Outcome::Unknown)) else {
            return false;
        };
        if chain != Some(found.entry.on) {
            return false;
        }
        slot.outcome = Outcome::Layer(found.entry.layer.clone().map(Box::new));
        slot.is_recalled = true;
        true
    }

    /// Does not take what another machine says of the step to `state` after all, nor what any says of those that stand on
    /// it and have not been looked at.
    pub fn refuse_found(&mut self, graph: &StateGraph<'_>, state: usize) {
        let mut refused = vec![false; graph.states.len()];
        refused[state] = true;
        for above in state..graph.states.len() {
            if let Origin::Step { below, .. } = graph.states[above].origin {
                refused[above] |= refused[below];
            }
            let is_looked_at = above != state && self.board.is_done(Task { phase: Phase::Change, state: above });
            if !refused[above] {
                continue;
            }
            self.slots[above].chain = None;
            if !self.slots[above].is_recalled || is_looked_at {
                continue;
            }
            (self.slots[above].outcome, self.slots[above].is_recalled) = (Outcome::Unknown, false);
            if above != state && graph.states[above].is_in_image {
                self.ask_layer(graph, above);
            }
        }
    }

    /// Returns of each state whether what another machine says decides about it.
    pub fn by_recall(&self, graph: &StateGraph<'_>) -> Vec<bool> {
        let mut by_recall: Vec<bool> = Vec::with_capacity(self.slots.len());
        for (slot, state) in self.slots.iter().zip(&graph.states) {
            let is_taken_over = match &state.origin {
                Origin::Start(_) => false,
                Origin::Step { below, from, .. } => iter::once(below).chain(from).any(|taken| by_recall[*taken]),
            };
            by_recall.push(slot.is_recalled || is_taken_over);
        }
        by_recall
    }

    /// Drops what nobody can ask for any more of a state, and of those that it has taken from.
    fn release(&mut self, graph: &StateGraph<'_>, state: usize) {
        let mut left = vec![state];
        while let Some(state) = left.pop() {
            let done = |phase| self.board.is_done(Task { phase, state });
            let is_taken_from = self.slots[state].takers > 0;
            let is_asked = self.board.is_asked(Task { phase: Phase::Change, state });
            let (is_marked, is_changed, has_files) = (done(Phase::Mark), done(Phase::Change), done(Phase::Files));
            let is_written = done(Phase::Layer);
            // As long as it is not known whether it has to be done.
            let recall = Task { phase: Phase::Recall, state };
            let is_recalling = self.board.is_asked(recall) && !self.board.is_done(recall);
            let slot = &mut self.slots[state];
            if !is_taken_from {
                (slot.files, slot.leaves) = (None, None);
            }
            if is_changed && !slot.becomes_files() && (!slot.becomes_layer || is_written) {
                (slot.entries, slot.removed) = Default::default();
            }
            let takes_nothing = match is_asked {
                true => is_changed && (has_files || !matches!(slot.leaves, Some(Leaves::OverBelow))),
                false => is_marked && !is_recalling && !slot.becomes_layer && !is_taken_from,
            };
            if let (false, true, Origin::Step { below, from, .. }) =
                (slot.is_settled, takes_nothing, &graph.states[state].origin)
            {
                slot.is_settled = true;
                for taken in iter::once(below).chain(from) {
                    self.slots[*taken].takers -= 1;
                    left.push(*taken);
                }
            }
        }
    }

    /// Takes the file system of `state`. The last who asks gets it for himself: what is shared would have to be copied to be
    /// changed.
    pub fn taken(&mut self, state: usize) -> Files {
        let slot = &mut self.slots[state];
        let files = if slot.takers == 1 { slot.files.take() } else { slot.files.clone() };
        files.unwrap_or_default()
    }

    /// Returns how many of the states that become layers have come to one, or to nothing.
    pub fn layers_known(&self, graph: &StateGraph<'_>) -> usize {
        let with_layers = graph.states.iter().zip(&self.slots).filter(|(state, _)| state.layer.is_some());
        with_layers.filter(|(_, slot)| !matches!(slot.outcome, Outcome::Unknown)).count()
    }

    /// Returns what the layer of `state` is made of.
    pub fn layer_source(&mut self, state: usize) -> LayerSource {
        let slot = &mut self.slots[state];
        let entries = if slot.becomes_files() { slot.entries.clone() } else { slot.entries.take() };
        LayerSource {
            entries: entries.unwrap_or_default(),
            removed: slot.removed.clone(),
            has_xattrs: slot.has_xattrs,
            mark: slot.mark.unwrap_or_default(),
            content: slot.content.clone(),
        }
    }
}
