use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use rayon::ThreadPool;

use super::Options;
use super::cache::{self, Key, are_settled};
use crate::error::{Error, Result};
use crate::layer::{self, Compression, Earlier, Job, Layer, LayerReader, WHITEOUT};
use crate::oci::Digest;
use crate::progress::Event;
use crate::store::Store;
use crate::tree::{Content, Entry, Kind, find_xattrs};

/// Layers that are written side by side, each to an open file.
const ABREAST: usize = 64;

/// The layers of a build, each by its number: those that are known from earlier builds, and those that are to be made.
pub struct Layers<'a> {
    options: &'a Options<'a>,
    pool: &'a ThreadPool,
    known: HashMap<usize, Layer>,
    tasks: Vec<Task<'a>>,
    numbers: HashMap<Key, usize>,
}

/// A step that is to become a layer.
struct Task<'a> {
    number: usize,
    title: &'a str,
    entries: Arc<Vec<Entry>>,
    /// When the files were looked at.
    walked: SystemTime,
    key: Key,
}

impl<'a> Layers<'a> {
    pub fn new(options: &'a Options<'a>, pool: &'a ThreadPool) -> Self {
        Layers { options, pool, known: HashMap::new(), tasks: Vec::new(), numbers: HashMap::new() }
    }

    /// Takes `layer`, which an earlier build has made of the same, for number `number`.
    pub fn take(&mut self, number: usize, title: &str, layer: Layer) {
        let options = self.options;
        // The next build may have to make it, of the same blocks.
        options.store.touch_record(&cache::place(number, title, options.compression));
        (options.progress)(Event::LayerKnown { title, descriptor: &layer.descriptor });
        self.known.insert(number, layer);
    }

    /// Adds a layer of `entries`, which is given the number of an equal one, if there is one, else `number`. The files were
    /// `walked` no earlier than then; their extended attributes count if the layer is to have them.
    pub fn add(
        &mut self,
        number: usize,
        title: &'a str,
        entries: Arc<Vec<Entry>>,
        walked: SystemTime,
        has_xattrs: bool,
    ) -> Result<usize> {
        let options = self.options;
        let key = self.pool.install(|| Key::of(&entries, has_xattrs, options.compression));
        if let Some(number) = self.numbers.get(&key) {
            return Ok(*number);
        }
        self.numbers.insert(key, number);
        warn_of_whiteout(&entries, options);
        let known = if options.trust_times { key.find(options.store) } else { None };
        match known {
            Some(layer) => self.take(number, title, layer),
            None => {
                let mut entries = entries;
                if has_xattrs {
                    // Hardly any file has some, and others have the entries, too: they are copied only if it must be.
                    for (number, xattrs) in self.pool.install(|| find_xattrs(&entries))? {
                        Arc::make_mut(&mut entries)[number].attributes.xattrs = xattrs;
                    }
                }
                self.tasks.push(Task { number, title, entries, walked, key });
            }
        }
        Ok(number)
    }

    /// Returns the key of each layer whose files were looked at, by its number.
    pub fn keys(&self) -> HashMap<usize, Key> {
        self.numbers.iter().map(|(key, number)| (*number, *key)).collect()
    }

    /// The contents of all files that are to be read.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        self.tasks.iter().flat_map(|task| task.entries.iter()).filter_map(|entry| match &entry.kind {
            Kind::File(content) => Some(content),
            _ => None,
        })
    }

    /// All layers, by their numbers: those that are in a cached image, and all others made anew.
    pub fn make(self) -> Result<HashMap<usize, Layer>> {
        let Layers { options, pool, known: mut layers, tasks, .. } = self;
        let mut put = |task: &Task<'_>, layer: Layer| {
            if are_settled(&task.entries, task.walked) && cache::is_certain(options.store, &layer) {
                task.key.remember(options.store, &layer)?;
            }
            layers.insert(task.number, layer);
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
        Ok(layers)
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
        let Some((layer, from)) = images.find(&diff_id).filter(|(layer, from)| may_be(layer, from, options)) else {
            left.push(task);
            continue;
        };
        let (title, descriptor) = (task.title, &layer.descriptor);
        (options.progress)(Event::LayerTaken { layer: task.number, title, descriptor, from });
        cached.push((task, layer.clone()));
    }
    Ok((cached, left))
}

/// Whether a layer is what the image `from` says that it is, as far as that can be told without having it brought here: what
/// is read of it later is checked then.
fn may_be(layer: &Layer, from: &str, options: &Options<'_>) -> bool {
    let Options { store, progress, .. } = *options;
    if !store.claim(&layer.descriptor) || cache::is_certain(store, layer) {
        return true;
    }
    let read = store.open(&layer.descriptor).and_then(|blob| {
        let read = io::copy(&mut LayerReader::new(blob, layer), &mut io::sink());
        read.map_err(|source| Error::from_read("read", layer.descriptor.digest.to_string(), source))
    });
    let noted = read.and_then(|_| store.note_diff_id(layer));
    if let Err(error) = &noted {
        let message = format!("a layer is not taken from {from}: {}", error.message);
        progress(Event::Warning { message: &message });
    }
    noted.is_ok()
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
        let layer = Layer { descriptor, diff_id: blob.diff_id };
        options.store.take_diff_id(&layer);
        layers.push(layer);
    }
    Ok(layers)
}
