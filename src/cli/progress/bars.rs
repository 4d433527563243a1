//! Events on a terminal: a bar for each layer and blob that is under way, and above them the plain lines.

use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plain::PlainLines;
use super::words::{blob_title, layer_title};
use crate::cli::print::tell;
use crate::error::escape;
use crate::oci::Digest;
use crate::progress::Event;

/// Shows events on a terminal.
pub struct Bars {
    screen: MultiProgress,
    layers: HashMap<usize, ProgressBar>,
    blobs: HashMap<Digest, ProgressBar>,
    lines: PlainLines,
}

impl Bars {
    /// Returns a screen without bars.
    pub fn new() -> Self {
        Bars { screen: MultiProgress::new(), layers: HashMap::new(), blobs: HashMap::new(), lines: PlainLines::new() }
    }

    pub fn report(&mut self, event: Event<'_>) {
        self.draw(event);
        self.lines.report(event, |line| self.screen.suspend(|| tell(line)));
    }

    /// Takes the bars off the screen while `work` is done.
    pub fn suspended<T>(&self, work: impl FnOnce() -> T) -> T {
        self.screen.suspend(work)
    }

    /// Takes what is left of bars off the screen.
    pub fn finish(&self) {
        let _ = self.screen.clear(); // a terminal that is gone needs no clearing
    }

    fn draw(&mut self, event: Event<'_>) {
        match event {
            Event::LayerStarted { layer, title, size } => {
                let bar = self.start(&layer_title(title), size);
                clear(self.layers.insert(layer, bar));
            }
            Event::LayerAdvanced { layer, bytes } => advance(self.layers.get(&layer), bytes),
            Event::LayerFinished { layer, .. } | Event::LayerTaken { layer, .. } => {
                clear(self.layers.remove(&layer));
            }
            Event::BlobStarted { descriptor } => {
                let bar = self.start(&blob_title(descriptor.digest), descriptor.size);
                clear(self.blobs.insert(descriptor.digest, bar));
            }
            Event::BlobAdvanced { digest, bytes } => advance(self.blobs.get(&digest), bytes),
            Event::BlobRestarted { digest, from } => {
                if let Some(bar) = self.blobs.get(&digest) {
                    bar.reset();
                    bar.inc(from);
                }
            }
            Event::BlobFinished { digest, .. } => clear(self.blobs.remove(&digest)),
            Event::LayerKnown { .. }
            | Event::RecipeTaken { .. }
            | Event::CommandStarted { .. }
            | Event::CommandKnown { .. }
            | Event::CommandOutput { .. }
            | Event::CommandFinished { .. }
            | Event::BuiltAgain { .. }
            | Event::OutputWritten { .. }
            | Event::LocalImageTaken { .. }
            | Event::NameNotFound { .. }
            | Event::ImageNamed { .. }
            | Event::TagPlanned { .. }
            | Event::ManifestPushed { .. }
            | Event::Retrying { .. }
            | Event::Warning { .. } => {}
        }
    }

    fn start(&self, title: &str, size: u64) -> ProgressBar {
        let bar = self.screen.add(ProgressBar::new(size).with_message(escape::line(title)));
        let template = "{wide_msg} [{bar:24}] {bytes:>11}/{total_bytes:11} {bytes_per_sec:>12}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar
    }
}

fn clear(bar: Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn advance(bar: Option<&ProgressBar>, bytes: u64) {
    if let Some(bar) = bar {
        bar.inc(bytes);
    }
}
