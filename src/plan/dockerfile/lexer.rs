//! Words as BuildKit's shell lexer finds them where no variable is set: what looks like one is kept as it stands.

use std::iter::Peekable;
use std::str::Chars;

/// What stays in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    Quotes,
    QuotesAndEscapes,
}

/// Nobody nests braces that deep; the stack would not hold much more.
const DEEPEST: usize = 100;

/// The words of `text`, none of them empty; None if a quote or a brace has no end, or a substitution makes no sense.
pub(super) fn words(text: &str, keep: Keep) -> Option<Vec<String>> {
    let mut lexer = Lexer {
        rest: text.chars().peekable(),
        keep_quotes: keep != Keep::Nothing,
        keep_escapes: keep == Keep::QuotesAndEscapes,
        depth: 0,
    };
    let mut words = Words::default();
    lexer.until(None, &mut words)?;
    Some(words.finish())
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    keep_quotes: bool,
    keep_escapes: bool,
    depth: usize,
}

#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: String,
}

impl Words {
    /// Text in which whitespace parts words.
    fn push(&mut self, text: &str) {
        for character in text.chars() {
            if !character.is_whitespace() {
                self.word.push(character);
            } else if !self.word.is_empty() {
                self.done.push(std::mem::take(&mut self.word));
            }
        }
    }

    fn finish(mut self) -> Vec<String> {
        self.done.extend(Some(self.word).filter(|word| !word.is_empty()));
        self.done
    }
}

impl Lexer<'_> {
    /// Reads to `stop`, which it takes, or to the end.
    fn until(&mut self, stop: Option<char>, words: &mut Words) -> Option<String> {
        let mut text = String::new();
        while let Some(&character) = self.rest.peek() {
            if stop == Some(character) {
                self.rest.next();
                return Some(text);
            }
            match character {
                '$' => {
                    let variable = self.dollar()?;
                    words.push(&variable);
                    text.push_str(&variable);
                }
                '\'' | '"' => {
                    let quoted = if character == '"' { self.double_quoted()? } else { self.single_quoted()? };
                    words.word.push_str(&quoted);
                    text.push_str(&quoted);
                }
                '<' => {
                    let opening = self.opening();
                    words.word.push_str(&opening);
                    text.push_str(&opening);
                }
                '\\' => {
                    self.rest.next();
                    let kept = Some('\\').filter(|_| self.keep_escapes);
                    let escaped: String = kept.into_iter().chain(self.rest.next()).collect();
                    words.word.push_str(&escaped);
                    text.push_str(&escaped);
                }
                other => {
                    self.rest.next();
                    words.push(other.encode_utf8(&mut [0; 4]));
                    text.push(other);
                }
            }
        }
        stop.is_none().then_some(text)
    }

    /// Whitespace behind `<<` belongs to the word: a heredoc's name may stand apart.
    fn opening(&mut self) -> String {
        let mut text: String = self.rest.next().into_iter().collect();
        if self.rest.next_if_eq(&'<').is_some() {
            text.push('<');
            text.push_str(&self.while_some(char::is_whitespace));
        }
        text
    }

    fn single_quoted(&mut self) -> Option<String> {
        let mut text = self.quote();
        loop {
            match self.rest.peek()? {
                '\'' => return Some(text + &self.quote()),
                _ => text.extend(self.rest.next()),
            }
        }
    }

    fn double_quoted(&mut self) -> Option<String> {
        let mut text = self.quote();
        loop {
            match *self.rest.peek()? {
                '"' => return Some(text + &self.quote()),
                '$' => text.push_str(&self.dollar()?),
                '\\' => {
                    self.rest.next();
                    if self.keep_escapes {
                        text.push('\\');
                    }
                    match *self.rest.peek()? {
                        '"' | '$' | '\\' => text.extend(self.rest.next()),
                        _ => text.push('\\'),
                    }
                }
                _ => text.extend(self.rest.next()),
            }
        }
    }

    /// Takes a quotation mark.
    fn quote(&mut self) -> String {
        self.rest.next().filter(|_| self.keep_quotes).into_iter().collect()
    }

    fn dollar(&mut self) -> Option<String> {
        self.rest.next();
        if self.rest.peek() != Some(&'{') {
            return Some(format!("${}", self.name()));
        }
        self.rest.next();
        if matches!(self.rest.peek()?, '{' | '}' | ':') {
            return None;
        }
        let name = self.name();
        match self.rest.next()? {
            '}' => Some(format!("${{{name}}}")),
            ':' => {
                let modifier = self.rest.next().filter(|modifier| !matches!(modifier, '#' | '%'))?;
                let word = self.braced('}', false)?;
                Some(format!("${{{name}:{modifier}{word}}}"))
            }
            modifier @ ('+' | '-' | '?' | '#' | '%') => {
                let word = self.braced('}', matches!(modifier, '#' | '%'))?;
                Some(format!("${{{name}{modifier}{word}}}"))
            }
            '/' => {
                self.rest.next_if_eq(&'/');
                let pattern = self.braced('/', true)?;
                let replacement = self.braced('}', true)?;
                Some(format!("${{{name}/{pattern}/{replacement}}}"))
            }
            _ => None,
        }
    }

    fn braced(&mut self, stop: char, keep_escapes: bool) -> Option<String> {
        if self.depth == DEEPEST {
            return None;
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.keep_escapes, keep_escapes);
        let text = self.until(Some(stop), &mut Words::default());
        self.keep_escapes = outer;
        self.depth -= 1;
        text
    }

    fn name(&mut self) -> String {
        match self.rest.peek() {
            Some(first) if first.is_numeric() => self.while_some(char::is_numeric),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.rest.next().into_iter().collect(),
            _ => self.while_some(|character| character.is_alphanumeric() || character == '_'),
        }
    }

    fn while_some(&mut self, holds: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(character) = self.rest.next_if(|character| holds(*character)) {
            text.push(character);
        }
        text
    }
}
