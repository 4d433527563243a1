//! Events as plain lines: one for everything that is done, for every warning, and for what takes long.

use std::collections::{HashMap, HashSet};
use std::iter;
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr;

use super::super::age::ago;
use super::super::bytes::{HumanBytes, part, short};
use super::super::count::count;
use super::table::table;
use super::words::{blob_title, command_title, layer_title, outcome_word, short_digest, shortened, with_short_digests};
use crate::error::escape;
use crate::oci::Digest;
use crate::progress::{BlobOutcome, Event, Fetched, OutputStream};

/// Shows events as lines.
pub struct PlainLines {
    detail: Detail,
    /// The columns that a line should fit into, if anybody cares.
    pub width: Option<usize>,
    /// What is under way, the oldest first.
    things: Vec<LongThing>,
    /// The blobs that were told of.
    told: HashSet<Digest>,
    /// The changes of tags that are yet to be set, by their names in full.
    planned: HashMap<String, String>,
    /// The tags that were pushed, in full.
    pushed: HashSet<String>,
    /// The lines that running commands have begun and not ended, of each stream.
    begun: HashMap<(usize, OutputStream), Vec<u8>>,
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Warnings, and requests that are made again.
    Warnings,
    /// What is done, but for the single blobs.
    Compact,
    /// Everything that is done, and what takes long.
    Full,
}

/// Something that may take long.
struct LongThing {
    key: LongKey,
    verb: &'static str,
    /// What it is, in the words of the line that tells that it is done.
    title: String,
    /// In bytes; none if nobody knows it.
    size: Option<u64>,
    at: u64,
    /// When it began, or was last told of.
    since: Instant,
    is_told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LongKey {
    Layer(usize),
    Blob(Digest),
    Fetch(usize),
}

/// What takes longer is told of while it is under way; and again each time that so long has passed.
const LONG: Duration = Duration::from_secs(1);
const LONGER: Duration = Duration::from_secs(15);

impl PlainLines {
    /// Returns one that has seen no events.
    pub fn new(detail: Detail) -> Self {
        PlainLines {
            detail,
            width: None,
            things: Vec::new(),
            told: HashSet::new(),
            planned: HashMap::new(),
            pushed: HashSet::new(),
            begun: HashMap::new(),
        }
    }

    /// Returns how much is told.
    pub fn detail(&self) -> Detail {
        self.detail
    }

    /// Calls `say` with a line for each thing that has been under way for long, and that nobody was told of lately.
    pub fn tick(&mut self, now: Instant, mut say: impl FnMut(&str)) {
        if self.detail != Detail::Full {
            return;
        }
        for thing in &mut self.things {
            let wait = if thing.is_told { LONGER } else { LONG };
            if now.duration_since(thing.since) >= wait {
                (thing.since, thing.is_told) = (now, true);
                let LongThing { verb, title, size, at, .. } = thing;
                let far = match (size, at) {
                    (Some(size), at) => format!(": {}", part(*at, *size)),
                    (None, 0) => String::new(),
                    (None, at) => format!(": {}", short(*at)),
                };
                say(&format!("{verb} {title}{far}"));
            }
        }
    }

    /// Calls `say` with the lines that the event is worth, if any.
    pub fn report(&mut self, event: Event<'_>, mut say: impl FnMut(&str)) {
        let detail = self.detail;
        // For those who want to see what is done; what everyone sees is said.
        let mut line = |text: &str| {
            if detail != Detail::Warnings {
                say(text);
            }
        };
        match event {
            Event::LayerStarted { layer, title, size } => {
                self.start(LongKey::Layer(layer), ("making", layer_title(title)), Some(size));
            }
            Event::LayerAdvanced { layer, bytes } => self.advance(LongKey::Layer(layer), bytes),
            Event::LayerFinished { layer, descriptor } => {
                if let Some(LongThing { title, size, .. }) = self.end(LongKey::Layer(layer)) {
                    let (digest, size) = (short_digest(descriptor.digest), HumanBytes(size.unwrap_or_default()));
                    let packed = HumanBytes(descriptor.size);
                    let rest = match detail {
                        Detail::Full => format!(": {digest} {packed} from {size}"),
                        _ => format!(": {packed}"),
                    };
                    line(&self.of(&title, &rest));
                }
            }
            Event::LayerKnown { title, descriptor } => {
                let rest = match detail {
                    Detail::Full => format!(": {} unchanged", short_digest(descriptor.digest)),
                    _ => ": unchanged".to_owned(),
                };
                line(&self.of(&layer_title(title), &rest));
            }
            Event::LayerTaken { layer, title, descriptor, from } => {
                self.end(LongKey::Layer(layer));
                line(&format!("{}: {} as in {from}", layer_title(title), short_digest(descriptor.digest)));
            }
            Event::RecipeTaken { taken, left } => {
                line(&format!("building from {taken}, not from {left}: -f {left} chooses that"));
            }
            Event::CommandStarted { command, step } => line(&self.of(&command_title(command, step), "")),
            Event::CommandKnown { command, step } => {
                line(&self.of(&command_title(command, step), ""));
                line(&format!("#{command} CACHED"));
            }
            Event::CommandOutput { command, stream, bytes } => {
                let begun = self.begun.entry((command, stream)).or_default();
                begun.extend_from_slice(bytes);
                for whole in whole_lines(begun) {
                    line(&format!("#{command} {whole}"));
                }
            }
            Event::CommandFinished { command, elapsed, .. } => {
                for stream in [OutputStream::Output, OutputStream::Error] {
                    if let Some(rest) = self.begun.remove(&(command, stream)).filter(|rest| !rest.is_empty()) {
                        line(&format!("#{command} {}", untabbed(left_over(&String::from_utf8_lossy(&rest)))));
                    }
                }
                line(&format!("#{command} took {:.1} s", elapsed.as_secs_f32()));
            }
            Event::BuiltAgain { digest } => line(&format!("a second build came out the same: {digest}")),
            Event::CacheMountPulled { id, from, size, layers } => {
                let (size, layers) = (HumanBytes(size), count(layers, "layer"));
                line(&format!("pulled the cache mount `{id}`: {size} in {layers} from {from}"));
            }
            Event::CacheMountPushed { id, to, size: 0, .. } => {
                line(&format!("the cache mount `{id}` in {to} has one more key: nothing was sent"));
            }
            Event::CacheMountPushed { id, to, size, layers } => {
                let (size, what) = (HumanBytes(size), if layers > 1 { " of changes" } else { "" });
                line(&format!("pushed the cache mount `{id}`: {size}{what} to {to}"));
            }
            Event::FetchStarted { fetch, what, size } => {
                self.start(LongKey::Fetch(fetch), fetch_words(what), size);
            }
            Event::FetchAdvanced { fetch, bytes } => self.advance(LongKey::Fetch(fetch), bytes),
            Event::FetchFinished { fetch, is_whole } => {
                if let Some(thing) = self.end(LongKey::Fetch(fetch)).filter(|_| is_whole) {
                    self.fetched(&thing).iter().for_each(|text| line(text));
                }
            }
            Event::BlobStarted { descriptor } => {
                let words = ("sending", blob_title(descriptor.digest));
                self.start(LongKey::Blob(descriptor.digest), words, Some(descriptor.size));
            }
            Event::BlobAdvanced { digest, bytes } => self.advance(LongKey::Blob(digest), bytes),
            Event::BlobRestarted { digest, from } => {
                self.things
                    .iter_mut()
                    .filter(|thing| thing.key == LongKey::Blob(digest))
                    .for_each(|thing| thing.at = from);
            }
            Event::BlobFinished { digest, outcome } => {
                if let Some(text) = self.moved(digest, outcome) {
                    line(&text);
                }
            }
            Event::StepsPlanned { .. }
            | Event::PartStarted { .. }
            | Event::PartFinished { .. }
            | Event::StepSettled { .. }
            | Event::StepsAdvanced { .. }
            | Event::TargetAdvanced { .. }
            | Event::PullPlanned { .. }
            | Event::OutputStarted { .. } => {}
            Event::TargetsFinished { targets } => table(targets).iter().for_each(|row| line(row)),
            Event::OutputWritten { output } => line(&format!("wrote {output}")),
            Event::LocalImageTaken { name, digest, since } => {
                let age = since.map(|since| format!(", named {}", ago(since).to_lowercase())).unwrap_or_default();
                let digest = short_digest(digest);
                line(&format!("{} is the image {digest} of the local store{age}", with_short_digests(name)));
            }
            Event::NameNotFound { name } => line(&format!("the local store has no image {name}: building it")),
            // A tag that was pushed has been told of.
            Event::ImageNamed { name, .. } if self.pushed.contains(&name.to_string()) => {}
            Event::ImageNamed { name, .. } => line(&format!("named {name}")),
            Event::ImageLoaded { engine, image, platform, was_there } => {
                let alone = platform.map(|platform| format!(" for {platform} only")).unwrap_or_default();
                match was_there {
                    true => line(&format!("{engine} already has {image}{alone}: nothing was sent")),
                    false => line(&format!("loaded {image}{alone} into {engine}")),
                }
            }
            // What is to be set is told of once it is.
            Event::TagPlanned { name, change, sets: true } => {
                self.planned.insert(name.to_owned(), with_short_digests(change));
            }
            Event::TagPlanned { name, change, sets: false } => {
                line(&format!("tag {name} {}", with_short_digests(change)))
            }
            // By its digest alone nobody asks for it.
            Event::ManifestPushed { name, digest, .. } if name == digest.to_string() => {}
            Event::ManifestPushed { repository, name, digest } => {
                let name = format!("{}:{name}", repository.name());
                let change = self.planned.remove(&name).map(|change| format!(", {change}")).unwrap_or_default();
                line(&format!("tag {name} is {}{change}", short_digest(digest)));
                self.pushed.insert(name);
            }
            Event::Retrying { request, reason, hint, failed, tries, wait } => {
                let number = if failed == 0 { String::new() } else { format!(" (try {} of {tries})", failed + 1) };
                let hint = hint.filter(|_| failed == 1).map(|hint| format!("; {hint}")).unwrap_or_default();
                say(&format!("{request} failed, retrying in {:.1} s{number}: {reason}{hint}", wait.as_secs_f32()));
            }
            Event::Warning { message, .. } => say(&format!("warning: {message}")),
        }
    }

    fn start(&mut self, key: LongKey, (verb, title): (&'static str, String), size: Option<u64>) {
        self.end(key);
        self.things.push(LongThing { key, verb, title, size, at: 0, since: Instant::now(), is_told: false });
    }

    fn advance(&mut self, key: LongKey, bytes: u64) {
        self.things.iter_mut().filter(|thing| thing.key == key).for_each(|thing| thing.at += bytes);
    }

    fn end(&mut self, key: LongKey) -> Option<LongThing> {
        let at = self.things.iter().position(|thing| thing.key == key)?;
        Some(self.things.remove(at))
    }

    /// Returns the line for what has come from elsewhere.
    fn fetched(&self, LongThing { verb, title, at, .. }: &LongThing) -> Option<String> {
        match *verb {
            "pulling" if self.detail == Detail::Compact => None,
            "pulling" => {
                let (blob, repository) = title.split_once(" of ").unwrap_or((title, ""));
                Some(format!("{blob}: pulled {} from {repository}", HumanBytes(*at)))
            }
            "downloading" => Some(format!("downloaded {title}: {}", HumanBytes(*at))),
            "fetching" => Some(format!("fetched {title}")),
            _ => None,
        }
    }

    /// Returns the line for a blob that is where it goes to: one for each.
    fn moved(&mut self, digest: Digest, outcome: BlobOutcome) -> Option<String> {
        let begun = self.end(LongKey::Blob(digest));
        // Whoever writes a file has the file to look at.
        if self.detail != Detail::Full || outcome == BlobOutcome::Written {
            return None;
        }
        let is_new = self.told.insert(digest);
        let word = outcome_word(outcome);
        match begun {
            Some(thing) => {
                Some(format!("{}: {word} {}", blob_title(digest), HumanBytes(thing.size.unwrap_or_default())))
            }
            // What is there already never started; and what was sent ahead is there.
            None => is_new.then(|| format!("{}: {word}", blob_title(digest))),
        }
    }

    /// Returns `title` and the `rest` of its line, with the middle of the title left out if the line is too long.
    fn of(&self, title: &str, rest: &str) -> String {
        let title = escape::line(title);
        match self.width {
            Some(width) => format!("{}{rest}", shortened(&title, width.saturating_sub(rest.width()))),
            None => format!("{title}{rest}"),
        }
    }
}

/// Returns what is done while something comes from elsewhere, in a word, and what it is done to.
fn fetch_words(what: Fetched<'_>) -> (&'static str, String) {
    match what {
        Fetched::Name(name) => ("looking up", name.to_owned()),
        Fetched::Blob { digest, repository } => ("pulling", format!("{} of {repository}", blob_title(digest))),
        Fetched::File(url) => ("downloading", url.to_owned()),
        Fetched::Repository(url) => ("fetching", url.to_owned()),
    }
}

/// A line that is longer is shown in pieces: a command may never end one.
const LONGEST_LINE: usize = 64 << 10;

/// Takes the lines that are whole out of `begun`, without what ends them.
fn whole_lines(begun: &mut Vec<u8>) -> Vec<String> {
    let whole = match begun.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => end + 1,
        None if begun.len() > LONGEST_LINE => begun.len(),
        None => return Vec::new(),
    };
    let rest = begun.split_off(whole);
    let lines = std::mem::replace(begun, rest);
    let lines = lines.strip_suffix(b"\n").unwrap_or(&lines);
    lines.split(|byte| *byte == b'\n').map(|line| untabbed(left_over(&String::from_utf8_lossy(line)))).collect()
}

/// Returns what a terminal shows of `line` in the end: programs that count go back to its beginning.
fn left_over(line: &str) -> &str {
    line.trim_end().rsplit('\r').next().unwrap_or_default()
}

/// Returns `line` with spaces in the place of tabs, which would be shown as what they are escaped to.
fn untabbed(line: &str) -> String {
    let mut parts = line.split('\t');
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let width = shown.chars().count();
        shown.extend(iter::repeat_n(' ', TAB - width % TAB));
        shown.push_str(part);
    }
    shown
}

/// The width of a tab.
const TAB: usize = 8;
