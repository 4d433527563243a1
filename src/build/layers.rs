use std::time::SystemTime;

use rayon::ThreadPool;

use super::Options;
use super::cache::{Key, is_settled};
use crate::error::Result;
use crate::layer::{self, Entry, Job, Layer};
use crate::oci::Descriptor;
use crate::plan::Step;
use crate::progress::Event;
use crate::source::local;

/// Layers that are written side by side, each to an open file.
const ABREAST: usize = 64;

/// The layers of `steps`, in their order: those that are known from earlier builds, and all others made anew.
pub fn make(steps: &[&Step], options: &Options<'_>, pool: &ThreadPool) -> Result<Vec<Layer>> {
    let walked = SystemTime::now();
    let (entries, keys) = pool.install(|| -> Result<_> {
        let walk = |step: &&Step| local::entries(&step.adds, options.modified);
        let entries: Vec<Vec<Entry>> = steps.iter().map(walk).collect::<Result<_>>()?;
        let key = |entries: &Vec<Entry>| Key::of(entries, options.compression);
        let keys: Vec<Key> = entries.iter().map(key).collect::<Result<_>>()?;
        Ok((entries, keys))
    })?;
    let find = |key: &Key| if options.trust_times { key.find(options.store) } else { None };
    let mut layers: Vec<Option<Layer>> = keys.iter().map(find).collect();
    for (step, layer) in steps.iter().zip(&layers) {
        if let Some(layer) = layer {
            (options.progress)(Event::LayerKnown { title: &step.title, descriptor: &layer.descriptor });
        }
    }

    let missing: Vec<usize> = (0..steps.len()).filter(|number| layers[*number].is_none()).collect();
    for numbers in missing.chunks(ABREAST) {
        let job = |number: &usize| {
            Ok(Job {
                number: *number,
                title: &steps[*number].title,
                entries: &entries[*number],
                sink: options.store.begin()?,
                destination: options.store.root(),
            })
        };
        let jobs = numbers.iter().map(job).collect::<Result<Vec<_>>>()?;
        let written = layer::write(jobs, options.compression, pool, options.progress)?;
        for (number, blob) in numbers.iter().zip(written) {
            options.store.commit(blob.sink, blob.digest)?;
            let descriptor = Descriptor::new(options.compression.media_type(), blob.digest, blob.size);
            (options.progress)(Event::LayerFinished { layer: *number, descriptor: &descriptor });
            let layer = Layer { descriptor, diff_id: blob.diff_id };
            if is_settled(&entries[*number], walked) {
                keys[*number].remember(options.store, &layer)?;
            }
            layers[*number] = Some(layer);
        }
    }
    Ok(layers.into_iter().flatten().collect())
}
