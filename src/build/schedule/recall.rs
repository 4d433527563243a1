//! What other machines know of steps, and what they are told.

use std::io;

use super::Schedule;
use crate::build::cache::{By, Key, Mark};
use crate::build::graph::{Origin, State};
use crate::build::ledger::{Ledger, Outcome, PortableMark};
use crate::build::step::{self, ContentMark, MarkGiven, StepChange};
use crate::error::{Error, Result};
use crate::image::InlineStep;
use crate::layer::Layer;
use crate::net::date;
use crate::plan::Step;
use crate::progress::{Event, KnownBy, StepOutcome};
use crate::source::mount_cache::MountCache;
use crate::source::step_cache::entry::{StepEntry, statement};
use crate::source::step_cache::{FoundStep, StepCache};
use crate::store::Store;
use crate::sync::locked;

impl Schedule<'_, '_> {
    /// Returns what the step to `state` is known by on all machines; none if it is on none but this one, or nobody
    /// is asked or told.
    pub(super) fn portable(&self, state: usize) -> Result<Option<PortableMark>> {
        let (_, work, below, from) = self.step(state)?;
        let is_asked_for = self.inputs.options.steps.is_some_and(StepCache::is_in_use) || self.graph.tells_steps;
        if !is_asked_for || !work.is_portable() {
            return Ok(None);
        }
        let portable: Option<Vec<PortableMark>> = {
            let slots = &locked(&self.ledger).slots;
            std::iter::once(&below).chain(from).map(|taken| slots[*taken].portable.clone()).collect()
        };
        let Some((below, from)) = portable.as_deref().and_then(<[PortableMark]>::split_first) else { return Ok(None) };
        let from: Vec<Mark> = from.iter().map(|from| Mark { key: from.key, ..Mark::default() }).collect();
        let State { stage, .. } = &self.graph.states[state];
        let key = Key::portable(work.kind(), below.key.as_ref(), self.inputs.options.compression);
        let given = MarkGiven { from: &from, run: &stage.run, by: By::Content };
        // What cannot be read, the step will tell of, if it takes it.
        let Ok((key, _)) = work.mark(key, given, self.inputs) else { return Ok(None) };
        // Of what a command leaves, nothing else may say for which processor it is.
        let platform = work.takes().on_disk.then(|| stage.platform.to_string());
        let key = key.part("platform", &platform);
        let parts = key.parts().to_vec();
        Ok(Some(PortableMark { key: Some(Key::of_parts(key)), parts }))
    }

    /// Returns what another machine says of the step to `state`; none if nobody knows, or need be asked.
    pub(super) fn ask(&self, state: usize) -> Option<FoundStep> {
        let key = {
            let slot = &locked(&self.ledger).slots[state];
            let is_anew = slot.mark.is_none_or(|mark| mark.is_anew);
            let is_wanted = matches!(slot.outcome, Outcome::Unknown) && !is_anew;
            slot.portable.as_ref().filter(|_| is_wanted)?.key?.digest()
        };
        self.inputs.options.steps?.find(&key)
    }

    /// Takes what another machine says of the `step` to `state`, if that has done it on the same. Returns whether it is taken.
    pub(super) fn recall(&self, state: usize, step: &Step) -> bool {
        let is_taken = locked(&self.ledger).take_found(self.graph, state);
        let Some((steps, found)) = self.inputs.options.steps.zip(locked(&self.ledger).slots[state].found.clone())
        else {
            return false;
        };
        if !is_taken {
            steps.replace(&found.entry.key);
            return false;
        }
        let layer = found.entry.layer.as_ref();
        if let (Some(number), Some(layer)) = (self.graph.states[state].layer, layer) {
            let (title, descriptor, from) = (&*step.title, &layer.descriptor, steps.title(&found));
            (self.inputs.options.progress)(Event::LayerTaken { layer: number, title, descriptor, from });
        }
        self.settle(state, StepOutcome::Known(KnownBy::Cache), layer);
        if self.graph.states[state].is_on_disk() {
            self.tell_known(state);
        }
        true
    }

    /// Returns the change of the step to `state`, as another machine says it was; none if that says nothing, or it turns
    /// out to be wrong, and the step is to be done. What takes from contexts alone is quickly done.
    pub(super) fn recalled(&self, state: usize) -> Result<Option<StepChange>> {
        let (_, work, below, from) = self.step(state)?;
        if !work.takes().on_disk && from.is_empty() {
            return Ok(None);
        }
        let (key, layer, below) = {
            let slots = &locked(&self.ledger).slots;
            let slot = &slots[state];
            match (&slot.outcome, slot.portable.as_ref().and_then(|portable| portable.key)) {
                (Outcome::Layer(layer), Some(key)) if slot.is_recalled => {
                    (key, layer.as_deref().cloned(), slots[below].files.clone().unwrap_or_default())
                }
                _ => return Ok(None),
            }
        };
        let brought = layer.as_ref().map_or(Ok(()), |layer| self.bring(layer));
        match brought.and_then(|()| self.read_back(below, layer.as_ref())) {
            Ok(change) => {
                let step::Leaves::Files(files) = &change.leaves else { return Ok(Some(change)) };
                let content = ContentMark { key, files: files.clone(), layer: Some(layer), is_shared: false };
                Ok(Some(StepChange { content: Some(content), ..change }))
            }
            Err(error) if self.stop.is_ended() => Err(error),
            Err(error) => {
                if let Some(steps) = self.inputs.options.steps {
                    steps.refuse(&key.digest(), &error);
                }
                locked(&self.ledger).refuse_found(self.graph, state);
                Ok(None)
            }
        }
    }

    /// Keeps for other machines what all steps came to, as far as they did.
    pub(super) fn keep(&self) {
        let Some(steps) = self.inputs.options.steps else { return };
        let ledger = &mut *locked(&self.ledger);
        let by_recall = ledger.by_recall(self.graph);
        let has_unvouched = self.inputs.options.mounts.is_some_and(MountCache::has_unvouched);
        for State { index, origin, is_in_image, .. } in &self.graph.states {
            let Origin::Step { step, below, .. } = origin else { continue };
            let on = ledger.chain(self.graph, *below);
            let slot = &ledger.slots[*index];
            let (Outcome::Layer(layer), Some(portable)) = (&slot.outcome, &slot.portable) else { continue };
            if let Some(found) = slot.found.as_ref().filter(|_| slot.is_recalled) {
                let entry = found.entry.clone();
                // An image says no more than it has to.
                let (parts, title) = (portable.parts.clone(), step.title.clone());
                let written = entry.written.or_else(|| Some(date::now()));
                steps.note(StepEntry { parts, title, written, ..entry }, *is_in_image);
                continue;
            }
            let (Some(key), Some(on)) = (portable.key, on) else { continue };
            if slot.found.is_some() {
                steps.replace(&key.digest());
            }
            let entry = StepEntry {
                key: key.digest(),
                on,
                parts: portable.parts.clone(),
                title: step.title.clone(),
                layer: layer.as_deref().cloned(),
                printed: slot.printed.clone(),
                written: Some(date::now()),
                signature: None,
            };
            steps.keep(entry, *is_in_image, by_recall[*index] || has_unvouched);
        }
    }

    /// Returns what images say of the step to each state: nothing that is not the same whenever and wherever it is done.
    pub(super) fn inline_steps(&self, ledger: &mut Ledger) -> Vec<Option<InlineStep>> {
        let mut of = |State { index, origin, .. }: &State<'_>| {
            let Origin::Step { below, .. } = origin else { return None };
            let on = ledger.chain(self.graph, *below)?;
            let layer = ledger.came_to(*index)?.cloned();
            let key = ledger.slots[*index].portable.as_ref()?.key.as_ref()?.digest();
            let signature =
                self.inputs.options.signing.map(|signing| signing.sign(&statement(&key, &on, layer.as_ref())));
            Some(InlineStep { key, on, diff_id: layer.map(|layer| layer.diff_id), signature })
        };
        let states = self.graph.states.iter();
        states.map(|state| if self.graph.tells_steps { of(state) } else { None }).collect()
    }

    /// Has the blob of `layer`, which another machine has made, in the local store: all of it is verified on its way.
    fn bring(&self, layer: &Layer) -> Result<()> {
        let (store, Some(steps)) = (self.inputs.options.store, self.inputs.options.steps) else { return Ok(()) };
        if store.claim(&layer.descriptor) {
            return match store.diff_id(&layer.descriptor) {
                Some(known) => layer.check_diff_id(known),
                // It is found out when its members are read.
                None => Ok(()),
            };
        }
        let far = || steps.open_layer(&layer.descriptor.digest, Some(&layer.diff_id));
        let mut blob = store.open_or_take(&layer.descriptor, far)?;
        io::copy(&mut blob, &mut io::sink())
            .map_err(|source| Error::from_read("pull", layer.descriptor.digest.to_string(), source))?;
        store.note_diff_id(layer)
    }
}
