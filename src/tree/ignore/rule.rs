//! One pattern of what is left out, and how moby compares it.

use regex::Regex;

use super::{expression, syntax};
use crate::tree::pattern::clean;

/// One pattern of moby's patternmatcher.
#[derive(Debug)]
pub(super) struct Rule {
    pub takes_back: bool,
    form: Form,
    /// The directories that each match of an expression is below, by name; empty if it may be anywhere.
    lead: String,
}

/// The form in which the pattern is compared. moby takes shortcuts, and what it matches differs with them.
#[derive(Debug)]
enum Form {
    Exact(String),
    /// `prefix**`
    Prefix(String),
    /// `**suffix`, which asks for no slash before the suffix if it begins with none.
    Suffix(String),
    Expression(Regex),
}

impl Rule {
    /// Returns none if `pattern` is none to docker.
    pub fn new(pattern: &str) -> Option<Self> {
        let clean = clean(pattern);
        let (takes_back, body) = match clean.strip_prefix('!') {
            Some(body) => (true, body),
            None => (false, &clean[..]),
        };
        if takes_back && body.is_empty() || !syntax::is_taken(body) {
            return None;
        }
        Some(Rule { takes_back, form: form(body)?, lead: lead(body) })
    }

    /// Returns whether it matches `path` itself.
    pub fn matches(&self, path: &str) -> bool {
        match &self.form {
            Form::Exact(exact) => path == exact,
            Form::Prefix(prefix) => path.starts_with(prefix),
            Form::Suffix(suffix) => path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path),
            Form::Expression(expression) => expression.is_match(path),
        }
    }

    /// Returns whether it could match something below `directory`, which it does not match.
    pub fn reaches_below(&self, directory: &str) -> bool {
        match &self.form {
            Form::Exact(exact) => is_below(exact, directory),
            _ => {
                self.lead.is_empty()
                    || self.lead == directory
                    || is_below(&self.lead, directory)
                    || is_below(directory, &self.lead)
            }
        }
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// The names at the beginning of `pattern` that mean themselves alone. A `|` is an alternative to all that stands before it.
fn lead(pattern: &str) -> String {
    let is_plain = |name: &&str| !name.contains(['*', '?', '[', ']', '\\', '^', '{']);
    match pattern.contains('|') {
        true => String::new(),
        false => pattern.split('/').take_while(is_plain).collect::<Vec<_>>().join("/"),
    }
}

/// Goes through the pattern as moby's `compile` does, and gives what it writes for Go's regular expressions.
fn form(pattern: &str) -> Option<Form> {
    #[derive(PartialEq)]
    enum FormKind {
        Exact,
        Prefix,
        Suffix,
        Expression,
    }
    let mut kind = FormKind::Exact;
    let mut written = String::new();
    let mut characters = pattern.chars().peekable();
    let mut is_first = true;
    while let Some(character) = characters.next() {
        match character {
            '*' if characters.next_if_eq(&'*').is_some() => {
                characters.next_if_eq(&'/');
                match (characters.peek(), &kind) {
                    (None, FormKind::Exact) => kind = FormKind::Prefix,
                    (None, _) => {
                        written.push_str(".*");
                        kind = FormKind::Expression;
                    }
                    (Some(_), _) => {
                        written.push_str("(.*/)?");
                        kind = FormKind::Expression;
                    }
                }
                if is_first {
                    kind = FormKind::Suffix;
                }
            }
            '*' | '?' | '[' | ']' => {
                written.push_str(match character {
                    '*' => "[^/]*",
                    '?' => "[^/]",
                    '[' => "[",
                    _ => "]",
                });
                kind = FormKind::Expression;
            }
            '.' | '+' | '(' | ')' | '$' => written.extend(['\\', character]),
            '\\' => {
                // A last one, which can only stand behind a star, escapes the `$` of the expression.
                written.push('\\');
                if let Some(escaped) = characters.next() {
                    written.push(escaped);
                    kind = FormKind::Expression;
                }
            }
            other => written.push(other),
        }
        is_first = false;
    }
    Some(match kind {
        FormKind::Exact => Form::Exact(pattern.to_owned()),
        FormKind::Prefix => Form::Prefix(pattern.strip_suffix("**").unwrap_or(pattern).to_owned()),
        FormKind::Suffix => Form::Suffix(pattern.strip_prefix("**").unwrap_or(pattern).to_owned()),
        FormKind::Expression => Form::Expression(expression::translated(&written)?),
    })
}
