//! The names that a project may have.

use crate::error::{Error, Result};

/// Returns `name` if it can be a project's.
pub fn checked(name: &str) -> Result<String> {
    let is_first = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut bytes = name.bytes();
    if bytes.next().is_some_and(is_first) && bytes.all(|c| is_first(c) || matches!(c, b'-' | b'_')) {
        return Ok(name.to_owned());
    }
    Err(Error::input(format!("`{name}` cannot be the name of a project"))
        .with_hint("it has lower-case letters, digits, `-` and `_`, and begins with a letter or a digit"))
}

/// Returns what is left of a name, of a directory or a file, once it is one that a project can have; it is empty if nothing is.
pub fn normalized(name: &str) -> String {
    let name: String = name
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        .collect();
    name.trim_start_matches(['-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_little() {
        for name in ["a", "1-b_c", "app"] {
            assert_eq!(checked(name).unwrap(), name);
        }
        for name in ["", "A", "-a", "_a", "a.b", "a b", "é"] {
            assert!(checked(name).is_err(), "{name}");
        }
        for (directory, name) in
            [("My App", "myapp"), ("__x.y", "xy"), ("-1", "1"), ("Éa", "a"), ("...", ""), ("a_b-c", "a_b-c")]
        {
            assert_eq!(normalized(directory), name);
        }
    }
}
