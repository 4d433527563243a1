//! `ocibake load`: the images of an archive into the local store.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::environment::Environment;
use crate::cli::print::answer;
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::cli::store::trim;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::source::image::Location;
use crate::source::pulled::take;
use crate::store::LocalStore;

/// Load the images of an archive into the local store, under the names that they have there
#[derive(Debug, Args)]
pub struct LoadArguments {
    /// OCI archive, docker archive or OCI layout; - is standard input
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    input: PathBuf,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    pub progress: ProgressFlags,
}

/// Loads images, and answers with each name.
pub fn run(arguments: &LoadArguments, environment: &Environment) -> Result<()> {
    let limit = environment.store_limit()?;
    let store = LocalStore::open(environment.store()?)?;
    let client = environment.client(false, 0);
    let reporter = Reporter::new(&arguments.progress);
    let progress: Progress<'_> = &|event| {
        if !arguments.quiet {
            reporter.report(event);
        }
    };
    let kept = store.directory()?;
    let path = match arguments.input.to_str() {
        Some("-") => spooled(kept.path())?,
        _ => arguments.input.clone(),
    };
    let location = Location::of_path(&path).ok_or_else(|| match path.exists() {
        true => Error::input(format!("{} is neither an archive nor an OCI layout", path.display())),
        false => Error::not_found(format!("there is no {}", path.display())),
    })?;
    let found = location.find(&client, progress)?;
    if found.is_delta {
        return Err(Error::input("a delta lacks what its destination already has")
            .with_hint("complete it first: ocibake copy DELTA DST --since REF"));
    }
    if found.images.is_empty() {
        return Err(Error::input("the archive holds no image"));
    }
    for image in &found.images {
        take(image, found.store.as_ref(), &store, 0)?;
    }
    reporter.finish();
    for image in &found.images {
        let names: Vec<_> = image.names.iter().filter(|name| name.tag().is_some()).collect();
        match names.is_empty() {
            true => answer(&format!("Loaded image ID: {}", image.root.digest))?,
            false => names.iter().try_for_each(|name| answer(&format!("Loaded image: {}", name.familiar())))?,
        }
    }
    drop((found, kept));
    trim(store, limit, progress);
    Ok(())
}

/// Has all of the standard input in a file of `directory`: an archive is not read from its beginning to its end.
fn spooled(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("archive.tar");
    let written = File::create_new(&path).and_then(|mut file| io::copy(&mut io::stdin().lock(), &mut file));
    match written {
        Ok(0) => Err(Error::input("standard input is empty").with_hint("name an archive with -i FILE")),
        Ok(_) => Ok(path),
        Err(source) => Err(Error::io("read", "standard input", source)),
    }
}
