//! Events as plain lines: one for everything that is done, and for every warning.

use std::collections::HashMap;
use std::iter;

use indicatif::HumanBytes;

use super::super::age::ago;
use super::words::{blob_title, layer_title, outcome_word};
use crate::oci::Digest;
use crate::progress::{BlobOutcome, Event, OutputStream};

/// Shows events as lines.
pub struct PlainLines {
    quiet: bool,
    /// The layers that are under way.
    layers: HashMap<usize, StartedLayer>,
    /// The sizes in bytes of the blobs that are under way.
    blobs: HashMap<Digest, u64>,
    /// The lines that running commands have begun and not ended, of each stream.
    begun: HashMap<(usize, OutputStream), Vec<u8>>,
}

struct StartedLayer {
    title: String,
    size: u64,
}

impl PlainLines {
    /// Returns one that has seen no events.
    pub fn new() -> Self {
        PlainLines { quiet: false, layers: HashMap::new(), blobs: HashMap::new(), begun: HashMap::new() }
    }

    /// Returns one that shows warnings and requests that are made again, and no other lines.
    pub fn quiet() -> Self {
        PlainLines { quiet: true, ..PlainLines::new() }
    }

    /// Calls `say` with the line that the event is worth, if any.
    pub fn report(&mut self, event: Event<'_>, say: impl Fn(&str)) {
        let quiet = self.quiet;
        // For those who want to see what is done; what everyone sees is said.
        let line = |text: &str| {
            if !quiet {
                say(text);
            }
        };
        match event {
            Event::LayerStarted { layer, title, size } => {
                self.layers.insert(layer, StartedLayer { title: layer_title(title), size });
            }
            Event::LayerFinished { layer, descriptor } => {
                if let Some(StartedLayer { title, size }) = self.layers.remove(&layer) {
                    let sizes = format!("{} from {}", HumanBytes(descriptor.size), HumanBytes(size));
                    line(&format!("{title}: {} {sizes}", descriptor.digest));
                }
            }
            Event::LayerKnown { title, descriptor } => {
                line(&format!("{}: {} unchanged", layer_title(title), descriptor.digest));
            }
            Event::LayerTaken { layer, title, descriptor, from } => {
                self.layers.remove(&layer);
                line(&format!("{}: {} as in {from}", layer_title(title), descriptor.digest));
            }
            Event::RecipeTaken { taken, left } => {
                line(&format!("building what {taken} says: {left} is not read, but with -f {left}"));
            }
            Event::CommandStarted { command, step } => line(&format!("#{command} {}", step.title)),
            Event::CommandKnown { command, step } => {
                line(&format!("#{command} {}", step.title));
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
            Event::BlobStarted { descriptor } => {
                self.blobs.insert(descriptor.digest, descriptor.size);
            }
            Event::BlobFinished { digest, outcome } => match (self.blobs.remove(&digest), outcome) {
                // Whoever writes a file has the file to look at.
                (Some(_), BlobOutcome::Written) => {}
                (Some(size), sent) => {
                    line(&format!("{}: {} {}", blob_title(digest), outcome_word(sent), HumanBytes(size)));
                }
                // What is there already never started.
                (None, outcome) => line(&format!("{}: {}", blob_title(digest), outcome_word(outcome))),
            },
            Event::LayerAdvanced { .. } | Event::BlobAdvanced { .. } | Event::BlobRestarted { .. } => {}
            Event::OutputWritten { output } => line(&format!("wrote {output}")),
            Event::LocalImageTaken { name, digest, since } => {
                let age = since.map(|since| format!(", which got that name {}", ago(since))).unwrap_or_default();
                line(&format!("{name} is the image {digest} of the local store{age}"));
            }
            Event::NameNotFound { name } => line(&format!("the local store has no image {name}: it is built")),
            Event::ImageNamed { name, .. } => line(&format!("named {name}")),
            Event::TagPlanned { name, change } => line(&format!("{name} {change}")),
            // By its digest alone nobody asks for it.
            Event::ManifestPushed { name, digest, .. } if name == digest.to_string() => {}
            Event::ManifestPushed { repository, name, digest } => {
                line(&format!("tag {}:{name} is {digest}", repository.name()));
            }
            Event::Retrying { request, reason, wait } => {
                say(&format!("{request} failed, again in {:.1} s: {reason}", wait.as_secs_f32()));
            }
            Event::Warning { message, .. } => say(&format!("warning: {message}")),
        }
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
