use std::io;
use std::time::SystemTime;

use rayon::ThreadPool;

use super::Options;
use super::cache::{self, Key, is_settled};
use crate::error::Result;
use crate::layer::{self, Compression, Earlier, Entry, Job, Layer, WHITEOUT, read_xattrs};
use crate::oci::Digest;
use crate::plan::Step;
use crate::progress::Event;
use crate::source::local;

/// Layers that are written side by side, each to an open file.
const ABREAST: usize = 64;

/// A step that is to become a layer.
struct Task<'a> {
    number: usize,
    title: &'a str,
    /// With the extended attributes of files once the layer is not known from an earlier build.
    entries: Vec<Entry>,
    key: Key,
}

/// The layers of `steps`, in their order: those that are known from earlier builds, those that are in a cached image,
/// and all others made anew.
pub fn make(steps: &[&Step], options: &Options<'_>, pool: &ThreadPool) -> Result<Vec<Layer>> {
    let walked = SystemTime::now();
    let mut layers: Vec<Option<Layer>> = Vec::with_capacity(steps.len());
    let mut tasks = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let mut task = pool.install(|| Task::of(number, step, options))?;
        let known = if options.trust_times { task.key.find(options.store) } else { None };
        match &known {
            Some(Layer { descriptor, .. }) => {
                // The next build may have to make it, of the same blocks.
                options.store.touch_record(&cache::place(number, task.title, options.compression));
                (options.progress)(Event::LayerKnown { title: task.title, descriptor });
            }
            None => {
                pool.install(|| read_xattrs(&mut task.entries))?;
                tasks.push(task);
            }
        }
        layers.push(known);
    }
    let mut put = |task: &Task<'_>, layer: Layer| {
        if is_settled(&task.entries, walked) && options.store.has(&layer.descriptor) {
            task.key.remember(options.store, &layer)?;
        }
        layers[task.number] = Some(layer);
        Ok(())
    };
    let (cached, tasks) = find_cached(tasks, options, pool)?;
    cached.into_iter().try_for_each(|(task, layer)| put(&task, layer))?;
    for tasks in tasks.chunks(ABREAST) {
        for (task, layer) in tasks.iter().zip(write(tasks, options, pool)?) {
            (options.progress)(Event::LayerFinished { layer: task.number, descriptor: &layer.descriptor });
            put(task, layer)?;
        }
    }
    Ok(layers.into_iter().flatten().collect())
}

impl<'a> Task<'a> {
    fn of(number: usize, step: &'a Step, options: &Options<'_>) -> Result<Self> {
        let entries = local::entries(&step.adds, options.modified)?;
        warn_of_whiteout(&entries, options);
        let key = Key::of(&entries, options.compression);
        Ok(Task { number, title: &step.title, entries, key })
    }
}

/// A file of such a name is not in the image of anyone who unpacks the layer, and takes others away (image-spec,
/// layer.md, "Whiteouts").
fn warn_of_whiteout(entries: &[Entry], options: &Options<'_>) {
    let is_whiteout = |entry: &&Entry| {
        let name = entry.path.rsplit(|byte| *byte == b'/').next();
        name.is_some_and(|name| name.starts_with(WHITEOUT))
    };
    if let Some(first) = entries.iter().find(is_whiteout) {
        let path = String::from_utf8_lossy(&first.path);
        let message = format!("/{path} will not be a file in the image: a name with .wh. before it removes that name");
        (options.progress)(Event::Warning { message: &message });
    }
}

type Cached<'a> = Vec<(Task<'a>, Layer)>;

/// The layers that are in a cached image, and the tasks that are left. What the files come to is found out by digesting
/// them, which takes much less than to compress them.
fn find_cached<'a>(
    tasks: Vec<Task<'a>>,
    options: &Options<'_>,
    pool: &ThreadPool,
) -> Result<(Cached<'a>, Vec<Task<'a>>)> {
    let Some(images) = options.cached.filter(|images| !tasks.is_empty() && !images.is_empty()) else {
        return Ok((Vec::new(), tasks));
    };
    let jobs = tasks.iter().map(|task| Job {
        number: task.number,
        title: task.title,
        entries: &task.entries,
        sink: io::sink(),
        destination: options.store.root(),
        earlier: None,
    });
    let written = layer::write(jobs.collect(), Compression::None, pool, options.progress)?;
    let diff_ids: Vec<Digest> = written.into_iter().map(|tar| tar.diff_id).collect();
    let (mut cached, mut left) = (Vec::new(), Vec::new());
    for (task, diff_id) in tasks.into_iter().zip(diff_ids) {
        let Some((layer, from)) = images.find(&diff_id) else {
            left.push(task);
            continue;
        };
        let (title, descriptor) = (task.title, &layer.descriptor);
        (options.progress)(Event::LayerTaken { layer: task.number, title, descriptor, from });
        cached.push((task, layer.clone()));
    }
    Ok((cached, left))
}

/// Makes layers side by side. Blocks that the last layer of the same step has are taken over from it.
fn write(tasks: &[Task<'_>], options: &Options<'_>, pool: &ThreadPool) -> Result<Vec<Layer>> {
    let place = |task: &Task<'_>| cache::place(task.number, task.title, options.compression);
    let places: Vec<Digest> = tasks.iter().map(place).collect();
    let earlier: Vec<Option<Earlier>> = places.iter().map(|place| cache::earlier(options.store, place)).collect();
    let mut jobs = Vec::with_capacity(tasks.len());
    for (task, earlier) in tasks.iter().zip(&earlier) {
        let sink = options.store.begin()?;
        // Who follows only helps; the build does without. What changes little takes little time, and may come out the same.
        if let (Some(follow), None, Ok(follower)) = (options.follow, earlier, sink.follow()) {
            follow(follower, options.compression);
        }
        jobs.push(Job {
            number: task.number,
            title: task.title,
            entries: &task.entries,
            sink,
            destination: options.store.root(),
            earlier: earlier.as_ref(),
        });
    }
    let mut layers = Vec::with_capacity(tasks.len());
    for (blob, place) in layer::write(jobs, options.compression, pool, options.progress)?.into_iter().zip(&places) {
        options.store.commit(blob.sink, blob.digest)?;
        if !blob.pieces.is_empty() {
            cache::note(options.store, place, &blob.digest, &blob.pieces)?;
        }
        let mut descriptor = options.compression.descriptor(blob.digest, blob.size);
        descriptor.annotations.extend(blob.annotations);
        layers.push(Layer { descriptor, diff_id: blob.diff_id });
    }
    Ok(layers)
}
