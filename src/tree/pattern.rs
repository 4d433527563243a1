//! Patterns of paths, as docker has them, and Go's words for cleaning a path.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::{Chars, FromStr};

use regex::Regex;

use crate::error::{Error, Result};

/// A pattern of paths in the language of docker (Go's `filepath.Match` and moby's patternmatcher): `*` and `?` stand for
/// characters that are no slash, `[a-z]` and `[^a-z]` for one of a set, `**` for any number of directories, and a
/// backslash takes the next character as it is. Paths are bytes; one that is no UTF-8 counts as a character of its own.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Returns whether all of `path` matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.0.is_match(&characters(path))
    }

    /// Returns whether `text` has any character that means something.
    pub fn is_in(text: &str) -> bool {
        text.contains(['*', '?', '[', '\\'])
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let expression = Some(text).filter(|text| is_well_formed(text)).map(expression);
        expression.and_then(|expression| Regex::new(&expression).ok()).map(Pattern).ok_or_else(|| {
            Error::input(format!("`{text}` is not a pattern"))
                .with_hint("patterns have *, ?, [a-z], ** and a backslash before what is meant literally")
        })
    }
}

/// Returns `path` as Go reads it: every byte that is no UTF-8 is U+FFFD.
pub(crate) fn characters(path: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(path) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let strange = |bytes: &[u8]| bytes.iter().map(|_| char::REPLACEMENT_CHARACTER).collect::<String>();
            let text = path.utf8_chunks().map(|chunk| chunk.valid().to_owned() + &strange(chunk.invalid()));
            Cow::Owned(text.collect())
        }
    }
}

/// Returns what Go's `filepath.Clean` returns: the shortest path of the same meaning; `.` if nothing is left.
pub(crate) fn clean(path: &str) -> String {
    let root = if path.starts_with('/') { "/" } else { "" };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    match (root, &parts[..]) {
        ("", []) => ".".to_owned(),
        (root, parts) => format!("{root}{}", parts.join("/")),
    }
}

/// Returns what `path` means from the root on, [`clean`], without a leading slash: empty for the root.
pub(crate) fn from_root(path: &str) -> String {
    clean(&format!("/{path}")).split_off(1)
}

/// Returns whether Go's `filepath.Match` takes `pattern`: every `[` has its `]`, with something in it, a `-` stands between two
/// characters, and something follows every backslash. `[]a]`, `[a-]` and `[-a]` are refused.
pub(crate) fn is_well_formed(pattern: &str) -> bool {
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        let is_whole = match character {
            '\\' => characters.next().is_some(),
            '[' => is_set(&mut characters),
            _ => true,
        };
        if !is_whole {
            return false;
        }
    }
    true
}

/// Returns whether a set stands behind a `[`, and takes it.
fn is_set(characters: &mut Peekable<Chars<'_>>) -> bool {
    fn is_member(characters: &mut Peekable<Chars<'_>>) -> bool {
        match characters.next() {
            None | Some('-' | ']') => false,
            Some('\\') => characters.next().is_some(),
            Some(_) => true,
        }
    }
    characters.next_if_eq(&'^');
    loop {
        if !is_member(characters) || characters.next_if_eq(&'-').is_some() && !is_member(characters) {
            return false;
        }
        if characters.next_if_eq(&']').is_some() {
            return true;
        }
    }
}

/// The regular expression of a well-formed `pattern`.
fn expression(pattern: &str) -> String {
    const CHARACTER: &str = "[^/]";
    const ANYTHING: &str = "(?s:.)*";
    let literal = |character: char| regex::escape(character.encode_utf8(&mut [0; 4]));
    let mut expression = String::from(r"\A");
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' if characters.next_if_eq(&'*').is_some() => {
                characters.next_if_eq(&'/');
                match characters.peek() {
                    None => expression.push_str(ANYTHING),
                    Some(_) => expression.push_str(&format!("(?:{ANYTHING}/)?")),
                }
            }
            '*' => expression.push_str(&format!("{CHARACTER}*")),
            '?' => expression.push_str(CHARACTER),
            '[' => expression.push_str(&set(&mut characters)),
            '\\' => expression.push_str(&characters.next().map(literal).unwrap_or_default()),
            other => expression.push_str(&literal(other)),
        }
    }
    expression.push_str(r"\z");
    expression
}

/// The set behind a `[`.
fn set(characters: &mut Peekable<Chars<'_>>) -> String {
    let mut set = String::from("[");
    if characters.next_if_eq(&'^').is_some() {
        set.push('^');
    }
    while let Some(character) = characters.next() {
        match character {
            ']' => {
                set.push(']');
                break;
            }
            '-' => set.push('-'),
            '\\' => set.push_str(&characters.next().map(escaped).unwrap_or_default()),
            member => set.push_str(&escaped(member)),
        }
    }
    set
}

/// `character` as itself within a set.
fn escaped(character: char) -> String {
    format!(r"\x{{{:x}}}", u32::from(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the documentation of Go's `filepath.Match` and of moby's patternmatcher.
    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        let cases: &[(&str, &[u8], bool)] = &[
            ("*.txt", b"a.txt", true),
            ("*.txt", b"A.TXT", false),
            ("*", b".hidden", true),
            ("*", b"a/b", false),
            ("a?c", "a\u{e9}c".as_bytes(), true),
            ("a?c", b"a\xe9c", true),
            ("a??c", b"a\xe9\xffc", true),
            ("??", "\u{e9}".as_bytes(), false),
            ("[^a]c", b"\xe9c", true),
            ("[^\u{e9}]*", "\u{e9}".as_bytes(), false),
            ("[a-c]x", b"bx", true),
            ("[^a-c]x", b"bx", false),
            ("[&&~]", b"&", true),
            ("[\\]]", b"]", true),
            ("**/b", b"b", true),
            ("**/b", b"x/y/b", true),
            ("a.+(b)", b"a.+(b)", true),
            ("a.+(b)", b"aX+(b)", false),
        ];
        for (pattern, path, matches) in cases {
            let pattern_matches = pattern.parse::<Pattern>().is_ok_and(|pattern| pattern.matches(path));
            assert_eq!(pattern_matches, *matches, "{pattern} on {}", path.escape_ascii());
        }
        for malformed in
            ["[a", "[", "a\\", "[z-a]", "[a-]x", "[-a]", "[]a]", "[^]a]", "[]", "[^]", "[a-", "[a-\\", "[\\"]
        {
            assert!(malformed.parse::<Pattern>().is_err(), "{malformed}");
        }
    }
}
