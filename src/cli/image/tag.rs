//! `ocibake tag`: one more name for an image.

use clap::Args;

use crate::cli::environment::Environment;
use crate::error::{Error, Result};
use crate::oci::Reference;
use crate::store::{ImageArrival, LocalStore, NamedImage};

/// Give an image in the local store another name
#[derive(Debug, Args)]
pub struct TagArguments {
    /// Image: a name or an ID
    #[arg(value_name = "SOURCE")]
    source: String,
    /// New name; without a tag, latest
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
}

/// Gives the names.
pub fn run(arguments: &TagArguments, environment: &Environment) -> Result<()> {
    let store = LocalStore::open(environment.store()?)?;
    let targets = arguments.targets.iter().map(|target| target_name(target)).collect::<Result<Vec<_>>>()?;
    let found = store.find(&arguments.source)?.ok_or_else(|| LocalStore::lacks(&arguments.source))?;
    for target in &targets {
        let now = NamedImage::now(target, &found.root, ImageArrival::Made);
        store.put_name(&match &found.named {
            // Whoever may do without its layers here may do so under this name, too.
            Some(image) => NamedImage {
                elsewhere: image.elsewhere.clone(),
                arrival: if image.arrival == ImageArrival::Pushed { image.arrival } else { now.arrival },
                ..now
            },
            None => now,
        })?;
    }
    Ok(())
}

fn target_name(text: &str) -> Result<Reference> {
    let name: Reference = text.parse().map_err(Error::on_command_line)?;
    match name.digest() {
        Some(_) => {
            Err(Error::usage(format!("{text} has a digest, but an image has its own"))
                .with_hint("give a name and a tag"))
        }
        None => Ok(name),
    }
}
