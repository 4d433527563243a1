//! `ocibake image prune`: what no name keeps.

use clap::Args;

use super::row::size;
use crate::cli::environment::Environment;
use crate::cli::print::{answer, answer_lines};
use crate::cli::store::idle;
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
    let store = LocalStore::open(environment.store()?)?;
    if arguments.all {
        for image in store.names()? {
            store.remove_name(&image.name)?;
            answer(&format!("Untagged: {}", image.name.familiar()))?;
        }
    }
    let pruned = idle(store)?.prune(&Bound { keep: 0, unused_for: None })?;
    answer_lines([format!("Total reclaimed space: {}", size(pruned.size()))])
}
