//! A terminal that a program runs on, whose screen is looked at.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::dup;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::{Parser, Screen};

/// What ends a synchronised update.
const SHOW: &[u8] = b"\x1b[?2026l";

/// Lines above the screen that are kept.
const ABOVE: usize = 10_000;

pub struct WatchedTerminal {
    child: Child,
    near: File,
    parser: Parser,
    /// All that was written.
    pub written: Vec<u8>,
}

impl WatchedTerminal {
    /// Starts `command` with all its streams on a terminal of this size, which is its own: what ends programs there ends it.
    pub fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        unlockpt(&near).unwrap();
        let name = ptsname(&near, Vec::new()).unwrap();
        let far = open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        tcsetwinsize(&near, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let stream = |far: &OwnedFd| Stdio::from(dup(far).unwrap());
        let mut started = Command::new("setsid");
        started.arg("--ctty").arg(command.get_program()).args(command.get_args());
        started.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        started.current_dir(command.get_current_dir().unwrap());
        started.stdin(stream(&far)).stdout(stream(&far)).stderr(stream(&far));
        let child = started.spawn().unwrap();
        WatchedTerminal { child, near: near.into(), parser: Parser::new(rows, columns, ABOVE), written: Vec::new() }
    }

    /// Types `keys`.
    pub fn type_in(&mut self, keys: &[u8]) {
        self.near.write_all(keys).unwrap();
    }

    /// Calls `look` with the screen each time that the program has drawn it, until it ends. What `look` returns is typed.
    pub fn watch(mut self, mut look: impl FnMut(&Screen) -> Option<&'static [u8]>) -> WatchedEnd {
        let (mut buffer, mut seen) = (vec![0; 1 << 16], 0);
        // Its end is how the other end says that nobody has it open.
        while let Ok(count @ 1..) = self.near.read(&mut buffer) {
            self.written.extend_from_slice(&buffer[..count]);
            while let Some(at) = self.written[seen..].windows(SHOW.len()).position(|bytes| bytes == SHOW) {
                let end = seen + at + SHOW.len();
                self.parser.process(&self.written[seen..end]);
                seen = end;
                if let Some(keys) = look(self.parser.screen()) {
                    self.type_in(keys);
                }
            }
        }
        self.parser.process(&self.written[seen..]);
        let status = self.child.wait().unwrap();
        WatchedEnd { status, parser: self.parser, written: self.written }
    }
}

/// How a program on a terminal has ended, and what it has left there.
pub struct WatchedEnd {
    pub status: ExitStatus,
    parser: Parser,
    pub written: Vec<u8>,
}

impl WatchedEnd {
    pub fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    /// All lines, those that have left the screen, too, without the empty ones at the end.
    pub fn lines(&mut self) -> Vec<String> {
        let (rows, columns) = self.parser.screen().size();
        let mut lines = Vec::new();
        self.parser.screen_mut().set_scrollback(usize::MAX);
        let above = self.parser.screen().scrollback();
        for back in (1..=above).rev() {
            self.parser.screen_mut().set_scrollback(back);
            lines.extend(self.parser.screen().rows(0, columns).take(1));
        }
        self.parser.screen_mut().set_scrollback(0);
        lines.extend(self.parser.screen().rows(0, columns).take(rows.into()));
        let last = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
        lines.truncate(last);
        lines
    }
}
