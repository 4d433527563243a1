//! Images that are pulled from mirrors.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::Client;
use super::repository::Repository;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{Backoff, Stop};
use crate::oci::{Descriptor, Reference};
use crate::progress::{Event, Progress, WarningKind};
use crate::store::Store;

/// An image's repository as it is pulled from: its mirrors are asked first, in their order, and the registry itself at
/// the end. A mirror that fails once, or lacks something, is not asked again; progress hears why, unless the mirror
/// just does not have the image. A blob that breaks off in the middle goes on from the place that it came from.
pub struct Mirrored<'a> {
    reference: Reference,
    sources: Vec<Repository<'a>>,
    /// The number of the first source that has not failed.
    first: AtomicUsize,
    progress: Progress<'a>,
}

impl Client {
    /// Returns what `reference` names, to be pulled from its mirrors, and from its registry at the end. Nothing is sent
    /// yet.
    pub fn mirrored<'a>(&'a self, reference: &Reference, progress: Progress<'a>) -> Result<Mirrored<'a>> {
        let places = self.settings.places(reference)?;
        let last = places.len().saturating_sub(1);
        let sources = places.iter().enumerate().map(|(number, place)| {
            let backoff = self.connection.http.options().backoff;
            // Where there is another place to ask, a failure is not waited for.
            let tries = if number < last { 1 } else { backoff.tries };
            self.repository_at(place, Backoff { tries, ..backoff }, progress)
        });
        Ok(Mirrored { reference: reference.clone(), sources: sources.collect(), first: AtomicUsize::new(0), progress })
    }
}

impl<'a> Mirrored<'a> {
    /// Returns the same, until `stop` is ended.
    pub fn until(self, stop: &Stop) -> Self {
        Mirrored { sources: self.sources.into_iter().map(|source| source.until(stop)).collect(), ..self }
    }

    fn ask<'s, T>(&'s self, question: impl Fn(&'s Repository<'a>) -> Result<T>) -> Result<T> {
        let first = self.first.load(Ordering::Relaxed);
        let mut sources = self.sources.iter().enumerate().skip(first).peekable();
        while let Some((number, source)) = sources.next() {
            match question(source) {
                Err(error) if sources.peek().is_some() => {
                    let was_first = self.first.fetch_max(number + 1, Ordering::Relaxed) <= number;
                    if was_first && error.kind != ErrorKind::NotFound {
                        self.warn(source, &error);
                    }
                }
                outcome => return outcome,
            }
        }
        Err(Error::not_found(format!("{} was not found anywhere", self.reference)))
    }

    fn warn(&self, source: &Repository<'_>, error: &Error) {
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let message = format!("the mirror {} is left out: {error}{hint}", source.reference.name());
        (self.progress)(Event::Warning { kind: WarningKind::MirrorLeftOut, message: &message });
    }
}

impl Store for Mirrored<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.ask(|source| source.open(descriptor))
    }

    /// `name` is a tag or a digest; `None` is what the reference says.
    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        self.ask(|source| source.resolve(name))
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        self.ask(|source| source.has(descriptor))
    }

    /// From the first that lists any: a mirror need not know of them, which is not a failure of it.
    fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut sources = self.sources.iter().skip(self.first.load(Ordering::Relaxed)).peekable();
        while let Some(source) = sources.next() {
            match source.referrers(subject) {
                Ok(none) if none.is_empty() => {}
                Err(_) if sources.peek().is_some() => {}
                listed => return listed,
            }
        }
        Ok(Vec::new())
    }

    fn origin(&self, _: &Descriptor) -> Option<&Reference> {
        Some(&self.reference)
    }
}
