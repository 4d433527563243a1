//! What the words of a Dockerfile stand for: quotes, escapes and variables, as BuildKit's frontend/dockerfile/shell reads
//! them.
//!
//! Where words are expanded, each with [`Lexer::new`] of the file's escape character unless it says otherwise:
//!
//! | where | taken |
//! |---|---|
//! | FROM's image and `--platform` | `text`; only the arguments before the first FROM and the global platform ones are seen |
//! | ARG's values, unless one is given by `--build-arg` | `text` |
//! | ENV's and LABEL's names and values | `text`; a line sees what stood before it, not its own pairs |
//! | ADD's and COPY's paths, `--chown`, `--chmod`; ADD's `--checksum` | `text` |
//! | WORKDIR, USER, STOPSIGNAL, each of VOLUME's | `text` |
//! | each of EXPOSE's | `words`: one variable may hold several ports |
//! | each value in RUN's `--mount`, but `from=` must have no `$` before its last character | `text` |
//! | a heredoc of ADD and COPY whose name has no quotes | `text` by [`Lexer::heredoc`], escape `\` whatever the file says |
//!
//! Nothing else is: not RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK and their heredocs (a shell expands those), not MAINTAINER,
//! the names of stages, ARG's names, nor any other flag; COPY's `--from` with a `$` is an error. ONBUILD's instruction is expanded
//! when it runs.
//!
//! The line that names heredocs is split by [`Lexer::heredoc_line`]: quotes, escapes and variables stay.

mod pattern;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use pattern::{replace, trim_prefix, trim_suffix};

/// How deep substitutions may stand in each other.
const DEPTH: usize = 100;
/// What one word may cost: bytes that are written, and characters that patterns are tried on. Without it, a few lines that
/// each double a variable would fill any memory.
const BUDGET: usize = 1 << 23;

/// Reads words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lexer {
    /// What takes the next character as it is: `\`, or a backtick where the file's `# escape=` says so.
    pub escape: char,
    pub quotes: Quotes,
    /// Escape characters stay, in front of what they escape (BuildKit's RawEscapes). They do so in patterns anyway.
    pub keep_escapes: bool,
    /// A substitution of a variable that is not set stays as it stands (BuildKit's SkipUnsetEnv).
    pub keep_unset: bool,
}

/// What `'` and `"` mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quotes {
    /// What is between them is one word: they go.
    Remove,
    /// The same, but they stay (BuildKit's RawQuotes).
    Keep,
    /// Nothing: they are characters like others (BuildKit's SkipProcessQuotes).
    Plain,
}

/// The value of a variable by its name, which may be one of a shell's special ones (`@`, `1`); none if it is not set.
pub type Variables<'v> = dyn Fn(&str) -> Option<&'v str> + 'v;

/// What a word stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// All of it, white space too (BuildKit's ProcessWord).
    pub text: String,
    /// The same, split where white space stands outside of quotes, in variables' values too; none is empty (BuildKit's
    /// ProcessWords).
    pub words: Vec<String>,
    /// The variables that were asked for and are not set, each where it stands first. `${A:-}` asks, too.
    pub unset: Vec<Unset>,
    /// What it took: bytes that were written, and characters that patterns were tried on.
    pub cost: usize,
}

/// A variable without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unset {
    pub name: String,
    /// Where its substitution begins and its name ends, in bytes of the word.
    pub at: Range<usize>,
}

/// Why a word stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandError {
    pub message: String,
    /// The part of the word that is wrong, in bytes; never empty.
    pub at: Range<usize>,
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExpandError {}

type Result<T> = std::result::Result<T, ExpandError>;

impl Lexer {
    pub fn new(escape: char) -> Self {
        Lexer { escape, quotes: Quotes::Remove, keep_escapes: false, keep_unset: false }
    }

    /// For the content of a heredoc: only variables and escapes mean something.
    pub fn heredoc() -> Self {
        Lexer { quotes: Quotes::Plain, ..Lexer::new('\\') }
    }

    /// For the line of an instruction that may name heredocs: it is only split, into `words`.
    pub fn heredoc_line() -> Self {
        Lexer { quotes: Quotes::Keep, keep_escapes: true, keep_unset: true, ..Lexer::new('\\') }
    }

    /// Reads `word`. Variables' values are not read again: a `$` in them is one.
    pub fn expand(&self, word: &str, variables: &Variables<'_>) -> Result<Expanded> {
        let mut reader = Reader {
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

struct Reader<'r, 'v> {
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

impl<'r, 'v> Reader<'r, 'v> {
    /// What stands before `end`, or all that is left.
    fn until(&mut self, end: Option<char>, mut words: Option<&mut Words>) -> Result<String> {
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

    /// [`Reader::until`] for the part of a substitution that follows its operator.
    fn part(&mut self, end: char, keep_escapes: bool, substitution: usize) -> Result<String> {
        if self.depth == DEPTH {
            return Err(self.error(substitution, format!("substitutions stand more than {DEPTH} deep in each other")));
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

    fn single_quoted(&mut self) -> Result<String> {
        let start = self.at;
        let length =
            self.word[start + 1..].find('\'').ok_or_else(|| self.error_to_end(start, "a `'` is not closed"))?;
        self.at = start + 1 + length + 1;
        let inside = if self.lexer.quotes == Quotes::Keep { start..self.at } else { start + 1..self.at - 1 };
        Ok(self.word[inside].to_owned())
    }

    fn double_quoted(&mut self) -> Result<String> {
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

    fn dollar(&mut self) -> Result<String> {
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

    fn braced(&mut self, start: usize) -> Result<String> {
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
                    let message = format!("`{operator}` after `${{{name}` is no operator; `{kind}` is");
                    return Err(self.error(start, message));
                }
                let argument = self.part('}', matches!(kind, '#' | '%'), start)?;
                let substitution = value(self);
                if substitution.value.is_none() && self.lexer.keep_unset {
                    return Ok(format!("${{{name}{operator}{argument}}}"));
                }
                self.operated(&substitution, operator, kind, argument)
            }
            Some(other) => Err(self.error(start, format!("`{other}` after `${{{name}` is no operator"))),
            None => Err(self.error(start, format!("`${{{name}` has no `}}`"))),
        }
    }

    /// `${name` and one of the operators that take one argument.
    fn operated(&mut self, of: &Substitution<'r, 'v>, operator: &str, kind: char, argument: String) -> Result<String> {
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
            _ => Err(self.error(of.start, format!("`{operator}` after `${{{}` is no operator", of.name))),
        }
    }

    /// `${name/pattern/replacement}`, from behind the first slash.
    fn replaced(&mut self, start: usize, name: &'r str) -> Result<String> {
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

    fn copy(&mut self, value: &str) -> Result<String> {
        self.spend(value.len())?;
        Ok(value.to_owned())
    }

    fn spend_on_pattern(&mut self, pattern: &str, value: &str) -> Result<()> {
        const TO_BUILD_IT: usize = 1 << 10;
        self.spend(TO_BUILD_IT.saturating_add((pattern.len() + 1).saturating_mul(value.len() + 1)))
    }

    fn spend(&mut self, units: usize) -> Result<()> {
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

    /// What is wrong from `start` to where reading got.
    fn error(&self, start: usize, message: impl Into<String>) -> ExpandError {
        ExpandError { message: message.into(), at: start..self.at.max(start + 1) }
    }

    /// What is wrong from `start` on.
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

/// As Go has it: Unicode's category L.
fn is_letter(character: char) -> bool {
    static LETTER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\A\p{L}\z").expect("it is an expression"));
    character.is_ascii_alphabetic() || !character.is_ascii() && LETTER.is_match(character.encode_utf8(&mut [0; 4]))
}

/// As Go has it: Unicode's category Nd.
fn is_digit(character: char) -> bool {
    static DIGIT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\A\p{Nd}\z").expect("it is an expression"));
    character.is_ascii_digit() || !character.is_ascii() && DIGIT.is_match(character.encode_utf8(&mut [0; 4]))
}
