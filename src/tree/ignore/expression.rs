//! The regular expressions that moby makes of patterns.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// Returns an expression for all of a path, as Go's `regexp` reads `written` between `^` and `$`. moby brings patterns there
/// nearly as they stand, so `|`, `{2}`, `^`, `\d` and `[[:alpha:]]` mean there what they mean to Go, and `[*]` is a set of `[`,
/// `^` and `/`, then `*`, then `]`.
///
/// None for what Go refuses, and for `\B`, `\C`, `\p`, `\P` and `\Q`, which nobody means by them.
pub(super) fn translated(written: &str) -> Option<Regex> {
    let whole = format!("^{written}$");
    let (rest, text) = (whole.chars().peekable(), String::new());
    let mut translation = Translation { rest, text, last: Last::Nothing, names_end: false };
    translation.all()?;
    Regex::new(&translation.text).ok()
}

struct Translation<'w> {
    rest: Peekable<Chars<'w>>,
    text: String,
    last: Last,
    /// No `:]` follows any more.
    names_end: bool,
}

/// The part that stands before the next character, and may be repeated.
#[derive(PartialEq)]
enum Last {
    Nothing,
    One,
    Repetition,
}

impl Translation<'_> {
    fn all(&mut self) -> Option<()> {
        while let Some(character) = self.rest.next() {
            match character {
                '*' | '?' => self.repetition(character.encode_utf8(&mut [0; 4]))?,
                '{' => match bounds(&self.rest) {
                    Some((bounds, length)) => {
                        self.rest.by_ref().take(length).for_each(drop);
                        self.repetition(&bounds?)?;
                    }
                    None => self.one(r"\{"),
                },
                '|' => {
                    self.text.push('|');
                    self.last = Last::Nothing;
                }
                '(' => {
                    self.text.push_str("(?:");
                    self.last = Last::Nothing;
                }
                ')' => self.one(")"),
                '.' => self.one("."),
                '^' => self.one(r"\A"),
                '$' => self.one(r"\z"),
                '[' => self.set()?,
                '\\' => self.escape()?,
                other => self.one(&literal(other)),
            }
        }
        Some(())
    }

    fn one(&mut self, text: &str) {
        self.text.push_str(text);
        self.last = Last::One;
    }

    fn repetition(&mut self, text: &str) -> Option<()> {
        (self.last == Last::One).then_some(())?;
        self.text.push_str(text);
        self.last = Last::Repetition;
        Some(())
    }

    fn escape(&mut self) -> Option<()> {
        match self.rest.peek()? {
            'b' => self.one(r"(?-u:\b)"),
            'A' => self.one(r"\A"),
            'z' => self.one(r"\z"),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => {
                let class = class(*self.rest.peek()?)?;
                self.one(class);
            }
            _ => {
                let character = escaped(&mut self.rest)?;
                self.one(&literal(character));
                return Some(());
            }
        }
        self.rest.next();
        Some(())
    }

    /// Reads what follows a `[`.
    fn set(&mut self) -> Option<()> {
        let mut set = String::from("[");
        if self.rest.next_if_eq(&'^').is_some() {
            set.push('^');
        }
        let mut is_first = true;
        while is_first || self.rest.next_if_eq(&']').is_none() {
            is_first = false;
            if let Some(name) = self.named() {
                set.push_str(&name?);
                continue;
            }
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('\\')
                && let Some(class) = ahead.next().and_then(class)
            {
                self.rest.by_ref().take(2).for_each(drop);
                set.push_str(class);
                continue;
            }
            let low = self.member()?;
            set.push_str(&literal(low));
            // A `-` at the end is one.
            let is_range = self.rest.peek() == Some(&'-') && self.rest.clone().nth(1).is_some_and(|next| next != ']');
            if is_range {
                self.rest.next();
                let high = self.member()?;
                (low <= high).then_some(())?;
                set.push('-');
                set.push_str(&literal(high));
            }
        }
        set.push(']');
        self.one(&set);
        Some(())
    }

    /// A `[:alpha:]` in a set; the inner none for a name that Go does not know.
    fn named(&mut self) -> Option<Option<String>> {
        const NAMES: &[&str] = &[
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
            "word", "xdigit",
        ];
        let mut ahead = self.rest.clone();
        if self.names_end || ahead.next() != Some('[') || ahead.next() != Some(':') {
            return None;
        }
        let rest: String = ahead.collect();
        let Some((name, _)) = rest.split_once(":]") else {
            self.names_end = true;
            return None;
        };
        let is_known = NAMES.contains(&name.strip_prefix('^').unwrap_or(name));
        self.rest.by_ref().take("[::]".len() + name.chars().count()).for_each(drop);
        Some(is_known.then(|| format!("[:{name}:]")))
    }

    fn member(&mut self) -> Option<char> {
        match self.rest.next()? {
            '\\' => escaped(&mut self.rest),
            member => Some(member),
        }
    }
}

/// The character that an escape stands for.
fn escaped(rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    let digits = |rest: &mut Peekable<Chars<'_>>, first: String, radix: u32, most: usize| {
        let mut digits = first;
        while digits.len() < most
            && let Some(digit) = rest.next_if(|digit| digit.is_digit(radix))
        {
            digits.push(digit);
        }
        digits
    };
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match rest.next()? {
        'a' => Some('\x07'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        'x' if rest.next_if_eq(&'{').is_some() => {
            let digits = digits(rest, String::new(), 16, 8);
            rest.next_if_eq(&'}').and_then(|_| number(&digits, 16))
        }
        'x' => number(&Some(digits(rest, String::new(), 16, 2)).filter(|digits| digits.len() == 2)?, 16),
        first @ '0'..='7' => {
            // A single digit that is not 0 would be a reference back.
            let digits = digits(rest, first.to_string(), 8, 3);
            (first == '0' || digits.len() > 1).then(|| number(&digits, 8)).flatten()
        }
        other => (other.is_ascii() && !other.is_ascii_alphanumeric()).then_some(other),
    }
}

/// The bounds of a repetition behind a `{` and how many characters they take; the inner none for those that Go refuses.
fn bounds(rest: &Peekable<Chars<'_>>) -> Option<(Option<String>, usize)> {
    const MOST: u32 = 1000;
    const LONGEST: usize = 64;
    let inside: String = rest.clone().take(LONGEST).take_while(|character| *character != '}').collect();
    (inside.len() < LONGEST && rest.clone().nth(inside.chars().count()) == Some('}')).then_some(())?;
    let number = |digits: &str| {
        let is_number = digits.chars().all(|digit| digit.is_ascii_digit()) && !digits.is_empty();
        (is_number && (digits == "0" || !digits.starts_with('0'))).then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let (least, most) = match inside.split_once(',') {
        None => (number(&inside)?, Some(number(&inside)?)),
        Some((least, "")) => (number(least)?, None),
        Some((least, most)) => (number(least)?, Some(number(most)?)),
    };
    let is_possible = least <= MOST && most.is_none_or(|most| most <= MOST && least <= most);
    Some((is_possible.then(|| format!("{{{inside}}}")), inside.len() + 1))
}

/// Perl's classes, which are ASCII alone in Go.
fn class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\x0C\r ]",
        'S' => r"[^\t\n\x0C\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

/// `character` as itself, in a set and outside of one.
fn literal(character: char) -> String {
    format!(r"\x{{{:x}}}", u32::from(character))
}
