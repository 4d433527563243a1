//! Percent escapes (RFC 3986, section 2.1).

/// Returns `text` without its escapes `%XX`, two hexadecimal digits each. A `%` that begins none stays as it is.
pub(crate) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match after.first_chunk().and_then(byte).filter(|_| *first == b'%') {
            Some(byte) => {
                plain.push(byte);
                rest = &after[2..];
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

/// Returns the same as text, with U+FFFD for what is no UTF-8.
pub(crate) fn percent_decoded_text(text: &str) -> String {
    String::from_utf8_lossy(&percent_decoded(text.as_bytes())).into_owned()
}

fn byte([high, low]: &[u8; 2]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(percent_decoded(b"p%40ss%3aw%C3%B6rd"), "p@ss:wörd".as_bytes());
        assert_eq!(percent_decoded(b"a%40b+c%26d"), b"a@b+c&d");
        assert_eq!(percent_decoded_text("ö%20%c3%28"), "ö \u{fffd}(");
        assert_eq!(percent_decoded(b""), b"");
    }

    #[test]
    fn what_is_no_escape_stays_as_it_is() {
        for text in ["100%", "%zz%4", "%+1", "%é1", "%%", "% 1"] {
            assert_eq!(percent_decoded_text(text), text);
        }
        assert_eq!(percent_decoded(b"%%41"), b"%A");
    }
}
