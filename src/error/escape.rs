//! How text reaches a person, a terminal or a log: as one line that does nothing but stand there.
//!
//! Most of what a message names was written by others: names in an image, a registry's answers, lines of a Dockerfile.
//! Such text could end the line and begin another one, move the cursor, turn the direction of what follows, hide itself,
//! or be a command to the program that collects the log. What does so is written as Rust writes it in a string: `\n`,
//! `\u{1b}`.
//!
//! Logs of builds are read by programs, too. GitHub obeys lines that begin with `::` behind white space, and `##[name]`
//! anywhere in a line; Azure Pipelines obeys `##vso[…]` anywhere in a line, TeamCity `##teamcity[…]`. These get a backslash
//! where the command begins: `\::error::` and `##vso\[…]`. GitLab's sections need control characters, which are gone.

/// Returns `text` as one line.
pub fn line(text: &str) -> String {
    disarmed(visible(text, |c| is_hidden(c) || c == '\t'))
}

/// Returns `text` as one line in which tabs stay tabs: for a line of somebody's file, under which a caret is to stand.
pub fn source(text: &str) -> String {
    disarmed(visible(text, is_hidden))
}

/// Returns a JSON document on one line, as a serialiser writes it, in which every string is spelled so that it reads the same and
/// does nothing where it is shown.
pub fn json(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    let mut rest = document;
    while let Some(bracket) = command(rest) {
        push_json(&mut shown, &rest[..bracket]);
        shown.push_str("\\u005b");
        rest = &rest[bracket + 1..];
    }
    push_json(&mut shown, rest);
    shown
}

fn push_json(shown: &mut String, text: &str) {
    for c in text.chars() {
        match is_hidden(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}"))),
            false => shown.push(c),
        }
    }
}

fn visible(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' if is_escaped(c) => shown.extend(c.escape_default()),
            _ if is_escaped(c) => shown.extend(c.escape_unicode()),
            _ => shown.push(c),
        }
    }
    shown
}

/// Without commands to the programs that collect logs.
fn disarmed(text: String) -> String {
    let start = text.len() - text.trim_start().len();
    let mut shown = String::with_capacity(text.len());
    let mut rest = &text[..];
    if text[start..].starts_with("::") {
        shown = format!("{}\\", &text[..start]);
        rest = &text[start..];
    }
    while let Some(bracket) = command(rest) {
        shown.push_str(&rest[..bracket]);
        shown.push_str("\\[");
        rest = &rest[bracket + 1..];
    }
    shown + rest
}

/// Where the first bracket of `##name[` stands.
fn command(text: &str) -> Option<usize> {
    let is_command = |bracket: &usize| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        text[..*bracket].trim_end_matches(is_name).ends_with("##")
    };
    text.match_indices('[').map(|(bracket, _)| bracket).find(is_command)
}

/// Returns whether `c` is one of the control characters but for tabs, and what Unicode has for ends of lines, for their direction
/// (UAX #9) and for no sign at all (general category Cf, without the numbers' signs of Arabic and the like, which are seen).
pub fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text that is likely to be one of the things that matter.
    fn foreign() -> impl Strategy<Value = String> {
        let hostile = prop::sample::select(vec![
            "\n",
            "\r",
            "\t",
            "\u{1b}[2J",
            "\u{85}",
            "\u{9b}1m",
            "\u{2028}",
            "\u{2029}",
            "\u{202e}",
            "\u{2066}",
            "\u{200b}",
            "\u{feff}",
            "\u{7f}",
            "\0",
            "\u{e0041}",
            "::error::x",
            "##vso[a]",
            "##[x]",
            "##teamcity[",
            "##",
            "[",
            " ",
            "é",
            "名",
            "\\",
        ]);
        prop::collection::vec(prop_oneof![hostile.prop_map(str::to_owned), ".{0,3}"], 0..8).prop_map(|all| all.concat())
    }

    fn assert_is_harmless(text: &str, shown: &str) {
        assert!(!shown.chars().any(|c| c.is_control() || is_hidden(c)), "{shown:?} of {text:?}");
        assert!(!shown.trim_start().starts_with("::"), "{shown:?} of {text:?}");
        for command in ["##[", "##vso[", "##teamcity["] {
            assert!(!shown.contains(command), "{shown:?} of {text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_one_line_that_does_nothing(text in foreign()) {
            assert_is_harmless(&text, &line(&text));
            assert_is_harmless(&text, &source(&text).replace('\t', " "));
        }

        #[test]
        fn what_is_plain_stays(text in "[a-zA-Z0-9 .,:/@'`\"(){}éß名–…-]{0,40}") {
            prop_assume!(!text.trim_start().starts_with("::"));
            assert_eq!(line(&text), text);
        }

        #[test]
        fn json_reads_the_same(keys in prop::collection::vec(foreign(), 0..4), text in foreign()) {
            let document = serde_json::json!({"keys": keys, text.clone(): [text]});
            let shown = json(&document.to_string());
            assert_is_harmless(&document.to_string(), &shown);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), document);
        }
    }

    #[test]
    fn escapes_are_readable() {
        assert_eq!(line("a\n::error::b\tc"), "a\\n::error::b\\tc");
        assert_eq!(line(" ::error::b"), " \\::error::b");
        assert_eq!(line("x ##vso[task.x]y ##[error]##teamcity[a"), "x ##vso\\[task.x]y ##\\[error]##teamcity\\[a");
        assert_eq!(line("\u{1b}[31m \u{202e} ## [a]"), "\\u{1b}[31m \\u{202e} ## [a]");
        assert_eq!(source("\tRUN\r"), "\tRUN\\r");
        assert_eq!(json("{\"a\":\"##[x \u{e0041}\u{7f}\"}"), "{\"a\":\"##\\u005bx \\udb40\\udc41\\u007f\"}");
    }
}
