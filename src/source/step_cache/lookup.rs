//! Questions that have to be answered in time.

use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::net::Stop;

/// To do a step again mostly takes less than to wait longer than this.
const DEADLINE: Duration = Duration::from_secs(10);

/// Returns what `ask` returns, which is to end once the stop that it is given does: that is after a while.
pub fn within<T>(ask: impl FnOnce(&Stop) -> Result<T>) -> Option<Result<T>> {
    let (stop, answered) = (Stop::default(), Stop::default());
    thread::scope(|scope| {
        let watch = || {
            if answered.sleep(DEADLINE) {
                stop.end();
            }
        };
        // Without it the question has no deadline but the connection's own.
        let watching = thread::Builder::new().spawn_scoped(scope, watch);
        let answer = ask(&stop);
        answered.end();
        drop(watching);
        Some(match answer {
            Err(_) if stop.is_ended() => {
                Err(Error::input(format!("it did not answer within {} seconds", DEADLINE.as_secs())))
            }
            answer => answer,
        })
    })
}
