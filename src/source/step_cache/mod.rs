//! Steps that other machines have done, wherever they keep them: one small document for each key, which is written once and never
//! changed, so that nothing is lost where many write.
//!
//! An [entry] says of a key which layer its step came to. It is taken at its word for that; that the layer is what the entry
//! says of it, diff_id and all, is found out by whoever reads it.

pub mod action_result;
mod directory;
pub mod entry;
mod place;
mod repository;
mod server;
mod source;
mod sweep;

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use self::entry::{Lookup, StepEntry};
use self::place::OpenPlace;
pub use self::place::StepPlace;
pub use self::server::ServerUrl;
use self::source::Source;
pub use self::sweep::{RegistrySteps, Unused};
use crate::error::{Error, ErrorKind, Result};
use crate::layer::{Compression, Layer, LayerReader};
use crate::net::{Stop, date};
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::{Event, Progress, WarningKind};
use crate::registry::{OnDemand, each};
use crate::source::cached::CachedImage;
use crate::source::signature::{CacheKeys, SigningKey};
use crate::store::Store;
use crate::sync::locked;

/// So many entries are written at a time.
const WRITTEN_AT_ONCE: usize = 4;

/// A place that entries are written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDestination {
    /// Where it is.
    pub place: StepPlace,
    /// All steps are written, and not only those that an image has.
    pub all_steps: bool,
    /// What cannot be written is an error, and not a warning.
    pub must_succeed: bool,
}

/// The places that steps are looked for in, those that they are written to, and the [`Store`] of the layers that were found.
///
/// A place that fails, or takes too long, is a warning and not asked again.
pub struct StepCache<'a> {
    sources: Vec<Source<'a>>,
    destinations: Vec<(StepDestination, OpenPlace<'a>)>,
    keys: Arc<CacheKeys>,
    compression: Compression,
    progress: Progress<'a>,
    /// The layers that were found, by their digests.
    layers: Mutex<HashMap<Digest, Vec<FoundLayer>>>,
    /// Nothing more is looked for.
    is_distrusted: AtomicBool,
    /// The keys whose entries are wrong.
    wrong: Mutex<HashSet<Digest>>,
    noted: Mutex<Vec<NotedStep>>,
}

/// A step that another machine has done.
#[derive(Debug, Clone)]
pub struct FoundStep {
    /// What is known of it.
    pub entry: StepEntry,
    /// The number of the place that knows of it.
    source: usize,
}

#[derive(Clone)]
struct FoundLayer {
    layer: Layer,
    /// The number of its source.
    source: usize,
    key: Digest,
}

/// A step that was done here, or found.
struct NotedStep {
    entry: StepEntry,
    /// An image has its layer.
    is_in_image: bool,
}

impl<'a> StepCache<'a> {
    /// Returns what looks for steps in the places `from`, in their order, and in `images`, and writes them `to` others. Nobody
    /// is asked yet. No layers are taken that another `compression` has made.
    pub fn new(
        from: Vec<StepPlace>,
        images: &[Arc<CachedImage<'a>>],
        to: Vec<StepDestination>,
        keys: Arc<CacheKeys>,
        compression: Compression,
        client: &'a OnDemand,
        progress: Progress<'a>,
    ) -> Result<Self> {
        // An image is asked once for all steps, but one that may not even be there only for what nothing else has.
        let (doubtful, named): (Vec<_>, Vec<_>) = images.iter().cloned().partition(|image| image.may_be_missing());
        let mut sources: Vec<Source<'a>> = named.into_iter().map(Source::of_image).collect();
        for place in from {
            sources.push(Source::of_entries(place, client, progress)?);
        }
        sources.extend(doubtful.into_iter().map(Source::of_image));
        let destination = |to: StepDestination| {
            let open = to.place.open(client, progress)?;
            Ok((to, open))
        };
        Ok(StepCache {
            sources,
            destinations: to.into_iter().map(destination).collect::<Result<_>>()?,
            keys,
            compression,
            progress,
            layers: Mutex::default(),
            is_distrusted: AtomicBool::new(false),
            wrong: Mutex::default(),
            noted: Mutex::default(),
        })
    }

    /// Returns whether there is a place at all: without, nobody need know what steps are known by elsewhere.
    pub fn is_in_use(&self) -> bool {
        !self.sources.is_empty() || !self.destinations.is_empty()
    }

    /// Returns whether there is a place to look for steps in.
    pub fn has_sources(&self) -> bool {
        !self.sources.is_empty() && !self.is_distrusted.load(Ordering::Relaxed)
    }

    /// Ends all looking from now on: what was found has turned out to be wrong.
    pub fn distrust(&self) {
        self.is_distrusted.store(true, Ordering::Relaxed);
        locked(&self.noted).clear();
    }

    /// Returns what the first place that knows the step of this `key` says that it came to. Waits for no place longer than
    /// a deadline.
    pub fn find(&self, key: &Digest) -> Option<FoundStep> {
        for (number, source) in self.sources.iter().enumerate() {
            if source.is_off.load(Ordering::Relaxed) {
                continue;
            }
            let is_trusted = |entry: &StepEntry| self.is_trusted(entry);
            let entry = match source.find(key, &is_trusted) {
                Ok(Lookup::Entry(entry)) => *entry,
                Ok(Lookup::Missing) => continue,
                Ok(Lookup::Useless) => {
                    // Else it would keep others from writing theirs.
                    self.replace(key);
                    continue;
                }
                Err(error) => {
                    self.blame(source, key, &error);
                    continue;
                }
            };
            locked(&source.has).insert(*key);
            if let Some(layer) = &entry.layer {
                if !self.is_own(layer) {
                    continue;
                }
                let found = FoundLayer { layer: layer.clone(), source: number, key: *key };
                locked(&self.layers).entry(layer.descriptor.digest).or_default().push(found);
            }
            return Some(FoundStep { entry, source: number });
        }
        None
    }

    /// Returns the name of the place that knows of a step.
    pub fn title(&self, found: &FoundStep) -> &str {
        self.sources.get(found.source).map_or("", |source| &source.title)
    }

    /// Has what is kept of this `key` replaced by what comes of the step here: it was done on something else.
    pub fn replace(&self, key: &Digest) {
        locked(&self.wrong).insert(*key);
    }

    /// Notes that what was found of `key` is wrong: it is written anew.
    pub fn refuse(&self, key: &Digest, error: &Error) {
        self.replace(key);
        let message = format!("a step is done after all: {}", error.message);
        (self.progress)(Event::Warning { kind: WarningKind::CacheNotUsed, message: &message });
    }

    /// Takes a step that was done here, to be written where it is missing. It is signed if nothing that it stands on comes
    /// from others, or all of that is signed.
    pub fn keep(&self, mut entry: StepEntry, is_in_image: bool, stands_on_others: bool) {
        if self.destinations.is_empty() {
            return;
        }
        entry.signature = self.keys.signature(&entry.statement(), stands_on_others);
        self.note(entry, is_in_image);
    }

    /// Takes a step that was found, to be written where it is missing.
    pub fn note(&self, entry: StepEntry, is_in_image: bool) {
        if !self.destinations.is_empty() {
            locked(&self.noted).push(NotedStep { entry, is_in_image });
        }
    }

    /// Returns the key that signs what is written, if there is one.
    pub fn signing_key(&self) -> Option<&SigningKey> {
        self.keys.signing.as_ref()
    }

    fn is_trusted(&self, entry: &StepEntry) -> bool {
        self.keys.are_content_with(&entry.statement(), entry.signature.as_deref())
    }

    /// Opens the blob of a layer that was found, and that nobody has found to be wrong. The reader fails if it is not what
    /// was said of it, diff_id and all; of several that are said to be this blob, the one with `diff_id`, if any is asked
    /// for.
    pub fn open_layer(&self, digest: &Digest, diff_id: Option<&Digest>) -> Result<Box<dyn Read + Send + '_>> {
        let Some((FoundLayer { layer, key, .. }, source)) = self.found(digest, diff_id) else {
            return Err(Error::not_found(format!("there is no blob {digest}")));
        };
        let blob = source.layer(&layer.descriptor).inspect_err(|_| self.replace(&key))?;
        Ok(Box::new(Doubting { layer: LayerReader::new(blob, &layer), cache: self, key }))
    }

    /// Writes all steps that were noted to where they are missing, with their layers, which are in `store`. What cannot be written
    /// is a warning, unless the place must have it.
    pub fn write(&self, store: &dyn Store) -> Result<()> {
        let noted = std::mem::take(&mut *locked(&self.noted));
        for (destination, open) in &self.destinations {
            let known = self.sources.iter().find(|source| source.place() == Some(&destination.place));
            let known = known.map(|source| locked(&source.has).clone()).unwrap_or_default();
            let wrong = locked(&self.wrong).clone();
            let mut seen = HashSet::new();
            let is_wanted = |step: &&NotedStep| {
                (step.is_in_image || destination.all_steps)
                    && step.entry.layer.as_ref().is_none_or(|layer| self.is_own(layer))
            };
            let used: Vec<&NotedStep> =
                noted.iter().filter(is_wanted).filter(|step| seen.insert(step.entry.key)).collect();
            let is_missing = |step: &&&NotedStep| !known.contains(&step.entry.key) || wrong.contains(&step.entry.key);
            let missing = used.iter().filter(is_missing);
            let written = each(missing, WRITTEN_AT_ONCE, &Stop::default(), |step| {
                let is_new = wrong.contains(&step.entry.key);
                if !is_new && open.has(&step.entry.key)? { Ok(()) } else { open.put(&step.entry, store) }
            });
            let keys: Vec<Digest> = used.iter().map(|step| step.entry.key).collect();
            let written =
                written.and_then(|()| if keys.is_empty() { Ok(()) } else { open.note_uses(&keys, date::now()) });
            if let Err(error) = written {
                if destination.must_succeed {
                    return Err(error);
                }
                let message = format!("the steps are not all written to {}: {}", destination.place, error.message);
                (self.progress)(Event::Warning { kind: WarningKind::CacheNotWritten, message: &message });
            }
        }
        Ok(())
    }

    /// Returns whether `layer` is, descriptor and all, what would be made here.
    fn is_own(&self, layer: &Layer) -> bool {
        self.compression.stores_alike(&layer.descriptor)
    }

    /// Tells of the failure of a place, or of an entry.
    fn blame(&self, source: &Source<'_>, key: &Digest, error: &Error) {
        let is_entry = error.kind == ErrorKind::Integrity;
        if is_entry {
            self.replace(key);
        } else if source.is_off.swap(true, Ordering::Relaxed) {
            return;
        }
        let message = match is_entry {
            true => format!("an entry of {} is not used: {}", source.title, error.message),
            false => format!("no steps are taken from {}: {}", source.title, error.message),
        };
        (self.progress)(Event::Warning { kind: WarningKind::CacheNotUsed, message: &message });
    }

    fn found(&self, digest: &Digest, diff_id: Option<&Digest>) -> Option<(FoundLayer, &Source<'a>)> {
        let layers = locked(&self.layers);
        let is_it = |found: &&FoundLayer| match diff_id {
            Some(diff_id) => found.layer.diff_id == *diff_id,
            None => !locked(&self.wrong).contains(&found.key),
        };
        let found = layers.get(digest)?.iter().find(is_it)?.clone();
        let source = self.sources.get(found.source)?;
        Some((found, source))
    }
}

impl Store for StepCache<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.open_layer(&descriptor.digest, None)
    }

    /// Fails: what has layers only has no names.
    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Err(Error::not_found("layers have no names"))
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        Ok(self.found(&descriptor.digest, None).is_some())
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        self.found(&descriptor.digest, None)?.1.origin(descriptor)
    }
}

/// Notes the key of a layer that cannot be read to its end as wrong.
struct Doubting<'c, 'a, R> {
    layer: R,
    cache: &'c StepCache<'a>,
    key: Digest,
}

impl<R: Read> Read for Doubting<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.layer.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.cache.replace(&self.key);
            }
        })
    }
}
