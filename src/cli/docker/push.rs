//! `docker push`: what the local store has, under its own name and no other.

use std::path::Path;

use clap::Args;

use crate::cli::environment::Environment;
use crate::cli::print::{answer, tell};
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Reference};
use crate::output::{Means, Output, OutputImage};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::release;
use crate::source::image::Location;
use crate::store::LocalStore;

/// Push an image of the local store to the registry of its name
#[derive(Debug, Args)]
pub struct DockerPushArguments {
    /// Name that the image has
    #[arg(value_name = "NAME[:TAG]")]
    name: String,
    /// Push all tags of the name
    #[arg(short, long)]
    all_tags: bool,
    /// Say nothing but the name
    #[arg(short, long)]
    quiet: bool,
    /// Accepted, as docker has it
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_content_trust: Option<String>,
    /// Accepted: all platforms are pushed
    #[arg(long, hide = true)]
    platform: Option<String>,
    #[command(flatten)]
    progress: ProgressFlags,
}

/// Pushes, and says of each tag what docker says.
pub fn run(arguments: &DockerPushArguments, environment: &Environment) -> Result<()> {
    let name: Reference = arguments.name.parse().map_err(Error::on_command_line)?;
    let root = environment.store()?;
    let store = LocalStore::open(root)?;
    let images = match arguments.all_tags {
        true if name.tag().is_some() => {
            return Err(
                Error::usage("tag can't be used with --all-tags/-a").with_hint("leave out the tag, or --all-tags")
            );
        }
        true => store.names()?.into_iter().filter(|image| image.name.name() == name.name()).collect(),
        false => store.named(&name).into_iter().collect::<Vec<_>>(),
    };
    if images.is_empty() {
        return Err(absent(&name));
    }
    let client = environment.client(false, 0);
    let style = if arguments.quiet { ProgressFlags::quiet() } else { arguments.progress.clone() };
    let reporter = Reporter::new(&style);
    let progress: Progress<'_> = &|event| reporter.report(event);
    if !arguments.quiet {
        tell(&format!("The push refers to repository [{}]", name.name()));
    }
    for image in &images {
        let root = send(&image.name, root, &client, progress)?;
        match arguments.quiet {
            true => answer(&image.name.to_string())?,
            false => {
                let tag = image.name.tag().unwrap_or_default();
                answer(&format!("{tag}: digest: {} size: {}", root.digest, root.size))?;
            }
        }
    }
    reporter.finish();
    Ok(())
}

/// Pushes what the local store has under `name`, and returns what it is. Fails if there is nothing.
pub fn push_name(
    name: &Reference,
    environment: &Environment,
    client: &OnDemand,
    progress: Progress<'_>,
) -> Result<Descriptor> {
    let root = environment.store()?;
    let image = LocalStore::open(root)?.named(name).ok_or_else(|| absent(name))?;
    send(&image.name, root, client, progress)
}

fn absent(name: &Reference) -> Error {
    let name = name.familiar();
    Error::not_found(format!("An image does not exist locally with the tag: {name}"))
        .with_hint("build it under that name, or `docker tag` it: `docker images` lists what there is")
}

/// Pushes the image `name` of the local store at `root` under that name.
fn send(name: &Reference, root: &Path, client: &OnDemand, progress: Progress<'_>) -> Result<Descriptor> {
    let location = Location::Local(root.to_owned(), name.to_string());
    let (content, root) = location.open(client, progress)?;
    let names = [name.clone()];
    let output = OutputImage { store: content.as_ref(), root: &root, names: &names };
    release::write(&[Output::Registry], output, &Means { client, jobs: 0, progress })?;
    Ok(root)
}
