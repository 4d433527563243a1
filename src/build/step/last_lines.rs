//! The end of what a command writes.

use std::collections::VecDeque;

/// As many of the last lines that a command has written are shown with its failure.
const LAST_LINES: usize = 20;

/// The last lines that a command has written.
#[derive(Default)]
pub struct LastLines {
    lines: VecDeque<Vec<u8>>,
    /// The last one has not ended.
    is_open: bool,
}

impl LastLines {
    pub fn add(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.is_open {
                self.lines.push_back(Vec::new());
                if self.lines.len() > LAST_LINES {
                    self.lines.pop_front();
                }
            }
            if let Some(line) = self.lines.back_mut() {
                let room = LONGEST_LINE.saturating_sub(line.len()).min(part.len());
                line.extend_from_slice(&part[..room]);
            }
            self.is_open = !part.ends_with(b"\n");
        }
    }

    pub fn take(&mut self) -> Vec<String> {
        // What was written over is not shown.
        let shown = |line: &str| line.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
        self.lines.drain(..).map(|line| shown(&String::from_utf8_lossy(&line))).collect()
    }
}

/// Of a longer line, only the beginning is kept for an error.
const LONGEST_LINE: usize = 2000;
