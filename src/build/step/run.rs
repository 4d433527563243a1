//! `RUN`.

use super::{Doing, Given, Settled, StepChange, Takes};
use crate::build::cache::Mark;
use crate::build::inputs::Inputs;
use crate::error::{Error, Result};
use crate::oci::KeyBuilder;
use crate::plan::Run;

impl Doing for Run {
    fn takes(&self) -> Takes {
        Takes { stage: self.stages().next(), ..Takes::changed() }
    }

    fn kind(&self) -> &'static str {
        "run"
    }

    fn mark(&self, _: KeyBuilder, _: Option<Mark>, _: &Inputs<'_>) -> Result<(KeyBuilder, Settled)> {
        Err(cannot())
    }

    fn change(&self, _: Given<'_>, _: &Inputs<'_>) -> Result<StepChange> {
        Err(cannot())
    }
}

fn cannot() -> Error {
    Error::input("RUN cannot be executed yet")
        .with_hint("copy what the command would make into the context, or build on an image that has it")
}
