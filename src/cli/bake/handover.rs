//! Where resolved targets are handed over to be built.

use std::path::Path;

use super::remote::RemoteFiles;
use crate::cli::build::{Beforehand, Call};
use crate::cli::environment::Environment;
use crate::cli::progress::ProgressFlags;
use crate::error::{Error, Result};
use crate::plan::bake::ResolvedBake;

/// All that building is told.
#[expect(dead_code, reason = "what builds many targets at once takes it")]
pub struct BakeOrder<'a> {
    /// The targets, and what is allowed.
    pub resolved: ResolvedBake,
    /// The place elsewhere that contexts lie in which are paths, unless they begin with `cwd://`.
    pub remote: Option<RemoteFiles>,
    /// Where the digests are written to.
    pub metadata_file: Option<&'a Path>,
    /// What is asked in the place of builds.
    pub call: Option<Call>,
    /// How progress is shown.
    pub progress: &'a ProgressFlags,
    pub environment: &'a Environment,
    pub beforehand: &'a Beforehand,
}

/// Builds the targets.
pub fn build(order: BakeOrder<'_>) -> Result<()> {
    let names: Vec<&str> = order.resolved.targets.keys().map(String::as_str).collect();
    Err(Error::usage(format!("targets are not built yet: {}", names.join(", ")))
        .with_hint("--print shows what they come to"))
}
