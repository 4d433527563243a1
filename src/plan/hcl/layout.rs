//! Where the lines of HCL end that mean something.
//!
//! Within parentheses, brackets, interpolations and `for` objects the end of a line is as good as a blank. The parser takes it for
//! one in some of these places only, so that they are made blanks before it reads. Every character stays at its place.

use hcl_edit::Ident;

use super::place::BakePlace;
use crate::error::{Error, Result};

/// What begins a file that a text editor of Windows has written.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Returns HCL in which only those lines end that mean something. `place` tells where a part of `text` stands. Fails for what is
/// opened and not closed.
pub fn of_file(text: &str, place: &dyn Fn(usize, usize) -> BakePlace) -> Result<String> {
    LineLayout::new(text, place).run(Vec::new())
}

/// Returns the same of text that is a template, as strings in JSON are.
pub fn of_template(text: &str, place: &dyn Fn(usize, usize) -> BakePlace) -> Result<String> {
    LineLayout::new(text, place).run(vec![OpenPart { at: 0, what: Within::Template }])
}

struct LineLayout<'a> {
    text: &'a str,
    place: &'a dyn Fn(usize, usize) -> BakePlace,
    /// What comes out, as long as the text is.
    bytes: Vec<u8>,
    at: usize,
}

/// Something that is open, and where it was opened.
struct OpenPart {
    at: usize,
    what: Within,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Braces of a block or an object, in which lines end.
    Braces,
    /// What this character closes, in which lines do not end.
    Brackets(u8),
    /// `${` or `%{` of a template.
    Interpolation,
    /// Quotation marks.
    Quotes,
    /// A heredoc: where its delimiter begins and ends.
    Heredoc(usize, usize),
    /// Text that is a template as a whole.
    Template,
}

impl<'a> LineLayout<'a> {
    fn new(text: &'a str, place: &'a dyn Fn(usize, usize) -> BakePlace) -> LineLayout<'a> {
        LineLayout { text, place, bytes: text.as_bytes().to_vec(), at: 0 }
    }

    fn run(mut self, mut open: Vec<OpenPart>) -> Result<String> {
        if self.text.starts_with(BYTE_ORDER_MARK) && open.is_empty() {
            self.blank(0, BYTE_ORDER_MARK.len());
            self.at = BYTE_ORDER_MARK.len();
        }
        while let Some(c) = self.text[self.at..].chars().next() {
            if !c.is_ascii() {
                self.at += c.len_utf8();
                continue;
            }
            match open.last().map(|open| open.what) {
                Some(Within::Quotes | Within::Heredoc(..) | Within::Template) => self.literal(&mut open)?,
                _ => self.code(&mut open)?,
            }
        }
        match open.last() {
            Some(OpenPart { what: Within::Template, .. }) | None => {}
            Some(OpenPart { at, what: Within::Heredoc(start, end) }) => {
                let delimiter = &self.text[*start..*end];
                let error =
                    (self.place)(*at, *end).error(format!("this text is not closed: there is no line `{delimiter}`"));
                return Err(error.with_hint("that line must hold nothing else, and must end"));
            }
            Some(OpenPart { at, .. }) => return Err(self.error(*at, "is not closed")),
        }
        // Only ASCII is replaced, and by ASCII.
        String::from_utf8(self.bytes).map_err(|error| Error::input("this is not UTF-8").with_source(error))
    }

    fn code(&mut self, open: &mut Vec<OpenPart>) -> Result<()> {
        let (at, rest) = (self.at, &self.text[self.at..]);
        let is_blank = matches!(open.last().map(|open| open.what), Some(Within::Brackets(_) | Within::Interpolation));
        self.at += 1;
        match self.bytes[at] {
            b'"' => open.push(OpenPart { at, what: Within::Quotes }),
            b'#' => self.comment(at, is_blank),
            b'/' if rest.starts_with("//") => self.comment(at, is_blank),
            b'/' if rest.starts_with("/*") => match rest.find("*/") {
                Some(end) if end >= 2 => self.at = at + end + 2,
                _ => match rest[2..].find("*/") {
                    Some(end) => self.at = at + end + 4,
                    None => return Err((self.place)(at, at + 2).error("this comment is not closed")),
                },
            },
            b'<' if rest.starts_with("<<") => self.heredoc(at, open),
            b'(' => open.push(OpenPart { at, what: Within::Brackets(b')') }),
            b'[' => open.push(OpenPart { at, what: Within::Brackets(b']') }),
            b'{' => {
                let what = if begins_for(&rest[1..]) { Within::Brackets(b'}') } else { Within::Braces };
                open.push(OpenPart { at, what });
            }
            close @ (b')' | b']' | b'}') => {
                let is_closed = match open.last().map(|open| open.what) {
                    Some(Within::Brackets(wanted)) => wanted == close,
                    Some(Within::Braces | Within::Interpolation) => close == b'}',
                    _ => false,
                };
                match open.pop() {
                    Some(_) if is_closed => {}
                    Some(unclosed) => {
                        let line = (self.place)(unclosed.at, unclosed.at + 1).excerpt().line;
                        let opener = char::from(self.bytes[unclosed.at]);
                        return Err(self.error(at, &format!("does not close the `{opener}` of line {line}")));
                    }
                    None => return Err(self.error(at, "closes nothing")),
                }
            }
            b'\r' | b'\n' if is_blank => self.blank(at, at + 1),
            _ => {}
        }
        Ok(())
    }

    fn literal(&mut self, open: &mut Vec<OpenPart>) -> Result<()> {
        let (at, rest) = (self.at, &self.text[self.at..]);
        let what = open.last().map(|open| open.what);
        self.at += 1;
        match self.bytes[at] {
            b'$' | b'%' if rest[1..].starts_with('{') => {
                self.at += 1;
                open.push(OpenPart { at, what: Within::Interpolation });
            }
            b'$' if rest.starts_with("$${") => self.at += 2,
            b'%' if rest.starts_with("%%{") => self.at += 2,
            b'\\' if what == Some(Within::Quotes) => self.at += rest[1..].chars().next().map_or(0, char::len_utf8),
            b'"' if what == Some(Within::Quotes) => drop(open.pop()),
            b'\n' => match what {
                Some(Within::Quotes) => {
                    let start = open.last().map_or(at, |open| open.at);
                    let error = (self.place)(start, at).error("this text is not closed before its line ends");
                    return Err(
                        error.with_hint("write `\\n` for the end of a line, or `<<EOT` for text of several lines")
                    );
                }
                Some(Within::Heredoc(start, end)) => self.heredoc_line(start, end, open),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    /// Goes past a comment up to the end of its line.
    fn comment(&mut self, at: usize, is_blank: bool) {
        self.at = self.text[at..].find('\n').map_or(self.text.len(), |end| at + end);
        if is_blank {
            self.blank(at, self.at);
        }
    }

    /// Opens a heredoc if one begins here.
    fn heredoc(&mut self, at: usize, open: &mut Vec<OpenPart>) {
        let dash = usize::from(self.text[at + 2..].starts_with('-'));
        let start = at + 2 + dash;
        let line = self.text[start..].lines().next().unwrap_or_default();
        if Ident::try_new(line).is_err() {
            return;
        }
        let end = start + line.len();
        self.at = self.text[end..].find('\n').map_or(self.text.len(), |newline| end + newline + 1);
        open.push(OpenPart { at, what: Within::Heredoc(start, end) });
        // The delimiter may stand on the very first line.
        self.heredoc_line(start, end, open);
    }

    /// Closes the heredoc if the line that begins here has nothing but its delimiter.
    fn heredoc_line(&mut self, start: usize, end: usize, open: &mut Vec<OpenPart>) {
        let Some((line, _)) = self.text[self.at..].split_once('\n') else {
            return;
        };
        if line.trim() != &self.text[start..end] {
            return;
        }
        let close = self.at + line.len() - line.trim_start().len();
        self.rename(start, end, close);
        self.at = close + (end - start);
        open.pop();
    }

    /// Gives the heredoc between a delimiter and its end another delimiter, if a line within begins with the one that it has: the
    /// parser would take that line for the end.
    fn rename(&mut self, start: usize, end: usize, close: usize) {
        let content = &self.text[end..close];
        let begins_line =
            |delimiter: &str| content.lines().skip(1).any(|line| line.trim_start().starts_with(delimiter));
        if !begins_line(&self.text[start..end]) {
            return;
        }
        let length = end - start;
        let candidates = (b'a'..=b'z').chain(b'A'..=b'Z').map(|letter| String::from(char::from(letter)).repeat(length));
        if let Some(other) = candidates.into_iter().find(|other| !begins_line(other)) {
            for place in [start, close] {
                self.bytes[place..place + length].copy_from_slice(other.as_bytes());
            }
        }
    }

    fn blank(&mut self, start: usize, end: usize) {
        self.bytes[start..end].fill(b' ');
    }

    /// An error of the one character at `at`, which says what is wrong about it.
    fn error(&self, at: usize, what: &str) -> Error {
        let opener = match self.text[at..].chars().next() {
            Some('$') => "${".to_owned(),
            Some('%') => "%{".to_owned(),
            c => c.map(String::from).unwrap_or_default(),
        };
        (self.place)(at, at + opener.len()).error(format!("this `{opener}` {what}"))
    }
}

/// Whether what follows a brace is a `for`.
fn begins_for(mut rest: &str) -> bool {
    loop {
        rest = rest.trim_start();
        if rest.starts_with('#') || rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
        } else {
            break;
        }
    }
    let Some(after) = rest.strip_prefix("for") else {
        return false;
    };
    // A key that is called so is followed by what it is set to.
    match after.trim_start_matches([' ', '\t', '\r', '\n']).chars().next() {
        Some('=' | ':') | None => false,
        Some(_) => after.starts_with(|c: char| c.is_whitespace() || c == '#' || c == '/'),
    }
}
