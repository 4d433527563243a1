//! [`Beside`] has two stores as one.

use std::io::Read;

use super::Store;
use crate::error::Result;
use crate::layer::Layer;
use crate::oci::{Descriptor, Digest, Reference};

/// Two stores as one: what the first does not say it has is looked for in the second, which has the names.
pub struct Beside<'a> {
    /// The store that is asked first.
    pub first: &'a dyn Store,
    /// The store that has the rest, and the names.
    pub second: &'a dyn Store,
}

impl Store for Beside<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        // What the first should have and has not is an error that it alone can tell of.
        if self.first.has(descriptor)? { self.first.open(descriptor) } else { self.second.open(descriptor) }
    }

    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        self.second.resolve(name)
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        Ok(self.first.has(descriptor)? || self.second.has(descriptor)?)
    }

    fn diff_id(&self, layer: &Descriptor) -> Option<Digest> {
        self.first.diff_id(layer).or_else(|| self.second.diff_id(layer))
    }

    /// Tells the second, which has what is made.
    fn note_diff_id(&self, layer: &Layer) -> Result<()> {
        self.second.note_diff_id(layer)
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        self.first.origin(descriptor).or_else(|| self.second.origin(descriptor))
    }

    fn repositories(&self, descriptor: &Descriptor, registry: &str) -> Vec<Reference> {
        [self.first.repositories(descriptor, registry), self.second.repositories(descriptor, registry)].concat()
    }

    /// Tells the second, which has the rest.
    fn note_repository(&self, descriptor: &Descriptor, name: &Reference) {
        self.second.note_repository(descriptor, name);
    }
}
