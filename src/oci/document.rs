//! JSON documents as they are read: in one way only.
//!
//! Programs written in Go, and those are docker, containerd, podman and skopeo, take `Layers` for `layers`, and of two
//! members of one name the last. Others take neither, or the first. A document that says one thing to these and another
//! to those is refused, wherever it is read: what was looked at must be what runs elsewhere.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};

/// A document that is read by [`from_json`].
pub trait Keyed: DeserializeOwned {
    /// The keys that the document has by its specification; by default none are known.
    const KEYS: Keys = Keys::Any;

    /// Refuses what the keys alone do not show, such as a document that is two things at once; says what is wrong.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Whose the keys are at a place of a document. No object has a key twice, whosever it is.
#[derive(Debug)]
pub enum Keys {
    /// Nobody looks for a certain one here.
    Any,
    /// In each element of a list.
    Each(&'static Keys),
    /// The user's own, in an object; in each of its members.
    Free(&'static Keys),
    /// The specification's, in an object; and in its members. Others may stand beside them. All count as one that Go's
    /// `encoding/json` takes for the same, and these only as they are written here.
    Own(&'static [(&'static str, &'static Keys)]),
}

/// Reads a document; `what` names it in the error. One whose members are not all read alike by everybody is refused,
/// and so is one with anything behind it.
pub fn from_json<T: Keyed>(what: &str, bytes: &[u8]) -> Result<T> {
    let refused = |source: serde_json::Error| Error::input(format!("{what} is not valid")).with_source(source);
    let mut document = serde_json::Deserializer::from_slice(bytes);
    (&T::KEYS).deserialize(&mut document).and_then(|()| document.end()).map_err(refused)?;
    let read: T = serde_json::from_slice(bytes).map_err(refused)?;
    read.check().map_err(|why| Error::input(format!("{what} {why}")))?;
    Ok(read)
}

impl<'de> DeserializeSeed<'de> for &Keys {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Keys {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let each = if let Keys::Each(keys) = self { keys } else { &Keys::Any };
        while list.next_element_seed(each)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = object.next_key::<String>()? {
            let below = match self {
                Keys::Own(own) => {
                    let meant = own.iter().find(|(name, _)| folded(name) == folded(&key));
                    match meant {
                        Some((name, _)) if *name != key => {
                            return Err(A::Error::custom(format!("`{key}`, which some programs take for `{name}`")));
                        }
                        Some((_, below)) => below,
                        None => &Keys::Any,
                    }
                }
                Keys::Free(below) => below,
                Keys::Any | Keys::Each(_) => &Keys::Any,
            };
            let same = if let Keys::Own(_) = self { folded(&key) } else { key.clone() };
            if !seen.insert(same) {
                return Err(A::Error::custom(format!(
                    "`{key}` appears twice, and programs differ in which one they take"
                )));
            }
            object.next_value_seed(below)?;
        }
        Ok(())
    }
}

/// A key in the one case of all that Go's `encoding/json` takes for the same: beside the letters of ASCII, two signs of
/// Unicode are folded to `s` and `k`.
fn folded(key: &str) -> String {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars().map(fold).collect()
}

impl Keyed for serde_json::Value {}
