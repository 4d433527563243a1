//! What is tried again, and when.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::failure::Failure;
use super::stop::Stop;
use super::wait::LONGEST_WAIT;
use crate::error::Result;
use crate::progress::{Event, Progress};

/// How often and how patiently a step whose failure may pass is tried.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// In all, so 1 never tries again. What the server asks to wait for itself does not count, within limits.
    pub tries: u32,
    /// Before the second try, on average; it doubles with each further one. A `Retry-After` takes its place.
    pub base: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { tries: 5, base: Duration::from_millis(500) }
    }
}

impl Backoff {
    /// Runs `step` until it succeeds, fails for good, is to wait too long, has had all its tries or is to `stop`; the last
    /// failure is the one returned.
    pub(crate) fn run<T>(
        &self,
        progress: Progress<'_>,
        stop: &Stop,
        mut step: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T> {
        let mut tries = Tries::new(*self, progress, stop);
        loop {
            match step() {
                Ok(done) => return Ok(done),
                Err(failure) => tries.next(failure)?,
            }
        }
    }

    /// Half to one and a half of the doubled base, so that many clients do not come back in step.
    fn wait(&self, tried: u32) -> Duration {
        // A hasher's seed is the randomness that the standard library has.
        let random = RandomState::new().hash_one(tried) as f64 / u64::MAX as f64;
        let doubled = self.base.saturating_mul(1 << (tried - 1).min(16));
        doubled.mul_f64(0.5 + random).min(LONGEST_WAIT)
    }
}

/// The tries of one step.
pub(crate) struct Tries<'p> {
    backoff: Backoff,
    progress: Progress<'p>,
    stop: Stop,
    failed: u32,
    /// As long as the server asked for.
    waited: Duration,
}

impl<'p> Tries<'p> {
    pub fn new(backoff: Backoff, progress: Progress<'p>, stop: &Stop) -> Self {
        Tries { backoff, progress, stop: stop.clone(), failed: 0, waited: Duration::ZERO }
    }

    /// Returns when it is time for another try, or at once, with the failure's error, if there is to be none.
    ///
    /// Where the server says itself how long to wait, that is not a failure until it adds up to the longest wait: many
    /// requests share what it grants, and which of them are served first is left to chance.
    pub fn next(&mut self, failure: Failure) -> Result<()> {
        let asked = failure.passing.as_ref().and_then(|passing| passing.asked).map(|asked| asked.wait);
        self.waited = self.waited.saturating_add(asked.unwrap_or_default());
        if asked.is_none_or(|wait| wait.is_zero()) || self.waited > LONGEST_WAIT {
            self.failed += 1;
        }
        let Some(passing) = failure.passing.filter(|_| self.failed.max(1) < self.backoff.tries) else {
            return Err(failure.error);
        };
        let wait = asked.unwrap_or_else(|| self.backoff.wait(self.failed));
        if wait > LONGEST_WAIT {
            return Err(failure.error);
        }
        if passing.asked.is_none_or(|asked| asked.is_news) {
            let (failed, tries) = (self.failed, self.backoff.tries);
            let (request, reason, hint) = (&passing.request, &passing.reason, failure.error.hint.as_deref());
            (self.progress)(Event::Retrying { request, reason, hint, failed, tries, wait });
        }
        // Else the gate of the host holds the next try back.
        if passing.asked.is_none() && !self.stop.sleep(wait) {
            return Err(failure.error);
        }
        Ok(())
    }

    /// Notes that something was gained: what failed before does not count any more.
    pub fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::*;
    use crate::error::Error;
    use crate::progress::silent;

    #[test]
    fn waits_double_and_spread_around_the_base() {
        let backoff = Backoff { tries: 5, base: Duration::from_millis(100) };
        for (tried, average) in [(1, 100), (2, 200), (3, 400), (4, 800)] {
            let wait = backoff.wait(tried).as_millis();
            assert!((average / 2..=average * 3 / 2).contains(&wait), "{wait} ms after try {tried}");
        }
    }

    #[test]
    fn a_step_is_tried_as_often_as_is_set_and_its_last_failure_is_the_one_returned() {
        let backoff = Backoff { tries: 3, base: Duration::ZERO };
        let news = Mutex::new(Vec::new());
        let tell = |event: Event<'_>| {
            if let Event::Retrying { request, reason, .. } = event {
                news.lock().unwrap().push(format!("{request}: {reason}"));
            }
        };
        let mut tries = 0;
        let outcome: Result<()> = backoff.run(&tell, &Stop::default(), || {
            tries += 1;
            Err(Failure::passing("GET x".to_owned(), format!("failure {tries}")))
        });
        assert_eq!(outcome.unwrap_err().message, "GET x: failure 3");
        assert_eq!(news.into_inner().unwrap(), ["GET x: failure 1", "GET x: failure 2"]);
        let mut tries = 0;
        let outcome: Result<()> = backoff.run(&silent, &Stop::default(), || {
            tries += 1;
            Err(Error::input("wrong").into())
        });
        assert_eq!((outcome.unwrap_err().message.as_str(), tries), ("wrong", 1));
    }

    #[test]
    fn who_is_stopped_does_not_wait_for_the_next_try() {
        let backoff = Backoff { tries: 5, base: Duration::from_secs(60) };
        let (stop, tries) = (Stop::default(), Mutex::new(0));
        let outcome: Result<()> = thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                backoff.run(&silent, &stop, || {
                    *tries.lock().unwrap() += 1;
                    Err(Failure::passing("GET x".to_owned(), "no".to_owned()))
                })
            });
            while *tries.lock().unwrap() == 0 {
                thread::yield_now();
            }
            stop.end();
            waiting.join().unwrap()
        });
        assert_eq!(outcome.unwrap_err().message, "GET x: no");
        assert_eq!(tries.into_inner().unwrap(), 1);
    }
}
