//! `ocibake rmi`: names of images, taken away.

use clap::Args;

use crate::cli::environment::Environment;
use crate::cli::print::{answer, show};
use crate::error::{Error, ErrorKind, Result};
use crate::store::LocalStore;

/// Remove names of images from the local store
///
/// What no name keeps is removed when the store is next pruned.
#[derive(Debug, Args)]
pub struct RemoveArguments {
    /// Images: names, or IDs to remove with all their names
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Remove all names of an ID that has several, and ignore images that do not exist
    #[arg(short, long)]
    force: bool,
    /// Accepted, as with docker: what is below an image and has no name is never kept by it
    #[arg(long, hide = true)]
    no_prune: bool,
}

/// Removes names, and answers with each of them. One that cannot be removed is said, and does not keep the others.
pub fn run(arguments: &RemoveArguments, environment: &Environment) -> Result<()> {
    let store = LocalStore::open(environment.store()?)?;
    let mut failed = 0;
    for text in &arguments.images {
        match remove(&store, text, arguments.force) {
            Err(error) if arguments.force && error.kind == ErrorKind::NotFound => {}
            Err(error) if arguments.images.len() == 1 => return Err(error),
            Err(error) => {
                show(&error);
                failed += 1;
            }
            Ok(()) => {}
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Error::not_found(format!("{failed} of {} images were not removed", arguments.images.len()))),
    }
}

fn remove(store: &LocalStore, text: &str, force: bool) -> Result<()> {
    let found = store.find(text)?.ok_or_else(|| LocalStore::lacks(text))?;
    let is_by_name = text.parse().ok().and_then(|name| store.named(&name)).is_some();
    let names = match found.named {
        Some(image) if is_by_name => vec![image.name],
        _ => {
            let all = store.names()?.into_iter().filter(|image| image.root.digest == found.root.digest);
            all.map(|image| image.name).collect()
        }
    };
    if names.len() > 1 && !force {
        let names: Vec<String> = names.iter().map(|name| name.familiar()).collect();
        return Err(Error::input(format!("{text} has several names: {}", names.join(", ")))
            .with_hint("remove them one by one, or all with --force"));
    }
    for name in names {
        store.remove_name(&name)?;
        answer(&format!("Untagged: {}", name.familiar()))?;
    }
    Ok(())
}
