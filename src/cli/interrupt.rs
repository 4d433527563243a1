//! The signals that end the program, after which nothing half written is left.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::progress::end_with;
use super::{terminal, timings};
use crate::error::{Error, ErrorKind, Result};
use crate::net::Stop;
use crate::store::pending;
use crate::sync::locked;

/// What the first signal ends in the place of the program.
static INSTEAD: Mutex<Option<Stop>> = Mutex::new(None);

/// For how long it may take to say what has ended the program.
const PATIENCE: Duration = Duration::from_millis(500);

/// Sees to it that from now on a signal to end removes what is half written and then ends the process as the signal
/// would have. Fails if signals cannot be watched for.
pub fn watch() -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|source| Error::io("watch for", "signals", source))?;
    let watching = Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if let Some(stop) = locked(&INSTEAD).take() {
                stop.end();
                continue;
            }
            terminal::restore();
            say(signal);
            let _nothing_new_begins = pending::discard_all();
            // It does not come back; if it could not end the process, the exit would.
            let _ = emulate_default_handler(signal);
            std::process::exit(128 + signal);
        }
    });
    watching
        .map(drop)
        .map_err(|source| Error::new(ErrorKind::Io, "cannot start a thread to watch for signals").with_source(source))
}

/// Sees to it that the first signal ends `stop`, and only another one the program.
pub fn end_instead(stop: &Stop) {
    *locked(&INSTEAD) = Some(stop.clone());
}

/// Leaves a word on the screen for what has ended the program, if there is still one. That is not waited for long: whoever is to
/// read it may not read any more.
fn say(signal: i32) {
    let word = match signal {
        SIGINT => "interrupted",
        SIGTERM => "terminated",
        _ => return,
    };
    let (sender, said) = channel::<()>();
    let saying = Builder::new().spawn(move || {
        end_with(&timings::end_with(word));
        drop(sender);
    });
    if saying.is_ok() {
        let _ = said.recv_timeout(PATIENCE);
    }
}
