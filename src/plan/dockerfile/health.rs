//! `HEALTHCHECK`.

use super::CommandLine;
use super::arguments::command_line;
use super::flags::{FlagKind, Flags};
use super::line::LogicalLine;
use super::parts::InstructionParts;
use super::split::first_word;
use crate::error::Result;
use crate::oci::Healthcheck;
use crate::plan::quantity;

const NANOSECONDS_PER_MILLISECOND: i64 = 1_000_000;

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
                .error(&kind, format!("`HEALTHCHECK` takes `CMD` or `NONE`, not `{}`", kind.text()))
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
    match quantity::duration(value.text()) {
        Some(nanoseconds @ (0 | NANOSECONDS_PER_MILLISECOND..)) => Ok(nanoseconds.unsigned_abs()),
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
