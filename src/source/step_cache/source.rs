//! The places that steps are looked for in: those of entries, and images that say of themselves which steps they came about by.

use std::collections::HashSet;
use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::entry::{Lookup, StepEntry};
use super::place::{OpenPlace, StepPlace};
use crate::error::Result;
use crate::net::Stop;
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::source::cached::{CACHE_DEADLINE, CachedImage};

/// A place that is asked.
pub struct Source<'a> {
    pub title: String,
    open: OpenSource<'a>,
    /// It is not asked any more.
    pub is_off: AtomicBool,
    /// The keys that are known to have an entry there.
    pub has: Mutex<HashSet<Digest>>,
}

enum OpenSource<'a> {
    Entries(StepPlace, OpenPlace<'a>),
    Image(Arc<CachedImage<'a>>),
}

impl<'a> Source<'a> {
    pub fn of_entries(place: StepPlace, client: &'a OnDemand, progress: Progress<'a>) -> Result<Self> {
        let (title, open) = (place.to_string(), place.open(client, progress)?);
        Ok(Source::new(title, OpenSource::Entries(place, open)))
    }

    pub fn of_image(image: Arc<CachedImage<'a>>) -> Self {
        Source::new(image.title().to_owned(), OpenSource::Image(image))
    }

    fn new(title: String, open: OpenSource<'a>) -> Self {
        Source { title, open, is_off: AtomicBool::new(false), has: Mutex::default() }
    }

    /// Returns the place, if it is one that entries may be written to.
    pub fn place(&self) -> Option<&StepPlace> {
        match &self.open {
            OpenSource::Entries(place, _) => Some(place),
            OpenSource::Image(_) => None,
        }
    }

    /// Returns what there is of `key`, and waits no longer for it than a deadline; what is not one that `is_trusted` is useless.
    pub fn find(&self, key: &Digest, is_trusted: &dyn Fn(&StepEntry) -> bool) -> Result<Lookup> {
        let image = match &self.open {
            OpenSource::Entries(_, open) => {
                return Stop::within(CACHE_DEADLINE, |stop| open.find(key, is_trusted, stop));
            }
            OpenSource::Image(image) => image,
        };
        let Some(step) = image.step(key)? else { return Ok(Lookup::Missing) };
        let entry = StepEntry {
            key: *key,
            on: step.said.on,
            parts: Vec::new(),
            title: String::new(),
            layer: step.layer.clone(),
            printed: Vec::new(),
            written: None,
            signature: step.said.signature.clone(),
        };
        // What is not trusted cannot be replaced, either.
        Ok(if is_trusted(&entry) { Lookup::Entry(Box::new(entry)) } else { Lookup::Missing })
    }

    /// Opens a layer, to be verified by who reads it.
    pub fn layer(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        match &self.open {
            OpenSource::Entries(_, open) => open.layer(descriptor),
            OpenSource::Image(image) => image.open(descriptor),
        }
    }

    /// Returns the repository that has a layer, if it is in one.
    pub fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        match &self.open {
            OpenSource::Entries(_, open) => open.origin(),
            OpenSource::Image(image) => image.origin(descriptor),
        }
    }
}
