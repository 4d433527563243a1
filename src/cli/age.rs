//! How long ago something was, in docker's words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Returns how long ago it is that it was `seconds` since 1970; for a time to come, that it is now.
pub fn ago(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    format!("{} ago", span(now.saturating_sub(seconds)))
}

/// Returns so many seconds in words, as docker has them (`HumanDuration` of its units).
fn span(seconds: u64) -> String {
    let (minutes, hours) = (seconds / MINUTE, (seconds + HOUR / 2) / HOUR);
    let days = hours / 24;
    match (seconds, minutes) {
        (0, _) => "Less than a second".to_owned(),
        (1, _) => "1 second".to_owned(),
        (2..MINUTE, _) => format!("{seconds} seconds"),
        (_, 1) => "About a minute".to_owned(),
        (_, 2..60) => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if days < 14 => format!("{days} days"),
        _ if days < 60 => format!("{} weeks", days / 7),
        _ if days < 730 => format!("{} months", days / 30),
        _ => format!("{} years", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * HOUR;

    /// The figures are those of docker's own test of its units (`TestHumanDuration`).
    #[test]
    fn spans_are_in_dockers_words() {
        let told = [
            (0, "Less than a second"),
            (1, "1 second"),
            (45, "45 seconds"),
            (60, "About a minute"),
            (105, "About a minute"),
            (3 * MINUTE, "3 minutes"),
            (35 * MINUTE, "35 minutes"),
            (HOUR, "About an hour"),
            (HOUR + 45 * MINUTE, "2 hours"),
            (3 * HOUR, "3 hours"),
            (3 * HOUR + 59 * MINUTE, "4 hours"),
            (35 * HOUR, "35 hours"),
            (3 * DAY, "3 days"),
            (14 * DAY, "2 weeks"),
            (21 * DAY, "3 weeks"),
            (60 * DAY, "2 months"),
            (365 * DAY, "12 months"),
            (3 * 365 * DAY, "3 years"),
        ];
        for (seconds, words) in told {
            assert_eq!(span(seconds), words, "{seconds}");
        }
    }
}
