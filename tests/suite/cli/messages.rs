//! All that the program says, in one place: so it can be read through, and a change of a word shows in the snapshot.
//!
//! A string of the source counts as a message if it has two words in a row, or says what cannot be done in `Error::io`; so some
//! are listed that are none. Of the help, it is the comments of what clap reads. A `{}` is said by something else.

use std::ops::Range;

use crate::architecture::ORDER;
use crate::support::source::{Piece, files, items_under, pieces, without_comments_and_strings};

/// What the derives of clap begin with that read comments.
const READ_BY_CLAP: &[&str] = &["Args", "Parser", "Subcommand", "ValueEnum"];

/// Those whose text is for whoever writes the program.
const PANICS: &[&str] = &[".expect(", "unreachable!(", "panic!(", "assert!(", "assert_eq!("];

#[test]
fn every_message_is_as_it_was_read() {
    let mut files: Vec<_> = files().into_iter().map(|(name, text)| (rank(&name), name, messages(&text))).collect();
    files.sort();
    let said = files.iter().filter(|(_, _, messages)| !messages.is_empty());
    let all: Vec<_> = said.map(|(_, name, messages)| format!("# {name}\n{}\n", messages.join("\n"))).collect();
    assert!(all.len() > 100, "only {} files have messages", all.len());
    insta::assert_snapshot!("messages", all.join("\n"));
}

#[test]
fn strings_of_two_words_are_messages() {
    assert_eq!(messages(r#"Error::input(format!("cannot read {name}: `{word}`"))"#), ["cannot read {name}: `{word}`"]);
    assert_eq!(messages("f(\"one \\\n    two\", \"one\", r#\"say \"no\" to it\"#)"), ["one two", "say \"no\" to it"]);
    assert_eq!(messages(r#"Error::io("open", path, error); g("open")"#), ["open"]);
    assert_eq!(messages(r#"x.expect("it is there"); unreachable!("it is not")"#), [""; 0]);
    assert_eq!(messages("/// Some words.\n// and more\nlet c = ' '; f(\"a b\")"), ["a b"]);
    assert_eq!(
        messages("f(\"a b\");\n#[cfg(test)]\nmod tests {\n    f(\"c {\", \"d e\");\n}\ng(\"f g\");"),
        ["a b", "f g"]
    );
}

#[test]
fn comments_that_clap_reads_are_messages() {
    let text = "/// A b.\n#[derive(Debug, Args)]\n#[command(x = \"c d\")]\npub struct A {\n    /// One\n    /// line\n    ///\n    \
                /// Another.\n    #[arg(long)]\n    b: u8, // and so on\n}\n\n/// No help.\n#[derive(Debug)]\nstruct B;";
    assert_eq!(messages(text), ["help: A b.", "c d", "help: One line", "help: Another."]);
}

/// The module of `file`, by its place in the order of modules.
fn rank(file: &str) -> usize {
    let module = file.split(['/', '.']).next();
    ORDER.iter().position(|known| Some(*known) == module).unwrap_or(ORDER.len())
}

/// What `text`, that of a file, may say, in its order.
fn messages(text: &str) -> Vec<String> {
    let code = without_comments_and_strings(text);
    let tests = items_under("#[cfg(test)]", &code);
    let helps = helps(text, &code);
    let within = |ranges: &[Range<usize>], at| ranges.iter().any(|range| range.contains(&at));
    let mut messages: Vec<String> = Vec::new();
    let (mut at, mut paragraph) = (0, false);
    for (piece, part) in pieces(text) {
        match piece {
            Piece::Code => paragraph &= part.trim().is_empty(),
            Piece::Comment => match part.strip_prefix("///").map(str::trim) {
                Some(line) if !line.is_empty() && within(&helps, at) => {
                    match messages.last_mut().filter(|_| paragraph) {
                        Some(message) => *message += &format!(" {line}"),
                        None => messages.push(format!("help: {line}")),
                    }
                    paragraph = true;
                }
                _ => paragraph = false,
            },
            Piece::Literal => {
                let said = joined_lines(between_quotes(part));
                let before = code[..at].trim_end();
                let is_said = has_words(&said) || before.ends_with("Error::io(");
                if is_said && !within(&tests, at) && !PANICS.iter().any(|panic| before.ends_with(panic)) {
                    messages.push(said);
                }
                paragraph = false;
            }
        }
        at += part.len();
    }
    messages
}

/// The items of which clap reads the comments, with the comment before each.
fn helps(text: &str, code: &str) -> Vec<Range<usize>> {
    let derives = |derive: &str| READ_BY_CLAP.iter().any(|read| derive.contains(read));
    let mut items = items_under("#[derive(", code);
    items.retain(|item| derives(code[item.clone()].lines().next().unwrap_or_default()));
    for item in &mut items {
        while let Some(line) = text[..item.start].lines().next_back().filter(|line| line.trim().starts_with("///")) {
            item.start -= line.len() + 1;
        }
    }
    items
}

/// What stands between the quotes of a literal.
fn between_quotes(literal: &str) -> &str {
    let start = literal.find(['"', '\'']).map_or(0, |quote| quote + 1);
    let end = literal.rfind(['"', '\'']).map_or(literal.len(), |quote| quote.max(start));
    &literal[start..end]
}

/// What `text` says, without the ends of lines that are none for who reads it.
fn joined_lines(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |said, line| said + line.trim_start())
}

/// Whether two words stand in a row, or one beside what is filled in.
fn has_words(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let ends = |word: &str| word.ends_with(|c: char| c.is_alphabetic() || ",;:`}')".contains(c));
    let begins = |word: &str| word.starts_with(|c: char| c.is_alphabetic() || "`{(".contains(c));
    words.windows(2).any(|pair| ends(pair[0]) && begins(pair[1]))
}
