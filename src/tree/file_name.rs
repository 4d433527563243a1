//! The names in a directory, small in memory.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

/// One name in a directory: any bytes but `/` and NUL. Names of up to 22 bytes, which nearly all are, take no memory of their
/// own beside what holds them. They are compared as bytes.
#[derive(Clone)]
pub struct FileName(Form);

#[derive(Clone)]
enum Form {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

/// As many as fit where the pointer of a long name would lie.
const SHORT: usize = 22;

impl From<&[u8]> for FileName {
    fn from(name: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        FileName(match bytes.get_mut(..name.len()) {
            Some(room) => {
                room.copy_from_slice(name);
                Form::Short { length: name.len() as u8, bytes }
            }
            None => Form::Long(name.into()),
        })
    }
}

impl Deref for FileName {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Short { length, bytes } => &bytes[..usize::from(*length)],
            Form::Long(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for FileName {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for FileName {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for FileName {}

impl PartialOrd for FileName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FileName {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_are_kept_and_sorted_as_bytes() {
        let mut names: Vec<Vec<u8>> = (0..60).map(|length| vec![b'z' - (length % 3) as u8; length]).collect();
        let mut kept: Vec<FileName> = names.iter().map(|name| FileName::from(&name[..])).collect();
        assert!(names.iter().zip(&kept).all(|(name, kept)| name[..] == **kept));
        names.sort();
        kept.sort();
        assert!(names.iter().zip(&kept).all(|(name, kept)| name[..] == **kept));
        assert_eq!(size_of::<FileName>(), 24);
    }
}
