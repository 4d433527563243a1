//! From a plan to blobs in the local store.

mod cache;
mod files;
mod layers;

use std::collections::HashMap;

use rayon::ThreadPoolBuilder;

use crate::error::{Error, Result};
use crate::image::{self, Document, Image};
use crate::layer::{self, Compression, Layer};
use crate::oci::Descriptor;
use crate::plan::{Add, Base, Plan, Stage, Step, Work, label};
use crate::progress::Progress;
use crate::source::cached::Cached;
use crate::source::local::Modified;
use crate::store::{Follow, LocalStore};

/// How to build; nothing of this but `created`, `modified` and `compression` reaches a blob.
pub struct Options<'a> {
    pub store: &'a LocalStore,
    pub compression: Compression,
    /// What image and history say, in seconds since 1970.
    pub created: i64,
    pub modified: Modified,
    /// Threads; 0 is one for each core up to [`layer::USUAL_THREADS`], and more than [`MOST_JOBS`] are not started.
    pub jobs: usize,
    /// Take files that look as they did in an earlier build for the same, unread.
    pub trust_times: bool,
    /// What layers need not be made, though their files are read. Their blobs stay where they are.
    pub cached: Option<&'a Cached<'a>>,
    /// Told of each layer that is made from the ground up, when it is begun.
    pub follow: Option<Follow<'a>>,
    pub progress: Progress<'a>,
}

/// More threads than this only cost memory: each has blocks of a layer in hand.
pub const MOST_JOBS: usize = 256;

/// What a build has left in the store. Blobs of layers that it took from `Options::cached` are not there.
#[derive(Debug)]
pub struct Built {
    /// The index, or the manifest where there is only one image and no index was wanted.
    pub root: Descriptor,
    /// In the order of the plan's stages.
    pub images: Vec<Image>,
}

/// Builds every stage of `plan`. Layers that stages share are made once, all layers side by side.
pub fn build(plan: &Plan, options: &Options<'_>) -> Result<Built> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(layer::threads(options.jobs).min(MOST_JOBS))
        .build()
        .map_err(|source| Error::input("cannot start the threads of a build").with_source(source))?;
    let steps = distinct_steps(plan);
    let layers = layers::make(&steps, options, &pool)?;
    let made: HashMap<Making<'_>, &Layer> = steps.into_iter().zip(&layers).collect();
    let created = label::rfc3339(options.created)?;

    let mut images = Vec::with_capacity(plan.images.len());
    for stage in plan.images.iter().filter_map(|number| plan.stages.get(*number)) {
        let Base::Scratch = stage.base else {
            return Err(Error::input(format!("the base of {} is not scratch", stage.title)));
        };
        images.push(image(plan, stage, &made, &created));
    }
    for image in &images {
        put(options.store, &image.config)?;
        put(options.store, &image.manifest)?;
    }
    let root = match &images[..] {
        [] => return Err(Error::input("there is nothing to build: the plan has no platform")),
        [only] if !plan.index => only.manifest.descriptor.clone(),
        several => {
            let index = image::index(several, &plan.annotations);
            put(options.store, &index)?;
            index.descriptor
        }
    };
    Ok(Built { root, images })
}

/// The title of a step and its adds.
type Making<'a> = (&'a str, &'a [Add]);

/// The steps of all stages, each once, in the order in which they are met.
fn distinct_steps(plan: &Plan) -> Vec<Making<'_>> {
    let mut seen = std::collections::HashSet::new();
    plan.stages.iter().flat_map(|stage| &stage.steps).map(making).filter(|step| seen.insert(*step)).collect()
}

fn making(step: &Step) -> Making<'_> {
    match &step.work {
        Work::Adds(adds) => (&step.title, adds),
        _ => (&step.title, &[]),
    }
}

fn image(plan: &Plan, stage: &Stage, made: &HashMap<Making<'_>, &Layer>, created: &str) -> Image {
    let histories: Vec<String> = stage.steps.iter().map(|step| format!("ocibake: {}", step.title)).collect();
    let steps: Vec<image::Step<'_>> = stage
        .steps
        .iter()
        .zip(&histories)
        // Every step of every stage is among the distinct ones, which all were made.
        .map(|(step, created_by)| image::Step { layer: made[&making(step)], created_by })
        .collect();
    Image::new(&stage.platform, &stage.settings, &steps, created, &plan.annotations)
}

fn put(store: &LocalStore, document: &Document) -> Result<()> {
    store.put(&document.descriptor.media_type, &document.bytes).map(drop)
}
