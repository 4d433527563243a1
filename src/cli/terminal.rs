//! The user's terminal, given to a shell in a sandbox: what is typed goes there as it is, and what it writes comes back.
//!
//! The shell has a terminal of its own, a pair of which this program has the other end: it never gets hold of the user's.

use std::env;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, write};
use rustix::pty::{ptsname, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use signal_hook::consts::SIGWINCH;
use signal_hook::low_level::{pipe, unregister};

use crate::build::RunShell;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::open_terminal;
use crate::sync::locked;

/// In bytes.
const BUFFER: usize = 16 << 10;

/// How the user's terminal was set before a shell got it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Returns whether somebody sits at standard input and sees standard error.
pub fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Returns whether what goes to standard error can go back over what is there: a terminal does, unless it calls itself dumb or
/// nothing.
pub fn can_move() -> bool {
    let is_able = env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb");
    is_able && io::stderr().is_terminal()
}

/// Returns whether what goes to standard error is coloured: on a terminal, unless `NO_COLOR` (no-color.org) or `CLICOLOR=0`
/// (bixense.com/clicolors) says no.
pub fn is_coloured() -> bool {
    let is_refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("CLICOLOR").is_some_and(|value| value == "0");
    can_move() && !is_refused
}

/// Sets the user's terminal as it was before a shell got it, if one has it.
pub fn restore() {
    if let Some(before) = locked(&BEFORE).take() {
        // Of a terminal that is gone nothing is left to be set.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// The terminal while a shell has it: every key goes there, those that would end this program, too.
struct Lent;

impl Lent {
    fn lend() -> Result<Lent, Errno> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        *locked(&BEFORE) = Some(before);
        let lent = Lent;
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(lent)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        restore();
    }
}

/// Runs a shell on a terminal of its own, which is the user's as far as anybody can tell, until it ends.
pub fn lend(run: RunShell<'_>) -> Result<()> {
    let failed = |errno: Errno| Error::new(ErrorKind::Io, "cannot make a terminal").with_source(io::Error::from(errno));
    let (near, far) = pair().map_err(failed)?;
    let (mut wake, resized) = UnixStream::pair().map_err(|error| failed(errno_of(&error)))?;
    let (ended, end) = UnixStream::pair().map_err(|error| failed(errno_of(&error)))?;
    wake.set_nonblocking(true).map_err(|error| failed(errno_of(&error)))?;
    let watch = pipe::register(SIGWINCH, resized).map_err(|error| failed(errno_of(&error)))?;
    resize(&near);
    let kind = env::var_os("TERM").filter(|kind| !kind.is_empty());
    let lent = Lent::lend().map_err(failed)?;
    let outcome = thread::scope(|scope| {
        let near = &near;
        let shown = scope.spawn(move || show(near));
        scope.spawn(move || type_in(near, &mut wake, ended.as_fd()));
        let outcome = run(far.as_fd(), kind.as_deref());
        // With the last one who has it open, what it wrote comes to its end.
        drop(far);
        let _ = shown.join();
        drop(end);
        outcome
    });
    drop(lent);
    unregister(watch);
    outcome
}

/// Returns the two ends of a new terminal, the second of which is for the shell.
fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let near = open_terminal()?;
    unlockpt(&near)?;
    let name = ptsname(&near, Vec::new())?;
    let far = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    // Keys mean there what they mean here.
    if let Ok(settings) = tcgetattr(io::stdin()) {
        tcsetattr(&far, OptionalActions::Now, &settings)?;
    }
    Ok((near, far))
}

/// Shows what the shell writes, to its end.
fn show(near: &OwnedFd) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match read(near, &mut buffer) {
            Err(Errno::INTR) => {}
            // That is how the other end says that nobody has it open.
            Ok(0) | Err(_) => return,
            Ok(length) => {
                let _ = io::stderr().write_all(&buffer[..length]);
            }
        }
    }
}

/// Hands on what is typed, and the size of the window, until `ended` is closed.
fn type_in(near: &OwnedFd, wake: &mut UnixStream, ended: BorrowedFd<'_>) {
    let stdin = io::stdin();
    let mut buffer = vec![0; BUFFER];
    let mut is_open = true;
    loop {
        let ready = {
            let none = if is_open { PollFlags::IN } else { PollFlags::empty() };
            let mut polled =
                [PollFd::new(&ended, PollFlags::IN), PollFd::new(&*wake, PollFlags::IN), PollFd::new(&stdin, none)];
            match poll(&mut polled[..if is_open { 3 } else { 2 }], None) {
                Err(Errno::INTR) => continue,
                Err(_) => return,
                Ok(_) => polled.map(|polled| !polled.revents().is_empty()),
            }
        };
        if ready[0] {
            return;
        }
        if ready[1] {
            while wake.read(&mut buffer).is_ok_and(|length| length > 0) {}
            resize(near);
        }
        if ready[2] {
            match read(&stdin, &mut buffer) {
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => is_open = false,
                Ok(length) => is_open = hand_on(near, &buffer[..length]),
            }
        }
    }
}

/// Returns whether the shell's terminal took it.
fn hand_on(near: &OwnedFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match write(near, bytes) {
            Err(Errno::INTR) => {}
            Err(_) => return false,
            Ok(length) => bytes = &bytes[length..],
        }
    }
    true
}

/// Gives the shell's terminal the size of the user's.
fn resize(near: &OwnedFd) {
    if let Ok(size) = tcgetwinsize(io::stderr()) {
        let _ = tcsetwinsize(near, size);
    }
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
