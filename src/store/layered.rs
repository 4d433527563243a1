use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{LocalStore, PendingBlob, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Descriptor, Digest, Reference};

/// The local store, and behind it one that may be far away. What is read from there is kept here.
pub struct Layered<'a> {
    near: &'a LocalStore,
    far: &'a dyn Store,
    failed: AtomicBool,
}

impl<'a> Layered<'a> {
    pub fn new(near: &'a LocalStore, far: &'a dyn Store) -> Self {
        Layered { near, far, failed: AtomicBool::new(false) }
    }

    /// Whether something that is not here could not be had from far away.
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
        Ok(Box::new(Keeping { from, blob: Some(self.near.begin()?), digest: descriptor.digest, to: self }))
    }

    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        self.near.resolve(name)
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        self.far.origin(descriptor)
    }
}

/// Keeps what it reads once `from`, which verifies it, has come to its end.
struct Keeping<'a> {
    from: Box<dyn Read + Send + 'a>,
    blob: Option<PendingBlob>,
    digest: Digest,
    to: &'a Layered<'a>,
}

impl Read for Keeping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.from.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.to.failed.store(true, Ordering::Relaxed);
            }
        })?;
        let failed = |source| io::Error::other(Error::io("write to", self.to.near.root(), source));
        match &mut self.blob {
            Some(blob) if count > 0 => blob.write_all(&buffer[..count]).map_err(failed)?,
            _ => {
                if let Some(blob) = self.blob.take() {
                    self.to.near.commit(blob, self.digest).map_err(io::Error::other)?;
                }
            }
        }
        Ok(count)
    }
}
