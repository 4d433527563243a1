//! `ocibake image prune`: what no name keeps.

use clap::Args;

use super::row::{ListedImage, size};
use crate::cli::environment::Environment;
use crate::cli::flags::prune::PruneFilter;
use crate::cli::flags::value::value;
use crate::cli::print::{answer, answer_lines};
use crate::cli::store::idle;
use crate::error::Result;
use crate::store::LocalStore;
use crate::store::prune::Bound;

/// Remove what no name keeps from the local store, including what builds could reuse
///
/// Running builds are waited for.
#[derive(Debug, Args)]
pub struct ImagePruneArguments {
    /// Remove all names, too
    #[arg(short, long)]
    all: bool,
    /// Remove only what until=TIME says: what was made or used before; and names that label=KEY[=VALUE] or label!=KEY[=VALUE] says
    #[arg(long, value_name = "FILTER", value_parser = value::<PruneFilter>)]
    filter: Vec<PruneFilter>,
    /// Accepted, as with docker: nothing is asked
    #[arg(short, long)]
    force: bool,
}

/// Removes it, and answers with the names that went and what was freed.
pub fn run(arguments: &ImagePruneArguments, environment: &Environment) -> Result<()> {
    let store = LocalStore::open(environment.store()?)?;
    if arguments.all {
        for image in store.names()? {
            if !arguments.filter.is_empty() {
                let listed = ListedImage::of(&store, image.clone())?;
                if !arguments.filter.iter().all(|filter| filter.passes(listed.created, &listed.labels)) {
                    continue;
                }
            }
            store.remove_name(&image.name)?;
            answer(&format!("Untagged: {}", image.name.familiar()))?;
        }
    }
    // What has no name any more has no labels that are known either.
    let is_of_labels = arguments.filter.iter().any(|filter| matches!(filter, PruneFilter::Label { .. }));
    let unused_for = arguments.filter.iter().filter_map(PruneFilter::time).max();
    let freed = if is_of_labels { 0 } else { idle(store)?.prune(&Bound { keep: 0, unused_for })?.size() };
    answer_lines([format!("Total reclaimed space: {}", size(freed))])
}
