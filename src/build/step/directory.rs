//! `WORKDIR`: a directory that is to be there.

use std::sync::Arc;

use super::{Doing, Given, Leaves, MarkGiven, Settled, StepChange, Takes, owner};
use crate::build::inputs::Inputs;
use crate::error::Result;
use crate::oci::KeyBuilder;
use crate::plan::Directory;
use crate::tree::Edit;

impl Doing for Directory {
    fn takes(&self) -> Takes {
        Takes::changed()
    }

    fn kind(&self) -> &'static str {
        "directory"
    }

    fn mark(&self, key: KeyBuilder, _: MarkGiven<'_>, inputs: &Inputs<'_>) -> Result<(KeyBuilder, Settled)> {
        let Directory { path, owner } = self;
        let key = key.part("path", path).part("owner", owner).part("time", &inputs.options.modified.of_made());
        Ok((key, true))
    }

    fn change(&self, given: Given<'_>, inputs: &Inputs<'_>) -> Result<StepChange> {
        let owner = owner(self.owner.as_deref(), &given, inputs)?;
        let mut edit = Edit::new(given.below, owner, inputs.options.modified.of_made(), inputs.budget.clone());
        let path = edit.files().real(self.path.as_bytes())?;
        edit.make_directory(&path)?;
        let (files, entries) = edit.finish()?;
        Ok(StepChange { entries: Arc::new(entries), leaves: Leaves::Files(files), ..StepChange::nothing() })
    }
}
