//! From the entries of a directory to a layer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::entry::MountLayer;
use crate::error::{Error, Result};
use crate::layer::{self, Compression, Job, Layer, Writer};
use crate::progress::Event;
use crate::store::LocalStore;
use crate::tree::Entry;

/// Caches are pushed more often than images, and pulled about as often as that.
const COMPRESSION: Compression = Compression::Zstd(3);

/// Writes the layer of `entries` to `store`, on as many threads as `jobs` says.
pub fn pack(entries: Arc<Vec<Entry>>, title: &str, store: &LocalStore, jobs: usize) -> Result<MountLayer> {
    let size = AtomicU64::new(0);
    let note_size = |event: Event<'_>| {
        if let Event::LayerStarted { size: told, .. } = event {
            size.store(told, Ordering::Relaxed);
        }
    };
    let threads = layer::threads(jobs);
    let writer = Writer::new(COMPRESSION, threads, &note_size).with_exact_times();
    let job = Job { number: 0, title, entries, sink: store.begin()?, destination: store.root(), earlier: None };
    let written = thread::scope(|scope| {
        let started = (0..threads).try_for_each(|_| {
            let started = thread::Builder::new().spawn_scoped(scope, || writer.serve());
            started.map(drop).map_err(|source| Error::input("cannot start the threads of a layer").with_source(source))
        });
        let written = started.and_then(|()| writer.write(job));
        writer.close();
        written
    })?;
    store.commit(written.sink, written.digest)?;
    let layer = Layer { descriptor: COMPRESSION.descriptor(written.digest, written.size), diff_id: written.diff_id };
    Ok(MountLayer { layer, size: size.load(Ordering::Relaxed) })
}
