//! The text of a `.dockerignore`, as docker reads it (ignorefile of moby/patternmatcher). What its patterns mean, and which
//! are none, [`Ignore`](crate::tree::Ignore) says.

use crate::tree::pattern::{characters, clean};

/// Returns the patterns in `text`, in their order. A line that begins with `#` is a comment, and so is an empty one; a
/// byte order mark may stand before the first. Bytes that are no UTF-8 are U+FFFD, each of them, as they are in paths:
/// one stands for another.
pub fn patterns(text: &[u8]) -> Vec<String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
    lines.filter_map(|line| pattern(&characters(line))).collect()
}

/// Returns the pattern in `line`, and none if the line is empty: without white space around it (and behind a `!`), with
/// neither `.`, `..` nor slashes that could be spared, and relative, for the context is the root.
pub fn pattern(line: &str) -> Option<String> {
    let line = line.trim();
    let (mark, body) = match line.strip_prefix('!') {
        Some(body) => ("!", body.trim()),
        None => ("", line),
    };
    match (mark, body) {
        ("", "") => None,
        (mark, "") => Some(mark.to_owned()),
        (mark, body) => {
            let clean = clean(body);
            let relative = clean.strip_prefix('/').filter(|relative| !relative.is_empty()).unwrap_or(&clean);
            Some(format!("{mark}{relative}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the rules of the Dockerfile reference's ".dockerignore file" and of Go's `filepath.Clean`.
    #[test]
    fn a_file_is_read_line_by_line() {
        let text = b"\xef\xbb\xbf# comment\n a \r\n #b\n\n! /c/ \n./d/../e//f\n/\n..\n/../g\n!\n!  \ncaf\xe9\n#\n.";
        let read = patterns(text);
        assert_eq!(read, ["a", "#b", "!c", "e/f", "/", "..", "g", "!", "!", "caf\u{fffd}", "."]);
        assert_eq!(patterns(b""), [""; 0]);
        assert_eq!(patterns(b"\n\xef\xbb\xbf#x"), ["\u{feff}#x"], "the mark stands first, or is none");
    }
}
