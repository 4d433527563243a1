//! From a plan to blobs in the local store.
//!
//! A plan is a graph of states that the file systems of its stages go through (`graph`). The steps between them are done as
//! soon as what they stand on is there (`schedule`, by the `board` of tasks and the `ledger` of what there is of each state):
//! by what a kind of step says of itself (`step`), what it takes from outside (`inputs`), and what earlier builds have left
//! (`cache`). What they change becomes `layers`, and these images (`image`).

pub mod account;
mod board;
mod cache;
mod graph;
mod image;
mod inputs;
mod layers;
mod logs;
mod options;
mod schedule;
mod sources;
mod squash;
mod ledger;
mod step;
mod targets;
mod told;
mod windows;

use std::collections::HashMap;

use rayon::ThreadPoolBuilder;

use crate::error::{Error, Excerpt, Result};
use crate::image::{Document, Image};
use crate::layer::{self, Layer};
use crate::net::Stop;
use crate::oci::{Descriptor, ImageManifest, MANIFEST_LIMIT, Platform, from_json};
use crate::plan::{Plan, Target, label};
use crate::source::step_cache::StepCache;
use crate::store::LocalStore;

use graph::{ImageSteps, Origin, State, StateGraph};
use inputs::Inputs;
use targets::BuildTargets;

pub use logs::CommandLogs;
pub use options::{OpenShell, Options, ReadSecret, RunShell};
pub use sources::check_sources;
pub use targets::TargetWork;

/// More threads than this only cost memory: each has blocks of a layer in hand.
pub const MOST_JOBS: usize = 256;

/// All that a build has left in the store for one target. Blobs of layers that it took from `Options::cached` are not
/// there, nor need those of base images be.
#[derive(Debug)]
pub struct Built {
    /// The index, or the manifest where there is only one image and no index was wanted.
    pub root: Descriptor,
    /// In the order of the target's.
    pub images: Vec<Image>,
    /// The steps of the whole build that may become layers, each behind those that it stands on or takes from.
    pub steps: Vec<BuiltStep>,
    /// What was done for it.
    pub work: TargetWork,
}

impl Built {
    /// Returns the size of all its blobs and documents in bytes, each counted once.
    pub fn size(&self) -> Result<u64> {
        let mut sizes = HashMap::from([(self.root.digest, self.root.size)]);
        for Image { config, manifest, .. } in &self.images {
            let layers = from_json::<ImageManifest>("a manifest that was made here", &manifest.bytes)?.layers;
            let documents = [&config.descriptor, &manifest.descriptor];
            sizes.extend(documents.into_iter().chain(&layers).map(|blob| (blob.digest, blob.size)));
        }
        Ok(sizes.values().sum())
    }
}

/// A step, and what it came to.
#[derive(Debug, Clone)]
pub struct BuiltStep {
    /// The name of the step.
    pub title: String,
    /// The name of its stage.
    pub stage: String,
    /// The line that asked for it.
    pub place: Option<Excerpt>,
    /// None if it changed nothing, or nobody needed what it changes.
    pub layer: Option<Layer>,
}

/// Builds the targets of `plan`, and returns what each came to, in their order. Stages that none of them needs are not looked at,
/// steps that stages share are done once, and layers are made side by side.
pub fn build(plan: &Plan, options: &Options<'_>) -> Result<Vec<Built>> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(layer::threads(options.jobs).min(MOST_JOBS))
        .build()
        .map_err(|source| Error::input("cannot start the threads of a build").with_source(source))?;
    for target in &plan.targets {
        let platforms: Vec<&Platform> =
            target.images.iter().filter_map(|number| Some(&plan.stages.get(*number)?.platform)).collect();
        if platforms.is_empty() {
            return Err(Error::input("there is nothing to build: the plan has no platform"));
        }
        target.placed_annotations.check(&platforms, target.index || platforms.len() > 1)?;
    }
    let (mut graph, stop) = (StateGraph::new(plan)?, Stop::default());
    if options.steps.is_some_and(StepCache::has_sources) {
        graph.recall();
    }
    let targets = BuildTargets::new(&plan.targets, &graph, options.progress);
    let inputs = Inputs::new(plan, options, &pool, &stop);
    told::planned(&graph, &targets, options.progress);
    let outcomes = schedule::run(&graph, &inputs, &targets, &stop)?;
    let layers = &outcomes.layers;
    let work = targets.finish();
    let images: Vec<&ImageSteps<'_>> = graph.targets.iter().flatten().collect();
    let squashed = match options.squash {
        true => squash::squash(&images, layers, &inputs, graph.states.len())?,
        false => Vec::new(),
    };
    let mut squashed = squashed.into_iter();
    // A hundred thousand entries take a while to free, which nobody has to wait for.
    let added = inputs.into_added();
    pool.spawn(move || drop(added));
    let steps: Vec<BuiltStep> =
        graph.states.iter().zip(layers).filter_map(|(state, layer)| built_step(state, layer.as_ref())).collect();
    let target = |((target, images), work): ((&Target, &Vec<ImageSteps<'_>>), TargetWork)| {
        let created = label::rfc3339(target.created)?;
        let image = |steps| image::image(target, steps, &outcomes, squashed.next(), &created);
        let images: Vec<Image> = images.iter().map(image).collect();
        let (root, images) = store_target(plan, target, images, options.store)?;
        Ok(Built { root, images, steps: steps.clone(), work })
    };
    plan.targets.iter().zip(&graph.targets).zip(work).map(target).collect()
}

/// Returns the step that leads to `state`, if it may become a layer.
fn built_step(state: &State<'_>, layer: Option<&Layer>) -> Option<BuiltStep> {
    let Origin::Step { step, .. } = state.origin else { return None };
    state.layer.map(|_| BuiltStep {
        title: step.title.clone(),
        stage: state.stage.title.clone(),
        place: step.place.clone(),
        layer: layer.cloned(),
    })
}

/// Puts the documents of `images`, those of `target`, into the store.
fn store_target(
    plan: &Plan,
    target: &Target,
    images: Vec<Image>,
    store: &LocalStore,
) -> Result<(Descriptor, Vec<Image>)> {
    for image in &images {
        // Whoever reads an image, this program too, refuses a larger document.
        let documents = [("config", &image.config), ("manifest", &image.manifest)];
        if let Some((what, document)) = documents.into_iter().find(|(_, document)| document.is_too_large()) {
            let size = document.bytes.len();
            let message = format!("the {what} of the image has {size} bytes, more than the limit of {MANIFEST_LIMIT}");
            return Err(Error::input(message).with_hint("it has too many steps, or too much in variables and labels"));
        }
        put(store, &image.config)?;
        put(store, &image.manifest)?;
    }
    let root = match &images[..] {
        [only] if !target.index => only.manifest.descriptor.clone(),
        several => {
            let manifests = several.iter().map(|image| image.manifest.descriptor.clone()).collect();
            let index = crate::image::index(manifests, plan.index_annotations(target));
            put(store, &index)?;
            let annotations = target.placed_annotations.index_descriptor.clone();
            Descriptor { annotations, ..index.descriptor }
        }
    };
    Ok((root, images))
}

fn put(store: &LocalStore, document: &Document) -> Result<()> {
    store.put(&document.descriptor.media_type, &document.bytes).map(drop)
}
