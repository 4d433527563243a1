//! `ocibake copy`: images with all their platforms, from one place to another.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use clap::Args;

use super::environment::Environment;
use super::flags::transfer::TransferFlags;
use super::flags::value::{flag, value};
use super::print::answer_lines;
use super::progress::{ProgressFlags, Reporter};
use crate::error::{Error, Result};
use crate::oci::{Digest, Platform};
use crate::output::{self, Bundle, BundleEntry, Destination, Means, Names, Output, OutputImage};
use crate::plan::setting;
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::release;
use crate::source::collection::{Collected, Collection, ImageChoice};
use crate::source::image::Location;

/// Copy images, with all their platforms, between registries, layouts and archives
///
/// SRC and DST are names in a registry, or oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME]; a path begins
/// with ./ or /, or ends with /. A layout or archive without NAME is all of its images. A DST without a tag takes those of SRC;
/// one that begins with a host and ends with a slash, such as registry.example/mirror/, takes any number of images, each under
/// its own repository's path and tag.
#[derive(Debug, Args)]
pub struct CopyArguments {
    /// Images to copy, and where to: without -o the last one is the destination
    #[arg(value_name = "SRC... DST", required = true)]
    places: Vec<String>,
    /// Write to FILE (OCI archive), DIR/ (OCI layout), or type=oci|docker|local|tar,dest=PATH, instead of DST
    #[arg(short, long, value_name = "OUTPUT", value_parser = value::<Output>)]
    output: Vec<Output>,
    /// Copy these platforms only, such as linux/amd64,linux/arm64
    ///
    /// Several of an index make a new index that lists no others, with the attestations about them; a single one is copied as
    /// the plain image that it is.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    platform: Vec<String>,
    /// Copy what refers to the images, too: signatures, SBOMs and the like, and what refers to those
    #[arg(long)]
    referrers: bool,
    /// What the far side has already: an archive, a layout or an image in a registry
    ///
    /// An OCI archive is written without the blobs of its images: a delta. Where a delta is copied from, it is where the blobs
    /// that are not in it come from; they may also be at the destination. If any of them is missing, nothing is written.
    #[arg(long, value_name = "REF")]
    since: Vec<String>,
    #[command(flatten)]
    transfer: TransferFlags,
    #[command(flatten)]
    pub progress: ProgressFlags,
}

/// A copy's sources and where they go.
struct CopyOrder<'a> {
    sources: &'a [String],
    /// None if outputs alone say where to.
    destination: Option<Destination>,
    outputs: Vec<Output>,
    platforms: Vec<Platform>,
}

/// Copies images and answers with the name and the digest of each.
pub fn run(arguments: &CopyArguments, environment: &Environment) -> Result<()> {
    let reporter = Reporter::new(&arguments.progress);
    let lines = copy(arguments, environment, &|event| reporter.report(event))?;
    reporter.finish();
    answer_lines(lines)
}

/// Returns a line for each image: what it is called where it went, and its digest.
fn copy(arguments: &CopyArguments, environment: &Environment, progress: Progress<'_>) -> Result<Vec<String>> {
    let order = CopyOrder::of(arguments)?;
    let client = arguments.transfer.client(environment);
    let mut collection = Collection::new(&client, progress);
    for source in order.sources {
        let choice = ImageChoice { platforms: &order.platforms, referrers: arguments.referrers };
        collection.add(source, &environment.location(source)?, choice)?;
    }
    let names = order.names(&collection.images)?;
    let since = arguments.since.iter().map(|title| environment.location(title)).collect::<Result<Vec<_>>>()?;
    let left_out = left_out(arguments, &since, &order, &mut collection, &client, progress)?;
    collection.check_complete(|number, blob| {
        let full = names.get(number).map(|names| names.full.as_slice()).unwrap_or_default();
        output::hold(&order.outputs, full, blob, &client, progress)
    })?;
    let entries = collection.images.iter().zip(&names).map(|(collected, names)| BundleEntry {
        image: OutputImage { store: &collection.content, root: &collected.image.root, names: &names.full },
        short_names: &names.short,
        referrers: &collected.referrers,
    });
    let bundle = Bundle { entries: entries.collect(), left_out: left_out.as_ref() };
    release::write_all(&order.outputs, &bundle, &Means { client: &client, jobs: arguments.transfer.jobs, progress })?;
    let line = |(collected, names): (&Collected, &Names)| {
        let digest = collected.image.root.digest;
        match names.full.first() {
            Some(name) if name.digest().is_none() => format!("{name}@{digest}"),
            Some(name) => name.to_string(),
            None => digest.to_string(),
        }
    };
    Ok(collection.images.iter().zip(&names).map(line).collect())
}

/// The blobs that a delta goes without, if one is to be written. If it is deltas that are copied, they are completed instead.
fn left_out<'a>(
    arguments: &CopyArguments,
    since: &[Location],
    order: &CopyOrder<'_>,
    collection: &mut Collection<'a>,
    client: &'a OnDemand,
    progress: Progress<'a>,
) -> Result<Option<HashSet<Digest>>> {
    if collection.is_delta() {
        since.iter().try_for_each(|location| collection.complete_from(location))?;
        return Ok(None);
    }
    if since.is_empty() {
        return Ok(None);
    }
    if !order.outputs.iter().any(|output| matches!(output, Output::OciArchive(_))) {
        return Err(Error::usage("--since leaves blobs out of an OCI archive, but none is written")
            .with_hint("write one with -o FILE; what is copied is not a delta that could be completed"));
    }
    let mut present = Collection::new(client, progress);
    let mut titled = arguments.since.iter().zip(since);
    titled.try_for_each(|(title, at)| present.add(title, at, ImageChoice::default()))?;
    let paths = || order.outputs.iter().filter_map(Output::path);
    let is_overwritten = |collected: &&Collected| {
        collected.location.path().is_some_and(|from| paths().any(|to| is_same_place(from, to)))
    };
    match present.images.iter().find(is_overwritten) {
        // What is left out may be nowhere else.
        Some(collected) => Err(Error::usage(format!("the delta would overwrite {}, which it needs", collected.title))
            .with_hint("write the delta elsewhere")),
        None => Ok(Some(present.blobs())),
    }
}

impl<'a> CopyOrder<'a> {
    fn of(arguments: &'a CopyArguments) -> Result<Self> {
        let platforms = match arguments.platform.is_empty() {
            true => Vec::new(),
            false => setting::platforms(&arguments.platform.join(",")).map_err(flag("platform"))?,
        };
        if !arguments.output.is_empty() {
            if arguments.output.contains(&Output::Registry) {
                return Err(Error::usage("-o type=registry does not say which registry the copies go to")
                    .with_hint("name it last, in the place of -o: ocibake copy SRC... DST"));
            }
            let outputs = arguments.output.clone();
            return Ok(CopyOrder { sources: &arguments.places, destination: None, outputs, platforms });
        }
        match arguments.places.split_last() {
            Some((destination, sources)) if !sources.is_empty() => {
                let destination: Destination = destination.parse()?;
                let outputs = vec![destination.output()];
                Ok(CopyOrder { sources, destination: Some(destination), outputs, platforms })
            }
            _ => Err(Error::usage("the copy has no destination").with_hint("name it after what is copied, or with -o")),
        }
    }

    /// Returns the names of each of `images` where it goes. Fails for several under one name, and for one that is
    /// there.
    fn names(&self, images: &[Collected]) -> Result<Vec<Names>> {
        if let ([_, other, ..], true) = (images, self.destination.as_ref().is_some_and(Destination::is_for_one)) {
            let hint = match self.outputs.first() {
                Some(Output::Registry) => "name one of them, or end the destination with a slash",
                _ => "name one of them, or leave out the name at the destination",
            };
            return Err(Error::usage(format!(
                "{} images cannot go under one name, such as {}",
                images.len(),
                other.title
            ))
            .with_hint(hint));
        }
        let names = images.iter().map(|collected| {
            let names = match &self.destination {
                Some(destination) => destination.names(&collected.title, &collected.image)?,
                None => Names::kept(&collected.image),
            };
            self.check_is_elsewhere(collected, &names)?;
            Ok(names)
        });
        names.collect()
    }

    /// Refuses to copy an image to where it is.
    fn check_is_elsewhere(&self, collected: &Collected, names: &Names) -> Result<()> {
        let is_there = self.outputs.iter().any(|output| match (&collected.location, output, output.path()) {
            (Location::Registry(_), Output::Registry, _) => {
                let image = &collected.image;
                let is_own = |name: &_| image.names.contains(name);
                names.full.iter().any(is_own)
            }
            (Location::Layout(from, _), Output::Layout(to), _) => {
                let kept = Names::kept(&collected.image);
                is_same_place(from, to) && *names == kept
            }
            (location, _, Some(to)) => location.path().is_some_and(|from| is_same_place(from, to)),
            _ => false,
        });
        match is_there {
            true => Err(Error::usage(format!("{} would be copied onto itself", collected.title))
                .with_hint("name another destination")),
            false => Ok(()),
        }
    }
}

fn is_same_place(from: &Path, to: &Path) -> bool {
    fs::canonicalize(from).is_ok_and(|from| fs::canonicalize(to).is_ok_and(|to| from == to))
}
