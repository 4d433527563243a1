//! `docker manifest`: lists of images for several platforms, made here and pushed.

mod inspect;
mod kept;
mod remote;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use self::kept::{KeptLists, ListEntry, MOST_ENTRIES, no_such};
use self::remote::{found, missing, named};
use crate::cli::environment::Environment;
use crate::cli::print::{answer, answer_lines, show, tell};
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::error::{Error, Result};
use crate::image;
use crate::oci::{Descriptor, Map, Platform, Reference};
use crate::output::{Means, Output, OutputImage};
use crate::progress::Progress;
use crate::release;
use crate::source::collection::{Collection, ImageChoice};
use crate::source::image::Location;

/// Make lists of images for several platforms, and push them
#[derive(Debug, Args)]
pub struct ManifestArguments {
    #[command(subcommand)]
    command: ManifestCommand,
}

#[derive(Debug, Subcommand)]
enum ManifestCommand {
    Annotate(AnnotateArguments),
    Create(CreateListArguments),
    Inspect(inspect::InspectManifestArguments),
    Push(PushListArguments),
    Rm(RemoveListArguments),
}

/// Make a list of images in registries
#[derive(Debug, Args)]
struct CreateListArguments {
    /// Name of the list
    #[arg(value_name = "MANIFEST_LIST")]
    list: String,
    /// Images, each for one platform
    #[arg(value_name = "MANIFEST", required = true)]
    images: Vec<String>,
    /// Add them to a list that already exists
    #[arg(short, long)]
    amend: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

/// Set the platform that an image in a list is for
#[derive(Debug, Args)]
struct AnnotateArguments {
    /// Name of the list
    #[arg(value_name = "MANIFEST_LIST")]
    list: String,
    /// Image in it
    #[arg(value_name = "MANIFEST")]
    image: String,
    /// Operating system
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// Architecture
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// Variant of the architecture
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
    /// Version of the operating system
    #[arg(long, value_name = "VERSION")]
    os_version: Option<String>,
    /// Features of the operating system
    #[arg(long, value_name = "FEATURES", value_delimiter = ',')]
    os_features: Vec<String>,
}

/// Push a list, with the images that its repository lacks
#[derive(Debug, Args)]
struct PushListArguments {
    /// Name of the list
    #[arg(value_name = "MANIFEST_LIST")]
    list: String,
    /// Remove the list here once it is pushed
    #[arg(short, long)]
    purge: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    progress: ProgressFlags,
}

/// Remove lists here
#[derive(Debug, Args)]
struct RemoveListArguments {
    /// Names of lists
    #[arg(value_name = "MANIFEST_LIST", required = true)]
    lists: Vec<String>,
}

/// Runs it.
pub fn run(arguments: &ManifestArguments, environment: &Environment) -> Result<()> {
    match &arguments.command {
        ManifestCommand::Annotate(arguments) => annotate(arguments, environment),
        ManifestCommand::Create(arguments) => create(arguments, environment),
        ManifestCommand::Inspect(arguments) => inspect::run(arguments, environment),
        ManifestCommand::Push(arguments) => push(arguments, environment),
        ManifestCommand::Rm(arguments) => remove(arguments, environment),
    }
}

/// Puts images into a list: all of them, or none.
fn create(arguments: &CreateListArguments, environment: &Environment) -> Result<()> {
    let (list, lists) = (named(&arguments.list)?, KeptLists::of(environment)?);
    let present = lists.entries(&list)?.unwrap_or_default();
    if !present.is_empty() && !arguments.amend {
        let message = "refusing to amend an existing manifest list with no --amend flag";
        return Err(Error::input(message).with_hint(format!("add it, or `docker manifest rm {list}` first")));
    }
    let client = environment.client(arguments.insecure, 0);
    let images = arguments.images.iter().map(|image| named(image)).collect::<Result<Vec<_>>>()?;
    if present.len() + images.len() > MOST_ENTRIES {
        return Err(Error::usage(format!("a manifest list has {MOST_ENTRIES} images at most")));
    }
    let mut entries = Vec::with_capacity(images.len());
    for image in &images {
        let found = found(image, &client)?;
        // What was said of the same image before stays said.
        let same = |entry: &&ListEntry| entry.reference == *image && entry.descriptor.digest == found.descriptor.digest;
        entries.push(present.iter().find(same).filter(|entry| entry.manifest.is_some()).cloned().unwrap_or(found));
    }
    entries.iter().try_for_each(|entry| lists.put(&list, entry))?;
    answer(&format!("Created manifest list {list}"))
}

fn annotate(arguments: &AnnotateArguments, environment: &Environment) -> Result<()> {
    let (list, image) = (named(&arguments.list)?, named(&arguments.image)?);
    let lists = KeptLists::of(environment)?;
    let mut entry = lists.entry(&list, &image)?.ok_or_else(|| {
        let (image, list) = (&arguments.image, &arguments.list);
        Error::not_found(format!("manifest for image {image} does not exist in {list}"))
            .with_hint("`docker manifest inspect` of the list shows what it has")
    })?;
    let mut platform = entry.descriptor.platform.take().unwrap_or_else(|| Platform::new("", "", None));
    let given = |given: &Option<String>| given.clone().filter(|given| !given.is_empty());
    platform.os = given(&arguments.os).unwrap_or(platform.os);
    platform.architecture = given(&arguments.arch).unwrap_or(platform.architecture);
    platform.variant = given(&arguments.variant).or(platform.variant);
    platform.os_version = given(&arguments.os_version).or(platform.os_version);
    for feature in arguments.os_features.iter().filter(|feature| !feature.is_empty()) {
        if !platform.os_features.contains(feature) {
            platform.os_features.push(feature.clone());
        }
    }
    check_pair(&platform)?;
    entry.descriptor.platform = Some(platform);
    lists.put(&list, &entry)
}

/// Refuses a system or an architecture that there is not, and another word for one.
fn check_pair(platform: &Platform) -> Result<()> {
    let pair = format!("{}/{}", platform.os, platform.architecture);
    let read = pair.parse::<Platform>();
    if read.as_ref().is_ok_and(|read| read.os == platform.os && read.architecture == platform.architecture) {
        return Ok(());
    }
    let error = Error::usage(format!("manifest entry for image has unsupported os/arch combination: {pair}"));
    Err(match read {
        Ok(read) => error.with_hint(format!("it is {}/{}", read.os, read.architecture)),
        Err(Error { hint: Some(hint), .. }) => error.with_hint(hint),
        Err(_) => error,
    })
}

/// Pushes a list: first what its repository lacks of the images, from wherever they are, then the list itself. Answers with
/// docker's lines, the digest last.
fn push(arguments: &PushListArguments, environment: &Environment) -> Result<()> {
    let (list, lists) = (named(&arguments.list)?, KeptLists::of(environment)?);
    let entries = lists.entries(&list)?.ok_or_else(|| no_such(&list))?;
    if list.digest().is_some() {
        return Err(Error::usage(format!("{list} is pushed under a tag, not under a digest")));
    }
    warn_of_same(&entries);
    let client = environment.client(arguments.insecure, 0);
    let reporter = Reporter::new(&arguments.progress);
    let progress: Progress<'_> = &|event| reporter.report(event);
    let mut collection = Collection::new(&client, progress);
    let listed = members(&entries, &list, &mut collection)?;
    let index = image::list(listed, Map::new());
    collection.content.put(index.descriptor.digest, index.bytes);
    let image = OutputImage { store: &collection.content, root: &index.descriptor, names: std::slice::from_ref(&list) };
    release::write(&[Output::Registry], image, &Means { client: &client, jobs: 0, progress })?;
    reporter.finish();
    if arguments.purge {
        lists.remove(&list)?;
    }
    let name = list.name();
    let elsewhere = entries.iter().filter(|entry| entry.reference.name() != name).map(|entry| entry.descriptor.digest);
    let lines = elsewhere.map(|digest| format!("Pushed ref {name}@{digest} with digest: {digest}"));
    answer_lines(lines.chain([index.descriptor.digest.to_string()]))
}

/// Reads the images of `entries` in their registries, and returns what the list says of each, in their order.
fn members(entries: &[ListEntry], list: &Reference, collection: &mut Collection<'_>) -> Result<Vec<Descriptor>> {
    // What several images have is taken from the list's own registry, where one of them is in it: no byte of it moves then.
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|at| entries[*at].reference.registry() != list.registry());
    let mut members = BTreeMap::new();
    for at in order {
        let ListEntry { reference, descriptor, .. } = &entries[at];
        let platform = descriptor.platform.clone().filter(|platform| !platform.os.is_empty()).ok_or_else(|| {
            Error::input(format!("manifest {reference} must have an OS and Architecture to be pushed to a registry"))
                .with_hint("set them with `docker manifest annotate --os OS --arch ARCH`")
        })?;
        let place = Location::Registry(reference.with_digest(descriptor.digest));
        let added = collection.add(&reference.to_string(), &place, ImageChoice::default());
        added.map_err(|error| missing(reference, error))?;
        let Some(found) = collection.images.last() else { continue };
        // The type and the size are the registry's, and what was read is what they say.
        let root = &found.image.root;
        members.insert(at, Descriptor::new(&root.media_type, root.digest, root.size).with_platform(platform));
    }
    let mut listed: Vec<Descriptor> = Vec::with_capacity(members.len());
    for member in members.into_values() {
        if !listed.contains(&member) {
            listed.push(member);
        }
    }
    Ok(listed)
}

/// Removes lists. One that is not there does not keep the others.
fn remove(arguments: &RemoveListArguments, environment: &Environment) -> Result<()> {
    let lists = KeptLists::of(environment)?;
    let remove = |text: &String| {
        let list = named(text)?;
        if lists.remove(&list)? { Ok(()) } else { Err(no_such(&list)) }
    };
    let mut errors: Vec<Error> = arguments.lists.iter().filter_map(|list| remove(list).err()).collect();
    let last = errors.pop();
    errors.iter().for_each(show);
    last.map_or(Ok(()), Err)
}

fn warn_of_same(entries: &[ListEntry]) {
    for (at, entry) in entries.iter().enumerate() {
        let is_same = |other: &&ListEntry| {
            other.descriptor.platform == entry.descriptor.platform && other.descriptor.digest != entry.descriptor.digest
        };
        if let (Some(other), Some(platform)) = (entries[..at].iter().find(is_same), &entry.descriptor.platform) {
            let (other, one) = (&other.reference, &entry.reference);
            tell(&format!("warning: {other} and {one} are both listed for {platform}: a pull gets the first"));
        }
    }
}
