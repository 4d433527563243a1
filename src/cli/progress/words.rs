//! The words that more than one style has for the same thing.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::oci::Digest;
use crate::progress::{BlobOutcome, StepPlace};

/// The digits of a digest that are shown where it is not the result.
const DIGITS: usize = 12;

/// What stands for what is left out of a text.
const GAP: &str = "...";

/// Returns the title of a step, with its target where there are several.
pub fn of_target(StepPlace { title, target, .. }: StepPlace<'_>) -> String {
    target.map_or_else(|| title.to_owned(), |target| format!("[{target}] {title}"))
}

/// Returns the number of a command, and its step.
pub fn command_title(command: usize, step: StepPlace<'_>) -> String {
    format!("#{command} {}", of_target(step))
}

/// Returns what a layer is called in front of its title.
pub fn layer_title(title: &str) -> String {
    format!("layer {title}")
}

/// Returns a digest in short, as docker has it.
pub fn short_digest(digest: Digest) -> String {
    digest.hex().chars().take(DIGITS).collect()
}

/// Returns what a blob is called: its digest in short.
pub fn blob_title(digest: Digest) -> String {
    format!("blob {}", short_digest(digest))
}

/// Returns what has become of a blob, in a word.
pub fn outcome_word(outcome: BlobOutcome) -> &'static str {
    match outcome {
        BlobOutcome::Sent => "sent",
        BlobOutcome::Written => "written",
        BlobOutcome::Present => "present",
        BlobOutcome::Mounted => "mounted",
    }
}

/// Returns `text` with its digests in short.
pub fn with_short_digests(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (number, part) in text.split("sha256:").enumerate() {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        match number {
            0 => shown.push_str(part),
            _ if digits == 64 => shown.extend([&part[..DIGITS], &part[digits..]]),
            _ => shown.extend(["sha256:", part]),
        }
    }
    shown
}

/// Returns `text`, which is one line, with its middle left out where it takes more than `width` columns.
pub fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(GAP.width());
    if room < 2 {
        return beginning(text.chars(), width).collect();
    }
    // More of the end: that is where a path says what it is of.
    let end: Vec<char> = beginning(text.chars().rev(), room.div_ceil(2)).collect();
    let taken: usize = end.iter().map(|c| c.width().unwrap_or_default()).sum();
    beginning(text.chars(), room - taken).chain(GAP.chars()).chain(end.into_iter().rev()).collect()
}

/// Returns the first of `text` that take no more than `width` columns.
fn beginning(text: impl Iterator<Item = char>, width: usize) -> impl Iterator<Item = char> {
    text.scan(0, move |taken, c| {
        *taken += c.width().unwrap_or_default();
        (*taken <= width).then_some(c)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_middle_of_what_is_too_long_is_left_out() {
        assert_eq!(shortened("COPY bin /", 10), "COPY bin /");
        assert_eq!(shortened("COPY a/long/path/of/files /srv/", 20), "COPY a/l...les /srv/");
        assert_eq!(shortened("COPY bin /", 4), "COPY");
        assert_eq!(shortened("漢字漢字漢字", 9), "漢字...字");
    }

    #[test]
    fn digests_are_short_wherever_they_stand() {
        let digest = Digest::of(b"x");
        let short = short_digest(digest);
        let text = format!("moves from {digest} (1.0), not sha256:abc");
        assert_eq!(with_short_digests(&text), format!("moves from {short} (1.0), not sha256:abc"));
        assert_eq!(with_short_digests("new"), "new");
    }

    proptest! {
        #[test]
        fn what_is_shortened_fits(text in "[a-z漢é\u{301}\u{1f600}]{0,60}", width in 0_usize..70) {
            let shown = shortened(&text, width);
            prop_assert!(shown.width() <= width, "{shown}");
            prop_assert!(text.width() > width || shown == text);
        }
    }
}
