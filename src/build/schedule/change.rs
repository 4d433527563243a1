//! The change of a step: found out by doing it, or taken from what has done the same.

use std::sync::Arc;

use super::Schedule;
use crate::build::cache::{self, Key};
use crate::build::graph::{Origin, State};
use crate::build::inputs::DiskRoot;
use crate::build::ledger::Outcome;
use crate::build::step::{Below, ContentMark, Doing, Given, Leaves, SharedChange, StepChange};
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::oci::Digest;
use crate::progress::{DoneBecause, Event, KnownBy, StepOutcome};
use crate::sync::locked;
use crate::tree::Files;

impl Schedule<'_, '_> {
    /// Finds out the change of the step to `state`: a command is run only if nobody has run it on the same content, neither an
    /// earlier build nor this one. None if it takes from other stages whose files are not there yet.
    pub(super) fn change(&self, state: usize) -> Result<Option<StepChange>> {
        let (step, work, below, from) = self.step(state)?;
        if let Some(change) = self.recalled(state)? {
            return Ok(Some(change));
        }
        if !locked(&self.ledger).has_taken(self.graph, state) {
            return Ok(None);
        }
        let near = || self.near(below);
        let given = {
            let mut ledger = locked(&self.ledger);
            let below = match work.takes().below {
                Below::Unseen => Files::new(),
                Below::Seen => ledger.slots[below].files.clone().unwrap_or_default(),
                Below::Changed => ledger.taken(below),
            };
            let from = from.iter().map(|from| ledger.slots[*from].files.clone().unwrap_or_default()).collect();
            let State { stage, .. } = &self.graph.states[state];
            let (place, run) = (step.place.as_ref(), &*stage.run);
            Given { step: self.graph.states[state].place(), place, run, below, from, near: &near }
        };
        if !work.takes().on_disk {
            if self.graph.states[state].layer.is_none() {
                self.settle(state, StepOutcome::Done(DoneBecause::NotKept), None);
            }
            return work.change(given, self.inputs).map(Some);
        }
        let key = self.by_content(state, work, &given)?;
        let known = self.known_layer(state).or_else(|| {
            let found = self.found(state, &key);
            if let Some(layer) = &found {
                self.settle(state, StepOutcome::Known(KnownBy::Content), layer.as_ref());
                self.tell_known(state);
            }
            found
        });
        let (change, is_shared) = match &known {
            Some(layer) => (self.read_back(given.below, layer.as_ref())?, false),
            None => self.run_once(state, key, given)?,
        };
        let Leaves::Files(files) = &change.leaves else { return Ok(Some(change)) };
        let content = ContentMark { key, files: files.clone(), layer: known, is_shared };
        Ok(Some(StepChange { content: Some(content), ..change }))
    }

    /// Runs the command of the step to `state`, which is known by `key` through its content; or waits for another step with the
    /// same key, which changes the same, and returns true.
    fn run_once(&self, state: usize, key: Key, given: Given<'_>) -> Result<(StepChange, bool)> {
        let (_, work, ..) = self.step(state)?;
        let is_anew = locked(&self.ledger).slots[state].mark.is_some_and(|mark| mark.is_anew);
        let (mut given, mut own) = (Some(given), None);
        let shared = self.commands.get((key, is_anew), || {
            let given = given.take().ok_or_else(|| Error::input("a command is run once"))?;
            let change = own.insert(work.change(given, self.inputs)?);
            let (entries, removed) = (change.entries.clone(), Arc::new(change.removed.clone()));
            Ok(SharedChange { entries, removed, root: change.root.clone(), has_xattrs: change.has_xattrs })
        })?;
        if let Some(own) = own {
            return Ok((own, false));
        }
        self.tell_known(state);
        let SharedChange { entries, removed, root, has_xattrs } = shared;
        let mut files = given.map(|given| given.below).unwrap_or_default();
        removed.iter().for_each(|path| files.remove(path));
        files.put_all(&entries);
        let (leaves, removed) = (Leaves::Files(files), removed.to_vec());
        let (content, printed) = (None, Vec::new());
        Ok((StepChange { entries, removed, leaves, has_xattrs, root, content, printed }, true))
    }

    /// Tells what has become of the step to `state`.
    pub(super) fn settle(&self, state: usize, outcome: StepOutcome, layer: Option<&Layer>) {
        locked(&self.ledger).slots[state].settled = Some(outcome);
        let layer = layer.map(|layer| &layer.descriptor);
        (self.inputs.options.progress)(Event::StepSettled { index: state, outcome, layer });
    }

    /// Tells that the command of the step to `state` is not run.
    pub(super) fn tell_known(&self, state: usize) {
        let (command, step) = (self.inputs.next_command(), self.graph.states[state].place());
        (self.inputs.options.progress)(Event::CommandKnown { command, step });
    }

    /// Returns what `layer`, which is known, or none has made of what is `below`.
    pub(super) fn read_back(&self, below: Files, layer: Option<&Layer>) -> Result<StepChange> {
        let files = match layer {
            Some(layer) => self.inputs.bases.applied(&below, layer)?,
            None => below,
        };
        Ok(StepChange { leaves: Leaves::Files(files), ..StepChange::nothing() })
    }

    /// What the step to `state` is known by through its content.
    fn by_content(&self, state: usize, work: &dyn Doing, given: &Given<'_>) -> Result<Key> {
        let (key, files) = self.content_below(state)?;
        let find = || cache::difference(&files, &given.below, &self.inputs.bases);
        let differs = match self.trusted_mark(self.step(state)?.2) {
            Some(mark) => cache::known_difference(self.inputs.options.store, &key, mark, find)?,
            None => find()?,
        };
        let key = Key::by_content(work.kind(), &key, &differs, self.inputs.options.compression);
        let key = work.content(key, given, self.inputs)?;
        key.map(Key::of_parts).ok_or_else(|| Error::input("the step is not known by content"))
    }

    /// What `state` is known by, if nothing of it has to be looked at once more.
    fn trusted_mark(&self, state: usize) -> Option<Key> {
        let mark = locked(&self.ledger).slots[state].mark?;
        let is_trusted = mark.is_settled && !mark.is_anew && self.trusts_times(state);
        mark.key.filter(|_| is_trusted)
    }

    /// The file system below `state` that is known by content and the last on the way there, and what it is known by.
    fn content_below(&self, mut state: usize) -> Result<(Digest, Files)> {
        loop {
            match &self.graph.states[state].origin {
                Origin::Start(None) => return Ok((Digest::of(b""), Files::new())),
                Origin::Start(Some(image)) => return Ok((image.manifest, self.inputs.bases.files(image)?)),
                Origin::Step { below, .. } => state = *below,
            }
            if let Some(content) = &locked(&self.ledger).slots[state].content {
                return Ok((content.key.digest(), content.files.clone()));
            }
        }
    }

    /// The layer that an earlier build has made of what has the content that `key` stands for.
    fn found(&self, state: usize, key: &Key) -> Option<Option<Layer>> {
        let is_anew = locked(&self.ledger).slots[state].mark.is_some_and(|mark| mark.is_anew);
        if is_anew { None } else { key.outcome(self.inputs.options.store) }
    }

    /// The layer of `state` as an earlier build has made it; the inner one is none if the step changed nothing.
    fn known_layer(&self, state: usize) -> Option<Option<Layer>> {
        match &locked(&self.ledger).slots[state].outcome {
            Outcome::Layer(layer) => Some(layer.as_deref().cloned()),
            Outcome::Unknown | Outcome::SameAs(_) => None,
        }
    }

    /// The file system on disk from which it is the least way to that of `state`.
    fn near(&self, mut state: usize) -> Result<Arc<DiskRoot>> {
        loop {
            let (root, foundation) = {
                let slot = &locked(&self.ledger).slots[state];
                (slot.root.clone(), slot.foundation.clone())
            };
            if let Some(root) = root {
                return Ok(root);
            }
            if let Some(files) = foundation {
                return self.inputs.roots.root(&files, &DiskRoot::empty(), &self.inputs.bases);
            }
            match &self.graph.states[state].origin {
                Origin::Step { below, .. } => state = *below,
                Origin::Start(Some(image)) => return self.inputs.roots.image(image, &self.inputs.bases),
                Origin::Start(None) => return Ok(DiskRoot::empty()),
            }
        }
    }
}
