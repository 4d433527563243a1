//! A recipe that a build is handed, and does not look for.

use std::path::Path;

use super::find::{FoundRecipe, RecipeKind, location};
use crate::error::Result;
use crate::plan::Spec;

/// A recipe that stands in no file of its own.
#[derive(Clone, Copy)]
pub enum GivenRecipe<'a> {
    /// What the Dockerfile `-` says, in the place of standard input.
    Dockerfile(&'a str),
    /// The spec of an image of several.
    Spec(&'a Spec),
}

impl<'a> GivenRecipe<'a> {
    /// Returns it as what would have been found for `context`; none for what is read there.
    pub fn found(self, context: Option<&Path>) -> Result<Option<FoundRecipe>> {
        match self {
            GivenRecipe::Dockerfile(_) => Ok(None),
            GivenRecipe::Spec(spec) => {
                let kind = RecipeKind::Spec(Box::new(spec.clone()));
                Ok(Some(FoundRecipe { location: location(context)?, kind }))
            }
        }
    }

    /// Returns the target whose image it stands on; none if it is not a target's, and for a Dockerfile, in which only contexts are.
    pub fn base_target(self) -> Option<&'a str> {
        match self {
            GivenRecipe::Dockerfile(_) => None,
            GivenRecipe::Spec(spec) => spec.base.target(),
        }
    }
}
