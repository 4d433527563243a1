//! The terminal on standard error: lines that stay, and below them a few that are drawn anew again and again.

use std::io::{self, Write};

use rustix::termios::tcgetwinsize;

/// What a terminal is taken for that does not tell its size.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// Between these a terminal shows nothing of what changes (a "synchronised update"); one that does not know them does not
/// heed them.
const HOLD: &str = "\x1b[?2026h";
const SHOW: &str = "\x1b[?2026l";

/// Clears all from the cursor on.
const CLEAR: &str = "\x1b[J";

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

impl Size {
    /// Returns the size of the terminal on standard error.
    pub fn now() -> Self {
        match tcgetwinsize(io::stderr()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
            }
            _ => USUAL,
        }
    }
}

/// A line that is drawn, and the columns that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnLine {
    /// With what colours it.
    pub text: String,
    pub width: usize,
}

/// The part of the terminal that is drawn anew.
#[derive(Debug, Default)]
pub struct Screen {
    /// The lines that are there, with the columns that each takes. The cursor stands below the last.
    drawn: Vec<usize>,
}

impl Screen {
    /// Puts `lines` where they stay, and `frame` below them, in the place of what was drawn before.
    pub fn draw(&mut self, lines: &[String], frame: &[DrawnLine], size: Size) {
        if lines.is_empty() && frame.is_empty() && self.drawn.is_empty() {
            return;
        }
        let mut text = format!("{HOLD}{}", self.erased(size));
        let frame_texts = frame.iter().map(|line| &line.text);
        for line in lines.iter().chain(frame_texts) {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(SHOW);
        self.drawn = frame.iter().map(|line| line.width).collect();
        // Nobody is left to see it if that is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Returns what takes away what was drawn. A terminal that has become narrower has broken the lines.
    fn erased(&self, size: Size) -> String {
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(size.columns).max(1)).sum();
        match rows {
            0 => String::new(),
            rows => format!("\r\x1b[{rows}A{CLEAR}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_broken_since_are_taken_away_whole() {
        let screen = Screen { drawn: vec![79, 40, 0] };
        assert_eq!(screen.erased(Size { columns: 80, rows: 24 }), "\r\x1b[3A\x1b[J");
        assert_eq!(screen.erased(Size { columns: 40, rows: 24 }), "\r\x1b[4A\x1b[J");
        assert_eq!(Screen::default().erased(USUAL), "");
    }
}
