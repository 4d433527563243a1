//! An output is where finished images go. Every one is a walk over the graphs below their roots, and none leaves half a
//! result.

mod blob;
mod bundle;
mod check;
mod destination;
mod docker_archive;
mod docker_manifest;
pub mod engine;
mod kind;
mod layout;
mod oci_archive;
mod registry;
mod rootfs;
mod sink;

pub use bundle::{Bundle, BundleEntry, OutputImage};
pub use check::check;
pub use destination::{Destination, Names, Prefix, hold};
pub use kind::Output;
pub use sink::STANDARD_OUTPUT;

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::oci::{Digest, Reference};
use crate::progress::{Event, Progress};
use crate::registry::OnDemand;
use crate::store::{Follow, Graph};
use bundle::ReadEntry;
use check::{check_foreign, check_layers, warn_of_zstd};
use rootfs::Unpacking;

/// The means by which outputs are written.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// For [`Output::Registry`] alone.
    pub client: &'a OnDemand,
    /// Threads that unpack; 0 is one for each core.
    pub jobs: usize,
    /// Is told of each blob, manifest and output that is written.
    pub progress: Progress<'a>,
}

/// An image that the repositories of its names have in full, while their tags stand for what they stood for before.
pub(crate) struct Uploaded {
    /// The image's documents, the root last.
    pub graph: Graph,
    /// The names that are to stand for it.
    pub tags: Vec<Reference>,
}

/// Writes `image` to each of `outputs`, in their order, once all of them have passed [`check`]. Returns what has gone to
/// registries, where no tag is set: [`release`](crate::release) does that.
pub(crate) fn write(outputs: &[Output], image: OutputImage<'_>, means: &Means<'_>) -> Result<Vec<Uploaded>> {
    let entry = BundleEntry { image, short_names: &[], referrers: &[] };
    write_all(outputs, &Bundle { entries: vec![entry], left_out: None }, means)
}

/// Does the same with several images: what they share is written once, and no name in a layout or archive stands for any of
/// them before all of them are there.
pub(crate) fn write_all(outputs: &[Output], bundle: &Bundle<'_>, means: &Means<'_>) -> Result<Vec<Uploaded>> {
    let items = bundle.items()?;
    for item in &items {
        check(outputs, item.graph.images().count(), item.entry.image.names)?;
    }
    bundle.check(outputs)?;
    items.iter().try_for_each(|item| check_layers(item))?;
    items.iter().try_for_each(|item| check_foreign(outputs, item, means.progress))?;
    warn_of_zstd(outputs, &items, means.progress);
    outputs.iter().try_for_each(|output| output.write(&items, bundle.left_out, means))?;
    let uploaded = items.into_iter().filter(|_| outputs.contains(&Output::Registry));
    Ok(uploaded.map(|item| Uploaded { tags: item.tags(), graph: item.graph }).collect())
}

/// Does `build`, and returns its result. If that goes to a registry, the layers that `build` tells of are sent to the
/// repository of the first name already while they are made.
pub fn while_building<T>(
    outputs: &[Output],
    names: &[Reference],
    client: &OnDemand,
    progress: Progress<'_>,
    build: impl FnOnce(Option<Follow<'_>>) -> Result<T>,
) -> Result<T> {
    match names.first().filter(|_| outputs.contains(&Output::Registry)) {
        Some(name) => client.client()?.repository(name, progress).send_ahead(|follow| build(Some(follow))),
        None => build(None),
    }
}

impl Output {
    fn write(&self, items: &[ReadEntry<'_>], left_out: Option<&HashSet<Digest>>, means: &Means<'_>) -> Result<()> {
        let Means { client, jobs, progress } = *means;
        let unpacking = |limit: &Option<u64>| Unpacking { limit: *limit, jobs, progress };
        if *self != Output::Registry {
            let blobs: HashSet<Digest> =
                items.iter().flat_map(|item| &item.graph.blobs).map(|blob| blob.digest).collect();
            progress(Event::OutputStarted { output: &self.to_string(), blobs: blobs.len() });
        }
        match (self, items) {
            (Output::Layout(directory), _) => layout::write(directory, items, progress)?,
            (Output::OciArchive(file), _) => oci_archive::write(file, items, left_out, progress)?,
            (Output::DockerArchive(file), _) => docker_archive::write(file, items, progress)?,
            (Output::Registry, _) => return registry::upload(items, client.client()?, progress),
            (Output::Engine(engine), _) => return engine::load(engine, items, progress),
            (Output::Directory { path, limit }, [item]) => {
                rootfs::write_directory(path, item.entry.image, &item.graph, &unpacking(limit))?;
            }
            (Output::Tar { path, limit }, [item]) => {
                rootfs::write_tar(path, item.entry.image, &item.graph, &unpacking(limit))?;
            }
            (Output::Directory { .. } | Output::Tar { .. }, _) => {
                return Err(Error::usage(format!("{self}: the files of several images cannot be combined"))
                    .with_hint("name one image"));
            }
        }
        progress(Event::OutputWritten { output: &self.to_string() });
        Ok(())
    }
}
