//! The patterns in `${A#p}`, `${A%p}` and `${A/p/r}`: `*` stands for any characters, `?` for one, neither for the end of a
//! line; `\` takes `*`, `?`, `\`, `}` and `/` as they are, and nothing else may follow it. Errors say what is wrong.

use regex::{NoExpand, Regex, escape};

/// Returns `value` without what `pattern` matches at its beginning, as little or as much as it can.
pub(super) fn trim_prefix(pattern: &str, value: &str, is_longest: bool) -> Result<String, String> {
    let end = expression(pattern, is_longest, r"\A")?.find(value).map_or(0, |found| found.end());
    Ok(value[end..].to_owned())
}

/// Returns `value` without what `pattern` matches at its end, as little or as much as it can.
pub(super) fn trim_suffix(pattern: &str, value: &str, is_longest: bool) -> Result<String, String> {
    // An expression finds what is leftmost: from the right, that is the last.
    let trimmed = trim_prefix(&reversed_pattern(pattern), &reversed(value), is_longest)?;
    Ok(reversed(&trimmed))
}

/// Returns `value` with `replacement` for what `pattern` matches first, or everywhere. Everywhere, `$0` in the
/// replacement stands for what was matched and `$$` for a `$`, as in BuildKit.
pub(super) fn replace(pattern: &str, value: &str, replacement: &str, all: bool) -> Result<String, String> {
    let expression = expression(pattern, true, "")?;
    Ok(match all {
        true => expression.replace_all(value, replacement).into_owned(),
        false => expression.replace(value, NoExpand(replacement)).into_owned(),
    })
}

fn expression(pattern: &str, is_longest: bool, anchor: &str) -> Result<Regex, String> {
    let mut expression = anchor.to_owned();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => expression.push_str(if is_longest { ".*" } else { ".*?" }),
            '?' => expression.push('.'),
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => {
                    expression.push_str(&escape(escaped.encode_utf8(&mut [0; 4])));
                }
                Some(other) => return Err(format!("`\\{other}` in the pattern `{pattern}` escapes nothing")),
                None => return Err(format!("the pattern `{pattern}` ends with a `\\`")),
            },
            other => expression.push_str(&escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    Regex::new(&expression).map_err(|_| "its pattern is too long".to_owned())
}

/// `pattern` from its end; what is escaped stays behind its `\`.
fn reversed_pattern(pattern: &str) -> String {
    let mut units = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let second = rest.chars().nth(1).filter(|_| first == '\\');
        let (unit, after) = rest.split_at(first.len_utf8() + second.map_or(0, char::len_utf8));
        units.push(unit);
        rest = after;
    }
    units.into_iter().rev().collect()
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}
