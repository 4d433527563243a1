//! Quantities as text: sizes, durations, ports, booleans. Each has one grammar, that of docker's own readers, wherever it is
//! written: in flags, variables, specs and Dockerfiles.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

/// Go's units of time in nanoseconds.
const UNITS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// A number of bytes. Units are docker's: k, m, g, t and p, each 1024 of the one before, and in either case; `B` and `iB`
/// may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// A span of time: days, as in `7d`, or a duration as Go writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Duration);

/// A port, or several that follow each other, of one protocol: `first[-last][/protocol]`, in any letter case, tcp without
/// one. Port 0 is among what docker takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// The ports, the lowest first; a single one is a range of one.
    pub numbers: RangeInclusive<u16>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'static str,
}

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
            "p" | "pb" | "pib" => Some(50),
            _ => None,
        };
        let is_whole_at_both_ends = !number.starts_with('.') && !number.ends_with('.');
        let size = shift.filter(|_| is_whole_at_both_ends).and_then(|shift| product(number, 1 << shift));
        size.and_then(|size| u64::try_from(size).ok()).map(Size).ok_or_else(|| {
            Error::usage(format!("`{text}` is not a size"))
                .with_hint("a size is a number of bytes, or of k, m, g or t, as in 500m or 20g")
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
        let nanoseconds = duration(text).and_then(|nanoseconds| u64::try_from(nanoseconds).ok());
        nanoseconds.map(|nanoseconds| Age(Duration::from_nanos(nanoseconds))).ok_or_else(|| {
            Error::usage(format!("`{text}` is not a duration")).with_hint("a duration is as in 7d, 24h or 1h30m")
        })
    }
}

impl Ports {
    /// Returns the key of each port in an image's settings, such as `53/udp`.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        let protocol = self.protocol;
        self.numbers.clone().map(move |number| format!("{number}/{protocol}"))
    }
}

impl FromStr for Ports {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (range, protocol) = text.split_once('/').unwrap_or((text, ""));
        let protocol = match protocol {
            "" => "tcp",
            protocol => PROTOCOLS
                .into_iter()
                .find(|known| protocol.eq_ignore_ascii_case(known))
                .ok_or_else(|| no_port(text, &format!("its protocol is `{protocol}`, not tcp, udp or sctp")))?,
        };
        let numbers = port_range(range)
            .ok_or_else(|| no_port(text, &format!("`{range}` is not a number up to 65535, or a range")))?;
        Ok(Ports { numbers, protocol })
    }
}

/// Reads a port or a range of ports, `first[-last]`. Returns None for anything else.
pub fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let number = |digits: &str| digits.parse::<u16>().ok().filter(|_| digits.bytes().all(|c| c.is_ascii_digit()));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

/// Returns the error that `text` is not a port, because of `why`.
pub fn no_port(text: &str, why: &str) -> Error {
    Error::input(format!("`{text}` is not a port: {why}"))
        .with_hint("a port is 1 to 65535, as in `8080`, `53/udp` or `8000-8002`")
}

/// Reads a duration as Go's `time.ParseDuration` does (`1m30s`, `500ms`, `-1.5h`). Returns nanoseconds, or None for what Go
/// refuses.
pub fn duration(text: &str) -> Option<i64> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: u128 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(product(number, *nanoseconds)?)?;
        rest = after;
    }
    let sum = i64::try_from(sum).ok()?;
    Some(if is_negative { -sum } else { sum })
}

/// Returns a time in nanoseconds as Go prints it: `1h0m0s`, `1.5s`, `100ms`.
pub fn go_duration(nanoseconds: i64) -> String {
    let (sign, all) = if nanoseconds < 0 { ("-", nanoseconds.unsigned_abs()) } else { ("", nanoseconds as u64) };
    let with_part = |unit: u64, name: &str| {
        let part = format!("{:09}", (all % unit) * (1_000_000_000 / unit));
        let part = part.trim_end_matches('0');
        let point = if part.is_empty() { "" } else { "." };
        format!("{sign}{}{point}{part}{name}", all / unit)
    };
    match all {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{all}ns"),
        1_000..1_000_000 => with_part(1_000, "µs"),
        1_000_000..1_000_000_000 => with_part(1_000_000, "ms"),
        _ => {
            let seconds = all / 1_000_000_000;
            let part = format!("{:09}", all % 1_000_000_000);
            let part = part.trim_end_matches('0');
            let point = if part.is_empty() { "" } else { "." };
            let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{rest}{point}{part}s"),
                (0, _) => format!("{sign}{minutes}m{rest}{point}{part}s"),
                _ => format!("{sign}{hours}h{minutes}m{rest}{point}{part}s"),
            }
        }
    }
}

/// Reads a boolean as Go's `strconv.ParseBool` does. Returns None for what Go refuses.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Returns `number`, digits with a point among them or not, times `unit`; what is below a whole one is cut off.
fn product(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // As many digits as Go looks at.
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    whole.checked_mul(unit)?.checked_add(parts * unit / 10_u128.pow(fraction.len() as u32))
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
            ("500MB", 524_288_000),
            ("20GB", 21_474_836_480),
            ("20GiB", 21_474_836_480),
            ("1.5t", 1_649_267_441_664),
            ("2p", 2_251_799_813_685_248),
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
        for text in ["", "7", "d", "-1d", "-1h", "1.5d", "1w", "999999999999999999d"] {
            assert_eq!(age(text), None, "{text}");
        }
    }

    /// Values by hand, forms from Go's documentation of `time.ParseDuration`.
    #[test]
    fn durations_are_those_of_go() {
        let known = [
            ("0", Some(0)),
            ("1h15m30.918s", Some(4_530_918_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("+1ms", Some(1_000_000)),
            ("-1s", Some(-1_000_000_000)),
            ("3\u{b5}s", Some(3_000)),
            ("3\u{3bc}s", Some(3_000)),
            ("0.000000000277777778h", Some(1_000)),
            ("30", None),
            ("", None),
            ("+", None),
            (".s", None),
            ("1 s", None),
            ("1d", None),
            ("1.2.3s", None),
            ("9999999999h", None),
        ];
        for (text, expected) in known {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn ports_are_numbers_or_ranges_with_a_protocol() {
        let keys = |text: &str| text.parse::<Ports>().ok().map(|ports| ports.keys().collect::<Vec<_>>().join(" "));
        for (text, expected) in [
            ("8080", "8080/tcp"),
            ("53/udp", "53/udp"),
            ("53/UDP", "53/udp"),
            ("80/", "80/tcp"),
            ("8000-8002/sctp", "8000/sctp 8001/sctp 8002/sctp"),
            ("0", "0/tcp"),
            ("65535-65535", "65535/tcp"),
        ] {
            assert_eq!(keys(text).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["", "/tcp", "65536", "-1", "+80", "80-", "-80", "9-8", "1-2-3", "80/icmp", "80/tcp/udp", "8 0", "٨"]
        {
            assert_eq!(keys(text), None, "{text}");
        }
    }

    #[test]
    fn booleans_are_those_of_go() {
        for (texts, expected) in [
            (&["1", "t", "T", "true", "True", "TRUE"][..], Some(true)),
            (&["0", "f", "F", "false", "False", "FALSE"], Some(false)),
            (&["", "yes", "on", "tRUE", " true", "2", "no"], None),
        ] {
            for text in texts {
                assert_eq!(boolean(text), expected, "{text}");
            }
        }
    }
}
