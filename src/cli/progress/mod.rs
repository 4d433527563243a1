use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::{Args, ValueEnum};
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::print::{show, show_json, tell, tell_json};
use crate::error::{Error, escape};
use crate::oci::Digest;
use crate::progress::{BlobOutcome, Event};

#[derive(Debug, Args)]
pub struct ProgressFlags {
    /// How to show progress on stderr
    #[arg(long, value_name = "STYLE", default_value = "auto")]
    progress: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    /// Bars on a terminal, plain lines elsewhere
    Auto,
    /// A line for everything that is done
    Plain,
    /// JSON, one object per line
    Json,
    /// Warnings only
    Quiet,
}

impl ProgressFlags {
    /// Shows the error that ended it all, as one event more where events are JSON.
    pub fn show(&self, error: &Error) {
        match self.progress {
            Style::Json => show_json(error),
            _ => show(error),
        }
    }
}

/// Shows events on stderr.
pub struct Reporter {
    style: Shown,
    state: Mutex<State>,
}

enum Shown {
    Bars(MultiProgress),
    Plain,
    Json,
    Quiet,
}

#[derive(Default)]
struct State {
    layers: HashMap<usize, Running>,
    blobs: HashMap<Digest, Running>,
}

/// A layer or blob that is under way.
struct Running {
    title: String,
    size: u64,
    bar: Option<ProgressBar>,
}

impl Reporter {
    pub fn new(flags: &ProgressFlags) -> Self {
        let style = match flags.progress {
            Style::Auto if std::io::stderr().is_terminal() => Shown::Bars(MultiProgress::new()),
            Style::Auto | Style::Plain => Shown::Plain,
            Style::Json => Shown::Json,
            Style::Quiet => Shown::Quiet,
        };
        Reporter { style, state: Mutex::default() }
    }

    pub fn report(&self, event: Event<'_>) {
        if matches!(self.style, Shown::Json) {
            tell_json(&json(event));
            return;
        }
        let mut state = self.state();
        match event {
            Event::LayerStarted { layer, title, size } => {
                if let Some(before) = state.layers.insert(layer, self.start(format!("layer {title}"), size)) {
                    before.clear();
                }
            }
            Event::LayerAdvanced { layer, bytes } => advance(state.layers.get(&layer), bytes),
            Event::LayerFinished { layer, descriptor } => {
                if let Some(layer) = state.layers.remove(&layer) {
                    let sizes = format!("{} from {}", HumanBytes(descriptor.size), HumanBytes(layer.size));
                    self.finish_one(layer, &format!("{} {sizes}", descriptor.digest));
                }
            }
            Event::LayerKnown { title, descriptor } => {
                self.line(&format!("layer {title}: {} unchanged", descriptor.digest));
            }
            Event::LayerTaken { layer, title, descriptor, from } => {
                state.layers.remove(&layer).iter().for_each(Running::clear);
                self.line(&format!("layer {title}: {} as in {from}", descriptor.digest));
            }
            Event::BlobStarted { descriptor } => {
                let title = blob_title(descriptor.digest);
                if let Some(before) = state.blobs.insert(descriptor.digest, self.start(title, descriptor.size)) {
                    before.clear();
                }
            }
            Event::BlobAdvanced { digest, bytes } => advance(state.blobs.get(&digest), bytes),
            Event::BlobRestarted { digest, from } => {
                if let Some(bar) = state.blobs.get(&digest).and_then(|blob| blob.bar.as_ref()) {
                    bar.reset();
                    bar.inc(from);
                }
            }
            Event::BlobFinished { digest, outcome } => {
                match state.blobs.remove(&digest) {
                    Some(blob) => self.blob_finished(blob, outcome),
                    // What is there already never started.
                    None => self.line(&format!("{}: {}", blob_title(digest), outcome_word(outcome))),
                }
            }
            Event::OutputWritten { output } => self.line(&format!("wrote {output}")),
            Event::TagPlanned { name, change } => self.line(&format!("{name} {change}")),
            // By its digest alone nobody asks for it.
            Event::ManifestPushed { name, digest, .. } if name == digest.to_string() => {}
            Event::ManifestPushed { repository, name, digest } => {
                self.line(&format!("tag {}:{name} is {digest}", repository.name()));
            }
            Event::Retrying { request, reason, wait } => {
                self.say(&format!("{request} failed, again in {:.1} s: {reason}", wait.as_secs_f32()));
            }
            Event::Warning { message } => self.say(&format!("warning: {message}")),
        }
    }

    /// Takes what is left of bars off the screen.
    pub fn finish(&self) {
        if let Shown::Bars(bars) = &self.style {
            let _ = bars.clear(); // a terminal that is gone needs no clearing
        }
    }

    fn start(&self, title: String, size: u64) -> Running {
        let bar = match &self.style {
            Shown::Bars(bars) => {
                let bar = bars.add(ProgressBar::new(size).with_message(escape::line(&title)));
                let template = "{wide_msg} [{bar:24}] {bytes:>11}/{total_bytes:11} {bytes_per_sec:>12}";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style.progress_chars("=> "));
                }
                Some(bar)
            }
            _ => None,
        };
        Running { title, size, bar }
    }

    fn finish_one(&self, running: Running, result: &str) {
        running.clear();
        self.line(&format!("{}: {result}", running.title));
    }

    fn blob_finished(&self, blob: Running, outcome: BlobOutcome) {
        match outcome {
            // Whoever writes a file has the file to look at.
            BlobOutcome::Written => blob.clear(),
            sent => {
                let result = format!("{} {}", outcome_word(sent), HumanBytes(blob.size));
                self.finish_one(blob, &result);
            }
        }
    }

    /// For those who want to see what is done.
    fn line(&self, text: &str) {
        if !matches!(self.style, Shown::Quiet) {
            self.say(text);
        }
    }

    /// For everyone.
    fn say(&self, text: &str) {
        match &self.style {
            Shown::Bars(bars) => bars.suspend(|| tell(text)),
            _ => tell(text),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn advance(running: Option<&Running>, bytes: u64) {
    if let Some(bar) = running.and_then(|running| running.bar.as_ref()) {
        bar.inc(bytes);
    }
}

fn blob_title(digest: Digest) -> String {
    format!("blob {}", digest.hex().chars().take(12).collect::<String>())
}

fn outcome_word(outcome: BlobOutcome) -> &'static str {
    match outcome {
        BlobOutcome::Sent => "sent",
        BlobOutcome::Written => "written",
        BlobOutcome::Present => "present",
        BlobOutcome::Mounted => "mounted",
    }
}

fn json(event: Event<'_>) -> Value {
    match event {
        Event::LayerStarted { layer, title, size } => {
            json!({"event": "layer-started", "layer": layer, "title": title, "size": size})
        }
        Event::LayerAdvanced { layer, bytes } => json!({"event": "layer-advanced", "layer": layer, "bytes": bytes}),
        Event::LayerFinished { layer, descriptor } => {
            json!({"event": "layer-finished", "layer": layer, "descriptor": descriptor})
        }
        Event::LayerKnown { title, descriptor } => {
            json!({"event": "layer-known", "title": title, "descriptor": descriptor})
        }
        Event::LayerTaken { layer, title, descriptor, from } => {
            json!({"event": "layer-taken", "layer": layer, "title": title, "descriptor": descriptor, "from": from})
        }
        Event::BlobStarted { descriptor } => json!({"event": "blob-started", "descriptor": descriptor}),
        Event::BlobAdvanced { digest, bytes } => json!({"event": "blob-advanced", "digest": digest, "bytes": bytes}),
        Event::BlobRestarted { digest, from } => {
            json!({"event": "blob-restarted", "digest": digest, "from": from})
        }
        Event::BlobFinished { digest, outcome } => {
            json!({"event": "blob-finished", "digest": digest, "outcome": outcome_word(outcome)})
        }
        Event::OutputWritten { output } => json!({"event": "output-written", "output": output}),
        Event::TagPlanned { name, change } => json!({"event": "tag-planned", "name": name, "change": change}),
        Event::ManifestPushed { repository, name, digest } => {
            json!({"event": "manifest-pushed", "repository": repository.name(), "name": name, "digest": digest})
        }
        Event::Retrying { request, reason, wait } => {
            json!({"event": "retrying", "request": request, "reason": reason, "wait": wait.as_secs_f64()})
        }
        Event::Warning { message } => json!({"event": "warning", "message": message}),
    }
}
