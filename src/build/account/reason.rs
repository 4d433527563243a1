//! The reasons for which a step was done.

use super::{BuildAccount, EarlierStep, StepAccount};
use crate::oci::{Digest, KeyPart};
use crate::progress::{DoneBecause, StepOutcome};
use crate::source::step_cache::entry::StepEntry;

/// A reason for which a step was done, and not taken from an earlier build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nothing was to be taken.
    Anew,
    /// Files were to be read, whatever their times say.
    Untrusted,
    /// It is quickly done, and no image has its layer.
    NotKept,
    /// No earlier build of its stage is remembered.
    NothingEarlier,
    /// The instruction is new in its stage.
    NewInstruction,
    /// The instruction was another one.
    Instruction(String),
    /// What the instruction comes to has changed in these respects, though it reads as it did.
    Told(Vec<String>),
    /// Variables have other values, are new, or are gone.
    Variables {
        /// Those with another value.
        changed: Vec<String>,
        /// Those that were not there.
        new: Vec<String>,
        /// Those that are not there any more.
        gone: Vec<String>,
    },
    /// What it takes from outside has changed.
    Sources(Vec<String>),
    /// A stage that it takes from has changed by this step, or starts from another image.
    Stage(usize),
    /// What is below it has changed by this step, or is another image.
    Below(usize),
    /// What is below it is not what it was.
    BelowDiffers,
    /// The time that files are given is another.
    Time,
    /// What the command line says to all commands, or of all layers, has changed in these respects.
    Settings(Vec<String>),
    /// Its files had only just been written when they were looked at: a change in the same moment might not have shown.
    TooFresh,
    /// All is as it was, but what it came to is not in the store any more.
    Forgotten,
}

/// The parts of a key that are of what is given to all steps, or commands.
const SETTINGS: [&str; 5] = ["compression", "default network", "hosts", "shm size", "limits"];
const TIMES: [&str; 2] = ["time", "modified"];

impl BuildAccount {
    /// Returns why the step at this place was done: compared with the nearest that an earlier build has left here. Empty if it
    /// was not done.
    pub fn reasons(&self, place: usize) -> Vec<Reason> {
        let Some(step) = self.steps.get(place) else { return Vec::new() };
        match step.outcome {
            Some(StepOutcome::Done(DoneBecause::Anew)) => vec![Reason::Anew],
            Some(StepOutcome::Done(because)) => {
                let Some(earlier) = &step.earlier else {
                    return vec![if step.is_stage_known { Reason::NewInstruction } else { Reason::NothingEarlier }];
                };
                let mut reasons = self.compared_with(step, earlier);
                if reasons.is_empty() {
                    reasons.push(match because {
                        DoneBecause::NotKept => Reason::NotKept,
                        DoneBecause::Untrusted => Reason::Untrusted,
                        _ if !earlier.mark.is_settled => Reason::TooFresh,
                        _ => Reason::Forgotten,
                    });
                }
                reasons
            }
            Some(StepOutcome::Known(_) | StepOutcome::Same(_)) | None => Vec::new(),
        }
    }

    /// Returns in what the step at this place differs from what a cache has of another.
    pub fn reasons_against(&self, place: usize, entry: &StepEntry) -> Vec<Reason> {
        let Some(step) = self.steps.get(place) else { return Vec::new() };
        let mut reasons = match entry.title == step.title {
            true => Vec::new(),
            false => vec![Reason::Instruction(entry.title.clone())],
        };
        let changed = changed(&step.portable, &entry.parts);
        self.add_changed(step, &changed, &mut reasons);
        if changed.contains(&"environment") {
            reasons.push(Reason::Told(vec!["environment".to_owned()]));
        }
        if reasons.is_empty() {
            reasons.push(Reason::Forgotten);
        }
        reasons
    }

    fn compared_with(&self, step: &StepAccount, earlier: &EarlierStep) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if earlier.title != step.title {
            reasons.push(Reason::Instruction(earlier.title.clone()));
        }
        let changed = changed(&step.mark.parts, &earlier.mark.parts);
        self.add_changed(step, &changed, &mut reasons);
        if changed.contains(&"environment") {
            let (now, then) = (&step.mark.variables, &earlier.mark.variables);
            let names = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
                let all = now.keys().chain(then.keys().filter(|name| !now.contains_key(*name)));
                all.filter(|name| wanted(name)).cloned().collect()
            };
            reasons.push(Reason::Variables {
                changed: names(&|name| now.get(name).zip(then.get(name)).is_some_and(|(now, then)| now != then)),
                new: names(&|name| !then.contains_key(name)),
                gone: names(&|name| !now.contains_key(name)),
            });
        }
        reasons
    }

    /// Adds the reasons that the `changed` parts of its key are, but for those that are the environment.
    fn add_changed(&self, step: &StepAccount, changed: &[&str], reasons: &mut Vec<Reason>) {
        if changed.contains(&"below") {
            let below = step.stands_on.and_then(|below| self.first_changed(below));
            reasons.push(below.map_or(Reason::BelowDiffers, Reason::Below));
        }
        let is_instruction = reasons.iter().any(|reason| matches!(reason, Reason::Instruction(_)));
        // Another instruction takes what it takes.
        if !is_instruction && ["sources", "entries", "roles"].iter().any(|part| changed.contains(part)) {
            let stages: Vec<Reason> =
                step.takes_from.iter().filter_map(|from| self.first_changed(*from)).map(Reason::Stage).collect();
            match stages.is_empty() {
                true => reasons.push(Reason::Sources(step.sources.clone())),
                false => reasons.extend(stages),
            }
        }
        if TIMES.iter().any(|part| changed.contains(part)) {
            reasons.push(Reason::Time);
        }
        let named = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
            changed.iter().filter(|name| wanted(name)).map(|name| (*name).to_owned()).collect()
        };
        let settings = named(&|name| SETTINGS.contains(&name));
        if !settings.is_empty() {
            reasons.push(Reason::Settings(settings));
        }
        const OTHERS: [&str; 5] = ["below", "sources", "entries", "roles", "environment"];
        let told = named(&|name| ![&OTHERS[..], &TIMES, &SETTINGS].concat().contains(&name));
        if !told.is_empty() && !is_instruction {
            reasons.push(Reason::Told(told));
        }
    }

    /// Returns the step at or below `place` that is the next to have changed for a reason of its own, or the image at its bottom
    /// if it is another.
    fn first_changed(&self, place: usize) -> Option<usize> {
        let mut next = Some(place);
        while let Some(place) = next {
            let step = self.steps.get(place)?;
            if changed_itself(step) {
                return Some(place);
            }
            // It stands behind what it stands on.
            next = step.stands_on.filter(|below| *below < place);
        }
        None
    }
}

/// Returns the entry that has the most in common with `step`: of those of its title, if there are any, and of several the one
/// that was written last. None if there is no entry of a step with this title or arguments.
pub fn nearest_entry<'e>(
    step: &StepAccount,
    entries: impl IntoIterator<Item = &'e StepEntry>,
) -> Option<&'e StepEntry> {
    let in_common = |entry: &StepEntry| step.portable.iter().filter(|part| entry.parts.contains(part)).count();
    let namesakes = entries.into_iter().filter(|entry| entry.title == step.title);
    namesakes.max_by_key(|entry| (in_common(entry), entry.written))
}

/// Returns whether a step was done, or an image is another, for more than what is below it.
fn changed_itself(StepAccount { is_base, title, outcome, mark, earlier, .. }: &StepAccount) -> bool {
    match (outcome, earlier) {
        (_, earlier) if *is_base => earlier.is_some(),
        (Some(StepOutcome::Done(DoneBecause::Anew)), _) | (Some(StepOutcome::Done(_)), None) => true,
        (Some(StepOutcome::Done(because)), Some(earlier)) => {
            let changed = changed(&mark.parts, &earlier.mark.parts);
            let is_as_it_was = changed.is_empty() && *because != DoneBecause::NotKept;
            is_as_it_was || earlier.title != *title || changed.iter().any(|name| *name != "below")
        }
        (Some(StepOutcome::Known(_) | StepOutcome::Same(_)) | None, _) => false,
    }
}

/// Returns the names of the parts that are not the same in both, each once.
fn changed<'p>(now: &'p [KeyPart], then: &'p [KeyPart]) -> Vec<&'p str> {
    let value = |parts: &'p [KeyPart], name: &str| -> Option<&'p Digest> {
        parts.iter().find(|part| part.name == name).map(|part| &part.digest)
    };
    let mut names: Vec<&str> = now.iter().chain(then).map(|part| &*part.name).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| value(now, name) != value(then, name));
    names
}
