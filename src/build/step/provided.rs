//! Where steps take files from.

use crate::build::inputs::{Inputs, Missing};
use crate::error::{ErrorKind, Result};
use crate::plan::Provider;
use crate::tree::pattern::from_root;
use crate::tree::{Files, Matched, matched};

/// The files of a provider.
pub struct Provided {
    pub files: Files,
    /// What errors call it.
    pub title: String,
    pub missing: Missing,
}

impl Provided {
    /// The files of `provider`; those of a stage are `from`.
    pub fn of(provider: &Provider, from: Option<&Files>, inputs: &Inputs<'_>) -> Result<Self> {
        Ok(match provider {
            Provider::Context(number) => {
                let context = inputs.contexts.get(*number)?;
                let (files, title) = (context.files.clone(), context.title.clone());
                Provided { files, title, missing: context.missing.clone() }
            }
            Provider::Stage(number) => {
                let title = format!("the stage {}", inputs.stage(*number)?.title);
                Provided { files: from.cloned().unwrap_or_default(), title, missing: Missing::default() }
            }
            Provider::Image(image) => {
                let title = format!("the image {}", image.name);
                Provided { files: inputs.bases.files(image)?, title, missing: Missing::default() }
            }
        })
    }

    /// What `pattern` stands for among them.
    pub fn matched(&self, pattern: &str) -> Result<Vec<Matched<'_>>> {
        matched(&self.files, pattern, &self.title).map_err(|error| match error.kind {
            ErrorKind::NotFound => self.missing.at(from_root(pattern).as_bytes()).unwrap_or(error),
            _ => error,
        })
    }
}
