//! Which patterns docker takes, as Go's `filepath.Match` decides.

use std::iter::Peekable;
use std::str::Chars;

/// Returns whether docker takes `pattern`: it asks Go's `filepath.Match` whether it is one, by trying it on the name `.`,
/// which reads a pattern up to the `*` behind which it could not match any more. So `[a-]` is refused and `x*[a-]` is not.
pub(super) fn is_taken(pattern: &str) -> bool {
    let mut rest = pattern;
    let mut name = Some('.');
    while !rest.is_empty() {
        let (has_star, chunk, after) = chunk(rest);
        rest = after;
        if has_star && chunk.is_empty() {
            return true;
        }
        let is_last = rest.is_empty();
        let Some(here) = tried(chunk, name) else { return false };
        match (here, has_star && name.is_some()) {
            (Some(left), _) if left.is_none() || !is_last => name = left,
            // The star takes the whole name.
            (_, true) if tried(chunk, None) == Some(Some(None)) => name = None,
            _ => return true,
        }
    }
    true
}

/// Returns whether stars begin `pattern`, what follows them up to the next, and what is left.
fn chunk(pattern: &str) -> (bool, &str, &str) {
    let chunk = pattern.trim_start_matches('*');
    let mut characters = chunk.char_indices();
    let mut is_in_set = false;
    let end = loop {
        match characters.next() {
            None => break chunk.len(),
            Some((_, '\\')) => drop(characters.next()),
            Some((_, '[')) => is_in_set = true,
            Some((_, ']')) => is_in_set = false,
            Some((at, '*')) if !is_in_set => break at,
            Some(_) => {}
        }
    };
    (chunk.len() < pattern.len(), &chunk[..end], &chunk[end..])
}

/// Returns what is left of `name`, a single character or nothing, behind a `chunk` without stars; the inner none if it does
/// not match, the outer one if it is malformed.
fn tried(chunk: &str, mut name: Option<char>) -> Option<Option<Option<char>>> {
    let mut characters = chunk.chars().peekable();
    let mut is_match = true;
    while let Some(character) = characters.next() {
        let next = name.take();
        let matches = match character {
            '[' => set(&mut characters, next)?,
            '?' => next.is_some(),
            '\\' => characters.next().map(|escaped| next == Some(escaped))?,
            character => next == Some(character),
        };
        is_match &= matches && next.is_some();
    }
    Some(is_match.then_some(name))
}

/// Returns whether `character` is in the set behind a `[`.
fn set(characters: &mut Peekable<Chars<'_>>, character: Option<char>) -> Option<bool> {
    let member = |characters: &mut Peekable<Chars<'_>>| match characters.next()? {
        '-' | ']' => None,
        '\\' => characters.next(),
        member => Some(member),
    };
    let is_negated = characters.next_if_eq(&'^').is_some();
    let mut is_in = false;
    loop {
        let low = member(characters)?;
        let high = if characters.next_if_eq(&'-').is_some() { member(characters)? } else { low };
        is_in |= character.is_some_and(|character| (low..=high).contains(&character));
        if characters.next_if_eq(&']').is_some() {
            return Some(is_in != is_negated);
        }
    }
}
