//! Builds that many machines share, with nothing between them but a plan and a registry.
//!
//! One makes the plan (`make`); each builds a share of it (`build`), pushes its images by digest, and leaves a result for each in the
//! registry (`results`); one joins these (`join`). A shard never waits for another: what it stands on it makes itself.

mod build;
mod check;
mod file;
mod flags;
mod join;
mod make;
mod results;
mod tags;

use std::path::Path;

pub use self::build::want;
pub use self::flags::{ShardFlags, SharedWork};
pub use self::make::{PlanRequest, make};
use super::flags::BakeArguments;
use crate::cli::build::Beforehand;
use crate::cli::environment::Environment;
use crate::error::{Error, Result};

/// Does `work`, for which a plan is there. Fails for flags that the plan speaks for.
pub fn go_by_plan(
    work: &SharedWork<'_>,
    arguments: &BakeArguments,
    environment: &Environment,
    beforehand: &Beforehand,
) -> Result<()> {
    let refuse = |words: &str, path: &Path| {
        let Some(flag) = arguments.says_what() else { return Ok(()) };
        let message = format!("{flag} cannot be used with {words}: {} says what is built", path.display());
        Err(Error::usage(message).with_hint("give it when the plan is made"))
    };
    match *work {
        SharedWork::Plan { .. } => Ok(()),
        SharedWork::Build { file } => {
            refuse("--shard", file)?;
            build::build(arguments, file, environment, beforehand)
        }
        SharedWork::Join { file, timeout } => {
            refuse("--join", file)?;
            join::join(arguments, file, timeout, environment)
        }
    }
}
