//! What is asked wrongly, as clap tells it.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::escape;
use crate::plan::shown_url;

/// Docker's exit codes for a flag that it cannot read, and for a command that is asked wrongly in another way.
const WRONG_FLAG: u8 = 125;
const WRONG_COMMAND: u8 = 1;

/// Returns `error` with its arguments escaped, for a script may have them from elsewhere, and with no tip but a flag that may
/// have been meant.
pub fn told(mut error: clap::Error) -> clap::Error {
    let shown: Vec<(ContextKind, ContextValue)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            // A URL may have a password.
            ContextValue::String(text) if kind == ContextKind::InvalidValue && text.contains("://") => {
                Some((kind, ContextValue::String(escape::line(&shown_url(text)))))
            }
            ContextValue::String(text) => Some((kind, ContextValue::String(escape::line(text)))),
            ContextValue::Strings(texts) => {
                Some((kind, ContextValue::Strings(texts.iter().map(|text| escape::line(text)).collect())))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in shown {
        error.insert(kind, value);
    }
    if error.kind() == ErrorKind::UnknownArgument {
        let (word, similar) = (text(&error, ContextKind::InvalidArg), text(&error, ContextKind::SuggestedArg));
        let meant = word.as_deref().and_then(|word| meant(word, similar.as_deref()));
        // That it may be a value would be the only tip, and hardly ever the right one.
        error.remove(ContextKind::Suggested);
        match meant {
            Some(meant) => drop(error.insert(ContextKind::SuggestedArg, ContextValue::String(meant))),
            None => drop(error.remove(ContextKind::SuggestedArg)),
        }
    }
    error
}

/// Returns the word that is not a command, if that is what is wrong.
pub fn unknown_command(error: &clap::Error) -> Option<String> {
    let is_unknown = error.kind() == ErrorKind::InvalidSubcommand;
    text(error, ContextKind::InvalidSubcommand).filter(|_| is_unknown)
}

/// Returns the exit code with which docker ends where `error` is what is wrong.
pub fn docker_exit_code(error: &clap::Error) -> u8 {
    let is_flag = || text(error, ContextKind::InvalidArg).is_some_and(|word| word.starts_with('-'));
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => 0,
        ErrorKind::UnknownArgument
        | ErrorKind::InvalidValue
        | ErrorKind::ValueValidation
        | ErrorKind::NoEquals
        | ErrorKind::TooManyValues
        | ErrorKind::TooFewValues
        | ErrorKind::WrongNumberOfValues
            if is_flag() =>
        {
            WRONG_FLAG
        }
        _ => WRONG_COMMAND,
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Flags that people write for another one, whose name is not like theirs.
const OTHER_NAMES: [(&str, &str); 9] = [
    ("--arg", "--build-arg"),
    ("--args", "--build-arg"),
    ("--cache", "--cache-from"),
    ("--context", "--build-context"),
    ("--destination", "--tag"),
    ("--dockerfile", "--file"),
    ("--name", "--tag"),
    ("--push-to", "--push"),
    ("--stage", "--target"),
];

/// Returns the flag that is meant by `word`, which is none: another name for it, or `similar` if that is near enough.
fn meant(word: &str, similar: Option<&str>) -> Option<String> {
    let name = word.split('=').next().unwrap_or_default();
    if let Some((_, meant)) = OTHER_NAMES.iter().find(|(other, _)| *other == name) {
        return Some((*meant).to_owned());
    }
    similar.filter(|similar| is_near(name, similar)).map(str::to_owned)
}

/// Returns whether one of two flags may be the other one mistyped: they are the same but for hyphens, or for a letter in four.
fn is_near(one: &str, other: &str) -> bool {
    let letters = |flag: &str| flag.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
    let (one, other) = (letters(one), letters(other));
    let wrong = strsim::osa_distance(&one, &other);
    wrong <= one.chars().count().max(other.chars().count()) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_a_slip_and_no_other_word() {
        for (typed, flag) in [
            ("--tags", "--tag"),
            ("--nocache", "--no-cache"),
            ("--buildarg", "--build-arg"),
            ("--build-args", "--build-arg"),
            ("--secrets", "--secret"),
            ("--platfrom", "--platform"),
            ("--labels", "--label"),
            ("--ouput", "--output"),
        ] {
            assert!(is_near(typed, flag), "{typed} {flag}");
        }
        for (typed, flag) in [
            ("--secret", "--insecure"),
            ("--load", "--log"),
            ("--sbom", "--shm-size"),
            ("--ssh", "--shell"),
            ("--env-file", "--file"),
            ("--nonsense", "--no-cache"),
        ] {
            assert!(!is_near(typed, flag), "{typed} {flag}");
        }
        assert_eq!(meant("--dockerfile=x", Some("--file")).as_deref(), Some("--file"));
        assert_eq!(meant("--secret", Some("--insecure")), None);
    }
}
