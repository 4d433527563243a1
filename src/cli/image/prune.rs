//! `ocibake image prune`: what no name keeps.

use clap::Args;

use super::row::size;
use crate::cli::environment::Environment;
use crate::cli::print::{answer, answer_lines, tell};
use crate::error::Result;
use crate::store::LocalStore;
use crate::store::prune::Bound;

/// Remove what no name keeps from the local store; also what builds would take from there
///
/// Builds that run are waited for.
#[derive(Debug, Args)]
pub struct ImagePruneArguments {
    /// Remove all names, too
    #[arg(short, long)]
    all: bool,
    /// Accepted, as docker has it: nothing is asked
    #[arg(short, long)]
    force: bool,
}

/// Removes it, and answers with the names that went and what was freed.
pub fn run(arguments: &ImagePruneArguments, environment: &Environment) -> Result<()> {
    let root = environment.store()?;
    let store = LocalStore::open(root)?;
    if arguments.all {
        for image in store.names()? {
            store.remove_name(&image.name)?;
            answer(&format!("Untagged: {}", image.name.familiar()))?;
        }
    }
    let idle = match store.idle()? {
        Some(idle) => idle,
        None => {
            tell("waiting for the builds that use the store");
            LocalStore::open(root)?.wait_until_idle()?
        }
    };
    let pruned = idle.prune(&Bound { keep: 0, unused_for: None })?;
    answer_lines([format!("Total reclaimed space: {}", size(pruned.size()))])
}
