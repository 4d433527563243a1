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
use crate::release::{self, PushedImage};
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
    /// Print only the name
    #[arg(short, long)]
    quiet: bool,
    /// Accepted, as with docker
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
        let line = match arguments.quiet {
            true => image.name.to_string(),
            false => {
                let tag = image.name.tag().unwrap_or_default();
                format!("{tag}: digest: {} size: {}", root.digest, root.size)
            }
        };
        reporter.suspended(|| answer(&line))?;
    }
    reporter.finish();
    Ok(())
}

/// Pushes what the local store has under each of `names`, and returns what they stand for, in their order. Fails if there is
/// nothing under one of them; no tag is set before registries have all.
pub fn push_names(
    names: &[Reference],
    environment: &Environment,
    client: &OnDemand,
    progress: Progress<'_>,
) -> Result<Vec<Descriptor>> {
    let root = environment.store()?;
    let store = LocalStore::open(root)?;
    let mut images = Vec::with_capacity(names.len());
    for name in names {
        let image = store.named(name).ok_or_else(|| absent(name))?;
        let location = Location::Local(root.to_owned(), image.name.to_string());
        let (content, root) = location.open(client, progress)?;
        images.push((content, root, [image.name]));
    }
    let pushed = images.iter().map(|(content, root, names)| PushedImage {
        image: OutputImage { store: content.as_ref(), root, names },
        release: None,
    });
    release::push_together(&pushed.collect::<Vec<_>>(), &Means { client, jobs: 0, progress })?;
    Ok(images.into_iter().map(|(_, root, _)| root).collect())
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
