//! Calls that are ended from another thread.

use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::Notify;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::locked;

/// Ends all calls that were given it or a clone of it, those that come later included. Unless it is used they go on.
#[derive(Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Default)]
struct StopState {
    is_ended: Mutex<bool>,
    /// For those who sleep,
    ended: Condvar,
    /// and for those who wait for the network.
    notify: Notify,
}

impl Stop {
    /// Ends it for good, and wakes all who wait.
    pub fn end(&self) {
        *self.lock() = true;
        self.0.ended.notify_all();
        self.0.notify.notify_waiters();
    }

    /// Returns whether it has ended. It never begins again.
    pub fn is_ended(&self) -> bool {
        *self.lock()
    }

    /// Returns true after `time`, and false as soon as this is ended.
    pub fn sleep(&self, time: Duration) -> bool {
        let ended = self.0.ended.wait_timeout_while(self.lock(), time, |is_ended| !*is_ended);
        !*ended.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Returns what `ask` returns, which is given a stop that ends after `limit`. What fails then has failed to answer in time.
    pub fn within<T>(limit: Duration, ask: impl FnOnce(&Stop) -> Result<T>) -> Result<T> {
        let (stop, answered) = (Stop::default(), Stop::default());
        thread::scope(|scope| {
            let watch = || {
                if answered.sleep(limit) {
                    stop.end();
                }
            };
            // Without a further thread it has no limit but the connection's own.
            let watching = thread::Builder::new().spawn_scoped(scope, watch);
            let answer = ask(&stop);
            answered.end();
            drop(watching);
            match answer {
                Err(_) if stop.is_ended() => {
                    let message = format!("there was no answer within {} seconds", limit.as_secs());
                    Err(Error::new(ErrorKind::Registry, message))
                }
                answer => answer,
            }
        })
    }

    /// Returns the outcome of `work`, or none once this is ended: `work` is then dropped.
    pub(crate) async fn race<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut ended = pin!(self.0.notify.notified());
        // From here on no end is missed.
        ended.as_mut().enable();
        if self.is_ended() {
            return None;
        }
        match select(pin!(work), ended).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        locked(&self.0.is_ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_ended_and_what_answers_is_not_waited_for() {
        let slow = Stop::within(Duration::from_millis(20), |stop| match stop.sleep(Duration::from_secs(600)) {
            true => Ok(()),
            false => Err(Error::input("stopped")),
        });
        assert_eq!(slow.unwrap_err().message, "there was no answer within 0 seconds");
        assert_eq!(Stop::within(Duration::from_secs(600), |_| Ok(1)).unwrap(), 1);
        let failed = Stop::within(Duration::from_secs(600), |_| Err::<(), _>(Error::input("wrong")));
        assert_eq!(failed.unwrap_err().message, "wrong");
    }

    #[test]
    fn what_waits_is_ended_from_another_thread_and_what_comes_later_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let stop = Stop::default();
        assert!(stop.sleep(Duration::ZERO));
        assert_eq!(runtime.block_on(stop.race(async { 1 })), Some(1));
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| stop.sleep(Duration::from_secs(600)));
            let waiter = scope.spawn(|| runtime.block_on(stop.race(std::future::pending::<()>())));
            stop.clone().end();
            assert!(!sleeper.join().unwrap());
            assert_eq!(waiter.join().unwrap(), None);
        });
        assert!(stop.is_ended() && !stop.sleep(Duration::from_secs(600)));
        assert_eq!(runtime.block_on(stop.race(async { 1 })), None);
        assert!(!Stop::default().is_ended());
    }
}
