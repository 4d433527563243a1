//! How progress is shown on stderr: the flag for its style, and the reporter that hands events to the one that shows
//! them so.

mod bars;
mod frame;
mod json;
mod plain;
mod screen;
mod speed;
mod table;
mod underway;
mod words;

use std::env;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::json;

use self::bars::Bars;
use self::plain::{Detail, PlainLines};
use super::annotation::Annotations;
use super::print::{annotate, show, show_json, tell, tell_json};
use super::terminal::can_move;
use crate::error::Error;
use crate::progress::Event;
use crate::sync::locked;

/// The flag that says how progress is shown.
#[derive(Debug, Clone, Args)]
pub struct ProgressFlags {
    /// How to show progress on stderr [env: BUILDKIT_PROGRESS]
    #[arg(long, value_name = "STYLE", default_value = "auto")]
    progress: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    /// Bars on a terminal, plain lines elsewhere
    Auto,
    /// The same
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

/// The variable that says how progress is shown where no flag does, as buildx has it.
const STYLE_VARIABLE: &str = "BUILDKIT_PROGRESS";

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
        match self.style() {
            Style::Json => show_json(error),
            _ => show(error),
        }
    }

    /// Returns the style that is asked for: by the flag, else by the environment. There, what is not a style counts for nothing.
    fn style(&self) -> Style {
        let variable = || Style::from_str(&env::var(STYLE_VARIABLE).ok()?, true).ok();
        match self.progress {
            Style::Auto => variable().unwrap_or(Style::Auto),
            style => style,
        }
    }
}

/// Shows events on stderr, one after the other: each waits for the lines of those before it.
pub struct Reporter {
    shown: Arc<Mutex<Shown>>,
    /// The thread that draws ends with it.
    _drawing: Option<Sender<()>>,
}

struct Shown {
    style: ShownStyle,
    /// Where a workflow is run, warnings are shown beside what they are about.
    annotations: Option<Annotations>,
    /// Nothing is shown any more.
    is_over: bool,
}

enum ShownStyle {
    Bars(Box<Bars>),
    Plain(Box<PlainLines>),
    Json,
}

/// What the last reporter shows, for when it all ends.
static LAST: Mutex<Weak<Mutex<Shown>>> = Mutex::new(Weak::new());

/// How often a terminal is drawn.
const MOMENT: Duration = Duration::from_millis(100);

impl Reporter {
    /// Returns the reporter that `flags` ask for.
    pub fn new(flags: &ProgressFlags) -> Self {
        Self::of(match flags.style() {
            Style::Auto | Style::Tty if can_move() => ShownStyle::Bars(Box::new(Bars::new(Detail::Compact))),
            Style::Auto | Style::Tty | Style::Plain => ShownStyle::Plain(Box::new(PlainLines::new(Detail::Full))),
            Style::Json => ShownStyle::Json,
            Style::Quiet => ShownStyle::Plain(Box::new(PlainLines::new(Detail::Warnings))),
        })
    }

    /// Returns one for what has no flag, and tells of nothing that is done: a terminal shows what takes long.
    pub fn aside() -> Self {
        Self::of(match can_move() {
            true => ShownStyle::Bars(Box::new(Bars::new(Detail::Warnings))),
            false => ShownStyle::Plain(Box::new(PlainLines::new(Detail::Warnings))),
        })
    }

    fn of(style: ShownStyle) -> Self {
        let moves = !matches!(style, ShownStyle::Json);
        let shown = Arc::new(Mutex::new(Shown { style, annotations: Annotations::of_environment(), is_over: false }));
        *locked(&LAST) = Arc::downgrade(&shown);
        let drawing = moves.then(|| start_drawing(&shown)).flatten();
        Reporter { shown, _drawing: drawing }
    }

    /// Shows `event`.
    pub fn report(&self, event: Event<'_>) {
        let shown = &mut *locked(&self.shown);
        match &mut shown.style {
            _ if shown.is_over => {}
            ShownStyle::Bars(bars) => bars.report(event),
            ShownStyle::Plain(plain) => match (&event, &shown.annotations) {
                (Event::Warning { kind, message }, Some(annotations)) => annotate(&annotations.warning(*kind, message)),
                _ => plain.report(event, tell),
            },
            ShownStyle::Json => json::report(event),
        }
    }

    /// Shows no events until `work` is done, which has the terminal to itself meanwhile.
    pub fn suspended<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut shown = locked(&self.shown);
        shown.clear();
        work()
    }

    /// Takes what is left of bars off the screen. Nothing is shown any more.
    pub fn finish(&self) {
        locked(&self.shown).end();
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shown {
    fn clear(&mut self) {
        if let ShownStyle::Bars(bars) = &mut self.style {
            bars.clear();
        }
    }

    fn end(&mut self) {
        if !self.is_over {
            self.clear();
            self.is_over = true;
        }
    }

    fn tick(&mut self) {
        match &mut self.style {
            ShownStyle::Bars(bars) => bars.draw(),
            ShownStyle::Plain(plain) => plain.tick(Instant::now(), tell),
            ShownStyle::Json => {}
        }
    }
}

/// Starts a thread that draws `shown` now and then, for as long as the sender is there. Without one less is seen, that is all.
fn start_drawing(shown: &Arc<Mutex<Shown>>) -> Option<Sender<()>> {
    let (sender, over) = channel();
    let shown = shown.clone();
    let draw = move || {
        while let Err(RecvTimeoutError::Timeout) = over.recv_timeout(MOMENT) {
            let shown = &mut *locked(&shown);
            if shown.is_over {
                return;
            }
            shown.tick();
        }
    };
    thread::Builder::new().name("progress".to_owned()).spawn(draw).ok()?;
    Some(sender)
}

/// Takes off the screen what is under way, since another program goes on. Nothing is shown any more.
pub fn leave() {
    let shown = locked(&LAST).upgrade();
    shown.iter().for_each(|shown| locked(shown).end());
}

/// Takes off the screen what is under way, and leaves `word` in its place. Nothing is shown any more.
pub fn end_with(word: &str) {
    let shown = locked(&LAST).upgrade();
    let is_json = shown.is_some_and(|shown| {
        let mut shown = locked(&shown);
        shown.end();
        matches!(shown.style, ShownStyle::Json)
    });
    if is_json { tell_json(&json!({"event": "error", "message": word})) } else { tell(word) }
}
