//! From a plan to blobs in the local store.
//!
//! A plan is a graph of states that the file systems of its stages go through (`graph`). The steps between them are done as
//! soon as what they stand on is there (`schedule`, by its `board`): by what a kind of step says of itself (`step`), what it
//! takes from outside (`inputs`), and what earlier builds have left (`cache`). What they change becomes `layers`, and these
//! images (`image`).

mod board;
mod cache;
mod graph;
mod image;
mod inputs;
mod layers;
mod options;
mod schedule;
mod step;
mod windows;

use rayon::ThreadPoolBuilder;

use crate::error::{Error, Result};
use crate::image::{Document, Image};
use crate::layer;
use crate::net::Stop;
use crate::oci::{Descriptor, MANIFEST_LIMIT, Platform};
use crate::plan::{Plan, label};
use crate::store::LocalStore;

use graph::Graph;
use inputs::Inputs;

pub use options::Options;

/// More threads than this only cost memory: each has blocks of a layer in hand.
pub const MOST_JOBS: usize = 256;

/// What a build has left in the store. Blobs of layers that it took from `Options::cached` are not there, nor need those of
/// base images be.
#[derive(Debug)]
pub struct Built {
    /// The index, or the manifest where there is only one image and no index was wanted.
    pub root: Descriptor,
    /// In the order of the plan's images.
    pub images: Vec<Image>,
}

/// Builds the images of `plan`. Stages that none of them needs are not looked at, steps that stages share are done once, and
/// layers are made side by side.
pub fn build(plan: &Plan, options: &Options<'_>) -> Result<Built> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(layer::threads(options.jobs).min(MOST_JOBS))
        .build()
        .map_err(|source| Error::input("cannot start the threads of a build").with_source(source))?;
    let platforms: Vec<&Platform> =
        plan.images.iter().filter_map(|number| Some(&plan.stages.get(*number)?.platform)).collect();
    plan.placed_annotations.check(&platforms, plan.index || platforms.len() > 1)?;
    let created = label::rfc3339(options.created)?;
    let (graph, stop) = (Graph::new(plan)?, Stop::default());
    let layers = schedule::run(&graph, &Inputs::new(plan, options, &pool, &stop), &stop)?;
    let images: Vec<Image> = graph.images.iter().map(|steps| image::image(plan, steps, &layers, &created)).collect();
    for image in &images {
        // Whoever reads an image, this program too, refuses a larger document.
        let documents = [("config", &image.config), ("manifest", &image.manifest)];
        if let Some((what, document)) = documents.into_iter().find(|(_, document)| document.is_too_large()) {
            let size = document.bytes.len();
            let message = format!("the {what} of the image has {size} bytes, and {MANIFEST_LIMIT} are the most");
            return Err(Error::input(message).with_hint("it has too many steps, or too much in variables and labels"));
        }
        put(options.store, &image.config)?;
        put(options.store, &image.manifest)?;
    }
    let root = match &images[..] {
        [] => return Err(Error::input("there is nothing to build: the plan has no platform")),
        [only] if !plan.index => only.manifest.descriptor.clone(),
        several => {
            let index = crate::image::index(several, &image::common_annotations(plan));
            put(options.store, &index)?;
            index.descriptor
        }
    };
    Ok(Built { root, images })
}

fn put(store: &LocalStore, document: &Document) -> Result<()> {
    store.put(&document.descriptor.media_type, &document.bytes).map(drop)
}
