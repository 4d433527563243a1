//! From a plan to blobs in the local store.

mod bases;
mod cache;
mod contexts;
mod layers;
mod members;
mod stages;
mod windows;

use std::collections::HashMap;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};
use crate::image::{self, Document, Image, Parts};
use crate::layer::{self, Compression, Layer};
use crate::oci::{Descriptor, MANIFEST_LIMIT, Map, Platform};
use crate::plan::{Base, BaseImage, Plan, Stage, Step, Work, label};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::source::cached::Cached;
use crate::source::modified::Modified;
use crate::store::{Follow, LocalStore, Store};

use cache::Key;
use layers::Layers;
use stages::{Mark, Stages};

/// How to build; nothing of this but `created`, `modified` and `compression` reaches a blob.
pub struct Options<'a> {
    pub store: &'a LocalStore,
    /// Has the layers of the images that the plan stands on and takes from.
    pub bases: &'a dyn Store,
    /// For what is downloaded.
    pub client: &'a OnDemand,
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
    let made = made(plan, options, &pool)?;
    let images: Vec<Image> = made.iter().map(|made| image(plan, made, &created)).collect();
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
            let index = image::index(several, &common_annotations(plan));
            put(options.store, &index)?;
            index.descriptor
        }
    };
    Ok(Built { root, images })
}

/// An image that is to be put together: its stage, what the lowest stage stands on, and the steps of all stages.
struct Made<'a> {
    stage: &'a Stage,
    below: Option<&'a BaseImage>,
    steps: Vec<(&'a Step, Option<Layer>)>,
}

fn made<'a>(plan: &'a Plan, options: &'a Options<'a>, pool: &'a ThreadPool) -> Result<Vec<Made<'a>>> {
    let mut making = Making::new(plan, options, pool);
    let mut images = Vec::with_capacity(plan.images.len());
    for image in &plan.images {
        let chain = making.stages.chain(*image)?;
        let mut steps = Vec::new();
        for stage in &chain {
            for (number, step) in making.stages.stage(*stage)?.steps.iter().enumerate() {
                steps.push((step, making.step(*stage, number, step)?));
            }
        }
        let lowest = making.stages.stage(chain.first().copied().unwrap_or(*image))?;
        let below = match &lowest.base {
            Base::Image(below) => Some(&**below),
            _ => None,
        };
        images.push((making.stages.stage(*image)?, below, steps));
    }
    let layers = making.finish()?;
    let layer = |number: Option<usize>| number.and_then(|number| layers.get(&number).cloned());
    let made = images.into_iter().map(|(stage, below, steps)| {
        let steps = steps.into_iter().map(|(step, number)| (step, layer(number))).collect();
        Made { stage, below, steps }
    });
    Ok(made.collect())
}

/// Steps on their way to layers.
struct Making<'a> {
    stages: Stages<'a>,
    layers: Layers<'a>,
    options: &'a Options<'a>,
    /// The number of the layer that each came to, if it changed anything.
    done: HashMap<Key, Option<usize>>,
    /// What there is to remember once all layers are made.
    new: Vec<(Key, Option<usize>)>,
}

impl<'a> Making<'a> {
    fn new(plan: &'a Plan, options: &'a Options<'a>, pool: &'a ThreadPool) -> Self {
        let (stages, layers) = (Stages::new(plan, options, pool), Layers::new(options, pool));
        Making { stages, layers, options, done: HashMap::new(), new: Vec::new() }
    }

    /// The number of the layer that a step comes to; none if it changes nothing.
    fn step(&mut self, stage: usize, number: usize, step: &'a Step) -> Result<Option<usize>> {
        if matches!(step.work, Work::Nothing) {
            return Ok(None);
        }
        let Mark { key, .. } = self.stages.mark(stage, number + 1)?;
        let key = key.ok_or_else(|| Error::input(format!("the step `{}` has no key", step.title)))?;
        if let Some(layer) = self.done.get(&key) {
            return Ok(*layer);
        }
        let layer = self.change(stage, number, step, key)?;
        self.done.insert(key, layer);
        Ok(layer)
    }

    fn change(&mut self, stage: usize, number: usize, step: &'a Step, key: Key) -> Result<Option<usize>> {
        let new = self.done.len();
        match if self.options.trust_times { key.outcome(self.options.store) } else { None } {
            Some(None) => return Ok(None),
            Some(Some(layer)) => {
                self.layers.take(new, &step.title, layer);
                return Ok(Some(new));
            }
            None => {}
        }
        let entries = self.stages.change(stage, number)?;
        let layer = match entries.is_empty() {
            true => None,
            false => {
                let is_windows = self.stages.stage(stage)?.platform.is_windows();
                let entries = match is_windows {
                    true => Arc::new(windows::layer(&entries, self.options.modified.of_made())?),
                    false => entries,
                };
                // As docker has it, extended attributes stay behind for `COPY`; a spec brings them along.
                let has_xattrs = matches!(step.work, Work::Adds(_)) && !is_windows;
                Some(self.layers.add(new, &step.title, entries, self.stages.started(), has_xattrs)?)
            }
        };
        if self.stages.mark(stage, number + 1)?.is_settled {
            self.new.push((key, layer));
        }
        Ok(layer)
    }

    /// Makes the layers, and remembers what the steps came to.
    fn finish(mut self) -> Result<HashMap<usize, Layer>> {
        self.stages.bring(self.layers.contents())?;
        let keys = self.layers.keys();
        let layers = self.layers.make()?;
        for (key, number) in self.new {
            let layer = number.and_then(|number| layers.get(&number));
            // One that is taken from a cached image may not be in the store.
            if layer.is_none_or(|layer| cache::is_certain(self.options.store, layer)) {
                let made_of = number.and_then(|number| keys.get(&number).copied());
                key.remember_outcome(self.options.store, layer, made_of)?;
            }
        }
        Ok(layers)
    }
}

fn image(plan: &Plan, made: &Made<'_>, created: &str) -> Image {
    let Made { stage, below, steps } = made;
    let created_by = |step: &Step| match step.work {
        Work::Adds(_) => format!("ocibake: {}", step.title),
        _ => step.title.clone(),
    };
    let histories: Vec<String> = steps.iter().map(|(step, _)| created_by(step)).collect();
    let steps: Vec<image::Step<'_>> = steps
        .iter()
        .zip(&histories)
        .map(|((_, layer), created_by)| image::Step { layer: layer.as_ref(), created_by })
        .collect();
    let mut annotations = stage.annotations.clone();
    annotations.extend(plan.annotations.clone());
    annotations.extend(plan.placed_annotations.of_manifest(&stage.platform));
    Image::new(&Parts {
        platform: &stage.platform,
        settings: &stage.settings,
        author: stage.author.as_deref(),
        below: *below,
        steps: &steps,
        created,
        annotations: &annotations,
    })
}

/// The annotations of the plan, and those that all of its images have in common.
fn common_annotations(plan: &Plan) -> Map<String> {
    let mut stages = plan.images.iter().filter_map(|number| plan.stages.get(*number));
    let mut common = stages.next().map(|first| first.annotations.clone()).unwrap_or_default();
    for stage in stages {
        common.retain(|key, value| stage.annotations.get(key) == Some(value));
    }
    common.extend(plan.annotations.clone());
    common.extend(plan.placed_annotations.index.clone());
    common
}

fn put(store: &LocalStore, document: &Document) -> Result<()> {
    store.put(&document.descriptor.media_type, &document.bytes).map(drop)
}
