//! Keys: digests of named values, by which what was made of these values is found again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Digest;

/// Puts a key together. Each part has a name and a value that is encoded explicitly, and only the digest of that value
/// goes into the key: with the digests of its parts a key can tell in which of them it differs from another.
pub struct KeyBuilder {
    parts: Vec<u8>,
    named: Vec<KeyPart>,
}

/// A part of a key, by which it is told in what one differs from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPart {
    /// The name of the part.
    pub name: String,
    /// The digest of its encoded value.
    pub digest: Digest,
}

/// A value as bytes of which a key is made. No two values of a type have the same bytes, and none begin with those of
/// another, so that nothing runs together whatever follows.
///
/// What a debug text says is no such thing, for it may leave members out: there is no implementation by `Debug`. One for a
/// struct takes it apart without `..`, so that it cannot miss a member that is new.
pub trait Encode {
    /// Appends the bytes of the value to `to`, and changes nothing that is there.
    fn encode(&self, to: &mut Vec<u8>);

    /// All of a list, without its length.
    fn encode_all(values: &[Self], to: &mut Vec<u8>)
    where
        Self: Sized,
    {
        values.iter().for_each(|value| value.encode(to));
    }
}

impl KeyBuilder {
    /// Begins a key of what `kind` says; another form of its parts is another kind.
    pub fn new(kind: &str) -> Self {
        let mut parts = Vec::new();
        kind.encode(&mut parts);
        KeyBuilder { parts, named: Vec::new() }
    }

    /// Adds a member of the key. Both its name and the order of members count.
    pub fn part(mut self, name: &str, value: &(impl Encode + ?Sized)) -> Self {
        let mut encoded = Vec::new();
        value.encode(&mut encoded);
        name.encode(&mut self.parts);
        let digest = Digest::of(&encoded);
        digest.encode(&mut self.parts);
        self.named.push(KeyPart { name: name.to_owned(), digest });
        self
    }

    /// Returns the parts so far, in their order.
    pub fn parts(&self) -> &[KeyPart] {
        &self.named
    }

    /// Returns the key: the digest of the kind and of all members.
    pub fn finish(self) -> Digest {
        Digest::of(&self.parts)
    }
}

/// A tuple is encoded as its members, one after the other: those of a struct, or the number of an enum's variant and its
/// members. Hundreds of thousands of files are, so that no call is made for each number.
macro_rules! encode_tuple {
    ($($member:ident)+) => {
        impl<$($member: Encode),+> Encode for ($($member,)+) {
            fn encode(&self, to: &mut Vec<u8>) {
                #[allow(non_snake_case)]
                let ($($member,)+) = self;
                $($member.encode(to);)+
            }
        }
    };
}

encode_tuple!(A B);
encode_tuple!(A B C);
encode_tuple!(A B C D);
encode_tuple!(A B C D E);
encode_tuple!(A B C D E F);
encode_tuple!(A B C D E F G);
encode_tuple!(A B C D E F G H);

impl Encode for u8 {
    #[inline]
    fn encode(&self, to: &mut Vec<u8>) {
        to.push(*self);
    }

    fn encode_all(values: &[u8], to: &mut Vec<u8>) {
        to.extend_from_slice(values);
    }
}

impl Encode for bool {
    #[inline]
    fn encode(&self, to: &mut Vec<u8>) {
        to.push((*self).into());
    }
}

impl Encode for u32 {
    #[inline]
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_le_bytes());
    }
}

impl Encode for u64 {
    #[inline]
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_le_bytes());
    }
}

impl Encode for i64 {
    #[inline]
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_le_bytes());
    }
}

impl Encode for usize {
    #[inline]
    fn encode(&self, to: &mut Vec<u8>) {
        (*self as u64).encode(to);
    }
}

impl Encode for Digest {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.as_bytes());
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, to: &mut Vec<u8>) {
        self.len().encode(to);
        T::encode_all(self, to);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, to: &mut Vec<u8>) {
        self.as_slice().encode(to);
    }
}

impl Encode for str {
    fn encode(&self, to: &mut Vec<u8>) {
        self.as_bytes().encode(to);
    }
}

impl Encode for String {
    fn encode(&self, to: &mut Vec<u8>) {
        self.as_str().encode(to);
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, to: &mut Vec<u8>) {
        (**self).encode(to);
    }
}

impl<T: Encode + ?Sized> Encode for Arc<T> {
    fn encode(&self, to: &mut Vec<u8>) {
        (**self).encode(to);
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, to: &mut Vec<u8>) {
        self.is_some().encode(to);
        self.iter().for_each(|value| value.encode(to));
    }
}

impl<K: Encode, V: Encode> Encode for BTreeMap<K, V> {
    fn encode(&self, to: &mut Vec<u8>) {
        self.len().encode(to);
        self.iter().for_each(|entry| entry.encode(to));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written out by hand: other processes, and other machines, come to the same keys.
    #[test]
    fn a_key_is_made_of_names_and_of_the_digests_of_values() {
        let digest = |bytes: &[u8]| *Digest::of(bytes).as_bytes();
        let word = [&3u64.to_le_bytes()[..], b"abc"].concat();
        let numbers = [&2u64.to_le_bytes()[..], &7u32.to_le_bytes(), &8u32.to_le_bytes()].concat();
        let parts = [
            &4u64.to_le_bytes()[..],
            b"kind",
            &4u64.to_le_bytes(),
            b"word",
            &digest(&word),
            &7u64.to_le_bytes(),
            b"numbers",
            &digest(&numbers),
            &4u64.to_le_bytes(),
            b"none",
            &digest(&[0]),
        ];
        let key =
            KeyBuilder::new("kind").part("word", "abc").part("numbers", &vec![7u32, 8]).part("none", &None::<u64>);
        assert_eq!(key.finish(), Digest::of(&parts.concat()));
    }

    fn encoded(value: &(impl Encode + ?Sized)) -> Vec<u8> {
        let mut to = Vec::new();
        value.encode(&mut to);
        to
    }

    proptest! {
        #[test]
        fn what_is_different_is_encoded_differently_wherever_it_is_cut(
            one in prop::collection::vec(prop::option::of("[a,\u{0}/]{0,3}"), 0..4),
            other in prop::collection::vec(prop::option::of("[a,\u{0}/]{0,3}"), 0..4),
            behind in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            prop_assert_eq!(one == other, encoded(&one) == encoded(&other));
            // Not even with something behind it is one what the other begins with.
            if one != other {
                let longer = [encoded(&other), behind].concat();
                prop_assert!(!longer.starts_with(&encoded(&one)));
            }
        }
    }
}
