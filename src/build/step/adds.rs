//! The adds of a spec.

use std::sync::Arc;

use super::{Doing, Given, Leaves, MarkGiven, Settled, StepChange, Takes};
use crate::build::cache::{Key, are_settled};
use crate::build::inputs::Inputs;
use crate::error::Result;
use crate::oci::KeyBuilder;
use crate::plan::Add;
use crate::source::local::Added;
use crate::tree::{Edit, lay_over};

impl Doing for Vec<Add> {
    fn takes(&self) -> Takes {
        Takes::changed()
    }

    fn kind(&self) -> &'static str {
        "adds"
    }

    /// Extended attributes belong to what is added, and are on no other machine the same.
    fn is_portable(&self) -> bool {
        false
    }

    fn mark(&self, key: KeyBuilder, _: MarkGiven<'_>, inputs: &Inputs<'_>) -> Result<(KeyBuilder, Settled)> {
        let added = inputs.added(self)?;
        let Added { entries, roles } = &*added;
        let key_and_age = || (Key::of(entries, true, inputs.options.compression), are_settled(entries, inputs.started));
        let (sum, is_settled) = inputs.pool.install(key_and_age);
        // The same entries change something else in what is below them if they are there for something else.
        Ok((key.part("entries", &sum.digest()).part("roles", roles), is_settled))
    }

    fn change(&self, given: Given<'_>, inputs: &Inputs<'_>) -> Result<StepChange> {
        let added = inputs.added(self)?;
        if given.below.is_empty() {
            let entries = added.entries.clone();
            return Ok(StepChange {
                entries,
                leaves: Leaves::Over(given.below),
                has_xattrs: true,
                ..StepChange::nothing()
            });
        }
        let edit = Edit::new(given.below, None, inputs.options.modified.of_made(), inputs.budget.clone());
        let (files, entries) = lay_over(&added.entries, &added.roles, edit)?;
        Ok(StepChange {
            entries: Arc::new(entries),
            leaves: Leaves::Files(files),
            has_xattrs: true,
            ..StepChange::nothing()
        })
    }
}
