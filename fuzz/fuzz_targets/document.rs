//! A document that is accepted reads the same to who goes by exact keys and to who folds their case, as Go does.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ocibake::image::archive::DockerImage;
use ocibake::oci::{Descriptor, ImageConfig, ImageIndex, ImageManifest, Keyed, Keys, Referrer, from_json};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

// The first byte chooses the kind of document, the rest is its text.
fuzz_target!(|input: (u8, &[u8])| {
    let (kind, text) = input;
    match kind % 6 {
        0 => accept::<ImageManifest>(text),
        1 => accept::<ImageIndex>(text),
        2 => accept::<ImageConfig>(text),
        3 => accept::<Descriptor>(text),
        4 => accept::<Referrer>(text),
        _ => accept::<Vec<DockerImage>>(text),
    }
});

fn accept<T: Keyed>(text: &[u8]) {
    if from_json::<T>("it", text).is_ok() {
        let members: Members = serde_json::from_slice(text).expect("what is accepted is JSON");
        let exact: Value = serde_json::from_slice(text).expect("what is accepted is JSON");
        assert_eq!(folded(&members, &T::KEYS), exact);
    }
}

/// JSON as it stands, members that are there twice and all.
enum Members {
    Object(Vec<(String, Members)>),
    List(Vec<Members>),
    Plain(Value),
}

/// What Go's `encoding/json` makes of it: of the members that it takes for one, the last, under the name that it knows.
fn folded(members: &Members, keys: &Keys) -> Value {
    match members {
        Members::Plain(value) => value.clone(),
        Members::List(elements) => {
            let each = if let Keys::Each(keys) = keys { keys } else { &Keys::Any };
            elements.iter().map(|element| folded(element, each)).collect()
        }
        Members::Object(members) => {
            let mut object = serde_json::Map::new();
            for (key, value) in members {
                let (key, below) = match keys {
                    Keys::Own(own) => match own.iter().find(|(name, _)| fold(name) == fold(key)) {
                        Some((name, below)) => ((*name).to_owned(), *below),
                        None => (key.clone(), &Keys::Any),
                    },
                    Keys::Free(below) => (key.clone(), *below),
                    Keys::Any | Keys::Each(_) => (key.clone(), &Keys::Any),
                };
                object.insert(key, folded(value, below));
            }
            Value::Object(object)
        }
    }
}

fn fold(key: &str) -> String {
    key.replace('\u{17f}', "s").replace('\u{212a}', "k").to_ascii_lowercase()
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsItStands;
        impl<'de> Visitor<'de> for AsItStands {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Members, E> {
                Ok(Members::Plain(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Members, E> {
                Ok(Members::Plain(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Members, E> {
                Ok(Members::Plain(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Members, E> {
                Ok(Members::Plain(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Members, E> {
                Ok(Members::Plain(value.into()))
            }

            fn visit_unit<E>(self) -> Result<Members, E> {
                Ok(Members::Plain(Value::Null))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Members, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = list.next_element()? {
                    elements.push(element);
                }
                Ok(Members::List(elements))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = object.next_entry()? {
                    members.push(member);
                }
                Ok(Members::Object(members))
            }
        }
        deserializer.deserialize_any(AsItStands)
    }
}
