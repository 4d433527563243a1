//! Spans of time as compose files have them: Go's, and days and weeks.

use crate::plan::quantity;

/// The hours of the units that Go does not have.
const HOURS_OF: [(char, i64); 2] = [('d', 24), ('w', 7 * 24)];

/// Returns a time in nanoseconds: `1h30m`, `2d`, `1w`; none for what is not a time.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::quantity::go_duration;

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
