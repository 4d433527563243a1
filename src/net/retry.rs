//! What is tried again, and when.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};

use super::date::http_date;
use super::failure::Failure;
use crate::error::Result;
use crate::progress::{Event, Progress};

/// The longest wait there is. A registry that asks for more is not waited for.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How often and how patiently a step whose failure may pass is tried.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// In all, so 1 never tries again. What the registry asks to wait for itself does not count, within limits.
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
    /// Runs `step` until it succeeds, fails for good, is to wait too long or has had all its tries; the last failure is
    /// the one returned.
    pub(crate) async fn run<T>(
        &self,
        progress: Progress<'_>,
        mut step: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T> {
        let mut tries = Tries::new(*self, progress);
        loop {
            match step().await {
                Ok(done) => return Ok(done),
                Err(failure) => tries.next(failure).await?,
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
    failed: u32,
    /// As long as the registry asked for.
    waited: Duration,
}

impl<'p> Tries<'p> {
    pub fn new(backoff: Backoff, progress: Progress<'p>) -> Self {
        Tries { backoff, progress, failed: 0, waited: Duration::ZERO }
    }

    /// Returns when it is time for another try, or at once, with the failure's error, if there is to be none.
    ///
    /// Where the registry says itself how long to wait, that is no failure until it adds up to the longest wait: many
    /// requests share what it grants, and which of them are served first is left to chance.
    pub async fn next(&mut self, failure: Failure) -> Result<()> {
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
            (self.progress)(Event::Retrying { request: &passing.request, reason: &passing.reason, wait });
        }
        if passing.asked.is_none() {
            tokio::time::sleep(wait).await; // else the gate of the host holds the next try back
        }
        Ok(())
    }

    /// Something was gained: what failed before does not count any more.
    pub fn reset(&mut self) {
        self.failed = 0;
    }
}

/// Answers that tell of the moment and not of the request.
pub(crate) fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// How long an answer asks to be left alone: by `Retry-After`, or for as long as a limit's window is when nothing is
/// left of it (Docker Hub, `ratelimit-remaining: 0;w=21600`).
pub(crate) fn asked_wait(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let window = || {
        let (left, window) = text("ratelimit-remaining")?.split_once(";w=")?;
        (left.trim() == "0").then(|| window.trim().parse().ok().map(Duration::from_secs))?
    };
    let after = text("retry-after").and_then(|value| retry_after(value, now));
    after.or_else(|| window().filter(|_| status == StatusCode::TOO_MANY_REQUESTS))
}

/// The wait that a `Retry-After` asks for: seconds, or an HTTP date (RFC 9110, section 10.2.3).
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(http_date(value)?.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(retry_after("3", now), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("86400", now), Some(Duration::from_secs(86_400)));
        assert_eq!(retry_after("-1", now), None);
    }

    #[test]
    fn a_limit_that_is_used_up_is_waited_for_as_long_as_its_window() {
        let asked = |status: u16, headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            asked_wait(StatusCode::from_u16(status).unwrap(), &HeaderMap::from_iter(headers), SystemTime::UNIX_EPOCH)
                .map(|wait| wait.as_secs())
        };
        assert_eq!(asked(429, &[("ratelimit-remaining", "0;w=21600")]), Some(21_600));
        assert_eq!(asked(429, &[("ratelimit-remaining", "0;w=21600"), ("retry-after", "30")]), Some(30));
        assert_eq!(asked(429, &[("ratelimit-remaining", "7;w=21600")]), None);
        assert_eq!(asked(429, &[("ratelimit-remaining", "0")]), None);
        assert_eq!(asked(500, &[("ratelimit-remaining", "0;w=21600")]), None);
        assert_eq!(asked(503, &[("retry-after", "5")]), Some(5));
    }

    #[test]
    fn waits_double_and_spread_around_the_base() {
        let backoff = Backoff { tries: 5, base: Duration::from_millis(100) };
        for (tried, average) in [(1, 100), (2, 200), (3, 400), (4, 800)] {
            let wait = backoff.wait(tried).as_millis();
            assert!((average / 2..=average * 3 / 2).contains(&wait), "{wait} ms after try {tried}");
        }
    }

    #[test]
    fn only_answers_that_may_pass_are_tried_again() {
        let passing: Vec<u16> = (100..600).filter(|code| may_pass(StatusCode::from_u16(*code).unwrap())).collect();
        assert_eq!(passing, [408, 429, 500, 502, 503, 504]);
    }
}
