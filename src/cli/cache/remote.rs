//! `ocibake cache ls NAME` and `ocibake cache gc NAME`: the steps and cache mounts that a registry keeps.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::bytes::HumanBytes;
use crate::cli::count::count;
use crate::cli::environment::Environment;
use crate::cli::flags::value::value;
use crate::cli::print::{answer_json, answer_lines};
use crate::error::{Result, escape};
use crate::net::date;
use crate::oci::{Digest, Reference};
use crate::plan::is_http;
use crate::plan::label::rfc3339;
use crate::plan::quantity::Age;
use crate::source::artifact::{ListedArtifact, title_of};
use crate::source::mount_cache::{RegistryMounts, entry::MountEntry};
use crate::source::step_cache::{RegistrySteps, entry::StepEntry};

/// Remove the steps from a registry that no build has used or written for a while, and old cache mounts
///
/// Uses are noted by the builds that may write there (--cache-to). Cache mounts (--cache-mounts) are old if they were not
/// written for this long; the newest of each stays. Nothing else is removed, and no other command removes anything. Their
/// layers go when the registry next collects its garbage.
#[derive(Debug, Args)]
pub struct SweepArguments {
    /// The cache, as `ref` of --cache-to or --cache-mounts names it
    #[arg(value_parser = listed_cache)]
    name: Reference,
    /// Remove what was not used or written for this long, such as 14d or 36h
    #[arg(long, value_name = "DURATION", value_parser = value::<Age>, default_value = "14d")]
    older_than: Age,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

/// Reads the name of a cache that can be listed and tidied.
pub fn listed_cache(text: &str) -> Result<Reference, String> {
    match is_http(text) {
        true => Err("this is not a registry but a server, which keeps and removes steps by itself".to_owned()),
        false => value(text),
    }
}

/// Answers with the steps and cache mounts that are kept under `name`.
pub fn list(name: &Reference, json: bool, insecure: bool, environment: &Environment) -> Result<()> {
    let client = environment.client(insecure, 0);
    let entries = RegistrySteps::new(name.clone(), &client)?.entries()?;
    let mounts = RegistryMounts::new(name.clone(), &client)?.entries()?;
    if json {
        return answer_json(&json!({
            "name": title_of(name), "steps": entries.iter().map(document).collect::<Vec<_>>(),
            "cacheMounts": mounts.iter().map(document_of_mount).collect::<Vec<_>>(),
        }));
    }
    let (size, counts) = (HumanBytes(size(&entries, &mounts)), counts(&entries, &mounts));
    let sum = format!("{size} in {}: {counts}", title_of(name));
    answer_lines(entries.iter().map(line).chain(mounts.iter().map(line_of_mount)).chain([sum]))
}

/// Removes what nothing has used, and answers with it.
pub fn sweep(arguments: &SweepArguments, environment: &Environment) -> Result<()> {
    let SweepArguments { name, older_than: Age(age), dry_run, json, insecure } = arguments;
    let client = environment.client(*insecure, 0);
    let steps = RegistrySteps::new(name.clone(), &client)?;
    let unused = steps.unused(since(*age))?;
    let mounts = RegistryMounts::new(name.clone(), &client)?;
    let (old, kept_mounts) = mounts.old(since(*age))?;
    if !dry_run {
        steps.remove(&unused)?;
        mounts.remove(&old)?;
    }
    let entries = &unused.entries;
    if *json {
        return answer_json(&json!({
            "name": title_of(name), "isRemoved": !dry_run, "kept": unused.kept,
            "steps": entries.iter().map(document).collect::<Vec<_>>(),
            "keptCacheMounts": kept_mounts,
            "cacheMounts": old.iter().map(document_of_mount).collect::<Vec<_>>(),
        }));
    }
    let done = if *dry_run { "would remove" } else { "removed" };
    let (what, size) = (counts(entries, &old), HumanBytes(size(entries, &old)));
    let sum =
        format!("{done} {what} with layers of {size} from {}; {} stay", title_of(name), unused.kept + kept_mounts);
    answer_lines(entries.iter().map(line).chain(old.iter().map(line_of_mount)).chain([sum]))
}

/// The time so long ago, in seconds since 1970.
fn since(age: Duration) -> i64 {
    date::now().saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
}

/// How many there are, in words; of cache mounts nothing is said if there are none.
fn counts(entries: &[ListedArtifact<StepEntry>], mounts: &[ListedArtifact<MountEntry>]) -> String {
    let steps = count(entries.len(), "step");
    if mounts.is_empty() { steps } else { format!("{steps}, {}", count(mounts.len(), "cache mount")) }
}

/// The size of all layers in bytes, each counted once.
fn size(entries: &[ListedArtifact<StepEntry>], mounts: &[ListedArtifact<MountEntry>]) -> u64 {
    let layers = entries.iter().filter_map(|listed| listed.entry.layer.as_ref());
    let of_mounts = mounts.iter().flat_map(|listed| &listed.entry.layers).map(|layer| &layer.layer);
    let sizes = layers.chain(of_mounts).map(|layer| (layer.descriptor.digest, layer.descriptor.size));
    let sizes: HashMap<Digest, u64> = sizes.collect();
    sizes.values().fold(0, |sum, size| sum.saturating_add(*size))
}

fn line(ListedArtifact { entry, .. }: &ListedArtifact<StepEntry>) -> String {
    let written = entry.written.and_then(|seconds| rfc3339(seconds).ok()).unwrap_or_default();
    let size = entry.layer.as_ref().map_or("nothing".to_owned(), |layer| HumanBytes(layer.descriptor.size).to_string());
    format!("{}  {size:>11}  {written:20}  {}", &entry.key.hex()[..12], escape::line(&entry.title))
}

fn line_of_mount(ListedArtifact { entry, .. }: &ListedArtifact<MountEntry>) -> String {
    let written = entry.written.and_then(|seconds| rfc3339(seconds).ok()).unwrap_or_default();
    let (key, size) = (entry.key.hex(), HumanBytes(entry.packed_size()).to_string());
    format!("{}  {size:>11}  {written:20}  cache mount {}", &key[..12], escape::line(&entry.id))
}

fn document_of_mount(ListedArtifact { entry, tag, manifest }: &ListedArtifact<MountEntry>) -> Value {
    json!({
        "id": entry.id, "of": entry.of, "key": entry.key, "tag": tag, "manifest": manifest, "size": entry.packed_size(),
        "layers": entry.layers.iter().map(|layer| &layer.layer.descriptor).collect::<Vec<_>>(),
        "written": entry.written.and_then(|seconds| rfc3339(seconds).ok()), "isSigned": entry.signature.is_some(),
    })
}

fn document(ListedArtifact { entry, tag, manifest }: &ListedArtifact<StepEntry>) -> Value {
    json!({
        "key": entry.key, "tag": tag, "manifest": manifest, "title": entry.title,
        "layer": entry.layer.as_ref().map(|layer| &layer.descriptor),
        "diffId": entry.layer.as_ref().map(|layer| layer.diff_id),
        "written": entry.written.and_then(|seconds| rfc3339(seconds).ok()),
        "isSigned": entry.signature.is_some(), "printed": entry.printed,
    })
}
