use std::io::Read;

use super::Store;
use crate::error::{ErrorKind, Result};
use crate::oci::{Descriptor, Reference};

/// Two stores as one: what the first does not have is looked for in the second, which has the names.
pub struct Beside<'a> {
    pub first: &'a dyn Store,
    pub second: &'a dyn Store,
}

impl Store for Beside<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        match self.first.open(descriptor) {
            Err(error) if error.kind == ErrorKind::NotFound => self.second.open(descriptor),
            opened => opened,
        }
    }

    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        self.second.resolve(name)
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        Ok(self.first.has(descriptor)? || self.second.has(descriptor)?)
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        self.first.origin(descriptor).or_else(|| self.second.origin(descriptor))
    }
}
