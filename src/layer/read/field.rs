//! The small print of tar headers and pax records: numbers, times, names.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::tree::Time;

/// Reads a number in a header's field: octal digits between spaces and NULs, or base 256 behind a first bit that is set, as
/// GNU writes what does not fit. An empty field is 0.
pub fn number(field: &[u8]) -> Option<i128> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // The second bit is the sign.
        let start = i128::from(first & 0x7f) - if first & 0x40 != 0 { 0x80 } else { 0 };
        return Some(rest.iter().fold(start, |number, byte| number * 256 + i128::from(*byte)));
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let digits = &field[field.iter().position(|byte| !is_blank(byte)).unwrap_or(field.len())..];
    let digits = &digits[..digits.iter().position(is_blank).unwrap_or(digits.len())];
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'7' => Some(number * 8 + i128::from(digit - b'0')),
        _ => None,
    })
}

/// Reads a number in a pax record.
pub fn decimal(digits: &[u8]) -> Option<i128> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads a time in a pax record: decimal seconds, with a fraction of which nine digits count.
pub fn time(text: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let is_negative = seconds.starts_with('-');
    let seconds: i64 = if seconds.is_empty() { 0 } else { seconds.parse().ok()? };
    let nanoseconds: u32 = format!("{fraction:0<9.9}").parse().ok()?;
    if is_negative && nanoseconds > 0 {
        return Some(Time { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds });
    }
    Some(Time { seconds, nanoseconds })
}

pub type PaxRecord<'a> = (&'a [u8], &'a [u8]);

/// Returns the record that `bytes` begins with, and what follows it.
pub fn record(bytes: &[u8]) -> Option<(PaxRecord<'_>, &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some(((&record[..equals], &record[equals + 1..]), rest))
}

/// Decodes base 64, with padding or without: libarchive writes none.
pub fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(value).or_else(|_| STANDARD.decode(value)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::percent_decoded;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"  644 \0\0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"77777777"), Some(0o77777777));
        assert_eq!(number(b"12x"), None);
        assert_eq!(number(&[0x80, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(&[0xff, 0xff, 0xfe]), Some(-2));
    }

    #[test]
    fn times_have_fractions_and_may_lie_before_1970() {
        let time = |text: &str| time(text.as_bytes()).map(|time| (time.seconds, time.nanoseconds));
        assert_eq!(time("12"), Some((12, 0)));
        assert_eq!(time("12.5"), Some((12, 500_000_000)));
        assert_eq!(time("12.0000000019"), Some((12, 1)));
        assert_eq!(time("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time("-0.25"), Some((-1, 750_000_000)));
        assert_eq!(time("-3"), Some((-3, 0)));
        assert_eq!(time("soon"), None);
        assert_eq!(time("1.-5"), None);
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        for text in ["0", "12", "10", "12.5", "12.000000001", "-1.25", "-0.25", "-3", "1234567890.98765"] {
            assert_eq!(time(text.as_bytes()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_record_may_hold_anything_behind_its_length() {
        let bytes = b"14 a=b\nc=\nd=e\n9 kk=vvv\n";
        let (first, rest) = record(bytes).unwrap();
        assert_eq!(first, (&b"a"[..], &b"b\nc=\nd=e"[..]));
        assert_eq!(rest, b"9 kk=vvv\n");
        for wrong in ["5 a=b\n", "7 a=b\n", "6 a=b ", "4 a\n", "x a=b\n", " a=b\n", "2", "-6 a=b\n", "1 a=b\n"] {
            assert!(record(wrong.as_bytes()).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn libarchives_names_and_values_are_decoded() {
        assert_eq!(percent_decoded(b"user.a%3Db%zz%4"), b"user.a=b%zz%4");
        assert_eq!(decoded(b"aGVsbG8"), Some(b"hello".to_vec()));
        assert_eq!(decoded(b"aGVsbG8="), Some(b"hello".to_vec()));
        assert_eq!(decoded(b"?"), None);
    }
}
