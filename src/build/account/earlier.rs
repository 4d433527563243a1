//! The steps of earlier builds, by their stages: those that a step is compared with.

use serde::{Deserialize, Serialize};

use super::StepMark;
use crate::error::Result;
use crate::layer::Layer;
use crate::oci::{Digest, KeyBuilder, Keyed, from_json, to_json};
use crate::store::LocalStore;

/// So many builds of a stage that differ are remembered.
const REMEMBERED: usize = 4;

/// A step of an earlier build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EarlierStep {
    /// The name of the step, or of the image that the stage started from.
    pub title: String,
    /// What it was known by.
    pub mark: StepMark,
    /// None if it changed nothing, or nothing came of it.
    pub layer: Option<Layer>,
}

/// The steps of the last builds of a stage that differ, the last one first.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageMemory {
    builds: Vec<Vec<EarlierStep>>,
}

impl Keyed for StageMemory {}

impl StageMemory {
    /// Returns where the builds of a `stage` are remembered, by all that tells it from others of its name.
    pub fn key(contexts: &[String], target: Option<&str>, stage: &str, platform: &str) -> Digest {
        let key = KeyBuilder::new("stage in earlier builds 1").part("contexts", contexts).part("target", &target);
        key.part("stage", stage).part("platform", platform).finish()
    }

    /// Returns what is remembered under `key`.
    pub fn read(store: &LocalStore, key: &Digest) -> StageMemory {
        store.note(key).and_then(|noted| from_json("the steps of a stage", &noted).ok()).unwrap_or_default()
    }

    /// Remembers it under `key`.
    pub fn keep(&self, store: &LocalStore, key: &Digest) -> Result<()> {
        store.put_note(key, &to_json(self))
    }

    /// Returns whether no build is remembered.
    pub fn is_empty(&self) -> bool {
        self.builds.is_empty()
    }

    /// Returns the step that has the most in common with one of this `title`, or else with what that may have been in the last
    /// build: a step of its kind that is not among `others`, the titles of the stage now. Of several it is the last.
    pub fn nearest(&self, title: &str, mark: &StepMark, others: &[&str]) -> Option<&EarlierStep> {
        // Of several that are equal, `max_by_key` returns the last.
        let namesakes = self.builds.iter().flatten().rev().filter(|step| step.title == title);
        let is_former = |step: &&EarlierStep| mark.is_of_kind(&step.mark) && !others.contains(&&*step.title);
        let former = self.builds.first().into_iter().flatten().rev().filter(is_former);
        let in_common = |step: &&EarlierStep| mark.in_common(&step.mark);
        namesakes.max_by_key(in_common).or_else(|| former.max_by_key(in_common))
    }

    /// Adds the steps of another build. Returns whether that changes anything.
    pub fn add(&mut self, steps: Vec<EarlierStep>) -> bool {
        let is_same = |earlier: &[EarlierStep]| {
            earlier.len() == steps.len()
                && earlier.iter().zip(&steps).all(|(one, other)| one.title == other.title && one.mark == other.mark)
        };
        if self.builds.first().is_some_and(|last| is_same(last)) {
            return false;
        }
        self.builds.retain(|earlier| !is_same(earlier));
        self.builds.insert(0, steps);
        self.builds.truncate(REMEMBERED);
        true
    }
}

impl StepMark {
    fn is_of_kind(&self, other: &StepMark) -> bool {
        let kind = |mark: &StepMark| mark.parts.iter().find(|part| part.name == "step").map(|part| part.digest);
        kind(self) == kind(other)
    }

    /// Returns how many parts are the same in `other`, and how many variables.
    fn in_common(&self, other: &StepMark) -> (usize, usize) {
        let parts = self.parts.iter().filter(|part| other.parts.contains(part)).count();
        let is_same = |(name, value): &(&String, &Digest)| other.variables.get(*name) == Some(*value);
        (parts, self.variables.iter().filter(is_same).count())
    }
}
