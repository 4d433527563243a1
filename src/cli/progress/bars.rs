//! Events on a terminal: what is under way in a few lines that are drawn anew, and above them, once, what is done.

use std::time::Instant;

use super::frame::frame;
use super::plain::{Detail, PlainLines};
use super::screen::{Screen, Size};
use super::underway::Underway;
use crate::cli::terminal::is_coloured;
use crate::error::escape;
use crate::progress::Event;

/// So many lines may wait for the next moment at which the terminal is drawn.
const WAITING: usize = 100;

/// Shows events on a terminal.
pub struct Bars {
    began: Instant,
    is_coloured: bool,
    underway: Underway,
    lines: PlainLines,
    /// The lines that are yet to be shown, escaped.
    waiting: Vec<String>,
    screen: Screen,
}

impl Bars {
    /// Returns one that has shown nothing, and tells no more than `detail`.
    pub fn new(detail: Detail) -> Self {
        let mut lines = PlainLines::new(detail);
        lines.width = Some(Size::now().columns.saturating_sub(1));
        Bars {
            began: Instant::now(),
            is_coloured: is_coloured(),
            underway: Underway::new(),
            lines,
            waiting: Vec::new(),
            screen: Screen::default(),
        }
    }

    /// Notes `event`, which is shown within a moment.
    pub fn report(&mut self, event: Event<'_>) {
        let summary = self.underway.note(event, Instant::now());
        let is_told = self.lines.detail() != Detail::Warnings;
        let (waiting, is_coloured) = (&mut self.waiting, self.is_coloured);
        let mut say = |line: &str| waiting.push(painted(&escape::line(line), is_coloured));
        summary.iter().filter(|_| is_told).for_each(|line| say(line));
        self.lines.report(event, say);
        if self.waiting.len() >= WAITING {
            self.draw();
        }
    }

    /// Draws what is to be seen now.
    pub fn draw(&mut self) {
        let size = Size::now();
        self.lines.width = Some(size.columns.saturating_sub(1));
        let lines = std::mem::take(&mut self.waiting);
        let frame = frame(&self.underway, (self.began, Instant::now()), size, self.is_coloured);
        self.screen.draw(&lines, &frame, size);
    }

    /// Shows what waits, and takes away what is under way.
    pub fn clear(&mut self) {
        self.screen.draw(&std::mem::take(&mut self.waiting), &[], Size::now());
    }
}

/// Returns a line with what it is about in colour, if it is a warning.
fn painted(line: &str, is_coloured: bool) -> String {
    match line.strip_prefix("warning:").filter(|_| is_coloured) {
        Some(message) => format!("\x1b[1;33mwarning:\x1b[0m{message}"),
        None => line.to_owned(),
    }
}
