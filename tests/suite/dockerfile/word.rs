//! Words of a Dockerfile stand for what BuildKit makes of them.

use std::fmt::Write;
use std::process::Command;

use ocibake::plan::dockerfile::word::{ExpandError, Expanded, Lexer, Quotes};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::support::tool::{checked, require};

const SET: &[(&str, &str)] = &[
    ("PWD", "/home"),
    ("SHELL", "bash"),
    ("NULL", ""),
    ("TWO", "abc  def"),
    ("LEADING", "  ab c"),
    ("QUOTE", "\""),
    ("DOLLAR", "$PWD"),
    ("FOO", "xxyy"),
    ("X", "x"),
    ("PATHS", "/foo*/*/*.txt"),
    ("NEEDLE", "\\*/"),
    ("STARS", "a***yy*"),
    ("DEEP", "/a/foo/b/c.txt"),
    ("LINES", "a\nb"),
    ("한국어", "korean"),
    ("é1", "accent"),
];

/// What each word stands for. The expectations are those of the Dockerfile reference ("Environment replacement") and of
/// BuildKit's own tables (frontend/dockerfile/shell: envVarTest, wordsTest, lex_test.go).
const TEXTS: &[(&str, &str)] = &[
    ("", ""),
    ("hello", "hello"),
    (" a  b ", " a  b "),
    // Quotes and escapes.
    ("he'll'o", "hello"),
    ("he\\'llo", "he'llo"),
    ("\"he'llo\"", "he'llo"),
    ("abc\\tdef", "abctdef"),
    ("\"abc\\tdef\"", "abc\\tdef"),
    ("\"abc\\\\tdef\"", "abc\\tdef"),
    ("'abc\\tdef'", "abc\\tdef"),
    ("'abc\\\\tdef'", "abc\\\\tdef"),
    ("hello\\", "hello"),
    ("hello\\\\", "hello\\"),
    ("'hello\\'", "hello\\"),
    ("\"''\"", "''"),
    ("'\"'", "\""),
    ("\"a\\\"b\"", "a\"b"),
    ("\"\"''", ""),
    ("\\$PWD", "$PWD"),
    ("\\\\$PWD", "\\/home"),
    ("\"\\$PWD\"", "$PWD"),
    ("'$PWD'", "$PWD"),
    ("\"'$PWD'\"", "'/home'"),
    ("\\${}aaa", "${}aaa"),
    ("안'녕하'\\세요", "안녕하세요"),
    // Names.
    ("$", "$"),
    ("$.", "$."),
    ("a$", "a$"),
    ("\"$\"", "$"),
    ("$ PWD", "$ PWD"),
    ("he$1x", "hex"),
    ("he$12x", "hex"),
    ("he$.x", "he$.x"),
    ("he$pwd.", "he."),
    ("$PWD/x", "/home/x"),
    ("$PWDx", ""),
    ("$PWD-x", "/home-x"),
    ("${PWD}x", "/homex"),
    ("$@$*$#$?$-$!$$x", "x"),
    ("${@}${1}${#}", ""),
    ("$DOLLAR", "$PWD"),
    ("\"$QUOTE\"", "\""),
    ("$한국어.", "korean."),
    ("$é1!", "accent!"),
    ("${hi}xx", "xx"),
    // What stands for what is unset or empty.
    ("${XXX:-000}", "000"),
    ("${NULL:-000}", "000"),
    ("${NULL-000}", ""),
    ("${XXX-000}", "000"),
    ("${PWD:-000}", "/home"),
    ("${PWD-000}", "/home"),
    ("${XXX:-}", ""),
    ("${XXX:-$PWD}", "/home"),
    ("${XXX:-${PWD:-yyy}}", "/home"),
    ("${XXX:-${YYY:-yyy}}", "yyy"),
    ("${XXX:-a b}", "a b"),
    ("${XXX:-'a}'}b", "a}b"),
    ("${XXX:-\"a}$PWD\"}b", "a}/homeb"),
    ("${XXX:-\\}}b", "}b"),
    ("${XXX:-\\$PWD:}xx", "$PWD:xx"),
    ("he${XXX:-\\${PWD}z}xx", "he${PWDz}xx"),
    ("${PWD:+000}", "000"),
    ("${PWD+000}", "000"),
    ("${NULL:+000}", ""),
    ("${NULL+000}", "000"),
    ("${XXX:+000}", ""),
    ("${XXX+000}", ""),
    ("${PWD:+${SHELL}}", "bash"),
    ("${PWD:+${PWD}:}x", "/home:x"),
    ("${XXX:+${PWD}}x", "x"),
    ("${PWD?}", "/home"),
    ("${PWD:?no}", "/home"),
    ("${NULL?no}", ""),
    // What is cut off.
    ("${FOO#x}", "xyy"),
    ("${FOO#*x}", "xyy"),
    ("${FOO##*x}", "yy"),
    ("${FOO#*x*y}", "y"),
    ("${FOO##*x*y}", ""),
    ("${FOO#*}", "xxyy"),
    ("${FOO##*}", ""),
    ("${FOO#?}", "xyy"),
    ("${FOO#y}", "xxyy"),
    ("${FOO#}", "xxyy"),
    ("${FOO##}", "xxyy"),
    ("${FOO#$X}", "xyy"),
    ("${FOO#$NULL}", "xxyy"),
    ("${FOO#[x]}", "xxyy"),
    ("${FOO%y}", "xxy"),
    ("${FOO%y*}", "xxy"),
    ("${FOO%%y*}", "xx"),
    ("${FOO%x}", "xxyy"),
    ("${FOO%}", "xxyy"),
    ("${STARS%%\\**\\*}", "a"),
    ("${STARS%\\**\\*}", "a**"),
    ("${STARS#a\\*}", "**yy*"),
    ("${DEEP##*/}", "c.txt"),
    ("${DEEP%/*}", "/a/foo/b"),
    ("${DEEP%%.*}", "/a/foo/b/c"),
    ("${XXX#x}${XXX%x}", ""),
    ("${LINES#*b}", "a\nb"),
    ("${LINES#?}", "\nb"),
    // What is replaced.
    ("${FOO/x/.}", ".xyy"),
    ("${FOO//x/.}", "..yy"),
    ("${FOO/x*/.}", "."),
    ("${FOO//?/.}", "...."),
    ("${FOO/z/.}", "xxyy"),
    ("${FOO/x/}", "xyy"),
    ("${FOO///}", "xxyy"),
    ("${FOO/$NULL/ww}", "wwxxyy"),
    ("${FOO//$NULL/-}", "-x-x-y-y-"),
    ("${PATHS/$NEEDLE/.} - ${PATHS//$NEEDLE/.}", "/foo.*/*.txt - /foo..*.txt"),
    ("${DEEP//\\//_}", "_a_foo_b_c.txt"),
    ("${DEEP//\\//\\/}", "\\/a\\/foo\\/b\\/c.txt"),
    ("${DEEP//o/${X}}", "/a/fxx/b/c.txt"),
    ("${FOO/x/$DOLLAR}", "$PWDxyy"),
    ("${XXX/x/y}${XXX//x/y}", ""),
    ("${XXX/*/y}", "y"),
];

/// Words that stand for nothing, each with the part of it that is to blame.
const ERRORS: &[(&str, &str)] = &[
    ("a'bc", "'bc"),
    ("a\"bc", "\"bc"),
    ("\"abc\\", "\"abc\\"),
    ("\"abc\\\"", "\"abc\\\""),
    ("\\\\'a", "'a"),
    ("a${}b", "${}"),
    ("a${:}b", "${:"),
    ("a${{x}}b", "${{"),
    ("a${", "${"),
    ("a${PWD", "${PWD"),
    ("a${PWD:", "${PWD:"),
    ("a${PWD:-x", "${PWD:-x"),
    ("a${PWD:-'x}", "'x}"),
    ("a${.}b", "${."),
    ("a${PWD:}b", "${PWD:}b"),
    ("a${PWD=x}b", "${PWD="),
    ("a${PWD:=x}b", "${PWD:=x}"),
    ("a${XXX:YYY}b", "${XXX:YYY}"),
    // BuildKit does not read what follows these, whether the variable is set or not.
    ("a${FOO:#x}b", "${FOO:#"),
    ("a${FOO:##x}b", "${FOO:#"),
    ("a${FOO:%y}b", "${FOO:%"),
    ("a${FOO:%%y}b", "${FOO:%"),
    ("${XXX:#}", "${XXX:#"),
    ("${XXX:##}", "${XXX:#"),
    ("${XXX:%}", "${XXX:%"),
    ("${XXX:%%}", "${XXX:%"),
    ("a${FOO:#", "${FOO:#"),
    ("a${XXX:-${FOO:#x}}b", "${FOO:#"),
    ("a${FOO:/x/y}b", "${FOO:/x/y}"),
    ("a${XXX:/x/y}b", "${XXX:/x/y}"),
    ("a${PWD,,}b", "${PWD,"),
    ("a${#PWD}b", "${#P"),
    ("a${PWD@Q}b", "${PWD@"),
    ("a${PWD/x}b", "${PWD/x}b"),
    ("a${PWD//x}", "${PWD//x}"),
    ("a${PWD/x/y", "${PWD/x/y"),
    ("a${PWD#\\x}b", "${PWD#\\x}"),
    ("a${XXX/\\x/y}b", "${XXX/\\x/y}"),
    ("a${XXX?}b", "${XXX?}"),
    ("a${XXX:?say so}b", "${XXX:?say so}"),
    ("a${NULL:?}b", "${NULL:?}"),
    ("é${é", "${é"),
];

/// The words that a line is split into, parted by `|`.
const WORDS: &[(&str, &str)] = &[
    ("hello", "hello"),
    ("hello${hi}bye", "hellobye"),
    (" a \t b\n", "a|b"),
    ("", ""),
    ("''", ""),
    ("'' a \"\"", "a"),
    ("a''b", "ab"),
    ("hello${TWO}bye", "helloabc|defbye"),
    ("\"hello${TWO}bye\"", "helloabc  defbye"),
    ("$LEADING", "ab|c"),
    ("hello${LEADING}def", "hello|ab|cdef"),
    ("\"hello${LEADING}def\"", "hello  ab cdef"),
    ("hello\"${LEADING} \"", "hello  ab c "),
    ("a\\ b c", "a b|c"),
    ("'a b' c", "a b|c"),
    ("${XXX:-a b}", "a|b"),
    ("${XXX:-'a b'}", "a|b"),
    ("$NULL", ""),
    ("a\u{a0}b\u{3000}c", "a|b|c"),
    ("80$NULL 81/udp", "80|81/udp"),
    ("<< a b", "<< a|b"),
    ("3<<- \t'a b' c < d", "3<<-|a b|c|<|d"),
];

#[test]
fn words_stand_for_what_the_table_says() {
    for (word, text) in TEXTS {
        assert_eq!(expanded(word).unwrap_or_else(|error| panic!("{word}: {error}")).text, *text, "{word}");
    }
}

#[test]
fn errors_point_at_what_is_wrong() {
    for (word, part) in ERRORS {
        let error = expanded(word).expect_err(word);
        assert_eq!(&word[error.at.clone()], *part, "{word}: {error}");
    }
    let message = |word| expanded(word).unwrap_err().message;
    assert_eq!(message("${FOO:##x}"), "`:#` after `${FOO` is not an operator; `#` is");
    assert_eq!(message("${XXX:?message here$X}"), "XXX: message herex");
    assert_eq!(message("${XXX?}"), "XXX: is not allowed to be unset");
    assert_eq!(message("${NULL:?}"), "NULL: is not allowed to be empty");
}

#[test]
fn lines_are_split_where_the_table_says() {
    for (line, words) in WORDS {
        let expected: Vec<&str> = words.split('|').filter(|word| !word.is_empty()).collect();
        assert_eq!(expanded(line).unwrap().words, expected, "{line}");
    }
}

#[test]
fn a_backtick_escapes_where_the_file_says_so() {
    let expand = |word| Lexer::new('`').expand(word, &value).map(|expanded| expanded.text);
    assert_eq!(expand("C:\\x`$PWD\\$PWD``").unwrap(), "C:\\x$PWD\\/home`");
    assert_eq!(expand("\"`\"`$`a\\\"").unwrap(), "\"$`a\\");
    // Patterns have the backslash in any case.
    assert_eq!(expand("${STARS#a\\*}").unwrap(), "**yy*");
    assert_eq!(expand("${XXX:-`}}").unwrap(), "}");
}

#[test]
fn quotes_and_escapes_are_kept_where_it_is_asked() {
    let kept = Lexer { quotes: Quotes::Keep, ..Lexer::new('\\') };
    let text = |lexer: &Lexer, word: &str| lexer.expand(word, &value).unwrap().text;
    assert_eq!(text(&kept, "'a b'\"$X\"\\'"), "'a b'\"x\"'");
    assert_eq!(kept.expand("'a b' \"c d\"", &value).unwrap().words, ["'a b'", "\"c d\""]);
    let escapes = Lexer { keep_escapes: true, ..Lexer::new('\\') };
    assert_eq!(text(&escapes, "a\\ b\\$X\"\\$\""), "a\\ b\\$X\\$");
    // A heredoc's content, as the reference and BuildKit's tests of heredocs have it.
    assert_eq!(text(&Lexer::heredoc(), "echo \"$PWD\" '$X' \\$X \"a\\nb\" it's"), "echo \"/home\" 'x' $X \"anb\" it's");
}

#[test]
fn what_is_unset_is_kept_where_it_is_asked() {
    let lexer = Lexer { keep_unset: true, ..Lexer::new('\\') };
    let text = |word: &str| lexer.expand(word, &value).unwrap().text;
    assert_eq!(text("$U ${U} $X ${X}"), "$U ${U} x x");
    assert_eq!(text("${U:-$X} ${U?no} ${U#x*} ${U//a/$X} ${NULL:-y}"), "${U:-x} ${U?no} ${U#x*} ${U/a/x} y");
    // Nothing is asked of an operator before its variable is set, but of `:#` and `:%`.
    assert_eq!(text("${U:/a/b} ${U:=a} ${U:^}"), "${U:/a/b} ${U:=a} ${U:^}");
    assert!(["${U:#a}", "${U:%a}"].iter().all(|word| lexer.expand(word, &value).is_err()));
    let words = Lexer::heredoc_line().expand("<<\"A B\" <<-'C' 0<< $D e\\ f", &value).unwrap().words;
    assert_eq!(words, ["<<\"A B\"", "<<-'C'", "0<< $D", "e\\ f"]);
}

#[test]
fn variables_without_a_value_are_told() {
    let unset = |word: &str| {
        let unset = expanded(word).unwrap().unset;
        unset.iter().map(|unset| format!("{}={}", unset.name, &word[unset.at.clone()])).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(unset("$A ${B} $PWD ${NULL} $A"), "A=$A B=${B");
    assert_eq!(unset("${A:-$B}${PWD:-$C}${PWD:+${D#$E}}'$F'\\$G"), "B=$B A=${A C=$C E=$E D=${D");
    assert_eq!(unset("é$1"), "1=$1");
}

#[test]
fn no_word_takes_long_or_grows_without_end() {
    let big = "ab".repeat(500_000);
    let values = |name: &str| (name == "A").then_some(&big[..]);
    let refused = |word: String| Lexer::new('\\').expand(&word, &values).is_err();
    assert!(refused("$A".repeat(1000)));
    assert!(refused("${A//?/${A//?/$A}}".to_owned()));
    assert!(refused(format!("${{A#{}}}", "*a*b".repeat(5000))));
    assert!(refused("${A#b}".repeat(100_000)));
    assert!(refused("${X:-".repeat(100_000) + &"}".repeat(100_000)));
    assert!(refused("${X/".repeat(100_000)));
    let deep = |depth: usize| "${X:-".repeat(depth) + "x" + &"}".repeat(depth);
    assert_eq!(Lexer::new('\\').expand(&deep(90), &values).unwrap().text, "x");
    let many: String = (0..50_000).map(|number| format!("$U{number} ")).collect();
    assert_eq!(Lexer::new('\\').expand(&many, &values).unwrap().unset.len(), 50_000);
}

#[test]
fn text_without_marks_is_itself() {
    let config = Config { failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&"[^$'\"\\\\<\u{feff}]*", |text| {
        let expanded = expanded(&text).unwrap();
        prop_assert_eq!(&expanded.text, &text);
        prop_assert_eq!(expanded.words, text.split_whitespace().collect::<Vec<_>>());
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn any_word_is_read_or_refused_with_its_place() {
    const PIECES: &[&str] = &[
        "$", "{", "}", "${", "A", "PWD", "U", ":", "-", "+", "?", "#", "%", "/", "//", "*", "\\", "'", "\"", " ", "é",
        "`", "<<", "1", "${PWD", "$$", "\n",
    ];
    let word = prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat());
    let config = Config { cases: 3000, failure_persistence: None, ..Config::default() };
    let outcome =
        TestRunner::new(config).run(&(word, any::<(bool, bool, u8)>()), |(word, (keep_escapes, keep_unset, mode))| {
            let quotes = [Quotes::Remove, Quotes::Keep, Quotes::Plain][usize::from(mode % 3)];
            let escape = if mode < 128 { '\\' } else { '`' };
            match (Lexer { escape, quotes, keep_escapes, keep_unset }).expand(&word, &value) {
                Ok(expanded) => prop_assert!(expanded.words.iter().all(|word| !word.is_empty())),
                Err(error) => prop_assert!(word.get(error.at).is_some_and(|part| !part.is_empty())),
            }
            Ok(())
        });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Where both have a meaning for a word, it is the same: bash assigns it to a variable, which splits nothing.
#[test]
fn bash_agrees_on_any_word_that_it_reads_alike() {
    if !require("bash") {
        return;
    }
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let words: Vec<String> = (0..2000).map(|_| shell_word().new_tree(&mut runner).unwrap().current()).collect();
    let script = words.iter().fold(String::new(), |mut script, word| {
        writeln!(script, "x={word}; printf '%s\\0' \"$x\"").unwrap();
        script
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let set = SET.iter().filter(|(name, _)| name.is_ascii());
    let output = checked(Command::new("bash").env_clear().env("LC_ALL", "C.UTF-8").envs(set.copied()).arg(file.path()));
    let outputs: Vec<&str> = output.split_terminator('\0').collect();
    assert_eq!(outputs.len(), words.len());
    for (word, output) in words.iter().zip(outputs) {
        assert_eq!(expanded(word).unwrap_or_else(|error| panic!("{word}: {error}")).text, output, "{word}");
    }
}

fn shell_word() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(&["FOO", "NULL", "U", "X", "DEEP", "STARS", "PATHS", "TWO"][..]);
    let plain = || "[a-z/.,0-9]{1,4}";
    let pattern =
        || prop::collection::vec(prop::sample::select(&["a", "x", "y", ".", "o", "*", "?", "\\*", "\\?"][..]), 1..5);
    let simple = prop_oneof![
        plain(),
        name().prop_map(|name| format!("${{{name}}}")),
        name().prop_map(|name| format!("${name}.")),
        "\\\\[a-z$'\"*]",
        "'[a-z$\"*\\\\ ]{0,4}'",
    ];
    let cut = (name(), prop::sample::select(&["#", "##", "%", "%%"][..]), pattern())
        .prop_map(|(name, cut, pattern)| format!("${{{name}{cut}{}}}", pattern.concat()));
    let replaced = (name(), prop::sample::select(&["/", "//"][..]), pattern(), "[a-z.]{0,3}")
        .prop_filter("for bash, a pattern of stars alone matches the empty end, too", |(_, _, pattern, _)| {
            pattern.iter().any(|piece| *piece != "*")
        })
        .prop_filter("bash finds nothing if a star comes first and something is escaped", |(_, _, pattern, _)| {
            pattern[0] != "*" || !pattern.iter().any(|piece| piece.starts_with('\\'))
        })
        .prop_map(|(name, slash, pattern, by)| format!("${{{name}{slash}{}/{by}}}", pattern.concat()));
    let leaf = prop_oneof![3 => simple, 1 => cut, 1 => replaced];
    let nested = leaf.prop_recursive(3, 12, 3, move |inner| {
        let operator = prop::sample::select(&[":-", "-", ":+", "+"][..]);
        (name(), operator, prop::collection::vec(inner, 0..3))
            .prop_map(|(name, operator, inner)| format!("${{{name}{operator}{}}}", inner.concat()))
    });
    let quoted = "\"[a-z ']{0,3}\\$\\{(FOO|U|TWO)\\}(\\\\\\$|\\\\\"|\\\\\\\\|\\\\a)?\"";
    prop::collection::vec(prop_oneof![4 => nested, 1 => quoted], 1..4).prop_map(|parts| parts.concat())
}

fn value(name: &str) -> Option<&'static str> {
    SET.iter().find(|(set, _)| *set == name).map(|(_, value)| *value)
}

fn expanded(word: &str) -> Result<Expanded, ExpandError> {
    Lexer::new('\\').expand(word, &value)
}
