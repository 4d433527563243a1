//! JSON as Go's encoder spells it.

use crate::error::escape;

/// Returns JSON of several lines with what HTML could take for its own escaped.
pub fn go_json(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        for character in escape::json(line).chars() {
            match character {
                '<' | '>' | '&' => spelled.push_str(&format!("\\u{:04x}", u32::from(character))),
                character => spelled.push(character),
            }
        }
        spelled.push('\n');
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_spelled_as_gos_encoder_does() {
        assert_eq!(go_json("{\n  \"a\": \"<&>\"\n}"), "{\n  \"a\": \"\\u003c\\u0026\\u003e\"\n}\n");
    }
}
