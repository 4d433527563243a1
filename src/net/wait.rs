//! What answers say of another try: whether it may help, and how long it is to wait.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};

use super::date::http_date;

/// The longest wait there is. A server that asks for more is not waited for.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Answers that tell of the moment and not of the request.
pub(super) fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Returns how long an answer asks to be left alone: by `Retry-After`, or for as long as a limit's window is when nothing is
/// left of it (Docker Hub, `ratelimit-remaining: 0;w=21600`).
pub(super) fn asked_wait(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
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
    fn only_answers_that_may_pass_are_tried_again() {
        let passing: Vec<u16> = (100..600).filter(|code| may_pass(StatusCode::from_u16(*code).unwrap())).collect();
        assert_eq!(passing, [408, 429, 500, 502, 503, 504]);
    }
}
