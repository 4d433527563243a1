//! What is under way, and how far all of it has come, as events tell it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::speed::Speed;
use super::words::{blob_title, of_target, short_digest};
use crate::cli::bytes::{HumanBytes, short};
use crate::oci::Digest;
use crate::progress::{BlobOutcome, Event, Fetched};

/// How far everything has come.
pub struct Underway {
    /// The steps that are done, and all.
    pub steps: Option<(usize, usize)>,
    /// The targets, where several are built, in the order in which they were first told of.
    pub targets: Vec<UnderwayTarget>,
    /// What is under way, the oldest first.
    pub things: Vec<UnderwayThing>,
    pub pull: Pull,
    /// The repository or file that blobs go to.
    pub output: Option<OutputProgress>,
    /// The titles of the layers that are there.
    titles: HashMap<Digest, String>,
}

/// A target of several.
pub struct UnderwayTarget {
    /// Foreign text.
    pub name: String,
    pub done: usize,
    pub steps: usize,
    pub known: usize,
}

/// Something that is under way.
pub struct UnderwayThing {
    key: ThingKey,
    /// What is done, in a word.
    pub verb: &'static str,
    /// What it is done to; foreign text.
    pub title: String,
    /// In bytes; none if nobody knows it.
    pub size: Option<u64>,
    /// How far it has come, in bytes.
    pub at: u64,
    /// How fast, where the bytes go over a network.
    pub speed: Option<Speed>,
    pub began: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ThingKey {
    Layer(usize),
    Command(usize),
    Fetch(usize),
    Blob(Digest),
}

/// The blobs of images that come from registries.
pub struct Pull {
    /// Those that are to come, and those that have begun to.
    blobs: HashSet<Digest>,
    /// Those of which fetches tell.
    fetches: Vec<(usize, Digest)>,
    done: HashSet<Digest>,
    /// The bytes of all.
    size: u64,
    pub came: u64,
    began: Option<Instant>,
    speed: Option<Speed>,
}

/// The way of blobs to where they go.
pub struct OutputProgress {
    name: String,
    pub blobs: usize,
    done: HashSet<Digest>,
    there: usize,
    sent: u64,
    began: Instant,
    speed: Speed,
}

/// How far something is that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub done: usize,
    pub all: usize,
    /// Bytes in a second, as long as there is more to come and anybody can tell.
    pub speed: Option<u64>,
}

impl Underway {
    /// Returns the state before the first event.
    pub fn new() -> Self {
        let (blobs, fetches, done) = (HashSet::new(), Vec::new(), HashSet::new());
        let pull = Pull { blobs, fetches, done, size: 0, came: 0, began: None, speed: None };
        Underway { steps: None, targets: Vec::new(), things: Vec::new(), pull, output: None, titles: HashMap::new() }
    }

    /// Notes what `event`, which is of `now`, tells, and returns the line that it is worth: of many things that are done now.
    pub fn note(&mut self, event: Event<'_>, now: Instant) -> Option<String> {
        match event {
            Event::LayerStarted { layer, title, size } => {
                self.start(ThingKey::Layer(layer), ("layer", title.to_owned()), Some(size), None, now);
            }
            Event::LayerAdvanced { layer, bytes } => self.advance(ThingKey::Layer(layer), bytes, now),
            Event::LayerFinished { layer, descriptor } => {
                if let Some(UnderwayThing { title, .. }) = self.end(ThingKey::Layer(layer)) {
                    self.titles.insert(descriptor.digest, title);
                }
            }
            Event::LayerTaken { layer, title, descriptor, .. } => {
                drop(self.end(ThingKey::Layer(layer)));
                self.titles.insert(descriptor.digest, title.to_owned());
            }
            Event::LayerKnown { title, descriptor } => {
                self.titles.insert(descriptor.digest, title.to_owned());
            }
            Event::CommandStarted { command, step } => {
                self.start(ThingKey::Command(command), ("run", of_target(step)), None, None, now);
            }
            Event::CommandFinished { command, .. } => drop(self.end(ThingKey::Command(command))),
            Event::StepsAdvanced { done, steps } => self.steps = Some((done, steps)),
            Event::TargetAdvanced { target, done, steps, known } => {
                let told = UnderwayTarget { name: target.to_owned(), done, steps, known };
                match self.targets.iter_mut().find(|other| other.name == target) {
                    Some(other) => *other = told,
                    None => self.targets.push(told),
                }
            }
            Event::TargetsFinished { .. } => self.targets.clear(),
            Event::PullPlanned { blobs } => {
                for blob in blobs {
                    self.pull.expect(blob.digest, blob.size, now);
                }
            }
            Event::FetchStarted { fetch, what, size } => {
                let speed = size.map(|_| Speed::new(now));
                self.start(ThingKey::Fetch(fetch), fetch_title(what), size, speed, now);
                if let Fetched::Blob { digest, .. } = what {
                    self.pull.expect(digest, size.unwrap_or_default(), now);
                    self.pull.fetches.push((fetch, digest));
                }
            }
            Event::FetchAdvanced { fetch, bytes } => {
                self.advance(ThingKey::Fetch(fetch), bytes, now);
                self.pull.advance(fetch, bytes, now);
            }
            Event::FetchFinished { fetch, is_whole } => {
                drop(self.end(ThingKey::Fetch(fetch)));
                return self.pull.end(fetch, is_whole, now);
            }
            Event::OutputStarted { output, blobs } => {
                let line = self.take_output(now);
                let (name, done, speed) = (output.to_owned(), HashSet::new(), Speed::new(now));
                self.output = Some(OutputProgress { name, blobs, done, there: 0, sent: 0, began: now, speed });
                return line;
            }
            Event::BlobStarted { descriptor } => {
                let title = self.titles.get(&descriptor.digest).cloned();
                let title = title.unwrap_or_else(|| blob_title(descriptor.digest));
                let key = ThingKey::Blob(descriptor.digest);
                self.start(key, ("send", title), Some(descriptor.size), Some(Speed::new(now)), now);
            }
            Event::BlobAdvanced { digest, bytes } => {
                self.advance(ThingKey::Blob(digest), bytes, now);
                if let Some(output) = &mut self.output {
                    output.sent += bytes;
                    output.speed.advance(now, bytes);
                }
            }
            Event::BlobRestarted { digest, from } => {
                if let Some(thing) = self.thing(ThingKey::Blob(digest)) {
                    thing.at = from;
                }
            }
            Event::BlobFinished { digest, outcome } => {
                drop(self.end(ThingKey::Blob(digest)));
                if let Some(output) = &mut self.output {
                    let is_new = output.done.insert(digest);
                    output.there += usize::from(is_new && outcome == BlobOutcome::Present);
                }
            }
            // It says so itself.
            Event::OutputWritten { .. } | Event::ImageLoaded { .. } => self.output = None,
            Event::ManifestPushed { .. } => return self.take_output(now),
            Event::CommandKnown { .. }
            | Event::CommandOutput { .. }
            | Event::StepsPlanned { .. }
            | Event::PartStarted { .. }
            | Event::PartFinished { .. }
            | Event::StepSettled { .. }
            | Event::RecipeTaken { .. }
            | Event::BuiltAgain { .. }
            | Event::CacheMountPulled { .. }
            | Event::CacheMountPushed { .. }
            | Event::LocalImageTaken { .. }
            | Event::NameNotFound { .. }
            | Event::ImageNamed { .. }
            | Event::TagPlanned { .. }
            | Event::Retrying { .. }
            | Event::Warning { .. } => {}
        }
        None
    }

    fn start(
        &mut self,
        key: ThingKey,
        (verb, title): (&'static str, String),
        size: Option<u64>,
        speed: Option<Speed>,
        now: Instant,
    ) {
        drop(self.end(key));
        self.things.push(UnderwayThing { key, verb, title, size, at: 0, speed, began: now });
    }

    fn thing(&mut self, key: ThingKey) -> Option<&mut UnderwayThing> {
        self.things.iter_mut().find(|thing| thing.key == key)
    }

    fn advance(&mut self, key: ThingKey, bytes: u64, now: Instant) {
        if let Some(thing) = self.thing(key) {
            thing.at += bytes;
            if let Some(speed) = &mut thing.speed {
                speed.advance(now, bytes);
            }
        }
    }

    fn end(&mut self, key: ThingKey) -> Option<UnderwayThing> {
        let at = self.things.iter().position(|thing| thing.key == key)?;
        Some(self.things.remove(at))
    }

    /// Returns what has gone to a repository, in a line, once all has.
    fn take_output(&mut self, now: Instant) -> Option<String> {
        let OutputProgress { name, done, there, sent, began, .. } = self.output.take()?;
        let there = if there == 0 { String::new() } else { format!(", {there} of which it already had") };
        let (count, time) = (blobs(done.len()), seconds(now.duration_since(began)));
        (!done.is_empty()).then(|| format!("pushed {count} to {name}{there}: {} sent in {time}", short(sent)))
    }
}

impl Pull {
    /// Returns how far it is; none if nothing is pulled now.
    pub fn count(&self, now: Instant) -> Option<Count> {
        let count = Count {
            done: self.done.len(),
            all: self.blobs.len(),
            speed: self.speed.as_ref().and_then(|speed| speed.per_second(now)),
        };
        (count.done < count.all).then_some(count)
    }

    /// Returns the bytes of all that is pulled.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn expect(&mut self, digest: Digest, size: u64, now: Instant) {
        self.began.get_or_insert(now);
        if self.blobs.insert(digest) {
            self.size = self.size.saturating_add(size);
        }
    }

    fn advance(&mut self, fetch: usize, bytes: u64, now: Instant) {
        if self.fetches.iter().any(|(known, _)| *known == fetch) {
            self.came += bytes;
            self.speed.get_or_insert_with(|| Speed::new(now)).advance(now, bytes);
        }
    }

    /// Returns what was pulled, in a line, once all is.
    fn end(&mut self, fetch: usize, is_whole: bool, now: Instant) -> Option<String> {
        let known = self.fetches.iter().position(|(known, _)| *known == fetch)?;
        let (_, digest) = self.fetches.swap_remove(known);
        if is_whole {
            self.done.insert(digest);
        }
        if self.done.len() < self.blobs.len() {
            return None;
        }
        let Pull { blobs: all, came, began, .. } = std::mem::replace(self, Underway::new().pull);
        let time = now.duration_since(began.unwrap_or(now));
        let is_news = time >= LONG || came >= MUCH;
        is_news.then(|| format!("pulled {}, {}, in {}", blobs(all.len()), HumanBytes(came), seconds(time)))
    }
}

impl OutputProgress {
    /// Returns how far it is.
    pub fn count(&self, now: Instant) -> Count {
        Count { done: self.done.len().min(self.blobs), all: self.blobs, speed: self.speed.per_second(now) }
    }
}

/// What is pulled in less time, and is less, is not told of.
const LONG: Duration = Duration::from_secs(1);
const MUCH: u64 = 1 << 20;

/// Returns what is done while something comes from elsewhere, in a word, and what it is done to.
fn fetch_title(what: Fetched<'_>) -> (&'static str, String) {
    match what {
        Fetched::Name(name) => ("resolve", name.to_owned()),
        Fetched::Blob { digest, repository } => {
            let name = repository.rsplit('/').next().unwrap_or_default();
            ("pull", format!("{name} {}", short_digest(digest)))
        }
        Fetched::File(url) => ("download", url.to_owned()),
        Fetched::Repository(url) => ("fetch", url.to_owned()),
    }
}

fn blobs(count: usize) -> String {
    format!("{count} {}", if count == 1 { "blob" } else { "blobs" })
}

/// Returns a time in seconds, or in minutes and seconds.
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1}s", time.as_secs_f64()),
        whole => format!("{}m{:02}s", whole / 60, whole % 60),
    }
}
