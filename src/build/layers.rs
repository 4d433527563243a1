use std::time::SystemTime;

use rayon::ThreadPool;

use super::Options;
use super::cache::{self, Key, is_settled};
use crate::error::Result;
use crate::layer::{self, Earlier, Entry, Job, Layer};
use crate::oci::{Descriptor, Digest};
use crate::plan::Step;
use crate::progress::Event;
use crate::source::local;

/// Layers that are written side by side, each to an open file.
const ABREAST: usize = 64;

/// A step that is to become a layer.
struct Task<'a> {
    number: usize,
    title: &'a str,
    entries: Vec<Entry>,
    key: Key,
}

/// The layers of `steps`, in their order: those that are known from earlier builds, and all others made anew.
pub fn make(steps: &[&Step], options: &Options<'_>, pool: &ThreadPool) -> Result<Vec<Layer>> {
    let walked = SystemTime::now();
    let mut layers: Vec<Option<Layer>> = Vec::with_capacity(steps.len());
    let mut tasks = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let task = pool.install(|| Task::of(number, step, options))?;
        let known = if options.trust_times { task.key.find(options.store) } else { None };
        match &known {
            Some(Layer { descriptor, .. }) => {
                (options.progress)(Event::LayerKnown { title: task.title, descriptor });
            }
            None => tasks.push(task),
        }
        layers.push(known);
    }
    for tasks in tasks.chunks(ABREAST) {
        for (task, layer) in tasks.iter().zip(write(tasks, options, pool)?) {
            (options.progress)(Event::LayerFinished { layer: task.number, descriptor: &layer.descriptor });
            if is_settled(&task.entries, walked) {
                task.key.remember(options.store, &layer)?;
            }
            layers[task.number] = Some(layer);
        }
    }
    Ok(layers.into_iter().flatten().collect())
}

impl<'a> Task<'a> {
    fn of(number: usize, step: &'a Step, options: &Options<'_>) -> Result<Self> {
        let entries = local::entries(&step.adds, options.modified)?;
        let key = Key::of(&entries, options.compression)?;
        Ok(Task { number, title: &step.title, entries, key })
    }
}

/// Makes layers side by side. Blocks that the last layer of the same step has are taken over from it.
fn write(tasks: &[Task<'_>], options: &Options<'_>, pool: &ThreadPool) -> Result<Vec<Layer>> {
    let place = |task: &Task<'_>| cache::place(task.number, task.title, options.compression);
    let places: Vec<Digest> = tasks.iter().map(place).collect();
    let earlier: Vec<Option<Earlier>> = places.iter().map(|place| cache::earlier(options.store, place)).collect();
    let mut jobs = Vec::with_capacity(tasks.len());
    for (task, earlier) in tasks.iter().zip(&earlier) {
        jobs.push(Job {
            number: task.number,
            title: task.title,
            entries: &task.entries,
            sink: options.store.begin()?,
            destination: options.store.root(),
            earlier: earlier.as_ref(),
        });
    }
    let mut layers = Vec::with_capacity(tasks.len());
    for (blob, place) in layer::write(jobs, options.compression, pool, options.progress)?.into_iter().zip(&places) {
        options.store.commit(blob.sink, blob.digest)?;
        if !blob.pieces.is_empty() {
            cache::note(options.store, place, blob.digest, blob.pieces)?;
        }
        let mut descriptor = Descriptor::new(options.compression.media_type(), blob.digest, blob.size);
        descriptor.annotations = blob.annotations;
        layers.push(Layer { descriptor, diff_id: blob.diff_id });
    }
    Ok(layers)
}
