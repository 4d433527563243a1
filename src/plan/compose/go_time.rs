//! Spans of time as compose files have them: Go's, and days and weeks.

use crate::plan::quantity;

/// The hours of the units that Go does not have.
const HOURS_OF: [(char, i64); 2] = [('d', 24), ('w', 7 * 24)];

/// Returns a time in nanoseconds: `1h30m`, `2d`, `1w`; none for what is no time.
pub fn duration(text: &str) -> Option<i64> {
    if !text.contains(['d', 'w']) {
        return quantity::duration(text);
    }
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut sum = 0_i64;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !is_number(c))?);
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let long = HOURS_OF.iter().find(|(name, _)| unit.len() == 1 && unit.starts_with(*name));
        let part = match long {
            Some((_, hours)) => quantity::duration(&format!("{number}h"))?.checked_mul(*hours)?,
            None => quantity::duration(&format!("{number}{unit}"))?,
        };
        sum = sum.checked_add(part)?;
        rest = after;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_as_compose_does() {
        for (text, written) in [
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1.5s", "1.5s"),
            ("100ms", "100ms"),
            ("1500us", "1.5ms"),
            ("10ns", "10ns"),
            ("0s", "0s"),
            ("0", "0s"),
            ("1h1ms", "1h0m0.001s"),
            ("1w2d", "216h0m0s"),
            ("1.5d", "36h0m0s"),
            ("1s1m", "1m1s"),
            ("-5s", "-5s"),
            ("-1d", "-24h0m0s"),
        ] {
            assert_eq!(go_duration(duration(text).unwrap()), written, "{text}");
        }
        for text in ["", "5", "5 s", "1M", "1dd", "d", "1y", "999999999w"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
