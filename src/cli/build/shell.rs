//! `--on-failure=shell`.

use crate::build::RunShell;
use crate::cli::flags::run::RunFlags;
use crate::cli::print::tell;
use crate::cli::progress::Reporter;
use crate::cli::terminal;
use crate::error::{Error, Result};

/// Fails if a shell is wanted and there is no terminal for it.
pub fn check(flags: &RunFlags) -> Result<()> {
    match flags.on_failure {
        Some(_) if !terminal::is_there() => {
            Err(Error::usage("--on-failure=shell needs a terminal on standard input and standard error")
                .with_hint("leave it out where nobody can type, as in CI"))
        }
        _ => Ok(()),
    }
}

/// Gives the terminal to the shell that `run` runs, since the command of a step has ended with `failure`.
pub fn open(reporter: &Reporter, failure: &str, run: RunShell<'_>) -> Result<()> {
    reporter.suspended(|| {
        tell(failure);
        tell("this is a shell in what the command has left: `exit` ends it, and the build");
        terminal::lend(run)
    })
}
