//! The part of a blob that is asked for (RFC 9110, section 14).

use std::ops::Range;

/// What a `Range` means for something of a known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WantedPart {
    /// All of it: that is what several parts get, too, and what is not understood.
    Whole,
    /// These bytes, of which there is one at least.
    Part(Range<u64>),
    /// None of its bytes.
    Outside,
}

impl WantedPart {
    /// Reads the value of a `Range`.
    pub fn of(header: Option<&str>, size: u64) -> WantedPart {
        header.and_then(|header| read(header, size)).unwrap_or(WantedPart::Whole)
    }
}

fn read(header: &str, size: u64) -> Option<WantedPart> {
    let (unit, range) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
        return None;
    }
    let (first, last) = range.split_once('-')?;
    let part = match (first.trim(), last.trim()) {
        ("", last) => size.saturating_sub(number(last)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some(if part.is_empty() { WantedPart::Outside } else { WantedPart::Part(part) })
}

/// More digits than any size has are more than any size.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_as_http_has_them() {
        let part = |range| WantedPart::Part(range);
        for (header, wanted) in [
            ("bytes=0-0", part(0..1)),
            ("bytes=0-99", part(0..10)),
            ("bytes=4-", part(4..10)),
            ("bytes=-3", part(7..10)),
            ("bytes=-30", part(0..10)),
            ("Bytes = 2 - 3", part(2..4)),
            ("bytes=0-99999999999999999999999", part(0..10)),
            ("bytes=10-", WantedPart::Outside),
            ("bytes=99999999999999999999999-", WantedPart::Outside),
            ("bytes=-0", WantedPart::Outside),
            ("bytes=0-1,3-4", WantedPart::Whole),
            ("bytes=3-2", WantedPart::Whole),
            ("bytes=--2", WantedPart::Whole),
            ("bytes=a-b", WantedPart::Whole),
            ("bytes=+1-2", WantedPart::Whole),
            ("lines=1-2", WantedPart::Whole),
            ("bytes", WantedPart::Whole),
            ("", WantedPart::Whole),
        ] {
            assert_eq!(WantedPart::of(Some(header), 10), wanted, "{header}");
        }
        assert_eq!(WantedPart::of(None, 10), WantedPart::Whole);
        assert_eq!(WantedPart::of(Some("bytes=0-"), 0), WantedPart::Outside);
    }
}
