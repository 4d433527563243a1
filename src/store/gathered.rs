//! [`Gathered`] has the content of several stores as that of one.

use std::collections::HashMap;
use std::io::Read;

use super::{Graph, Store};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Reference, VerifyingReader};

/// Content of several stores as that of one. Which of them has a blob is told by the graphs that were read from them;
/// manifests and indexes are kept here.
#[derive(Default)]
pub struct Gathered<'a> {
    stores: Vec<Box<dyn Store + 'a>>,
    /// The number of the store that has a blob.
    places: HashMap<Digest, usize>,
    documents: HashMap<Digest, Vec<u8>>,
}

impl<'a> Gathered<'a> {
    /// Takes a store, and returns its number. None of its content is taken for that.
    pub fn join(&mut self, store: Box<dyn Store + 'a>) -> usize {
        self.stores.push(store);
        self.stores.len() - 1
    }

    /// Returns the store of this number, which [`join`](Self::join) gave it.
    pub fn store(&self, number: usize) -> &(dyn Store + 'a) {
        self.stores[number].as_ref()
    }

    /// Takes all of `graph`, which was read from the store `number`, unless it is here from an earlier one.
    pub fn add(&mut self, number: usize, graph: &Graph) {
        for blob in &graph.blobs {
            self.places.entry(blob.digest).or_insert(number);
        }
        for (descriptor, bytes) in &graph.manifests {
            self.documents.entry(descriptor.digest).or_insert_with(|| bytes.clone());
        }
    }

    /// Takes a document that was made here.
    pub fn put(&mut self, digest: Digest, bytes: Vec<u8>) {
        self.documents.insert(digest, bytes);
    }

    /// Looks for a blob in the store that it is said to be in, then in all others in their order; false if none has it.
    /// From then on it is read from where it was found.
    pub fn find(&mut self, blob: &Descriptor) -> Result<bool> {
        let first = self.places.get(&blob.digest).copied();
        let others = (0..self.stores.len()).filter(|number| Some(*number) != first);
        for number in first.into_iter().chain(others) {
            if self.stores[number].has(blob)? {
                self.places.insert(blob.digest, number);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Store for Gathered<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        if let Some(bytes) = self.documents.get(&descriptor.digest) {
            return Ok(Box::new(VerifyingReader::new(bytes.as_slice(), descriptor.digest, descriptor.size)));
        }
        match self.places.get(&descriptor.digest) {
            Some(number) => self.store(*number).open(descriptor),
            None => Err(Error::not_found(format!("there is no blob {}", descriptor.digest))),
        }
    }

    /// Always fails: all that is gathered is known by digest alone.
    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Err(Error::not_found("what is gathered has no names"))
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        self.store(*self.places.get(&descriptor.digest)?).origin(descriptor)
    }

    fn repositories(&self, descriptor: &Descriptor, registry: &str) -> Vec<Reference> {
        let place = self.places.get(&descriptor.digest);
        place.map(|number| self.store(*number).repositories(descriptor, registry)).unwrap_or_default()
    }

    fn note_repository(&self, descriptor: &Descriptor, name: &Reference) {
        if let Some(number) = self.places.get(&descriptor.digest) {
            self.store(*number).note_repository(descriptor, name);
        }
    }
}
