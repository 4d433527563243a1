//! Times, and the home directory, which is as little the same everywhere.

use std::collections::BTreeMap;

use super::calendar::{Moment, duration};
use super::function::{Arguments, Function, FunctionFailure, any, number, string};
use crate::plan::hcl::number::Number;
use crate::plan::hcl::value::Value;

pub const FUNCTIONS: &[Function] = &[
    Function::new("formatdate", &[string("format"), string("time")], |given| {
        let moment = Moment::read(given.text(1)).map_err(|why| FunctionFailure::of(1, why))?;
        Ok(Value::text(pattern(given.text(0), &moment).map_err(|why| FunctionFailure::of(0, why))?))
    }),
    Function::new("formattimestamp", &[string("format"), any("timestamp")], |given| {
        let moment = moment(given, 1)?;
        // A pattern of its own, beside those of `formatdate`.
        if given.text(0) == "X" {
            return Ok(Value::text(moment.seconds.to_string()));
        }
        Ok(Value::text(pattern(given.text(0), &moment).map_err(|why| FunctionFailure::of(0, why))?))
    }),
    Function::new("homedir", &[], |given| Ok(Value::text(given.surroundings.home))),
    Function::new("timeadd", &[string("timestamp"), string("duration")], |given| {
        let moment = Moment::read(given.text(0)).map_err(|why| FunctionFailure::of(0, why))?;
        let added = duration(given.text(1)).map_err(|why| FunctionFailure::of(1, why))?;
        Ok(Value::text(moment.after(added).ok_or("the result is outside the years 0 to 9999")?.rfc3339()))
    }),
    Function::new("timestamp", &[], |given| {
        let now = Moment::of_seconds(given.surroundings.now).ok_or("the clock is wrong")?;
        Ok(Value::text(now.rfc3339()))
    }),
    Function::new("unixtimestampparse", &[number("unix_timestamp")], parts),
];

/// A time as text (RFC 3339) or as seconds since 1970.
fn moment(given: &Arguments<'_>, place: usize) -> Result<Moment, FunctionFailure> {
    match &given.values[place] {
        Value::String(text) => Moment::read(text).map_err(|why| FunctionFailure::of(place, why)),
        Value::Number(_) => Moment::of_seconds(given.integer(place)?)
            .ok_or_else(|| FunctionFailure::of(place, "it is outside the years 0 to 9999")),
        _ => Err(FunctionFailure::of(place, "it must be a time as text, or as seconds since 1970")),
    }
}

fn parts(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let moment = moment(given, 0)?;
    let date = moment.date();
    let (iso_year, iso_week) = moment.iso_week();
    let numbers = [
        ("year", date.year),
        ("year_day", moment.year_day()),
        ("day", date.day),
        ("month", date.month),
        ("weekday", moment.weekday()),
        ("hour", date.hour),
        ("minute", date.minute),
        ("second", date.second),
        ("iso_year", iso_year),
        ("iso_week", iso_week),
    ];
    let texts = [
        ("month_name", moment.month_name().to_owned()),
        ("weekday_name", moment.weekday_name().to_owned()),
        ("rfc3339", moment.rfc3339()),
    ];
    let numbers = numbers.map(|(name, number)| (name.to_owned(), Value::Number(Number::from(number))));
    let texts = texts.map(|(name, text)| (name.to_owned(), Value::text(text)));
    Ok(Value::object(numbers.into_iter().chain(texts).collect::<BTreeMap<_, _>>()))
}

/// A time by a pattern of repeated letters; what stands between quotation marks stays.
fn pattern(pattern: &str, moment: &Moment) -> Result<String, String> {
    let (mut rest, mut text) = (pattern, String::new());
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let (literal, after) = quoted(&rest[1..])?;
            text.push_str(&literal);
            rest = after;
            continue;
        }
        let length = match first.is_ascii_alphabetic() {
            true => rest.len() - rest.trim_start_matches(first).len(),
            false => first.len_utf8(),
        };
        if first.is_ascii_alphabetic() {
            text.push_str(&field(first, length, moment)?);
        } else {
            text.push(first);
        }
        rest = &rest[length..];
    }
    Ok(text)
}

/// Reads up to the closing quotation mark; two of them are one.
fn quoted(text: &str) -> Result<(String, &str), String> {
    if let Some(after) = text.strip_prefix('\'') {
        return Ok(("'".to_owned(), after));
    }
    let (mut literal, mut rest) = (String::new(), text);
    loop {
        let (part, after) = rest.split_once('\'').ok_or("a quotation mark is not closed")?;
        literal.push_str(part);
        match after.strip_prefix('\'') {
            Some(after) => {
                literal.push('\'');
                rest = after;
            }
            None => return Ok((literal, after)),
        }
    }
}

fn field(letter: char, count: usize, moment: &Moment) -> Result<String, String> {
    let date = moment.date();
    let half = |noon: &str, before: &str| if date.hour >= 12 { noon.to_owned() } else { before.to_owned() };
    let plain = |number: i64| match count {
        1 => Some(number.to_string()),
        2 => Some(format!("{number:02}")),
        _ => None,
    };
    let text = match (letter, count) {
        ('Y', 2) => Some(format!("{:02}", date.year % 100)),
        ('Y', 4) => Some(format!("{:04}", date.year)),
        ('M', 3) => Some(moment.month_name().chars().take(3).collect()),
        ('M', 4) => Some(moment.month_name().to_owned()),
        ('M', _) => plain(date.month),
        ('D', _) => plain(date.day),
        ('E', 3) => Some(moment.weekday_name().chars().take(3).collect()),
        ('E', 4) => Some(moment.weekday_name().to_owned()),
        ('h', _) => plain(date.hour),
        ('H', _) => plain((date.hour + 11) % 12 + 1),
        ('A', 2) => Some(half("PM", "AM")),
        ('a', 2) => Some(half("pm", "am")),
        ('m', _) => plain(date.minute),
        ('s', _) => plain(date.second),
        ('Z', 1) => Some(moment.offset_text(true, true)),
        ('Z', 3) if moment.offset == 0 => Some("UTC".to_owned()),
        ('Z', 3 | 4) => Some(moment.offset_text(false, false)),
        ('Z', 5) => Some(moment.offset_text(false, true)),
        _ => None,
    };
    text.ok_or_else(|| format!("there is no `{}`", String::from(letter).repeat(count.min(16))))
}
