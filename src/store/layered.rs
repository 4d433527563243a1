//! [`Layered`] is the local store with another behind it, whose content it keeps.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

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
        match self.near.open(descriptor) {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            opened => return opened,
        }
        let from = self.far.open(descriptor).inspect_err(|_| self.failed.store(true, Ordering::Relaxed))?;
        self.near.keeping(Box::new(NotingReader { from, failed: &self.failed }), descriptor.digest)
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
}

impl LocalStore {
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
