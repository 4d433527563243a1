//! Where steps take files from.

use crate::build::inputs::{Contexts, Inputs, Missing};
use crate::error::{ErrorKind, Result};
use crate::plan::Provider;
use crate::tree::pattern::from_root;
use crate::tree::{Files, Matched, Pivot, has_wildcard, joined, matched, not_there};

/// The files of a provider.
pub struct Provided {
    pub files: Files,
    /// What errors call it.
    pub title: String,
    pub missing: Missing,
}

impl Provided {
    /// Returns the files of `provider`; those of a stage are `from`.
    pub fn of(provider: &Provider, from: Option<&Files>, inputs: &Inputs<'_>) -> Result<Self> {
        Ok(match provider {
            Provider::Context(number) => Provided::of_context(*number, &inputs.contexts)?,
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

    /// Returns the files of the context of that place in the plan.
    pub fn of_context(number: usize, contexts: &Contexts<'_>) -> Result<Self> {
        let context = contexts.get(number)?;
        let (files, title) = (context.files.clone(), context.title.clone());
        Ok(Provided { files, title, missing: context.missing.clone() })
    }

    /// Fails where there is nothing for `pattern`, as `--parents` has it, though it has no wildcard.
    pub fn check_parents(&self, pattern: &str) -> Result<()> {
        let Pivot { start, pattern } = Pivot::of(pattern);
        self.matched(&start)?;
        if has_wildcard(&start) || has_wildcard(&pattern) {
            return Ok(());
        }
        let path = joined(start.as_bytes(), pattern.as_bytes());
        match self.files.get(&self.files.real(&path)?) {
            Some(_) => Ok(()),
            None => {
                let missing = self.missing.at(&path);
                Err(missing.unwrap_or_else(|| not_there(&String::from_utf8_lossy(&path), &self.title)))
            }
        }
    }

    /// Returns what `pattern` stands for among them.
    pub fn matched(&self, pattern: &str) -> Result<Vec<Matched<'_>>> {
        matched(&self.files, pattern, &self.title).map_err(|error| match error.kind {
            ErrorKind::NotFound => self.missing.at(from_root(pattern).as_bytes()).unwrap_or(error),
            _ => error,
        })
    }
}
