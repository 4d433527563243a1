//! Amounts as they are written in flags and variables.

use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::plan::setting;

/// A number of bytes. Units are docker's: k, m, g and t, each 1024 of the one before, and in either case; `B` and `iB` may
/// follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// A span of time: days, as in `7d`, or a duration as Go writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Duration);

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lower = text.trim().to_ascii_lowercase();
        let number_end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
        let (number, unit) = lower.split_at(number_end);
        let shift = match unit.trim_start() {
            "" | "b" => Some(0),
            "k" | "kb" | "kib" => Some(10),
            "m" | "mb" | "mib" => Some(20),
            "g" | "gb" | "gib" => Some(30),
            "t" | "tb" | "tib" => Some(40),
            _ => None,
        };
        let size = shift.and_then(|shift| bytes(number, shift));
        size.map(Size).ok_or_else(|| {
            Error::usage(format!("`{text}` is not a size"))
                .with_hint("a size is a number of bytes, or of k, m, g or t, as in 500m or 2.5GB")
        })
    }
}

impl FromStr for Age {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
        if let Some(seconds) = days.and_then(|days| days.checked_mul(24 * 60 * 60)) {
            return Ok(Age(Duration::from_secs(seconds)));
        }
        let nanoseconds = setting::duration(text).map_err(|_| {
            Error::usage(format!("`{text}` is not a duration")).with_hint("a duration is as in 7d, 24h or 1h30m")
        })?;
        Ok(Age(Duration::from_nanos(nanoseconds)))
    }
}

/// `number` times two to the power of `shift`. What stands behind a point is dropped where it makes no whole byte.
fn bytes(number: &str, shift: u32) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().ok()?;
    // More digits than these make no difference.
    let fraction = fraction.get(..15).unwrap_or(fraction);
    let parts: u128 = fraction.parse().ok()?;
    let part = (parts << shift) / 10_u128.pow(fraction.len() as u32);
    whole.checked_mul(1 << shift)?.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let size = |text: &str| text.parse::<Size>().ok().map(|size| size.0);
        for (text, bytes) in [
            ("0", 0),
            ("1", 1),
            ("17b", 17),
            ("2k", 2048),
            ("3 MB", 3_145_728),
            ("20GB", 21_474_836_480),
            ("20GiB", 21_474_836_480),
            ("1.5t", 1_649_267_441_664),
            ("0.1k", 102),
            ("16777215t", 18_446_742_974_197_923_840),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in
            ["", "k", "-1", "1x", "1.2.3", "1.", ".5", "16777216t", "1 k b", "²k", "1e3", "99999999999999999999"]
        {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn ages() {
        let age = |text: &str| text.parse::<Age>().ok().map(|age| age.0.as_secs());
        for (text, seconds) in [("0s", 0), ("90s", 90), ("24h", 86_400), ("1h30m", 5400), ("7d", 604_800)] {
            assert_eq!(age(text), Some(seconds), "{text}");
        }
        for text in ["", "7", "d", "-1d", "1.5d", "1w", "999999999999999999d"] {
            assert_eq!(age(text), None, "{text}");
        }
    }
}
