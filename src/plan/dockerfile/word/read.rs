//! The reading of one word, character by character.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use super::pattern::{replace, trim_prefix, trim_suffix};
use super::{ExpandError, Expanded, Lexer, Quotes, Unset, Variables};

/// The most substitutions that may stand in each other.
const DEPTH: usize = 100;
/// The most that one word may cost: bytes that are written, and characters that patterns are tried on. Without it, a
/// few lines that each double a variable would fill any memory.
const BUDGET: usize = 1 << 23;

type ExpandResult<T> = Result<T, ExpandError>;

impl Lexer {
    /// Reads `word`. Variables' values are not read again: a `$` in them is one.
    pub fn expand(&self, word: &str, variables: &Variables<'_>) -> ExpandResult<Expanded> {
        let mut reader = WordReader {
            lexer: self,
            word,
            // Go's scanner, which BuildKit reads words with, passes over it.
            at: if word.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 },
            variables,
            keep_escapes: self.keep_escapes,
            depth: 0,
            spent: 0,
            unset: Vec::new(),
            seen: HashSet::new(),
        };
        let mut words = Words::default();
        let text = reader.until(None, Some(&mut words))?;
        Ok(Expanded { text, words: words.end(), unset: reader.unset, cost: reader.spent })
    }
}

struct WordReader<'r, 'v> {
    lexer: &'r Lexer,
    word: &'r str,
    /// The next byte.
    at: usize,
    variables: &'r Variables<'v>,
    /// The lexer's, but each part of a substitution has its own.
    keep_escapes: bool,
    depth: usize,
    spent: usize,
    unset: Vec<Unset>,
    /// The names in `unset`.
    seen: HashSet<String>,
}

#[derive(Default)]
struct Words {
    done: Vec<String>,
    current: String,
}

/// A `${name…}` up to its operator.
struct Substitution<'r, 'v> {
    start: usize,
    name: &'r str,
    value: Option<&'v str>,
}

impl<'r, 'v> WordReader<'r, 'v> {
    /// Returns what stands before `end`, or all that is left.
    fn until(&mut self, end: Option<char>, mut words: Option<&mut Words>) -> ExpandResult<String> {
        let mut text = String::new();
        let mut give = |part: &str, is_split: bool| {
            if let Some(words) = words.as_deref_mut() {
                if is_split { words.split(part) } else { words.current.push_str(part) }
            }
            text.push_str(part);
        };
        loop {
            let start = self.at;
            match self.peek() {
                None if end.is_some() => return Err(self.error(start, "it has no end")),
                None => break,
                next if next == end => {
                    self.next();
                    break;
                }
                Some('$') => give(&self.dollar()?, true),
                Some('\'') if self.lexer.quotes != Quotes::Plain => give(&self.single_quoted()?, false),
                Some('"') if self.lexer.quotes != Quotes::Plain => give(&self.double_quoted()?, false),
                Some('<') => give(self.angle(), false),
                Some(character) => {
                    self.next();
                    if character != self.lexer.escape {
                        give(&self.word[start..self.at], true);
                        continue;
                    }
                    if self.keep_escapes {
                        give(&self.word[start..self.at], false);
                    }
                    let escaped = self.at;
                    self.next();
                    give(&self.word[escaped..self.at], false);
                }
            }
        }
        self.spend(text.len())?;
        Ok(text)
    }

    /// [`WordReader::until`] for the part of a substitution that follows its operator.
    fn part(&mut self, end: char, keep_escapes: bool, substitution: usize) -> ExpandResult<String> {
        if self.depth == DEPTH {
            return Err(self.error(substitution, format!("substitutions are nested more than {DEPTH} deep")));
        }
        self.depth += 1;
        let before = std::mem::replace(&mut self.keep_escapes, keep_escapes);
        let text = self.until(Some(end), None);
        self.keep_escapes = before;
        self.depth -= 1;
        match text {
            Err(_) if self.peek().is_none() => {
                let start = self.word[substitution..].chars().take(32).collect::<String>();
                Err(self.error(substitution, format!("`{start}` has no `{end}`")))
            }
            text => text,
        }
    }

    /// A `<<` keeps the white space that follows it: both are one word with the heredoc's name.
    fn angle(&mut self) -> &'r str {
        let start = self.at;
        self.next();
        if self.peek() == Some('<') {
            self.next();
            while matches!(self.peek(), Some(' ' | '\t' | '\r')) {
                self.next();
            }
        }
        &self.word[start..self.at]
    }

    fn single_quoted(&mut self) -> ExpandResult<String> {
        let start = self.at;
        let length =
            self.word[start + 1..].find('\'').ok_or_else(|| self.error_to_end(start, "a `'` is not closed"))?;
        self.at = start + 1 + length + 1;
        let inside = if self.lexer.quotes == Quotes::Keep { start..self.at } else { start + 1..self.at - 1 };
        Ok(self.word[inside].to_owned())
    }

    fn double_quoted(&mut self) -> ExpandResult<String> {
        let start = self.at;
        let mut text = String::new();
        let quote = |reader: &mut Self| {
            reader.next();
            if reader.lexer.quotes == Quotes::Keep { "\"" } else { "" }
        };
        text.push_str(quote(self));
        loop {
            match self.peek() {
                None => return Err(self.error_to_end(start, "a `\"` is not closed")),
                Some('"') => {
                    text.push_str(quote(self));
                    return Ok(text);
                }
                Some('$') => text.push_str(&self.dollar()?),
                Some(character) if character == self.lexer.escape => {
                    self.next();
                    let next = self.peek();
                    if self.keep_escapes {
                        text.push(character);
                    }
                    match next {
                        None => {}
                        Some(next) if matches!(next, '"' | '$') || next == character => {
                            self.next();
                            text.push(next);
                        }
                        // It escapes nothing else here.
                        Some(_) => text.push(character),
                    }
                }
                Some(character) => {
                    self.next();
                    text.push(character);
                }
            }
        }
    }

    fn dollar(&mut self) -> ExpandResult<String> {
        let start = self.at;
        self.next();
        if self.peek() == Some('{') {
            return self.braced(start);
        }
        let name = self.name();
        match self.value(name, start) {
            _ if name.is_empty() => Ok("$".to_owned()),
            None if self.lexer.keep_unset => Ok(format!("${name}")),
            value => self.copy(value.unwrap_or_default()),
        }
    }

    fn braced(&mut self, start: usize) -> ExpandResult<String> {
        self.next();
        match self.peek() {
            None => return Err(self.error(start, "`${` has no `}`")),
            Some('{' | '}' | ':') => {
                self.next();
                return Err(self.error(start, format!("`{}` names no variable", &self.word[start..self.at])));
            }
            Some(_) => {}
        }
        let name = self.name();
        let operator = self.at;
        let value = |reader: &mut Self| Substitution { start, name, value: reader.value(name, start) };
        match self.next() {
            Some('}') => {
                let Substitution { value, .. } = value(self);
                if value.is_none() && self.lexer.keep_unset {
                    return Ok(format!("${{{name}}}"));
                }
                self.copy(value.unwrap_or_default())
            }
            Some('/') => self.replaced(start, name),
            Some(first @ (':' | '+' | '-' | '?' | '#' | '%')) => {
                let kind = if first == ':' { self.next() } else { Some(first) };
                let Some(kind) = kind else { return Err(self.error(start, format!("`${{{name}:` has no `}}`"))) };
                let operator = &self.word[operator..self.at];
                // These are refused even where what is unset stays, unlike the other operators that are none.
                if matches!(operator, ":#" | ":%") {
                    let message = format!("`{operator}` after `${{{name}` is not an operator; `{kind}` is");
                    return Err(self.error(start, message));
                }
                let argument = self.part('}', matches!(kind, '#' | '%'), start)?;
                let substitution = value(self);
                if substitution.value.is_none() && self.lexer.keep_unset {
                    return Ok(format!("${{{name}{operator}{argument}}}"));
                }
                self.operated(&substitution, operator, kind, argument)
            }
            Some(other) => Err(self.error(start, format!("`{other}` after `${{{name}` is not an operator"))),
            None => Err(self.error(start, format!("`${{{name}` has no `}}`"))),
        }
    }

    /// `${name` and one of the operators that take one argument.
    fn operated(
        &mut self,
        of: &Substitution<'r, 'v>,
        operator: &str,
        kind: char,
        argument: String,
    ) -> ExpandResult<String> {
        let value = of.value.unwrap_or_default();
        let is_empty_unset = operator.starts_with(':');
        let counts_as_unset = of.value.is_none() || is_empty_unset && value.is_empty();
        match kind {
            '-' if counts_as_unset => Ok(argument),
            '+' if counts_as_unset => Ok(String::new()),
            '+' => Ok(argument),
            '?' if counts_as_unset => {
                let state = if of.value.is_none() { "unset" } else { "empty" };
                let reason = if argument.is_empty() { format!("is not allowed to be {state}") } else { argument };
                Err(self.error(of.start, format!("{}: {reason}", of.name)))
            }
            '-' | '?' => self.copy(value),
            '#' | '%' => {
                let (pattern, is_longest) = match argument.strip_prefix(kind) {
                    Some(pattern) => (pattern, true),
                    None => (&argument[..], false),
                };
                self.spend_on_pattern(pattern, value)?;
                let trim = if kind == '#' { trim_prefix } else { trim_suffix };
                let trimmed = trim(pattern, value, is_longest).map_err(|reason| self.error(of.start, reason))?;
                self.copy(&trimmed)
            }
            _ => Err(self.error(of.start, format!("`{operator}` after `${{{}` is not an operator", of.name))),
        }
    }

    /// `${name/pattern/replacement}`, from behind the first slash.
    fn replaced(&mut self, start: usize, name: &'r str) -> ExpandResult<String> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.part('/', true, start)?;
        let replacement = self.part('}', true, start)?;
        let value = self.value(name, start);
        if value.is_none() && self.lexer.keep_unset {
            return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
        }
        let value = value.unwrap_or_default();
        self.spend_on_pattern(&pattern, value)?;
        self.spend(if all { (value.len() + 1).saturating_mul(replacement.len()) } else { replacement.len() })?;
        let replaced = replace(&pattern, value, &replacement, all).map_err(|reason| self.error(start, reason))?;
        self.copy(&replaced)
    }

    /// The name that stands next: digits, one of the special parameters, or letters, digits and `_`; or nothing.
    fn name(&mut self) -> &'r str {
        let rest = &self.word[self.at..];
        let first = rest.chars().next();
        let length = match first {
            Some(first) if is_digit(first) => rest.find(|c| !is_digit(c)).unwrap_or(rest.len()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => rest.find(|c| !is_letter(c) && !is_digit(c) && c != '_').unwrap_or(rest.len()),
        };
        self.at += length;
        &rest[..length]
    }

    /// The value of `name`, whose substitution began at `start`.
    fn value(&mut self, name: &str, start: usize) -> Option<&'v str> {
        let value = (self.variables)(name);
        if value.is_none() && !name.is_empty() && self.seen.insert(name.to_owned()) {
            let after_name = self.word[start..].find(name).map_or(self.at, |at| start + at + name.len());
            self.unset.push(Unset { name: name.to_owned(), at: start..after_name });
        }
        value
    }

    fn copy(&mut self, value: &str) -> ExpandResult<String> {
        self.spend(value.len())?;
        Ok(value.to_owned())
    }

    fn spend_on_pattern(&mut self, pattern: &str, value: &str) -> ExpandResult<()> {
        const TO_BUILD_IT: usize = 1 << 10;
        self.spend(TO_BUILD_IT.saturating_add((pattern.len() + 1).saturating_mul(value.len() + 1)))
    }

    fn spend(&mut self, units: usize) -> ExpandResult<()> {
        self.spent = self.spent.saturating_add(units);
        if self.spent > BUDGET {
            return Err(ExpandError {
                message: format!("its variables expand to more than the {BUDGET} bytes that a word can hold"),
                at: 0..self.word.len().max(1),
            });
        }
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.word[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Returns the error about the part from `start` to where reading got.
    fn error(&self, start: usize, message: impl Into<String>) -> ExpandError {
        ExpandError { message: message.into(), at: start..self.at.max(start + 1) }
    }

    /// Returns the error about all from `start` on.
    fn error_to_end(&self, start: usize, message: impl Into<String>) -> ExpandError {
        ExpandError { message: message.into(), at: start..self.word.len() }
    }
}

impl Words {
    /// Takes `part`, in which white space ends words.
    fn split(&mut self, part: &str) {
        for (number, piece) in part.split(char::is_whitespace).enumerate() {
            if number > 0 && !self.current.is_empty() {
                self.done.push(std::mem::take(&mut self.current));
            }
            self.current.push_str(piece);
        }
    }

    fn end(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}

/// Returns whether Go calls it a letter: Unicode's category L.
fn is_letter(character: char) -> bool {
    static LETTER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\A\p{L}\z").expect("it is an expression"));
    character.is_ascii_alphabetic() || !character.is_ascii() && LETTER.is_match(character.encode_utf8(&mut [0; 4]))
}

/// Returns whether Go calls it a digit: Unicode's category Nd.
fn is_digit(character: char) -> bool {
    static DIGIT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\A\p{Nd}\z").expect("it is an expression"));
    character.is_ascii_digit() || !character.is_ascii() && DIGIT.is_match(character.encode_utf8(&mut [0; 4]))
}
