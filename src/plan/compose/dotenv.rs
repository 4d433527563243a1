//! Files of variables (`.env`), as compose reads them.

use std::sync::Arc;

use super::interpolation::Interpolation;
use super::node::{ComposeText, TextPlace};
use crate::error::{Error, Result};
use crate::oci::Map;

/// Returns the variables of a file. `variable` returns those that were set before: they count for those that have no value in
/// the file, and in values. `unset` is told of each that a value names and nobody has set.
pub fn read(
    file: &str,
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    unset: &dyn Fn(&str),
) -> Result<Map<String>> {
    let whole = Arc::new(ComposeText { file: file.to_owned(), text: text.to_owned() });
    let mut reader = DotenvReader { whole, text, at: text.len() - text.trim_start_matches('\u{feff}').len() };
    let mut variables = Map::new();
    while reader.skip_to_statement() {
        let (name, has_value) = reader.name()?;
        if !has_value {
            if let Some(value) = variable(&name) {
                variables.insert(name, value);
            }
            continue;
        }
        let start = reader.at;
        let (value, is_expanded) = reader.value()?;
        let value = match is_expanded {
            true => {
                let known = |name: &str| variable(name).or_else(|| variables.get(name).cloned());
                let expanded = Interpolation::new(&known, unset).text(&value);
                expanded.map_err(|error| reader.blame(start, error))?
            }
            false => value,
        };
        variables.insert(name, value);
    }
    Ok(variables)
}

/// Returns the variables of a file whose values are all that stands behind the `=`. `variable` returns those of names alone.
pub fn read_raw(file: &str, text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Map<String>> {
    let whole = Arc::new(ComposeText { file: file.to_owned(), text: text.to_owned() });
    let mut variables = Map::new();
    let mut start = 0;
    for line in text.trim_start_matches('\u{feff}').split('\n') {
        let place = TextPlace { text: whole.clone(), start, end: start + line.chars().count() };
        start += line.chars().count() + 1;
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
        if name.is_empty() || name.contains([' ', '\t']) {
            let error =
                Error::input("there is no name of a variable here").with_hint("write NAME=value, a line for each");
            return Err(error.with_excerpt(place.excerpt()));
        }
        if let Some(value) = value.map(str::to_owned).or_else(|| variable(name)) {
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(variables)
}

struct DotenvReader<'a> {
    whole: Arc<ComposeText>,
    text: &'a str,
    /// In bytes.
    at: usize,
}

/// White space that ends no line.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

impl<'a> DotenvReader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes on to the next name; returns whether there is one.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// Reads a name, and returns it with whether a value follows.
    fn name(&mut self) -> Result<(String, bool)> {
        if let Some(after) = self.rest().strip_prefix("export").filter(|after| after.starts_with(is_blank)) {
            self.at = self.text.len() - after.trim_start_matches(is_blank).len();
        }
        let rest = self.rest();
        let is_part = |c: char| is_blank(c) || c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let name = rest[..end].trim_end();
        let next = rest[end..].chars().next();
        let fault = match next {
            Some(c) if !matches!(c, '=' | ':' | '\n') => {
                self.at += end;
                Some(format!("`{c}` cannot be part of the name of a variable"))
            }
            _ if name.contains(is_blank) => Some("there is a blank in the name of a variable".to_owned()),
            _ if name.is_empty() => Some("there is no name before the value".to_owned()),
            _ => None,
        };
        if let Some(fault) = fault {
            let error = Error::input(fault).with_hint("write NAME=value, a line for each");
            return Err(self.blame(self.at, error));
        }
        self.at += end + usize::from(next.is_some());
        let after = self.rest();
        let has_value = matches!(next, Some('=' | ':'));
        if has_value {
            self.at += after.len() - after.trim_start_matches(is_blank).len();
        }
        Ok((name.to_owned(), has_value))
    }

    /// Reads a value, and returns it with whether variables in it are to be looked up.
    fn value(&mut self) -> Result<(String, bool)> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            let line = rest.split('\n').next().unwrap_or_default();
            self.at += line.len();
            let value = line.find(" #").map_or(line, |comment| &line[..comment]);
            return Ok((value.trim_end().to_owned(), true));
        };
        let (mut value, mut escaped) = (String::new(), false);
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if c == quote && !escaped => {
                    self.at += at + 1;
                    let is_expanded = quote == '"';
                    return Ok((if is_expanded { unescaped(&value) } else { value }, is_expanded));
                }
                '\\' if !escaped => escaped = true,
                _ => {
                    if escaped && c != quote {
                        value.push('\\');
                    }
                    escaped = false;
                    value.push(c);
                }
            }
        }
        Err(self.blame(self.at, Error::input("this value has no quotation mark at its end")))
    }

    fn blame(&self, at: usize, error: Error) -> Error {
        let start = self.text[..at.min(self.text.len())].chars().count();
        let place = TextPlace { text: self.whole.clone(), start, end: start + 1 };
        error.or_excerpt(Some(&place.excerpt()))
    }
}

/// Returns a text in which the escapes of Go and of shells have become what they stand for, and `\$` a `$$`.
fn unescaped(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let simple = match after.chars().next() {
            Some('a') => Some("\u{7}"),
            Some('b') => Some("\u{8}"),
            Some('f') => Some("\u{c}"),
            Some('n') => Some("\n"),
            Some('r') => Some("\r"),
            Some('t') => Some("\t"),
            Some('v') => Some("\u{b}"),
            Some('\\') => Some("\\"),
            Some('"') => Some("\""),
            Some('$') => Some("$$"),
            _ => None,
        };
        let digits =
            after.strip_prefix('0').map(|digits| digits.bytes().take(3).take_while(|c| matches!(c, b'0'..=b'7')));
        let octal = digits.map(Iterator::count).filter(|count| *count == 3);
        let character = octal.and_then(|_| u8::from_str_radix(&after[1..4], 8).ok());
        (result, rest) = match (simple, character) {
            (Some(simple), _) => (result + simple, &after[1..]),
            (None, Some(character)) => (result + &char::from(character).to_string(), &after[4..]),
            (None, None) => (result + "\\", after),
        };
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> Result<Vec<(String, String)>> {
        let known = |name: &str| (name == "SET").then(|| "before".to_owned());
        Ok(read(".env", text, &known, &|_| ())?.into_iter().collect())
    }

    #[test]
    fn the_grammar_is_that_of_compose() {
        for (text, expected) in [
            ("A=1", &[("A", "1")][..]),
            ("  export A=1\nB: 2\r\n\n# no\nC = 3 \n", &[("A", "1"), ("B", "2"), ("C", "3")]),
            ("exported=1", &[("exported", "1")]),
            ("A=1 # comment\nB=1#no\nC=#no", &[("A", "1"), ("B", "1#no"), ("C", "#no")]),
            ("A='a $B \\n \\' b' # c\nB=\"x\ny\"", &[("A", "a $B \\n ' b"), ("B", "x\ny")]),
            ("A=\"a\\tb\\\"c\\$D\\0101\\q\"", &[("A", "a\tb\"c$DA\\q")]),
            ("A=1\nB=${A}2\nC='${A}'\nD=\"${A:-x}-${N:-y}\"", &[("A", "1"), ("B", "12"), ("C", "${A}"), ("D", "1-y")]),
            ("SET\nNOT\nA=1", &[("SET", "before"), ("A", "1")]),
            ("SET=own\nA=$SET", &[("SET", "own"), ("A", "before")]),
            ("A.B-C[0]=1", &[("A.B-C[0]", "1")]),
            ("A=\nB=", &[("A", ""), ("B", "")]),
            ("A=a=b:c", &[("A", "a=b:c")]),
            ("A=$$x", &[("A", "$x")]),
            ("", &[]),
        ] {
            let mut expected: Vec<(String, String)> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            expected.sort();
            assert_eq!(variables(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_shown() {
        for (text, line, column) in
            [("A=1\nB C=2", 2, 1), ("A!=1", 1, 2), ("A=1\nB=\"x", 2, 3), ("=1", 1, 1), ("A=${x", 1, 3)]
        {
            let error = variables(text).unwrap_err();
            let excerpt = error.excerpt.unwrap();
            assert_eq!((excerpt.line, excerpt.column), (line, column), "{text}: {}", error.message);
        }
    }
}
