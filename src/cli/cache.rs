//! `ocibake cache`: the local store, listed and pruned; and the steps and cache mounts that a registry keeps.

mod remote;

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use clap::{Args, Subcommand};
use serde_json::json;

use super::bytes::HumanBytes;
use super::count::count;
use super::environment::Environment;
use super::flags::prune::PruneFlags;
use super::namespace::Want;
use super::print::{answer_json, answer_lines};
use super::store::idle;
use crate::error::Result;
use crate::oci::{Digest, Reference};
use crate::plan::label::rfc3339;
use crate::store::prune::Pruned;
use crate::store::{Contents, Item, LocalStore};

/// Show or prune the local store, where builds keep their blobs, and the steps that a registry keeps
#[derive(Debug, Args)]
pub struct CacheArguments {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    Ls(ListArguments),
    Prune(PruneArguments),
    Gc(remote::SweepArguments),
}

/// List what is in the local store, the least recently used first, with the names of the images that it belongs to
///
/// With a NAME: the steps that `--cache-to type=registry,ref=NAME` has put there, and the cache mounts of `--cache-mounts`.
///
/// That is the order in which they are removed once the store is over its limit: OCIBAKE_STORE_LIMIT (such as 5GB, or
/// none), else 20 GiB, or a tenth of the file system if that is less.
#[derive(Debug, Args)]
struct ListArguments {
    /// The cache, as `ref` of --cache-to or --cache-mounts names it
    #[arg(value_parser = remote::listed_cache)]
    name: Option<Reference>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

/// Remove what was used least recently from the local store until it is under its limit
///
/// The limit is OCIBAKE_STORE_LIMIT (such as 5GB, or none), else 20 GiB, or a tenth of the file system if that is less. Running
/// builds are waited for. What killed builds have left is removed, too.
#[derive(Debug, Args)]
struct PruneArguments {
    #[command(flatten)]
    flags: PruneFlags,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// Returns what a command wants of its place.
pub fn want(arguments: &CacheArguments, environment: &Environment) -> Want {
    match &arguments.command {
        CacheCommand::Prune(arguments) if !arguments.dry_run => Want::of_removal(environment),
        _ => Want::Nothing,
    }
}

/// Answers with what the local store holds, or with what was removed from it.
pub fn run(arguments: &CacheArguments, environment: &Environment) -> Result<()> {
    match &arguments.command {
        CacheCommand::Ls(ListArguments { name: Some(name), json, insecure }) => {
            remote::list(name, *json, *insecure, environment)
        }
        CacheCommand::Ls(arguments) => list(arguments, environment),
        CacheCommand::Gc(arguments) => remote::sweep(arguments, environment),
        CacheCommand::Prune(arguments) => prune(arguments, environment),
    }
}

fn list(arguments: &ListArguments, environment: &Environment) -> Result<()> {
    let store = LocalStore::open(environment.store()?)?;
    let limit = environment.store_limit()?.bytes(store.root())?;
    let mut contents = store.contents()?;
    contents.blobs.sort_by_key(|blob| (blob.used, blob.digest));
    contents.unpacked.sort_by_key(|item| (item.used, item.digest));
    contents.caches.sort_by_key(|item| (item.used, item.digest));
    let names = store.names_of_blobs()?;
    if arguments.json {
        return answer_json(&document(&store, &contents, &names, limit));
    }
    let line = |(item, kind): (&Item, &str)| {
        let size = HumanBytes(item.size).to_string();
        let named = names.get(&item.digest).map(|names| format!("  {}", in_short(names))).unwrap_or_default();
        format!("{}  {size:>11}  {}  {kind}{named}", item.digest, last_used(item))
    };
    let blobs = contents.blobs.iter().map(|blob| (blob, store.kind(&blob.digest).name()));
    let unpacked = contents.unpacked.iter().map(|item| (item, "unpacked"));
    let caches = contents.caches.iter().map(|item| (item, "cache mount"));
    let mut items: Vec<(&Item, &str)> = blobs.chain(unpacked).chain(caches).collect();
    items.sort_by_key(|(item, _)| (item.used, item.digest));
    let limit = limit.map_or("no limit".to_owned(), |limit| format!("the limit is {}", HumanBytes(limit)));
    let Contents { blobs, records, unpacked, caches, .. } = &contents;
    let (size, counts) = (HumanBytes(contents.size()), counts(blobs, records, unpacked, caches));
    let sum = format!("{size} in {}: {counts}; {limit}", store.root().display());
    answer_lines(items.into_iter().map(line).chain([sum]))
}

/// So many names are shown of a blob that many images have.
const SHOWN_NAMES: usize = 3;

fn in_short(names: &[Reference]) -> String {
    let mut shown: Vec<String> = names.iter().take(SHOWN_NAMES).map(Reference::familiar).collect();
    if names.len() > SHOWN_NAMES {
        shown.push(format!("and {} more", names.len() - SHOWN_NAMES));
    }
    shown.join(", ")
}

fn document(
    store: &LocalStore,
    contents: &Contents,
    names: &BTreeMap<Digest, Vec<Reference>>,
    limit: Option<u64>,
) -> serde_json::Value {
    let blob = |blob: &Item| {
        let kind = store.kind(&blob.digest);
        let names = names.get(&blob.digest).into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
        json!({"digest": blob.digest, "size": blob.size, "lastUsed": last_used(blob), "kind": kind, "names": names})
    };
    let directory = |item: &Item| json!({"name": item.digest.hex(), "size": item.size, "lastUsed": last_used(item)});
    json!({
        "store": store.root().to_string_lossy(),
        "limit": limit,
        "size": contents.size(),
        "records": contents.records.len(),
        "blobs": contents.blobs.iter().map(blob).collect::<Vec<_>>(),
        "unpacked": contents.unpacked.iter().map(directory).collect::<Vec<_>>(),
        "cacheMounts": contents.caches.iter().map(directory).collect::<Vec<_>>(),
    })
}

fn prune(arguments: &PruneArguments, environment: &Environment) -> Result<()> {
    let root = environment.store()?;
    let limit = environment.store_limit()?;
    let store = LocalStore::open(root)?;
    let bound = arguments.flags.bound(&store, limit.bytes(root)?.unwrap_or(u64::MAX))?;
    if arguments.dry_run {
        return answer_lines(removed(&store.prunable(&bound)?, "would free"));
    }
    let idle = idle(store)?;
    answer_lines(removed(&idle.prune(&bound)?, "freed"))
}

fn removed(pruned: &Pruned, freed: &str) -> Vec<String> {
    let line = |blob: &Item| format!("{}  {:>11}", blob.digest, HumanBytes(blob.size).to_string());
    let contents = counts(&pruned.blobs, &pruned.records, &pruned.unpacked, &pruned.caches);
    let pending = match pruned.pending.len() {
        0 => String::new(),
        number => format!(", {} of killed builds", count(number, "file")),
    };
    let sum = format!("{freed} {}: {contents}{pending}", HumanBytes(pruned.size()));
    pruned.blobs.iter().chain(&pruned.unpacked).chain(&pruned.caches).map(line).chain([sum]).collect()
}

fn counts(blobs: &[Item], records: &[Item], unpacked: &[Item], caches: &[Item]) -> String {
    let directories = [(unpacked, "unpacked layer"), (caches, "cache mount")];
    let present = directories.iter().filter(|(items, _)| !items.is_empty());
    let directories: String = present.map(|(items, what)| format!(", {}", count(items.len(), what))).collect();
    format!("{}, {}{directories}", count(blobs.len(), "blob"), count(records.len(), "record"))
}

/// Returns the time of the last use in UTC, and nothing for one that no calendar has: that is of a file that somebody
/// has changed.
fn last_used(item: &Item) -> String {
    let seconds = item.used.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok());
    seconds.and_then(|seconds| rfc3339(seconds).ok()).unwrap_or_default()
}
