//! Times as pax headers have them.

use std::fmt;

/// Since 1970; a time before that has negative seconds, and nanoseconds that lead forward from there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Whole seconds since 1970, rounded down.
    pub seconds: i64,
    /// The rest, from 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Time {
    /// Returns a time in whole seconds since 1970.
    pub fn of_seconds(seconds: i64) -> Self {
        Time { seconds, nanoseconds: 0 }
    }
}

impl fmt::Display for Time {
    /// In decimal seconds, as pax headers have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds);
        let sign = if nanoseconds < 0 { "-" } else { "" };
        let (seconds, fraction) = (nanoseconds.abs() / 1_000_000_000, nanoseconds.abs() % 1_000_000_000);
        let text = format!("{sign}{seconds}.{fraction:09}");
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}
