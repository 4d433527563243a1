//! Loads into containerd, by its own `ctr`: all platforms, and only the blobs that it lacks.

use std::collections::HashSet;

use super::super::bundle::ReadEntry;
use super::super::oci_archive;
use super::image::title;
use super::kind::{EngineKind, EngineProgram};
use crate::error::Result;
use crate::image::Reader;
use crate::oci::{Digest, Platform};
use crate::progress::{BlobOutcome, Event, Progress};

/// The kind in errors and events.
const CONTAINERD: EngineKind = EngineKind::Containerd;

/// Loads `item` with `ctr`, whose arguments say into which namespace of which containerd.
pub(super) fn load(ctr: &EngineProgram, item: &ReadEntry<'_>, progress: Progress<'_>) -> Result<()> {
    let (root, names) = (item.entry.image.root.digest, item.entry.image.names);
    let present = present(ctr)?;
    let is_whole = item.content().all(|blob| present.contains(&blob.digest));
    let mut known = Vec::new();
    for name in names {
        known.push(is_whole && of_name(ctr, &name.to_string())? == Some(root));
    }
    if known.contains(&false) {
        let mut arguments = import(item)?;
        arguments.push("-");
        let held: HashSet<Digest> =
            item.graph.blobs.iter().map(|blob| blob.digest).filter(|blob| present.contains(blob)).collect();
        let send = |held: &HashSet<Digest>| {
            let items = std::slice::from_ref(item);
            ctr.feed(CONTAINERD, &arguments, |sink| {
                oci_archive::write_into(sink, title(CONTAINERD), items, held, progress)
            })
        };
        let sent = send(&held);
        // What no image has any more goes by itself, and only what is unpacked would be missed.
        if !held.is_empty() && (sent.is_err() || !held.is_subset(&self::present(ctr)?)) {
            send(&HashSet::new())?;
        } else {
            sent?;
            let there = |digest| progress(Event::BlobFinished { digest, outcome: BlobOutcome::Present });
            held.into_iter().for_each(there);
        }
    }
    for (name, was_there) in names.iter().zip(known) {
        let image = &name.to_string();
        progress(Event::ImageLoaded { engine: CONTAINERD.name(), image, platform: None, was_there });
    }
    Ok(())
}

/// `ctr` then makes no file system of the image.
const NOT_UNPACKED: &str = "--no-unpack";

/// Returns the arguments of `ctr` by which all platforms of `item` are imported, without the archive. None is unpacked if none
/// is for this machine.
pub(super) fn import(item: &ReadEntry<'_>) -> Result<Vec<&'static str>> {
    let mut arguments = vec!["images", "import", "--all-platforms"];
    let mut reader = Reader::new(item.entry.image.store);
    let mut is_for_host = false;
    for (descriptor, bytes) in item.graph.images() {
        let image = reader.image_in(descriptor, bytes)?;
        is_for_host |= image.is_some_and(|image| Platform::host().fit(&image.config.platform).is_some());
    }
    if !is_for_host {
        arguments.push(NOT_UNPACKED);
    }
    Ok(arguments)
}

/// Returns the digests of all that is in the namespace.
fn present(ctr: &EngineProgram) -> Result<HashSet<Digest>> {
    let listed = ctr.ask(&["content", "ls", "-q"])?.unwrap_or_default();
    Ok(listed.lines().filter_map(|line| line.trim().parse().ok()).collect())
}

/// Returns what `name` stands for.
fn of_name(ctr: &EngineProgram, name: &str) -> Result<Option<Digest>> {
    let listed = ctr.ask(&["images", "ls", &format!("name=={name}")])?.unwrap_or_default();
    // REF TYPE DIGEST SIZE PLATFORMS LABELS
    let mut rows = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    Ok(rows.find(|row| row.first() == Some(&name)).and_then(|row| row.get(2)?.parse().ok()))
}
