//! The process that stays outside of the namespace: it hands on signals, and ends as the other one ends.

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, getpid, kill_process, setrlimit, waitpid};

use crate::error::{Error, Result};
use crate::run::linux::system::{Awaited, SignalWait};

/// The signals that are meant for the whole program.
const HANDED_ON: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

/// Returns the exit status of `child` once it has ended. If a signal has ended it, that ends this process, too.
pub(super) fn accompany(child: Pid) -> Result<u8> {
    let waiting = SignalWait::begin(&HANDED_ON);
    loop {
        let failed = |errno| Error::io("wait for", "the process in the user namespace", std::io::Error::from(errno));
        match waitpid(Some(child), WaitOptions::NOHANG).map_err(failed)? {
            Some((_, status)) if status.terminating_signal().is_some() => {
                let signal = status.terminating_signal().unwrap_or_default();
                end_by(signal, waiting);
                return Ok(u8::try_from(128 + signal).unwrap_or(1));
            }
            Some((_, status)) if status.exit_status().is_some() => {
                return Ok(u8::try_from(status.exit_status().unwrap_or(1)).unwrap_or(1));
            }
            _ => {}
        }
        match waiting.next() {
            // A terminal's goes to all processes that it has started.
            Awaited::Sent(signal) => {
                let _ = kill_process(child, signal);
            }
            Awaited::OfTerminal | Awaited::Child => {}
        }
    }
}

/// Ends this process by `signal`, if that can be done.
fn end_by(signal: i32, waiting: SignalWait) {
    let Some(signal) = Signal::from_named_raw(signal) else { return };
    // The other one has left what there is to look at.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    waiting.end();
    let _ = kill_process(getpid(), signal);
}
