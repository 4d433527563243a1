use std::str::FromStr;

use regex::bytes::Regex;

use crate::error::{Error, Result};

/// A pattern of paths in the language of docker (Go's `filepath.Match` and moby's patternmatcher): `*` and `?` stand for
/// characters that are no slash, `[a-z]` and `[^a-z]` for one of a set, `**` for any number of directories, and a
/// backslash takes the next character as it is. Paths are bytes; one that is no UTF-8 counts as a character.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether all of `path` matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.0.is_match(path)
    }

    /// Whether `text` has any character that means something.
    pub fn is_in(text: &str) -> bool {
        text.contains(['*', '?', '[', '\\'])
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Regex::new(&expression(text)).map(Pattern).map_err(|_| {
            Error::input(format!("`{text}` is not a pattern"))
                .with_hint("patterns have *, ?, [a-z], ** and a backslash before what is meant as it stands")
        })
    }
}

fn expression(pattern: &str) -> String {
    const CHARACTER: &str = r"(?:[^/]|(?-u:[\x80-\xff]))";
    const ANYTHING: &str = r"(?s-u:.)*";
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
            '\\' => match characters.next() {
                Some(next) => expression.push_str(&regex::escape(next.encode_utf8(&mut [0; 4]))),
                // It stands for nothing and makes the pattern malformed, as in Go.
                None => expression.push('\\'),
            },
            other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push_str(r"\z");
    expression
}

/// The set behind a `[`. One that does not end stays open, which no regular expression may.
fn set(characters: &mut impl Iterator<Item = char>) -> String {
    let mut set = String::from("[");
    let mut is_first = true;
    while let Some(character) = characters.next() {
        match character {
            '^' if is_first => set.push('^'),
            ']' => {
                set.push(']');
                break;
            }
            '-' => set.push('-'),
            '\\' => set.push_str(&characters.next().map(escaped).unwrap_or_default()),
            other => set.push_str(&escaped(other)),
        }
        is_first = false;
    }
    set
}

/// `character` as itself within a set.
fn escaped(character: char) -> String {
    let is_plain = character.is_alphanumeric() || !character.is_ascii();
    if is_plain { character.to_string() } else { format!(r"\x{{{:x}}}", u32::from(character)) }
}
