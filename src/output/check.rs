//! This file refuses, before an image is written, what is sure to fail, and warns of what may surprise.

use super::bundle::ReadEntry;
use super::engine;
use super::kind::Output;
use super::layout;
use crate::error::{Error, Result};
use crate::image;
use crate::oci::Reference;
use crate::progress::{Event, Progress, WarningKind};
use crate::store::pending::{PendingDirectory, PendingFile};

/// Refuses outputs of so many `images` that are sure to fail, before any work is done and any of them is written.
pub fn check(outputs: &[Output], images: usize, names: &[Reference]) -> Result<()> {
    if outputs.iter().filter(|output| output.is_standard_output()).count() > 1 {
        return Err(Error::usage("several outputs go to standard output").with_hint("name a file for all but one"));
    }
    for (number, output) in outputs.iter().enumerate() {
        check_image(output, images, names)?;
        // What an earlier output makes is not there yet.
        let leads_to = |earlier: &Output| {
            earlier.path().zip(output.path()).is_some_and(|(earlier, path)| path.starts_with(earlier))
        };
        if !outputs.iter().take(number).any(leads_to) {
            check_place(output)?;
        }
    }
    Ok(())
}

/// Refuses what makes no sense of an image that is `images`, one for each platform: several of them, or none, in a
/// docker archive, an image without a name to a registry.
fn check_image(output: &Output, images: usize, names: &[Reference]) -> Result<()> {
    match output {
        Output::DockerArchive(file) if images == 0 => {
            Err(Error::input(format!("{} would hold no image", file.display()))
                .with_hint("a docker archive holds one image: write anything else to an OCI archive or layout"))
        }
        Output::DockerArchive(file) if images > 1 => {
            Err(Error::input(format!("{} would hold several platforms", file.display()))
                .with_hint("a docker archive holds one: choose it with --platform, or write an OCI archive"))
        }
        Output::Registry if names.is_empty() => {
            Err(Error::usage("the image has no name to push it under").with_hint("name it with -t REGISTRY/NAME:TAG"))
        }
        Output::Engine(engine) if names.is_empty() && engine.kind.needs_names() => {
            Err(Error::usage(format!("{engine} knows images by their names, but this one has none"))
                .with_hint("name it with -t NAME:TAG"))
        }
        _ => Ok(()),
    }
}

fn check_place(output: &Output) -> Result<()> {
    match output {
        _ if output.is_standard_output() => Ok(()),
        Output::Layout(path) => layout::check(path),
        Output::OciArchive(path) | Output::DockerArchive(path) | Output::Tar { path, .. } => PendingFile::check(path),
        Output::Directory { path, .. } => PendingDirectory::check(path),
        Output::Engine(engine) => engine::check(engine),
        Output::Registry => Ok(()),
    }
}

/// Refuses an image whose config tells of more or fewer layers than its manifest. What is not an image, or says nothing about its
/// layers, is not looked at; nor is what a registry has, to which it goes as it is.
pub(super) fn check_layers(item: &ReadEntry<'_>) -> Result<()> {
    let store = item.entry.image.store;
    for (descriptor, bytes) in item.graph.images() {
        let Ok(Some(manifest)) = image::manifest(descriptor, bytes) else { continue };
        if store.origin(&manifest.config).is_some() {
            continue;
        }
        if let Ok(image) = image::Reader::new(store).image_of(descriptor, manifest)
            && !image.config.rootfs.diff_ids.is_empty()
        {
            image.layers()?;
        }
    }
    Ok(())
}

/// Refuses outputs that need the bytes of a layer which is available from elsewhere, if its store does not have them; where
/// the other outputs go without such a layer, a warning says so.
pub(super) fn check_foreign(outputs: &[Output], item: &ReadEntry<'_>, progress: Progress<'_>) -> Result<()> {
    for layer in item.graph.foreign()? {
        let from = layer.urls().next().unwrap_or_default();
        let needs = |output: &&Output| {
            matches!(
                output,
                Output::DockerArchive(_) | Output::Directory { .. } | Output::Tar { .. } | Output::Engine(_)
            )
        };
        if let Some(output) = outputs.iter().find(needs)
            && !item.entry.image.store.has(&layer)?
        {
            let message =
                format!("{output} needs the layer {}, which is not here but available from {from}", layer.digest);
            return Err(Error::not_found(message).with_hint(
                "fetch it to where the image is, as blobs/sha256/… of a layout, or write an OCI archive or layout, \
                    which do not need it",
            ));
        }
        for output in outputs.iter().filter(|output| matches!(output, Output::OciArchive(_) | Output::Layout(_))) {
            let message =
                format!("{output} is written without the layer {}, which is available from {from}", layer.digest);
            progress(Event::Warning { kind: WarningKind::ForeignLayerLeftOut, message: &message });
        }
    }
    Ok(())
}

/// Tells of docker archives that only newer versions of docker can load.
pub(super) fn warn_of_zstd(outputs: &[Output], items: &[ReadEntry<'_>], progress: Progress<'_>) {
    let mut blobs = items.iter().flat_map(|item| &item.graph.blobs);
    if blobs.any(|blob| blob.media_type.ends_with("zstd")) {
        for output in outputs.iter().filter(|output| matches!(output, Output::DockerArchive(_))) {
            let message =
                format!("{output} has zstd layers, which docker before version 23 cannot load; it can load gzip");
            progress(Event::Warning { kind: WarningKind::ZstdInDockerArchive, message: &message });
        }
    }
}
