//! `${VARIABLE:-default}` and its like, in the values of compose files and of files of variables.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use super::node::{MergeMark, NodeValue, YamlNode};
use crate::error::{Error, Result};

/// In bytes: the most that all values of one file may come to.
const LARGEST: usize = 16 << 20;

/// The most defaults that may stand within each other.
const DEEPEST: usize = 100;

/// Puts the values of variables into text.
pub struct Interpolation<'a> {
    /// Returns the value of a variable; none if it is not set.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Is told of each variable that is not set and has no default, once.
    pub unset: &'a dyn Fn(&str),
    told: RefCell<BTreeSet<String>>,
    left: Cell<usize>,
}

/// One variable as text names it.
pub struct VariableUse<'a> {
    /// Its name.
    pub name: &'a str,
    /// What follows it within the braces: the sign, and the word behind it.
    pub operation: Option<(&'a str, &'a str)>,
}

/// A part of a text.
pub enum TextPiece<'a> {
    /// As it is.
    Text(&'a str),
    /// A variable.
    VariableUse(VariableUse<'a>),
}

impl<'a> Interpolation<'a> {
    /// Returns one of a whole budget.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>, unset: &'a dyn Fn(&str)) -> Self {
        Interpolation { variable, unset, told: RefCell::default(), left: Cell::new(LARGEST) }
    }

    /// Puts values into all text of `node`, not into its keys. An error shows the line.
    pub fn apply(&self, node: &mut YamlNode) -> Result<()> {
        if node.mark == MergeMark::Reset {
            return Ok(());
        }
        match &mut node.value {
            NodeValue::Text(text) if text.contains('$') => match self.text(text) {
                Ok(new) => *text = new,
                Err(error) => return Err(node.blame(error)),
            },
            NodeValue::List(values) => values.iter_mut().try_for_each(|value| self.apply(value))?,
            NodeValue::Mapping(mapping) => mapping.values_mut().try_for_each(|value| self.apply(value))?,
            _ => {}
        }
        Ok(())
    }

    /// Returns `text` with the values. Fails for a `${` that begins nothing, a variable that has to be there and is not, and
    /// for too much of it.
    pub fn text(&self, text: &str) -> Result<String> {
        let mut result = String::new();
        self.expand(text, 0, &mut result)?;
        Ok(result)
    }

    fn expand(&self, text: &str, depth: usize, result: &mut String) -> Result<()> {
        if depth > DEEPEST {
            return Err(Error::input(format!("defaults are nested more than {DEEPEST} deep")));
        }
        for piece in pieces(text)? {
            match piece {
                TextPiece::Text(text) => self.put(text, result)?,
                TextPiece::VariableUse(substitution) => self.substitute(&substitution, depth, result)?,
            }
        }
        Ok(())
    }

    fn substitute(&self, substitution: &VariableUse<'_>, depth: usize, result: &mut String) -> Result<()> {
        let name = substitution.name;
        let value = (self.variable)(name);
        let Some((sign, word)) = substitution.operation else {
            if value.is_none() && self.told.borrow_mut().insert(name.to_owned()) {
                (self.unset)(name);
            }
            return self.put(&value.unwrap_or_default(), result);
        };
        // With a colon, what is empty is as good as not set.
        let value = value.filter(|value| !sign.starts_with(':') || !value.is_empty());
        // Compose looks at the word even where it does not count.
        let mut other = String::new();
        self.expand(word, depth + 1, &mut other)?;
        match (sign.trim_start_matches(':'), value) {
            ("+", None) => Ok(()),
            ("-", None) | ("+", Some(_)) => self.put(&other, result),
            ("?", None) => {
                let reason = if other.is_empty() { String::new() } else { format!(": {other}") };
                Err(Error::input(format!("required variable {name} is missing a value{reason}")))
            }
            (_, Some(value)) => self.put(&value, result),
            (_, None) => Ok(()),
        }
    }

    fn put(&self, text: &str, result: &mut String) -> Result<()> {
        let left = self.left.get().checked_sub(text.len());
        let too_much = || Error::input(format!("the values of variables take more than {} MiB", LARGEST >> 20));
        self.left.set(left.ok_or_else(too_much)?);
        result.push_str(text);
        Ok(())
    }
}

/// Returns the parts of `text`. Fails for a `${` that begins no variable.
pub fn pieces(text: &str) -> Result<Vec<TextPiece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        pieces.push(TextPiece::Text(&rest[..at]));
        let after = &rest[at + 1..];
        if let Some(next) = after.strip_prefix('$') {
            pieces.push(TextPiece::Text("$"));
            rest = next;
        } else if let Some(inner) = after.strip_prefix('{') {
            let end = closing_brace(inner).ok_or_else(|| invalid(text))?;
            pieces.push(TextPiece::VariableUse(braced(&inner[..end]).ok_or_else(|| invalid(text))?));
            rest = &inner[end + 1..];
        } else {
            let (name, next) = after.split_at(name_length(after));
            // Only what begins as a variable has to be one.
            pieces.push(match name.is_empty() {
                true => TextPiece::Text("$"),
                false => TextPiece::VariableUse(VariableUse { name, operation: None }),
            });
            rest = next;
        }
    }
    pieces.push(TextPiece::Text(rest));
    Ok(pieces)
}

fn braced(inner: &str) -> Option<VariableUse<'_>> {
    let (name, rest) = inner.split_at(name_length(inner));
    if name.is_empty() {
        return None;
    }
    if rest.is_empty() {
        return Some(VariableUse { name, operation: None });
    }
    let length = if rest.starts_with(':') { 2 } else { 1 };
    let sign = rest.get(..length).filter(|sign| sign.ends_with(['-', '?', '+']))?;
    Some(VariableUse { name, operation: Some((sign, &rest[length..])) })
}

/// Where the brace is that belongs to one that stands before `text`: every `${` has one, and no other `{`.
fn closing_brace(text: &str) -> Option<usize> {
    let (mut open, bytes) = (1, text.as_bytes());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'}' => open -= 1,
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                open += 1;
                at += 1;
            }
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn name_length(text: &str) -> usize {
    let is_name = |(at, c): (usize, u8)| c == b'_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
    text.bytes().enumerate().take_while(|byte| is_name(*byte)).count()
}

fn invalid(text: &str) -> Error {
    let shown: String = text.chars().take(100).collect();
    Error::input(format!("`{shown}` has a `${{` that begins no variable"))
        .with_hint("write ${NAME}, ${NAME:-default}, or $$ for the sign itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String> {
        let variable = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            "_x1" => Some("low".to_owned()),
            _ => None,
        };
        Interpolation::new(&variable, &|_| ()).text(text)
    }

    #[test]
    fn every_form_has_its_value() {
        for (text, value) in [
            ("$SET", "value"),
            ("${SET}s", "values"),
            ("$_x1-$SET.", "low-value."),
            ("$UNSET|${UNSET}|", "||"),
            ("$$SET $${SET}", "$SET ${SET}"),
            ("$$$SET", "$value"),
            ("${SET:-d} ${EMPTY:-d} ${UNSET:-d}", "value d d"),
            ("${SET-d} ${EMPTY-d} ${UNSET-d}", "value  d"),
            ("${SET:+r} ${EMPTY:+r} ${UNSET:+r}", "r  "),
            ("${SET+r} ${EMPTY+r} ${UNSET+r}", "r r "),
            ("${SET?e}${SET:?e}${EMPTY?e}", "valuevalue"),
            ("${UNSET:-${EMPTY:-${SET}}}", "value"),
            ("${UNSET:-a${SET}b}c", "avaluebc"),
            ("${UNSET:-$SET}", "value"),
            ("${UNSET:-}", ""),
            ("${UNSET:-:-x}", ":-x"),
            ("${UNSET-a?b:-c}", "a?b:-c"),
            ("${SET:+${UNSET:-x}}", "x"),
            ("${UNSET:-{\"a\":1}}", "{\"a\":1}"),
            ("${UNSET:-a\nb}", "a\nb"),
            ("é$SETé", "évalueé"),
            ("$ $1 $(pwd) 5$", "$ $1 $(pwd) 5$"),
        ] {
            assert_eq!(expanded(text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn what_is_no_form_and_what_is_missing_fails() {
        for text in ["${", "${}", "${SET", "${1}", "${SET:}", "${SET:x}", "${SET!}", "${ SET}", "${é}"] {
            assert!(expanded(text).is_err(), "{text}");
        }
        for (text, message) in [
            ("${UNSET:?say $SET}", "required variable UNSET is missing a value: say value"),
            ("${EMPTY:?}", "required variable EMPTY is missing a value"),
            ("${UNSET?no}", "required variable UNSET is missing a value: no"),
        ] {
            assert_eq!(expanded(text).unwrap_err().message, message, "{text}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_told_of_once() {
        let told = RefCell::new(Vec::new());
        let unset = |name: &str| told.borrow_mut().push(name.to_owned());
        let interpolation = Interpolation::new(&|_| None, &unset);
        interpolation.text("$A $A ${B:-} ${C:+$D} $B").unwrap();
        interpolation.text("$A").unwrap();
        assert_eq!(told.into_inner(), ["A", "D", "B"]);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let deep = format!("{}{}", "${A:-".repeat(200), "}".repeat(200));
        assert!(expanded(&deep).unwrap_err().message.contains("deep"));
        let long = "x".repeat(1 << 20);
        let variable = |_: &str| Some(long.clone());
        let interpolation = Interpolation::new(&variable, &|_| ());
        assert!(interpolation.text(&"$A".repeat(17)).unwrap_err().message.contains("16 MiB"));
    }
}
