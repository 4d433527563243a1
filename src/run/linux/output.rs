//! What comes out of the sandbox, read as it comes.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};

use super::report::{LENGTH, Message};
use crate::error::{Error, ErrorKind, Result};
use crate::net::Stop;
use crate::run::process::Stream;

/// In bytes: what a pipe holds.
const BUFFER: usize = 64 << 10;
/// How long a stop may go unseen while nothing comes.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The ends of the pipes that are read.
pub(super) struct Outputs {
    pub(super) output: OwnedFd,
    pub(super) error: OwnedFd,
    pub(super) report: OwnedFd,
}

/// What was told.
pub(super) struct Received {
    pub(super) messages: Vec<Message>,
    pub(super) is_stopped: bool,
}

impl Outputs {
    /// Reads all until nobody can write any more. Calls `kill` when `stop` has ended.
    pub(super) fn read(self, output: &dyn Fn(Stream, &[u8]), stop: &Stop, kill: impl Fn()) -> Result<Received> {
        let mut received = Received { messages: Vec::new(), is_stopped: false };
        let mut told = Vec::new();
        let mut buffer = vec![0; BUFFER];
        let mut pipes = [Some(self.output), Some(self.error), Some(self.report)];
        while pipes.iter().any(Option::is_some) {
            if !received.is_stopped && stop.is_ended() {
                received.is_stopped = true;
                kill();
            }
            for place in ready(&pipes)? {
                let Some(pipe) = &pipes[place] else { continue };
                let length = match read(pipe, &mut buffer) {
                    Err(Errno::INTR) => continue,
                    read => read.map_err(unreadable)?,
                };
                match place {
                    _ if length == 0 => pipes[place] = None,
                    0 => output(Stream::Output, &buffer[..length]),
                    1 => output(Stream::Error, &buffer[..length]),
                    _ => told.extend_from_slice(&buffer[..length]),
                }
            }
        }
        received.messages = told.as_chunks::<LENGTH>().0.iter().filter_map(Message::read).collect();
        Ok(received)
    }
}

/// Returns which of the pipes have something to be read, or their end; none if that takes too long.
fn ready(pipes: &[Option<OwnedFd>; 3]) -> Result<Vec<usize>> {
    let open: Vec<usize> = (0..pipes.len()).filter(|place| pipes[*place].is_some()).collect();
    let mut polled: Vec<_> = pipes.iter().flatten().map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
    match poll(&mut polled, Some(&PATIENCE)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(unreadable(errno)),
    }
    let places = open.into_iter().zip(&polled);
    Ok(places.filter(|(_, polled)| !polled.revents().is_empty()).map(|(place, _)| place).collect())
}

fn unreadable(errno: Errno) -> Error {
    Error::new(ErrorKind::Io, "cannot read what the command writes").with_source(std::io::Error::from(errno))
}
