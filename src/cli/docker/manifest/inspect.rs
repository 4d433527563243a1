//! `docker manifest inspect`: a manifest or a list, of this machine or of a registry.

use clap::Args;

use super::kept::{EntryDocument, KeptLists, ListEntry, MOST_ENTRIES, no_such};
use super::remote::{found, missing, named};
use crate::cli::environment::Environment;
use crate::cli::print::answer_readable_json;
use crate::error::{Error, Result};
use crate::image;
use crate::oci::{Descriptor, ImageIndex, ImageManifest, Map, Reference, from_json, media_type};
use crate::progress::silent;
use crate::registry::OnDemand;
use crate::source::image::Location;
use crate::store::{DocumentBudget, Store, read_document};

/// Show a manifest, or a list of them
#[derive(Debug, Args)]
pub struct InspectManifestArguments {
    /// A list or an image; or a list of this machine, and an image in it
    #[arg(value_name = "[MANIFEST_LIST] MANIFEST", required = true, num_args = 1..=2)]
    names: Vec<String>,
    /// Show platforms and manifests, too
    #[arg(short, long)]
    verbose: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

/// The indents that docker has before members of a list, and before those of all else.
const OF_LISTS: &str = "   ";
const OF_OTHERS: &str = "\t";

/// Answers with the manifest or the list.
pub fn run(arguments: &InspectManifestArguments, environment: &Environment) -> Result<()> {
    let lists = KeptLists::of(environment)?;
    let client = environment.client(arguments.insecure, 0);
    let names = arguments.names.iter().map(|name| named(name)).collect::<Result<Vec<_>>>()?;
    match &names[..] {
        [list, image] => {
            let entry = lists.entry(list, image)?.ok_or_else(|| no_such(image))?;
            show_entry(with_manifest(entry, &client)?, arguments.verbose)
        }
        [name] => match lists.entries(name)? {
            Some(entries) => show_list(&entries, arguments.verbose),
            None => show_remote(name, arguments.verbose, &client),
        },
        _ => Ok(()),
    }
}

/// Shows what a registry has under `name`.
fn show_remote(name: &Reference, verbose: bool, client: &OnDemand) -> Result<()> {
    let (store, root) = Location::Registry(name.clone()).open(client, &silent).map_err(|error| missing(name, error))?;
    let document = read_document(store.as_ref(), &root)?;
    let what = format!("the manifest of {name}");
    match (media_type::is_index(&root.media_type), verbose) {
        (false, false) => answer_readable_json(&from_json::<ImageManifest>(&what, &document)?, OF_OTHERS),
        (false, true) => show_entry(found(name, client)?, true),
        (true, false) => answer_readable_json(&from_json::<ImageIndex>(&what, &document)?, OF_LISTS),
        (true, true) => show_list(&members(name, store.as_ref(), from_json(&what, &document)?)?, true),
    }
}

/// Reads the manifests that an index lists.
fn members(name: &Reference, store: &dyn Store, index: ImageIndex) -> Result<Vec<ListEntry>> {
    let count = index.manifests.len();
    if count > MOST_ENTRIES {
        return Err(Error::input(format!("{name} lists {count} manifests, more than the limit of {MOST_ENTRIES}")));
    }
    let mut budget = DocumentBudget::default();
    let member = |listed: Descriptor| {
        let reference = match name.digest() {
            Some(_) => name.with_digest(listed.digest),
            None => format!("{name}@{}", listed.digest).parse()?,
        };
        budget.take(&listed)?;
        let manifest = Some(read_document(store, &listed)?);
        let Descriptor { media_type, digest, size, platform, .. } = listed;
        let descriptor = Descriptor { platform, ..Descriptor::new(media_type, digest, size) };
        Ok(ListEntry { reference, descriptor, manifest })
    };
    index.manifests.into_iter().map(member).collect()
}

/// Returns an entry with its manifest, read in its registry if need be.
fn with_manifest(entry: ListEntry, client: &OnDemand) -> Result<ListEntry> {
    if entry.manifest.is_some() {
        return Ok(entry);
    }
    let place = Location::Registry(entry.reference.with_digest(entry.descriptor.digest));
    let (store, _) = place.open(client, &silent).map_err(|error| missing(&entry.reference, error))?;
    let manifest = Some(read_document(store.as_ref(), &entry.descriptor)?);
    Ok(ListEntry { manifest, ..entry })
}

fn show_entry(entry: ListEntry, verbose: bool) -> Result<()> {
    match &entry.manifest {
        Some(manifest) if !verbose => {
            let what = format!("the manifest of {}", entry.reference);
            answer_readable_json(&from_json::<ImageManifest>(&what, manifest)?, OF_OTHERS)
        }
        _ => answer_readable_json(&entry.document(), OF_OTHERS),
    }
}

fn show_list(entries: &[ListEntry], verbose: bool) -> Result<()> {
    if verbose {
        let documents: Vec<EntryDocument> = entries.iter().map(ListEntry::document).collect();
        return answer_readable_json(&documents, OF_OTHERS);
    }
    let list = image::list(entries.iter().map(|entry| entry.descriptor.clone()).collect(), Map::new());
    answer_readable_json(&from_json::<ImageIndex>("a list", &list.bytes)?, OF_LISTS)
}
