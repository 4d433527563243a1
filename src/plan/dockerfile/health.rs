//! `HEALTHCHECK`.

use super::CommandLine;
use super::arguments::command_line;
use super::flags::{FlagKind, Flags};
use super::line::LogicalLine;
use super::parts::InstructionParts;
use super::split::first_word;
use crate::error::Result;
use crate::oci::Healthcheck;

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

/// Reads `HEALTHCHECK`.
pub(super) fn read(parts: &InstructionParts<'_>) -> Result<Healthcheck> {
    let flags = parts.flags(&[
        ("interval", FlagKind::Text),
        ("timeout", FlagKind::Text),
        ("start-period", FlagKind::Text),
        ("start-interval", FlagKind::Text),
        ("retries", FlagKind::Text),
    ])?;
    let (kind, rest) = first_word(&parts.rest);
    let rest = rest.unwrap_or_else(|| kind.from(kind.text().len()));
    let test = match kind.text().to_uppercase().as_str() {
        "" => return Err(parts.missing("`HEALTHCHECK` needs `CMD` and a command, or `NONE`", EXAMPLE)),
        "NONE" if rest.is_empty() => {
            return Ok(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() });
        }
        "NONE" => return Err(parts.error(&rest, "`HEALTHCHECK NONE` takes no arguments")),
        "CMD" => match command_line(parts.text, &rest)? {
            CommandLine::Exec(arguments) if !arguments.is_empty() => [vec!["CMD".to_owned()], arguments].concat(),
            CommandLine::Shell(word) if !word.text.is_empty() => vec!["CMD-SHELL".to_owned(), word.text],
            _ => return Err(parts.missing("`HEALTHCHECK CMD` needs a command", EXAMPLE)),
        },
        _ => {
            return Err(parts
                .error(&kind, format!("`HEALTHCHECK` knows `CMD` and `NONE`, not `{}`", kind.text()))
                .with_hint(format!("as in `{EXAMPLE}`")));
        }
    };
    Ok(Healthcheck {
        test,
        interval: duration(parts, &flags, "interval")?,
        timeout: duration(parts, &flags, "timeout")?,
        start_period: duration(parts, &flags, "start-period")?,
        start_interval: duration(parts, &flags, "start-interval")?,
        retries: retries(parts, &flags)?,
    })
}

const EXAMPLE: &str = "HEALTHCHECK --interval=30s CMD curl -f http://localhost/";

fn duration(parts: &InstructionParts<'_>, flags: &Flags, name: &str) -> Result<u64> {
    let Some(value) = flags.value(name).filter(|value| !value.is_empty()) else { return Ok(0) };
    match nanoseconds(value.text()) {
        Some(nanoseconds @ (0 | NANOSECONDS_PER_MILLISECOND..)) => Ok(nanoseconds),
        Some(_) => Err(parts.error(value, format!("`--{name}` cannot be less than 1ms"))),
        None => Err(parts
            .error(value, format!("`{}` is not a duration", value.text()))
            .with_hint("numbers with the units ns, us, ms, s, m and h, as in 30s or 1m30s")),
    }
}

fn retries(parts: &InstructionParts<'_>, flags: &Flags) -> Result<u64> {
    let Some(value) = flags.value("retries").filter(|value| !value.is_empty()) else { return Ok(0) };
    let refuse = |value: &LogicalLine| parts.error(value, format!("`{}` is not a number of retries", value.text()));
    let number: i32 = value.text().parse().map_err(|_| refuse(value))?;
    u64::try_from(number).map_err(|_| refuse(value).with_hint("it cannot be negative"))
}

/// Go's `time.ParseDuration`; None for what it refuses. What is below zero counts as 1: too short.
fn nanoseconds(text: &str) -> Option<u64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
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
        let number = &rest[..rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len())];
        rest = &rest[number.len()..];
        let unit = &rest[..rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len())];
        rest = &rest[unit.len()..];
        sum = sum.checked_add(scaled(number, unit_nanoseconds(unit)?)?)?;
    }
    let sum = u64::try_from(i64::try_from(sum).ok()?).ok()?;
    Some(if negative && sum > 0 { 1 } else { sum })
}

/// A decimal number times a whole one, rounded down.
fn scaled(number: &str, by: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // An hour has fewer nanoseconds than 10^13, so later digits are worth less than one.
    let fraction = &fraction[..fraction.len().min(13)];
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let ten_to_digits = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(by)?.checked_add(parts * by / ten_to_digits)
}

fn unit_nanoseconds(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("-1s", Some(1)),
            ("3\u{b5}s", Some(3_000)),
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
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }
}
