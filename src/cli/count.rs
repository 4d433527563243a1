//! Numbers of things.

/// Returns a number of things in words: `1 blob`, `2 blobs`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
