//! How what others wrote stands in a file that is written for them: as a comment or a text, never as an instruction.

use crate::error::{Error, Result, escape};

/// In characters. Longer names are nobody's.
const LONGEST: usize = 128;

/// Returns `text` as one line that begins with `#`.
pub fn comment(text: &str) -> String {
    format!("# {}", escape::line(text))
}

/// Returns `text` as a string of TOML.
pub fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            _ if c == '\t' || escape::is_hidden(c) => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
            _ => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Returns `words` as a Dockerfile has a command that no shell reads: a JSON array.
pub fn exec_form(words: &[String]) -> String {
    let words: Vec<String> =
        words.iter().map(|word| escape::json(&serde_json::Value::from(word.as_str()).to_string())).collect();
    format!("[{}]", words.join(", "))
}

/// Returns whether `text` is a name that means itself wherever it stands: to a shell, in a path, as a tag.
pub fn is_plain(text: &str) -> bool {
    let is_usual = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    text.len() <= LONGEST
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || "._".contains(c))
        && text.chars().all(is_usual)
        && !matches!(text, "." | "..")
}

/// Returns whether `text` is a relative path of such names.
pub fn is_plain_path(text: &str) -> bool {
    text.len() <= LONGEST && text.split('/').all(is_plain)
}

/// Returns `text`, which `file` has as its `what`. Fails unless it [is plain](is_plain).
pub fn plain(text: &str, file: &str, what: &str) -> Result<String> {
    match is_plain(text) {
        true => Ok(text.to_owned()),
        false => {
            Err(Error::input(format!("{file} has `{text}` as {what}, which is more than letters, digits and `._+-`"))
                .with_hint("give it a plain name, or write the Dockerfile by hand"))
        }
    }
}

/// Returns the name of an image that is called as `name` is, as far as an image can be.
pub fn image_name(name: &str) -> String {
    let mut made = String::new();
    for c in name.chars().take(LONGEST) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => made.push(c),
            _ if made.is_empty() || made.ends_with('-') => {}
            _ => made.push('-'),
        }
    }
    match made.trim_end_matches('-') {
        "" => "app".to_owned(),
        made => made.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_string_of_toml_reads_as_what_was_quoted(text in ".{0,20}", odd in "[\"\\\\\n\r\t\u{0}\u{7f}\u{2028}\u{e0041}]{0,4}") {
            let text = text + &odd;
            let document: toml::Table = format!("a = {}", toml_string(&text)).parse().unwrap();
            assert_eq!(document["a"].as_str(), Some(&text[..]));
        }

        #[test]
        fn a_command_is_one_line_of_json(text in ".{0,20}", odd in "[\"\\\\\n\r\t\u{0}\u{7f}\u{2028}\u{e0041}]{0,4}") {
            let text = text + &odd;
            let form = exec_form(&[text.clone(), "x".to_owned()]);
            assert!(!form.contains('\n') && !form.contains('\r'));
            assert_eq!(serde_json::from_str::<Vec<String>>(&form).unwrap(), [text, "x".to_owned()]);
        }

        #[test]
        fn an_image_has_a_name_whatever_it_is_called_after(text in ".{0,200}") {
            assert!(image_name(&text).parse::<crate::oci::Reference>().is_ok());
        }
    }

    #[test]
    fn what_a_shell_reads_otherwise_is_not_plain() {
        for text in ["a", "api-server", "a.b_c+d", ".hidden", "x86_64"] {
            assert!(is_plain(text), "{text}");
        }
        for text in ["", ".", "..", "-rf", "a b", "a;b", "$(a)", "a\nb", "a/b", "a'", "é", &"a".repeat(129)] {
            assert!(!is_plain(text), "{text}");
        }
        assert!(
            is_plain_path("src/app") && !is_plain_path("/src") && !is_plain_path("a/../b") && !is_plain_path("a//b")
        );
    }
}
