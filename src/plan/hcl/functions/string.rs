//! Text, and paths as text.

use std::path::Path;

use unicode_segmentation::UnicodeSegmentation;

use super::function::{Arguments, Function, FunctionFailure, number, string, strings};
use crate::plan::compose::clean;
use crate::plan::hcl::types::Type;
use crate::plan::hcl::value::Value;

pub const FUNCTIONS: &[Function] = &[
    Function::new("basename", &[string("path")], |given| Ok(Value::text(base_name(given.text(0))))),
    Function::new("chomp", &[string("str")], |given| Ok(Value::text(given.text(0).trim_end_matches(['\r', '\n'])))),
    Function::new("dirname", &[string("path")], |given| Ok(Value::text(directory(given.text(0))))),
    Function::new("indent", &[number("spaces"), string("str")], indent),
    Function::new("join", &[string("separator")], join).and_more(strings("lists")),
    Function::new("lower", &[string("str")], |given| {
        let lower = |c: char| c.to_lowercase().next().unwrap_or(c);
        Ok(Value::text(given.text(0).chars().map(lower).collect::<String>()))
    }),
    Function::new("replace", &[string("str"), string("substr"), string("replace")], replace),
    Function::new("reverse", &[string("str")], |given| {
        Ok(Value::text(given.text(0).graphemes(true).rev().collect::<String>()))
    }),
    Function::new("sanitize", &[string("name")], sanitize),
    Function::new("split", &[string("separator"), string("str")], split),
    Function::new("strlen", &[string("str")], |given| Ok(Value::from(given.text(0).graphemes(true).count()))),
    Function::new("substr", &[string("str"), number("offset"), number("length")], substring),
    Function::new("title", &[string("str")], title),
    Function::new("trim", &[string("str"), string("cutset")], |given| {
        Ok(Value::text(given.text(0).trim_matches(|c| given.text(1).contains(c))))
    }),
    Function::new("trimprefix", &[string("str"), string("prefix")], |given| {
        Ok(Value::text(given.text(0).strip_prefix(given.text(1)).unwrap_or(given.text(0))))
    }),
    Function::new("trimspace", &[string("str")], |given| Ok(Value::text(given.text(0).trim()))),
    Function::new("trimsuffix", &[string("str"), string("suffix")], |given| {
        Ok(Value::text(given.text(0).strip_suffix(given.text(1)).unwrap_or(given.text(0))))
    }),
    Function::new("upper", &[string("str")], |given| {
        Ok(Value::text(given.text(0).chars().map(upper).collect::<String>()))
    }),
];

/// The capital letter, where it is a single one.
fn upper(c: char) -> char {
    let mut letters = c.to_uppercase();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => letter,
        _ => c,
    }
}

fn base_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some(name) if !name.is_empty() => name,
        _ if path.is_empty() => ".",
        _ => "/",
    }
}

fn directory(path: &str) -> String {
    let directory = path.rfind('/').map_or("", |slash| &path[..=slash]);
    match clean(Path::new(directory)).to_string_lossy() {
        cleaned if cleaned.is_empty() => ".".to_owned(),
        cleaned => cleaned.into_owned(),
    }
}

fn indent(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let text = given.text(1);
    let Ok(spaces) = usize::try_from(given.integer(0)?) else {
        return Err(FunctionFailure::of(0, "it must not be negative"));
    };
    let ends = text.matches('\n').count();
    given.expect_text(ends.saturating_mul(spaces))?;
    // Where there are none, nothing is as wide as that.
    let spaces = if ends == 0 { 0 } else { spaces };
    Ok(Value::text(text.replace('\n', &format!("\n{}", " ".repeat(spaces)))))
}

fn join(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let mut texts = Vec::new();
    for (place, list) in given.values.iter().enumerate().skip(1) {
        for (index, value) in list.as_elements().unwrap_or_default().iter().enumerate() {
            texts.push(value.as_text().ok_or_else(|| FunctionFailure::of(place, format!("element {index} is null")))?);
        }
    }
    if given.values.len() < 2 {
        return Err("it takes at least one list".into());
    }
    given.expect_text(texts.len().saturating_mul(given.text(0).len()))?;
    Ok(Value::text(texts.join(given.text(0))))
}

fn replace(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let (text, old, new) = (given.text(0), given.text(1), given.text(2));
    given.expect_text(text.matches(old).count().saturating_mul(new.len()))?;
    Ok(Value::text(text.replace(old, new)))
}

/// A name that a target may have.
fn sanitize(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    Ok(Value::text(given.text(0).chars().map(allowed).collect::<String>()))
}

fn split(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let (separator, text) = (given.text(0), given.text(1));
    let parts: Vec<Value> = match separator {
        "" => text.chars().map(Value::text).collect(),
        _ => text.split(separator).map(Value::text).collect(),
    };
    Ok(Value::list(Type::String, parts))
}

/// A negative offset counts from the end, and a negative length is all that is there.
fn substring(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let clusters: Vec<&str> = given.text(0).graphemes(true).collect();
    let (offset, length) = (given.integer(1)?, given.integer(2)?);
    if offset >= 0 && length == 0 {
        return Ok(Value::text(""));
    }
    let start = if offset < 0 { offset.saturating_add_unsigned(clusters.len() as u64) } else { offset };
    let start = usize::try_from(start).unwrap_or(0).min(clusters.len());
    let count = match usize::try_from(length) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(count) => count,
    };
    Ok(Value::text(clusters[start..].iter().take(count).copied().collect::<String>()))
}

/// A capital letter at the start of every word.
fn title(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let separates = |c: char| match c {
        '\0'..='\x7f' => !c.is_ascii_alphanumeric() && c != '_',
        _ => c.is_whitespace(),
    };
    let mut before = ' ';
    let capital = |c: char| {
        let is_first = separates(before);
        before = c;
        if is_first { upper(c) } else { c }
    };
    Ok(Value::text(given.text(0).chars().map(capital).collect::<String>()))
}
