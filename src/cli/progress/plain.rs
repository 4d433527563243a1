//! Events as plain lines: one for everything that is done, and for every warning.

use std::collections::HashMap;

use indicatif::HumanBytes;

use super::words::{blob_title, layer_title, outcome_word};
use crate::oci::Digest;
use crate::progress::{BlobOutcome, Event};

/// Shows events as lines.
pub struct PlainLines {
    quiet: bool,
    /// The layers that are under way.
    layers: HashMap<usize, StartedLayer>,
    /// The sizes in bytes of the blobs that are under way.
    blobs: HashMap<Digest, u64>,
}

struct StartedLayer {
    title: String,
    size: u64,
}

impl PlainLines {
    /// Returns one that has seen no events.
    pub fn new() -> Self {
        PlainLines { quiet: false, layers: HashMap::new(), blobs: HashMap::new() }
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
