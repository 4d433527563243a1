//! The steps of a build, held against those that they are compared with.

use std::fs::File;
use std::io::Read;

use super::words;
use crate::build::account::{BuildAccount, EarlierStep, FileChange, FileListing, Reason, StepAccount, nearest_entry};
use crate::error::Result;
use crate::inspect::{DifferentField, LayerDifference, differences};
use crate::layer::Layer;
use crate::oci::Descriptor;
use crate::plan::label::rfc3339;
use crate::progress::{DoneBecause, StepOutcome};
use crate::source::step_cache::{RegistrySteps, entry::StepEntry};
use crate::store::{LocalStore, Store};

/// So many files are named that differ.
const NAMED: usize = 8;

/// What a build has done, and what it is compared with.
pub struct Comparison<'a> {
    pub account: &'a BuildAccount,
    store: &'a LocalStore,
    /// The steps that a registry keeps, in place of those that are remembered here.
    cache: Option<(RegistrySteps<'a>, Vec<StepEntry>)>,
}

impl<'a> Comparison<'a> {
    /// Asks the `cache`, if there is one, for all its entries.
    pub fn new(account: &'a BuildAccount, store: &'a LocalStore, cache: Option<RegistrySteps<'a>>) -> Result<Self> {
        let with_entries = |cache: RegistrySteps<'a>| {
            let entries = cache.entries()?.into_iter().map(|listed| listed.entry).collect();
            Ok((cache, entries))
        };
        Ok(Comparison { account, store, cache: cache.map(with_entries).transpose()? })
    }

    /// Returns what there is to say of the step at this place, each a clause: where it was taken from, or why it was done.
    pub fn explained(&self, place: usize) -> Result<Vec<String>> {
        let step = &self.account.steps[place];
        match (&self.cache, step.outcome) {
            (Some((cache, entries)), Some(StepOutcome::Done(DoneBecause::Unseen | DoneBecause::Untrusted))) => {
                self.against_cache(place, cache, entries)
            }
            (_, Some(StepOutcome::Done(_))) => {
                let open = |layer: &Descriptor| self.store.open(layer);
                let earlier = step.earlier.as_ref().and_then(|earlier| earlier.layer.as_ref());
                let earlier = earlier.map(|layer| (layer, &open as &Open<'_>));
                self.sentences(step, &self.account.reasons(place), step.earlier.as_ref(), earlier)
            }
            _ => Ok(words::taken(self.account, step).into_iter().collect()),
        }
    }

    fn against_cache(&self, place: usize, cache: &RegistrySteps<'_>, entries: &[StepEntry]) -> Result<Vec<String>> {
        let step = &self.account.steps[place];
        if step.portable.is_empty() {
            return Ok(vec!["the build asked no cache, so its key for others is not known".to_owned()]);
        }
        let Some(entry) = nearest_entry(step, entries) else {
            return Ok(vec!["the cache has no step of this name".to_owned()]);
        };
        let open = |layer: &Descriptor| cache.open_layer(layer);
        let layer = entry.layer.as_ref().map(|layer| (layer, &open as &Open<'_>));
        let mut clauses = self.sentences(step, &self.account.reasons_against(place, entry), None, layer)?;
        let written = entry.written.and_then(|seconds| rfc3339(seconds).ok());
        let written = written.map(|time| format!(", written {time}")).unwrap_or_default();
        clauses.insert(0, format!("the nearest step of the cache is {}{written}:", &entry.key.hex()[..12]));
        Ok(clauses)
    }

    /// The `reasons` in words, with the names of files where these are among them, and both layers can be read.
    fn sentences(
        &self,
        step: &StepAccount,
        reasons: &[Reason],
        earlier: Option<&EarlierStep>,
        layer: Option<(&Layer, &Open<'_>)>,
    ) -> Result<Vec<String>> {
        let mut clauses = Vec::new();
        for reason in reasons {
            clauses.push(words::reason(self.account, reason));
            if !matches!(reason, Reason::Sources(_)) {
                continue;
            }
            let listings = earlier.and_then(|earlier| {
                Some((FileListing::read(self.store, &step.mark)?, FileListing::read(self.store, &earlier.mark)?))
            });
            match (listings, &step.layer, layer) {
                (Some((now, then)), ..) => clauses.extend(listed(&now, &then)),
                (None, Some(now), Some((then, open))) => clauses.extend(self.files(now, then, open)?),
                (None, ..) => {}
            }
        }
        Ok(clauses)
    }

    /// The files that differ between two layers; none if one of them cannot be read any more.
    fn files(&self, now: &Layer, then: &Layer, open_then: &Open<'_>) -> Result<Vec<String>> {
        if now.diff_id == then.diff_id {
            return Ok(vec!["what it copies is the same".to_owned()]);
        }
        let open_now = |layer: &Descriptor| self.store.open(layer);
        if open_now(&now.descriptor).is_err() || open_then(&then.descriptor).is_err() {
            return Ok(vec!["one of the two layers is no longer here: they cannot be compared".to_owned()]);
        }
        let scratch = || -> Result<File> { self.store.scratch() };
        let found = differences((then, open_then), (now, &open_now), &scratch, NAMED + 1)?;
        let more = if found.len() > NAMED { ["and more".to_owned()].into_iter() } else { Default::default() };
        Ok(found.iter().take(NAMED).map(file).chain(more).collect())
    }
}

type Open<'a> = dyn Fn(&Descriptor) -> Result<Box<dyn Read + Send + 'a>> + Sync + 'a;

/// The files that look different now, and are named.
fn listed(now: &FileListing, then: &FileListing) -> Vec<String> {
    let changes = now.changes_since(then);
    let change = |(path, change): &(String, FileChange)| {
        let path = if path.is_empty() { "." } else { path };
        match change {
            FileChange::Changed => format!("{path} has changed"),
            FileChange::New => format!("{path} is new"),
            FileChange::Gone => format!("{path} is gone"),
            FileChange::Rewritten => format!("{path} was rewritten"),
        }
    };
    let more = changes.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("and {more} more"));
    changes.iter().take(NAMED).map(change).chain(more).collect()
}

/// What has become of a file since the first layer.
fn file(LayerDifference { path, field }: &LayerDifference) -> String {
    let path = String::from_utf8_lossy(path);
    match field {
        DifferentField::Missing(true) => format!("/{path} is new"),
        DifferentField::Missing(false) => format!("/{path} is gone"),
        DifferentField::Content(_) => format!("/{path} has changed"),
        DifferentField::Kind(..) => format!("/{path} has another type"),
        DifferentField::Mode(then, now) => format!("/{path} has the mode {now:04o}, and had {then:04o}"),
        DifferentField::Owner(then, now) => {
            format!("/{path} belongs to {}:{}, and belonged to {}:{}", now.0, now.1, then.0, then.1)
        }
        DifferentField::Modified(..) => format!("/{path} has another time"),
        DifferentField::Xattr(name) => {
            format!("/{path} has another extended attribute {}", String::from_utf8_lossy(name))
        }
    }
}
