//! Heredocs: which words of a line begin one, and the lines that belong to it.

use super::line::{LineReader, LogicalLine};
use super::word::{Lexer, Quotes};
use super::{Heredoc, Span};
use crate::error::{Error, Result};

/// Reads the contents of all heredocs that `line` begins, from the lines that follow it.
pub(super) fn read(line: &LogicalLine, reader: &mut LineReader<'_>) -> Result<Vec<Heredoc>> {
    if !line.text().contains("<<") {
        return Ok(Vec::new());
    }
    let mut heredocs = Vec::new();
    // A line whose quotes or braces do not match begins none.
    for word in words(line.text(), Lexer::heredoc_line()).unwrap_or_default() {
        if let Some(mut heredoc) = opening(&word) {
            heredoc.span = line.span();
            read_content(&mut heredoc, reader)?;
            heredocs.push(heredoc);
        }
    }
    Ok(heredocs)
}

/// Returns the heredoc that `[FD]<<[-]NAME` begins, possibly with whitespace before the name, without its content; none
/// if the word is something else.
pub(super) fn opening(word: &str) -> Option<Heredoc> {
    let (descriptor, rest) = word.split_once("<<")?;
    if !descriptor.bytes().all(|byte| byte.is_ascii_digit()) || rest.contains('<') {
        return None;
    }
    let (strip_tabs, name) = rest.strip_prefix('-').map_or((false, rest), |name| (true, name));
    let name = name.trim_start();
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    let keep_quotes = Lexer { keep_escapes: false, ..Lexer::heredoc_line() };
    let raw = single(words(name, keep_quotes)?)?;
    let plain = single(words(name, Lexer { quotes: Quotes::Remove, ..keep_quotes })?)?;
    Some(Heredoc {
        expand: quotes(&plain) == quotes(&raw),
        name: plain,
        content: String::new(),
        strip_tabs,
        file_descriptor: match descriptor {
            "" => 0,
            digits => digits.parse().unwrap_or(u32::MAX),
        },
        span: Span::default(),
    })
}

/// The words of `text`, in which no variable has a value; None if it makes no sense.
fn words(text: &str, lexer: Lexer) -> Option<Vec<String>> {
    lexer.expand(text, &|_| None).ok().map(|expanded| expanded.words)
}

fn single(words: Vec<String>) -> Option<String> {
    <[String; 1]>::try_from(words).ok().map(|[word]| word)
}

fn read_content(heredoc: &mut Heredoc, reader: &mut LineReader<'_>) -> Result<()> {
    let begin = reader.position();
    while let Some(range) = reader.next_line()? {
        let line = &reader.text.content[range.clone()];
        let end = line.trim_end_matches(['\r', '\n']);
        let end = if heredoc.strip_tabs { end.trim_start_matches('\t') } else { end };
        if end == heredoc.name {
            if begin < range.start {
                heredoc.span = begin..range.start;
            }
            return check_characters(heredoc, reader);
        }
        heredoc.content.push_str(line);
    }
    Err(Error::input(format!("the heredoc `{}` has no end", heredoc.name))
        .with_excerpt(reader.text.excerpt(&heredoc.span))
        .with_hint(format!("it ends with a line that holds only `{}`", heredoc.name)))
}

fn check_characters(heredoc: &Heredoc, reader: &LineReader<'_>) -> Result<()> {
    match reader.text.broken_in(&heredoc.span) {
        Some(at) if !heredoc.content.is_empty() => Err(Error::input("the heredoc is not UTF-8 here")
            .with_excerpt(reader.text.excerpt(&(at..at + char::REPLACEMENT_CHARACTER.len_utf8())))
            .with_hint("copy it from a file of the context instead")),
        _ => Ok(()),
    }
}
