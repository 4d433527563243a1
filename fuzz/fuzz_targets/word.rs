//! Expanding a word never panics, says where it is wrong, and leaves text alone in which nothing means anything.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ocibake::plan::dockerfile::word::{Lexer, Quotes};

// The first byte chooses how words are read, what follows it up to a NUL is the value of a variable, the rest is the word.
fuzz_target!(|input: (u8, &str)| {
    let (mode, text) = input;
    let (value, word) = text.split_once('\0').unwrap_or(("value", text));
    let lexer = Lexer {
        escape: if mode & 1 == 0 { '\\' } else { '`' },
        quotes: [Quotes::Remove, Quotes::Keep, Quotes::Plain, Quotes::Remove][usize::from(mode >> 1 & 3)],
        keep_escapes: mode & 8 != 0,
        keep_unset: mode & 16 != 0,
    };
    let variables = |name: &str| match name {
        "A" | "a" | "_" => Some(value),
        "B" | "0" => Some(""),
        _ => None,
    };
    match lexer.expand(word, &variables) {
        Ok(expanded) => {
            assert!(expanded.words.iter().all(|word| !word.is_empty()));
            for unset in &expanded.unset {
                assert!(word[unset.at.clone()].starts_with('$') && word[unset.at.clone()].ends_with(&unset.name));
            }
            if !word.contains(['$', '\'', '"', lexer.escape, '\u{feff}']) {
                assert_eq!(expanded.text, word);
            }
        }
        Err(error) => {
            assert!(!error.message.is_empty() && !error.at.is_empty());
            assert!(word.get(error.at.clone()).is_some(), "{error:?}");
        }
    }
});
