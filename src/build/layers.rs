//! From what steps change to layers: those that are known from earlier builds or are in a cached image, and those that are
//! to be written.

use std::io::{self, Sink};
use std::sync::Arc;
use std::thread::{self, Scope};

use rayon::ThreadPool;

use super::cache::{self, Key, are_settled};
use super::inputs::Inputs;
use super::options::Options;
use crate::error::{Error, Result};
use crate::layer::{Compression, Earlier, Job, Layer, LayerReader, WHITEOUT, Writer};
use crate::progress::{Event, KnownBy, WarningKind};
use crate::store::{PendingBlob, Store};
use crate::sync::Memo;
use crate::tree::{Content, Entry, Kind, find_xattrs, path};

/// Makes the layers of a build, several at once if several threads ask.
pub struct Layers<'a> {
    options: &'a Options<'a>,
    pool: &'a ThreadPool,
    blobs: Writer<'a, PendingBlob>,
    /// Digests what may be in a cached image, which takes much less than to compress it.
    tars: Option<Writer<'a, Sink>>,
    made: Memo<Key, Layer>,
}

/// A step that is to become a layer.
pub struct LayerTask<'a> {
    pub number: usize,
    pub title: &'a str,
    /// As they were walked, with the whiteouts of what goes; without the extended attributes that files on disk have.
    pub entries: Arc<Vec<Entry>>,
    /// The first file that is [called as a whiteout](misnamed) without being meant as one.
    pub misnamed: Option<Vec<u8>>,
    /// The layer is to have those.
    pub has_xattrs: bool,
    /// Files that look as they did are taken for the same, unread.
    pub trusts_times: bool,
}

/// A layer that is there.
pub struct MadeLayer {
    pub layer: Layer,
    /// What it is known by.
    pub key: Key,
    /// It was there before.
    pub is_known: bool,
    /// How it was found, if it was.
    pub known_by: Option<KnownBy>,
}

impl<'a> Layers<'a> {
    pub fn new(options: &'a Options<'a>, pool: &'a ThreadPool) -> Self {
        let threads = pool.current_num_threads();
        let tars = || Writer::new(Compression::None, threads, options.progress);
        Layers {
            options,
            pool,
            blobs: Writer::new(options.compression, threads, options.progress),
            tars: options.cached.map(|_| tars()),
            made: Memo::default(),
        }
    }

    /// Starts the threads that layers are written by. Fails if the system has no more.
    pub fn serve<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Result<()> {
        let start = || thread::Builder::new();
        for _ in 0..self.pool.current_num_threads() {
            start().spawn_scoped(scope, || self.blobs.serve()).map_err(no_thread)?;
            if let Some(tars) = &self.tars {
                start().spawn_scoped(scope, || tars.serve()).map_err(no_thread)?;
            }
        }
        Ok(())
    }

    /// Ends these threads, and fails what is not written yet.
    pub fn close(&self) {
        self.blobs.close();
        self.tars.iter().for_each(Writer::close);
    }

    /// Tells of `layer`, which an earlier build has made of the same.
    pub fn take(&self, number: usize, title: &str, layer: &Layer) {
        let options = self.options;
        // The next build may have to make it, of the same blocks.
        options.store.touch_record(&cache::place(number, title, options.compression));
        (options.progress)(Event::LayerKnown { title, descriptor: &layer.descriptor });
    }

    /// Returns the layer of `task`. Equal ones are made once.
    pub fn make(&self, task: LayerTask<'a>, inputs: &Inputs<'a>) -> Result<MadeLayer> {
        let options = self.options;
        let key = self.pool.install(|| Key::of(&task.entries, task.has_xattrs, options.compression));
        let (mut is_known, mut known_by) = (true, Some(KnownBy::Files));
        let layer = self.made.get(key, || {
            task.misnamed.iter().for_each(|path| warn_of_whiteout(path, options));
            if let Some(layer) = task.trusts_times.then(|| key.find(options.store)).flatten() {
                self.take(task.number, task.title, &layer);
                return Ok(layer);
            }
            is_known = false;
            let (layer, found) = self.anew(task, key, inputs)?;
            known_by = found;
            Ok(layer)
        })?;
        Ok(MadeLayer { layer, key, is_known, known_by })
    }

    fn anew(&self, mut task: LayerTask<'a>, key: Key, inputs: &Inputs<'a>) -> Result<(Layer, Option<KnownBy>)> {
        if task.has_xattrs {
            // Hardly any file has some, and others have the entries, too: they are copied only if it must be.
            for (number, xattrs) in self.pool.install(|| find_xattrs(&task.entries))? {
                Arc::make_mut(&mut task.entries)[number].attributes.xattrs = xattrs;
            }
        }
        inputs.bases.bring(contents(&task.entries))?;
        let is_settled = self.pool.install(|| are_settled(&task.entries, inputs.started));
        let (layer, found) = match self.cached(&task)? {
            Some(layer) => (layer, Some(KnownBy::Image)),
            None => (self.write(task)?, None),
        };
        if is_settled && cache::is_certain(self.options.store, &layer) {
            key.remember(self.options.store, &layer)?;
        }
        Ok((layer, found))
    }

    /// The layer that is in a cached image.
    fn cached(&self, task: &LayerTask<'a>) -> Result<Option<Layer>> {
        let Some((images, tars)) = self.options.cached.zip(self.tars.as_ref()) else { return Ok(None) };
        if images.is_empty() {
            return Ok(None);
        }
        let tar = tars.write(self.job(task, io::sink(), None))?;
        let found = images.find(&tar.diff_id).filter(|(layer, from)| may_be(layer, from, self.options));
        if let Some((layer, from)) = found {
            let (title, descriptor) = (task.title, &layer.descriptor);
            (self.options.progress)(Event::LayerTaken { layer: task.number, title, descriptor, from });
        }
        Ok(found.map(|(layer, _)| layer.clone()))
    }

    /// Makes the layer. Blocks that the last layer of the same step has are taken over from it.
    fn write(&self, task: LayerTask<'a>) -> Result<Layer> {
        let Options { store, compression, .. } = *self.options;
        let place = cache::place(task.number, task.title, compression);
        let earlier = cache::earlier(store, &place);
        let sink = store.begin()?;
        // Who follows only helps; the build does without. What changes little takes little time, and may come out the same.
        if let (Some(follow), None, Ok(follower)) = (self.options.follow, &earlier, sink.follow()) {
            follow(follower, compression);
        }
        let job = self.job(&task, sink, earlier);
        let number = task.number;
        drop(task);
        let blob = self.blobs.write(job)?;
        store.commit(blob.sink, blob.digest)?;
        if !blob.pieces.is_empty() {
            cache::note(store, &place, &blob.digest, &blob.pieces)?;
        }
        let mut descriptor = compression.descriptor(blob.digest, blob.size);
        descriptor.annotations.extend(blob.annotations);
        let layer = Layer { descriptor, diff_id: blob.diff_id };
        store.take_diff_id(&layer);
        (self.options.progress)(Event::LayerFinished { layer: number, descriptor: &layer.descriptor });
        Ok(layer)
    }

    fn job<W>(&self, task: &LayerTask<'a>, sink: W, earlier: Option<Earlier>) -> Job<'a, W> {
        let LayerTask { number, title, ref entries, .. } = *task;
        Job { number, title, entries: entries.clone(), sink, destination: self.options.store.root(), earlier }
    }
}

/// Returns the error for a thread that cannot be started.
pub fn no_thread(source: io::Error) -> Error {
    Error::input("cannot start the threads of a build").with_source(source)
}

/// Returns the contents of all files that are to be read.
fn contents(entries: &[Entry]) -> impl Iterator<Item = &Content> {
    entries.iter().filter_map(|entry| match &entry.kind {
        Kind::File(content) => Some(content),
        _ => None,
    })
}

/// Returns the first path among the `entries` of a step that has the name of a whiteout. Such a file is not in the image of
/// anyone who unpacks the layer, and takes others away (image-spec, layer.md, "Whiteouts").
pub fn misnamed(entries: &[Entry]) -> Option<Vec<u8>> {
    let is_whiteout = |entry: &&Entry| path::split(&entry.path).1.starts_with(WHITEOUT);
    entries.iter().find(is_whiteout).map(|first| first.path.clone())
}

fn warn_of_whiteout(path: &[u8], options: &Options<'_>) {
    let path = String::from_utf8_lossy(path);
    let message = format!("/{path} will not be a file in the image: a name with .wh. before it removes that name");
    (options.progress)(Event::Warning { kind: WarningKind::WhiteoutName, message: &message });
}

/// Returns whether a layer is what the image `from` says that it is, as far as that can be told without having it
/// brought here: what is read of it later is checked then.
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
        let message = format!("cannot take a layer from {from}: {}", error.message);
        progress(Event::Warning { kind: WarningKind::CacheNotUsed, message: &message });
    }
    noted.is_ok()
}
