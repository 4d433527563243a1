//! Challenges: the ways in that a refusal offers (RFC 9110, section 11.6.1).

use crate::net::Url;
use crate::net::header::{HeaderMap, WWW_AUTHENTICATE};

/// One way in that a 401 offers. Scheme and names of parameters are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    pub scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    pub fn all(headers: &HeaderMap) -> Vec<Challenge> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(Challenge::parse).collect()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns words for people: `basic authentication`, `bearer tokens of https://auth.example/token`.
    pub fn describe(&self) -> String {
        match (self.scheme.as_str(), self.get("realm").and_then(|realm| Url::parse(realm).ok())) {
            ("bearer", Some(realm)) => {
                format!("bearer tokens of {}{}", realm.origin().ascii_serialization(), realm.path())
            }
            (scheme, _) => format!("{scheme} authentication"),
        }
    }

    /// A header may hold several challenges, with the same comma between them as between their parameters: a word with
    /// `=` behind it is a parameter, any other begins a challenge.
    fn parse(header: &str) -> Vec<Challenge> {
        let mut challenges: Vec<Challenge> = Vec::new();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',', '=']);
            let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            if word.is_empty() {
                return challenges;
            }
            let word = word.to_ascii_lowercase();
            match (behind.trim_start().strip_prefix('='), challenges.last_mut()) {
                (Some(value), Some(challenge)) => {
                    let (value, behind) = parameter_value(value.trim_start());
                    challenge.parameters.push((word, value));
                    rest = behind;
                }
                _ => {
                    challenges.push(Challenge { scheme: word, parameters: Vec::new() });
                    rest = behind;
                }
            }
        }
    }
}

/// A token or quoted string (RFC 9110, section 5.6.4), and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, behind) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return (value.to_owned(), behind);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        Challenge { scheme: scheme.to_owned(), parameters: parameters.iter().map(owned).collect() }
    }

    #[test]
    fn challenges_are_read_in_any_case_with_commas_in_quotes() {
        assert_eq!(
            Challenge::parse(r#"bEaReR Realm="https://auth.io/token",SERVICE="reg",scope="repository:a/b:pull,push""#),
            [challenge(
                "bearer",
                &[("realm", "https://auth.io/token"), ("service", "reg"), ("scope", "repository:a/b:pull,push")]
            )]
        );
    }

    #[test]
    fn one_header_holds_several_challenges() {
        assert_eq!(
            Challenge::parse(r#"Negotiate, Basic realm="a \"b\", c" , Bearer realm = x, error=invalid_token"#),
            [
                challenge("negotiate", &[]),
                challenge("basic", &[("realm", r#"a "b", c"#)]),
                challenge("bearer", &[("realm", "x"), ("error", "invalid_token")]),
            ]
        );
    }

    #[test]
    fn a_broken_challenge_ends_and_does_not_panic() {
        for header in ["", "=", ",,,", "Bearer realm=\"", "Bearer realm=\"a\\", "a=b", "Bearer =, = x", "é=\"ü"] {
            Challenge::parse(header);
        }
    }
}
