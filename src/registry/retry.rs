//! What is tried again, and when.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;

use super::failure::Failure;
use crate::error::Result;
use crate::progress::{Event, Progress};

/// The longest wait there is. A registry that asks for more is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How often and how patiently a step whose failure may pass is tried.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// In all, so 1 never tries again.
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
    pub(super) async fn run<T>(
        &self,
        progress: Progress<'_>,
        mut step: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T> {
        let mut tried = 1;
        loop {
            let failure = match step().await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let Some(passing) = failure.passing.filter(|_| tried < self.tries) else {
                return Err(failure.error);
            };
            let wait = passing.retry_after.unwrap_or_else(|| self.wait(tried));
            if wait > LONGEST_WAIT {
                let hint = format!("the registry is to be left alone for {} s", wait.as_secs());
                return Err(failure.error.with_hint(hint));
            }
            progress(Event::Retrying { request: &passing.request, reason: &passing.reason, wait });
            tokio::time::sleep(wait).await;
            tried += 1;
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

/// Answers that tell of the moment and not of the request.
pub(super) fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The wait that a `Retry-After` asks for: seconds, or an HTTP date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(http_date(value)?.duration_since(now).unwrap_or_default()),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that may be sent today (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = words.next()?.split(':').map(str::parse::<u64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    if words.next() != Some("GMT") || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Counting years from March puts the leap day at a year's end, and 30.6 days to a month come out right.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
    const DAYS_TO_1970: u64 = 719_468;
    let seconds = (days - DAYS_TO_1970) * 86_400 + hour * 3_600 + minute * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times are those of `date -u -d '…' +%s`.
    #[test]
    fn http_dates_are_read() {
        let seconds = |text| http_date(text).map(|t| t.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        assert_eq!(seconds("Fri, 01 Mar 2024 00:00:00 GMT"), Some(1_709_251_200));
        assert_eq!(seconds("Sunday, 06-Nov-94 08:49:37 GMT"), None);
        assert_eq!(seconds("soon"), None);
    }

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
