//! Regular expressions, in the form that Go has.

use std::collections::BTreeMap;

use regex::{Captures, Regex, RegexBuilder};

use super::function::{Arguments, Function, FunctionFailure, string};
use crate::plan::hcl::types::Type;
use crate::plan::hcl::value::Value;

/// In bytes; what a compiled expression may take.
const LARGEST_EXPRESSION: usize = 1 << 18;

/// What is paid for compiling one, and for so many bytes that it goes through.
const COMPILING: usize = 500;
const BYTES: usize = 8;

pub const FUNCTIONS: &[Function] = &[
    Function::new("regex", &[string("pattern"), string("string")], first),
    Function::new("regex_replace", &[string("str"), string("pattern"), string("replace")], replace),
    Function::new("regexall", &[string("pattern"), string("string")], all),
];

fn first(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let regex = compiled(given, 0)?;
    let shape = MatchShape::of(&regex)?;
    match regex.captures(given.text(1)) {
        Some(captures) => Ok(shape.value(&regex, &captures)),
        None => Err("the pattern matches no part of the text".into()),
    }
}

fn all(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let regex = compiled(given, 0)?;
    let shape = MatchShape::of(&regex)?;
    let mut values = Vec::new();
    for captures in regex.captures_iter(given.text(1)) {
        given.spend(regex.captures_len())?;
        values.push(shape.value(&regex, &captures));
    }
    Ok(Value::list(shape.kind(&regex), values))
}

fn replace(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let regex = compiled(given, 1)?;
    let mut replaced = String::new();
    let mut end = 0;
    for captures in regex.captures_iter(given.text(0)) {
        let Some(whole) = captures.get(0) else {
            continue;
        };
        replaced.push_str(&given.text(0)[end..whole.start()]);
        captures.expand(given.text(2), &mut replaced);
        end = whole.end();
        given.expect_text(replaced.len())?;
    }
    replaced.push_str(&given.text(0)[end..]);
    Ok(Value::text(replaced))
}

fn compiled(given: &Arguments<'_>, place: usize) -> Result<Regex, FunctionFailure> {
    let pattern = translated(given.text(place));
    given.spend(COMPILING + given.text(1 - place).len() / BYTES)?;
    RegexBuilder::new(&pattern).size_limit(LARGEST_EXPRESSION).dfa_size_limit(LARGEST_EXPRESSION).build().map_err(
        |error| {
            let said = error.to_string();
            let said = said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            FunctionFailure::of(place, format!("it is not a regular expression: {said}"))
        },
    )
}

/// What a match gives: its text, the texts of its groups, or these by their names.
#[derive(Debug, Clone, Copy)]
enum MatchShape {
    Text,
    Groups,
    Names,
}

impl MatchShape {
    fn of(regex: &Regex) -> Result<MatchShape, FunctionFailure> {
        let named = regex.capture_names().skip(1).flatten().count();
        match (regex.captures_len() - 1, named) {
            (0, _) => Ok(MatchShape::Text),
            (_, 0) => Ok(MatchShape::Groups),
            (groups, named) if groups == named => Ok(MatchShape::Names),
            _ => Err(FunctionFailure::of(0, "either all of its groups have names, or none")),
        }
    }

    fn value(self, regex: &Regex, captures: &Captures<'_>) -> Value {
        let group = |index: usize| match captures.get(index) {
            Some(found) => Value::text(found.as_str()),
            None => Value::Null(Type::String),
        };
        match self {
            MatchShape::Text => group(0),
            MatchShape::Groups => Value::tuple((1..captures.len()).map(group).collect()),
            MatchShape::Names => {
                let names = regex.capture_names().enumerate();
                let values = names.filter_map(|(index, name)| Some((name?.to_owned(), group(index))));
                Value::object(values.collect::<BTreeMap<_, _>>())
            }
        }
    }

    fn kind(self, regex: &Regex) -> Type {
        match self {
            MatchShape::Text => Type::String,
            MatchShape::Groups => Type::tuple((1..regex.captures_len()).map(|_| Type::String)),
            MatchShape::Names => {
                let names = regex.capture_names().flatten();
                Type::object(names.map(|name| (name.to_owned(), Type::String)))
            }
        }
    }
}

/// The pattern as the crate reads it: there classes of characters are of all languages, and may stand within each other.
fn translated(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len());
    let mut is_class = false;
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let escaped = rest.strip_prefix('\\').and_then(|after| after.chars().next());
        let (taken, text) = match (c, escaped) {
            (_, Some('Q')) => {
                let quoted = &rest[2..];
                let (quoted, length) = match quoted.split_once("\\E") {
                    Some((quoted, _)) => (quoted, quoted.len() + 4),
                    None => (quoted, rest.len()),
                };
                (length, regex::escape(quoted))
            }
            (_, Some('d')) => (2, "[0-9]".to_owned()),
            (_, Some('D')) => (2, "[^0-9]".to_owned()),
            (_, Some('s')) => (2, "[\\t\\n\\f\\r ]".to_owned()),
            (_, Some('S')) => (2, "[^\\t\\n\\f\\r ]".to_owned()),
            (_, Some('w')) => (2, "[0-9A-Za-z_]".to_owned()),
            (_, Some('W')) => (2, "[^0-9A-Za-z_]".to_owned()),
            (_, Some('b')) if !is_class => (2, "(?-u:\\b)".to_owned()),
            (_, Some(escaped)) => (1 + escaped.len_utf8(), format!("\\{escaped}")),
            ('[', _) if is_class => match rest.find(":]").filter(|_| rest.starts_with("[:")) {
                Some(end) => (end + 2, rest[..end + 2].to_owned()),
                None => (1, "\\[".to_owned()),
            },
            ('[', _) => {
                is_class = true;
                // A bracket that comes first is one of the characters.
                let start = if rest.starts_with("[^") { 2 } else { 1 };
                let first = usize::from(rest[start..].starts_with(']'));
                (start + first, format!("{}{}", &rest[..start], if first > 0 { "\\]" } else { "" }))
            }
            (']', _) => {
                is_class = false;
                (1, "]".to_owned())
            }
            ('&' | '~', _) if is_class => (1, format!("\\{c}")),
            (c, _) => (c.len_utf8(), c.to_string()),
        };
        translated.push_str(&text);
        rest = &rest[taken..];
    }
    translated
}
