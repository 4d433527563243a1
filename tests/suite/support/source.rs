//! The source of the program as text: its files, and what is code, a comment or a string in them.

use std::fs;
use std::ops::Range;
use std::path::Path;

/// What a piece of source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    Code,
    Comment,
    /// A string or a character, with its quotes.
    Literal,
}

/// Calls `found` with every file of Rust below `directory`, each directory's in the order of their names.
pub fn visit(directory: &Path, found: &mut impl FnMut(&Path)) {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            visit(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found(&path);
        }
    }
}

/// Returns every file of the program with its name below `src/` and its text.
pub fn files() -> Vec<(String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    visit(&source, &mut |path| {
        let name = path.strip_prefix(&source).expect("it was found there").to_string_lossy().into_owned();
        files.push((name, fs::read_to_string(path).unwrap()));
    });
    files
}

/// Splits `text` into code, comments and literals, which together are the whole of it.
pub fn pieces(text: &str) -> Vec<(Piece, &str)> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(c) = text[at..].chars().next() {
        match piece_at(text, at) {
            Some((piece, length)) => {
                if start < at {
                    pieces.push((Piece::Code, &text[start..at]));
                }
                pieces.push((piece, &text[at..at + length]));
                at += length;
                start = at;
            }
            None => at += c.len_utf8(),
        }
    }
    if start < at {
        pieces.push((Piece::Code, &text[start..at]));
    }
    pieces
}

/// The comment or the literal that begins at the byte `at` of `text`, and its length.
fn piece_at(text: &str, at: usize) -> Option<(Piece, usize)> {
    let rest = &text[at..];
    let literal = |length| Some((Piece::Literal, length));
    if rest.starts_with("//") {
        Some((Piece::Comment, rest.find('\n').unwrap_or(rest.len())))
    } else if rest.starts_with("/*") {
        Some((Piece::Comment, rest.find("*/").map_or(rest.len(), |end| end + 2)))
    } else if let Some(length) = raw_string(rest).filter(|_| !text[..at].ends_with(char::is_alphanumeric)) {
        literal(length)
    } else if rest.starts_with('"') {
        literal(quoted(rest, '"').unwrap_or(rest.len()))
    } else if rest.starts_with('\'') {
        // A character literal; else it is a lifetime.
        let is_character = |length: &usize| rest[1..*length].chars().count() == 2 || rest[1..].starts_with('\\');
        quoted(rest, '\'').filter(is_character).and_then(literal)
    } else {
        None
    }
}

/// Blanks comments and strings; lines keep their numbers.
pub fn without_comments_and_strings(text: &str) -> String {
    let blanked = |(piece, text): (Piece, &str)| match piece {
        Piece::Code => text.to_owned(),
        Piece::Comment | Piece::Literal => blank(text),
    };
    pieces(text).into_iter().map(blanked).collect()
}

/// Blanks every item under `#[cfg(test)]` in `code`, which has no comments and strings; lines and bytes keep their places.
pub fn without_tests(code: &str) -> String {
    let mut kept = code.to_owned();
    for item in items_under("#[cfg(test)]", code) {
        kept.replace_range(item.clone(), &blank(&code[item]));
    }
    kept
}

/// The items of `code`, which has no comments and strings, that `attribute` stands before, and it with them.
pub fn items_under(attribute: &str, code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (start, _) in code.match_indices(attribute) {
        if items.last().is_none_or(|last| last.end <= start) {
            items.push(start..item_end(code, start));
        }
    }
    items
}

/// The end of the item that begins at the byte `start`.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0;
    let end = code[start..].char_indices().find_map(|(at, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        let is_end = depth == 0 && (c == '}' || c == ';');
        is_end.then_some(start + at + 1)
    });
    end.unwrap_or(code.len())
}

/// As many bytes of spaces, with the ends of lines where they are.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// The length of the literal that begins `text` and ends in `quote`.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - after.len() + hashes + 1;
    Some(text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()))
}
