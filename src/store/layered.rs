//! [`Layered`] is the local store with another behind it, whose content it keeps.

use std::io::{self, Read, Write};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{LocalStore, PendingBlob, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::layer::Layer;
use crate::oci::{Descriptor, Digest, Reference};

/// The local store, and behind it one that may be far away. What is read from there is kept here.
pub struct Layered<'a> {
    near: &'a LocalStore,
    far: &'a dyn Store,
    failed: AtomicBool,
}

impl<'a> Layered<'a> {
    /// Returns `near` with `far` behind it.
    pub fn new(near: &'a LocalStore, far: &'a dyn Store) -> Self {
        Layered { near, far, failed: AtomicBool::new(false) }
    }

    /// Returns whether something that is not here could not be had from far away.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Store for Layered<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.near.open_or_take(descriptor, || {
            let from = self.far.open(descriptor).inspect_err(|_| self.failed.store(true, Ordering::Relaxed))?;
            Ok(Box::new(NotingReader { from, failed: &self.failed }))
        })
    }

    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        self.near.resolve(name)
    }

    fn diff_id(&self, layer: &Descriptor) -> Option<Digest> {
        self.near.diff_id(layer)
    }

    fn note_diff_id(&self, layer: &Layer) -> Result<()> {
        self.near.note_diff_id(layer)
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        self.far.origin(descriptor)
    }

    fn repositories(&self, descriptor: &Descriptor, registry: &str) -> Vec<Reference> {
        [self.far.repositories(descriptor, registry), self.near.repositories(descriptor, registry)].concat()
    }

    fn note_repository(&self, descriptor: &Descriptor, name: &Reference) {
        self.near.note_repository(descriptor, name);
    }
}

/// Reads all of `blobs` from `store`, so many at a time, for stores that keep what is read. Fails if one of them cannot be
/// had.
pub fn fetch(store: &dyn Store, blobs: &[&Descriptor], parallel: usize) -> Result<()> {
    let next = AtomicUsize::new(0);
    let pull = || {
        while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            io::copy(&mut store.open(blob)?, &mut io::sink())
                .map_err(|source| Error::from_read("pull", blob.digest.to_string(), source))?;
        }
        Ok(())
    };
    let parallel = if parallel == 0 { USUAL_PULLS } else { parallel }.min(blobs.len());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..parallel).map(|_| scope.spawn(pull)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Blobs that are pulled at a time if nobody says.
const USUAL_PULLS: usize = 4;

impl LocalStore {
    /// Opens a blob of the store. One that is not there is what `far` returns, which is verified, and kept once it is read.
    pub fn open_or_take<'s>(
        &'s self,
        descriptor: &Descriptor,
        far: impl FnOnce() -> Result<Box<dyn Read + Send + 's>>,
    ) -> Result<Box<dyn Read + Send + 's>> {
        match self.open(descriptor) {
            Err(error) if error.kind == ErrorKind::NotFound => self.keeping(far()?, descriptor.digest),
            opened => opened,
        }
    }

    /// Returns a reader of `from`, which verifies that it has `digest`; what was read is kept once the end has come.
    pub fn keeping<'a>(&'a self, from: Box<dyn Read + Send + 'a>, digest: Digest) -> Result<Box<dyn Read + Send + 'a>> {
        Ok(Box::new(Keeping { from, blob: Some(self.begin()?), digest, store: self }))
    }
}

/// Takes note when what it reads fails.
struct NotingReader<'a> {
    from: Box<dyn Read + Send + 'a>,
    failed: &'a AtomicBool,
}

impl Read for NotingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.from.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed.store(true, Ordering::Relaxed);
            }
        })
    }
}

struct Keeping<'a> {
    from: Box<dyn Read + Send + 'a>,
    blob: Option<PendingBlob>,
    digest: Digest,
    store: &'a LocalStore,
}

impl Read for Keeping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.from.read(buffer)?;
        let failed = |source| io::Error::other(Error::io("write to", self.store.root(), source));
        match &mut self.blob {
            Some(blob) if count > 0 => blob.write_all(&buffer[..count]).map_err(failed)?,
            _ => {
                if let Some(blob) = self.blob.take() {
                    self.store.commit(blob, self.digest).map_err(io::Error::other)?;
                }
            }
        }
        Ok(count)
    }
}
