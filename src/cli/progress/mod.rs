//! How progress is shown on stderr: the flag for its style, and the reporter that hands events to the one that shows
//! them so.

mod bars;
mod json;
mod plain;
mod words;

use std::io::IsTerminal;
use std::sync::Mutex;

use clap::{Args, ValueEnum};

use self::bars::Bars;
use self::plain::PlainLines;
use super::print::{show, show_json, tell};
use crate::error::Error;
use crate::progress::Event;
use crate::sync::locked;

/// The flag that says how progress is shown.
#[derive(Debug, Clone, Args)]
pub struct ProgressFlags {
    /// How to show progress on stderr
    #[arg(long, value_name = "STYLE", default_value = "auto")]
    progress: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    /// Bars on a terminal, plain lines elsewhere
    Auto,
    /// Bars, wherever they go
    #[value(hide = true)]
    Tty,
    /// A line for everything that is done
    Plain,
    /// JSON, one object per line
    #[value(alias = "rawjson")]
    Json,
    /// Warnings only
    #[value(alias = "none")]
    Quiet,
}

impl ProgressFlags {
    /// Returns the flag that shows warnings only.
    pub fn quiet() -> Self {
        ProgressFlags { progress: Style::Quiet }
    }

    /// Returns these flags, or `before` if they leave it open.
    pub fn or(self, before: &ProgressFlags) -> Self {
        if self.progress == Style::Auto { before.clone() } else { self }
    }

    /// Returns whether more than warnings is shown, and to people.
    pub fn is_for_people(&self) -> bool {
        !matches!(self.progress, Style::Json | Style::Quiet)
    }

    /// Shows the error that ended it all, as one event more where events are JSON.
    pub fn show(&self, error: &Error) {
        match self.progress {
            Style::Json => show_json(error),
            _ => show(error),
        }
    }
}

/// Shows events on stderr, one after the other: each waits for the lines of those before it.
pub struct Reporter(Mutex<ShownStyle>);

enum ShownStyle {
    Bars(Bars),
    Plain(PlainLines),
    Json,
}

impl Reporter {
    /// Returns the reporter that `flags` ask for.
    pub fn new(flags: &ProgressFlags) -> Self {
        Reporter(Mutex::new(match flags.progress {
            Style::Tty => ShownStyle::Bars(Bars::new()),
            Style::Auto if std::io::stderr().is_terminal() => ShownStyle::Bars(Bars::new()),
            Style::Auto | Style::Plain => ShownStyle::Plain(PlainLines::new()),
            Style::Json => ShownStyle::Json,
            Style::Quiet => ShownStyle::Plain(PlainLines::quiet()),
        }))
    }

    /// Shows `event`.
    pub fn report(&self, event: Event<'_>) {
        match &mut *locked(&self.0) {
            ShownStyle::Bars(bars) => bars.report(event),
            ShownStyle::Plain(plain) => plain.report(event, tell),
            ShownStyle::Json => json::report(event),
        }
    }

    /// Shows no events until `work` is done, which has the terminal to itself meanwhile.
    pub fn suspended<T>(&self, work: impl FnOnce() -> T) -> T {
        match &*locked(&self.0) {
            ShownStyle::Bars(bars) => bars.suspended(work),
            ShownStyle::Plain(_) | ShownStyle::Json => work(),
        }
    }

    /// Takes what is left of bars off the screen.
    pub fn finish(&self) {
        if let ShownStyle::Bars(bars) = &*locked(&self.0) {
            bars.finish();
        }
    }
}
