//! `ocibake index`: one index of images that were built apart.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::commands::Commands;
use super::environment::Environment;
use super::flags::tags::{ReleaseFlags, TagChoice};
use super::flags::transfer::TransferFlags;
use super::flags::value::{flag, value};
use super::metadata;
use super::print::answer;
use super::progress::{ProgressFlags, Reporter};
use crate::error::{Error, Result};
use crate::image;
use crate::oci::{Descriptor, Map, Reference};
use crate::output::{self, Means, Output, OutputImage};
use crate::plan::annotation::{self, PlacedAnnotations};
use crate::progress::Progress;
use crate::release::{self, Release, ReleaseTarget};
use crate::source::collection::{Collection, ImageChoice};
use crate::store::pending::PendingFile;

/// Make one index of images that were built separately, and push it
///
/// Each REF is an image for one platform or several; an index is taken apart into its images and their attestations. No
/// layer is pulled: what is in the registry already is mounted from where it is, the rest is sent. Without --annotation the
/// index has the annotations that all of its images share, as one that is built in one go has.
#[derive(Debug, Args)]
pub struct IndexArguments {
    /// Name to push to, such as registry.example/org/api:v0.2.0
    #[arg(value_name = "NAME[:TAG]")]
    name: String,
    /// Images to list: names in a registry, best by digest, or oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME]
    #[arg(value_name = "REF", required = true)]
    images: Vec<String>,
    #[command(flatten)]
    choice: TagChoice,
    /// Set an annotation on the index
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// Write to FILE (OCI archive), DIR/ (OCI layout), or as for `build`, instead of pushing; type=registry pushes, too
    #[arg(short, long, value_name = "OUTPUT", value_parser = value::<Output>)]
    output: Vec<Output>,
    #[command(flatten)]
    release: ReleaseFlags,
    /// Write digest, descriptor and names to FILE, as JSON, and what becomes of tags, for `tags --rollback`
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    #[command(flatten)]
    transfer: TransferFlags,
    #[command(flatten)]
    pub progress: ProgressFlags,
}

/// Makes an index, writes or pushes it, and answers with its name and digest.
pub fn run(arguments: &IndexArguments, environment: &Environment) -> Result<()> {
    let (target, _) = arguments.release.target(&arguments.choice, &arguments.name, Path::new("."), &environment.ci)?;
    let first = target.names().next().unwrap_or(target.repository.clone());
    arguments.metadata_file.as_deref().map_or(Ok(()), PendingFile::check)?;
    let reporter = Reporter::new(&arguments.progress);
    let root = join(arguments, target, environment, &|event| reporter.report(event))?;
    reporter.finish();
    answer(&format!("{first}@{}", root.digest))
}

fn join(
    arguments: &IndexArguments,
    target: ReleaseTarget,
    environment: &Environment,
    progress: Progress<'_>,
) -> Result<Descriptor> {
    let mut annotations = Map::new();
    for text in &arguments.annotation {
        let mut placed = PlacedAnnotations::default();
        annotation::set(&mut annotations, &mut placed, text).map_err(flag("annotation"))?;
        if placed != (PlacedAnnotations { index: placed.index.clone(), ..PlacedAnnotations::default() }) {
            return Err(Error::usage(format!(
                "--annotation {text}: only the index is new, the manifests stay as they are"
            )));
        }
        annotations.extend(placed.index);
    }
    let pushed = [Output::Registry];
    let outputs = if arguments.output.is_empty() { &pushed[..] } else { &arguments.output };
    let names: Vec<Reference> = target.names().collect();
    let client = arguments.transfer.client(environment);
    let mut collection = Collection::new(&client, progress);
    let mut seen = HashSet::new();
    for title in arguments.images.iter().filter(|title| seen.insert(*title)) {
        collection.add(title, &environment.location(title)?, ImageChoice::default())?;
    }
    let index = image::join(&collection.members()?, &annotations)?;
    collection.check_complete(|_, blob| output::hold(outputs, &names, blob, &client, progress))?;
    collection.content.put(index.descriptor.digest, index.bytes);
    let image = OutputImage { store: &collection.content, root: &index.descriptor, names: &names };
    let means = Means { client: &client, jobs: arguments.transfer.jobs, progress };
    let (file, no_commands) = (arguments.metadata_file.as_deref(), Commands::default());
    let keep = metadata::keeper(file, &no_commands);
    if outputs.contains(&Output::Registry) {
        let (targets, undo) = ([target], file.map(metadata::undo));
        let immutable = arguments.release.immutable;
        let release = Release { targets: &targets, immutable, undo: undo.as_deref(), keep: &keep };
        release.write(outputs, image, &means)?;
    } else {
        release::write(outputs, image, &means)?;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        file.map_or(Ok(()), |file| metadata::write(file, image, &names, None, &no_commands))?;
    }
    Ok(index.descriptor)
}
