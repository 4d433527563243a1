//! JSON that comes out in the order in which it went in, for a file that belongs to others, too.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

#[derive(Debug, Clone)]
pub(super) enum Json {
    Object(JsonObject),
    List(Vec<Json>),
    /// Neither an object nor a list.
    Plain(Value),
}

/// Members in their order. Of several with one name, which no program should write, the last one counts.
#[derive(Debug, Clone, Default)]
pub(super) struct JsonObject(pub Vec<(String, Json)>);

impl Json {
    /// Returns the text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Json::Plain(value) = self { value.as_str() } else { None }
    }

    pub fn as_object(&self) -> Option<&JsonObject> {
        if let Json::Object(object) = self { Some(object) } else { None }
    }

    pub fn as_object_mut(&mut self) -> Option<&mut JsonObject> {
        if let Json::Object(object) = self { Some(object) } else { None }
    }

    /// Returns the member of an object that has exactly this name.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.as_object()?.get(key)
    }
}

impl Default for Json {
    fn default() -> Self {
        Json::Plain(Value::Null)
    }
}

impl JsonObject {
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.iter().rfind(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        self.0.iter_mut().rfind(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Returns a member as Go knows it: by its name in any case, and not where it is null.
    pub fn member(&self, key: &str) -> Option<&Json> {
        self.get(self.written(key)).filter(|value| !matches!(value, Json::Plain(Value::Null)))
    }

    /// Returns the same, to be changed.
    pub fn member_mut(&mut self, key: &str) -> Option<&mut Json> {
        let written = self.written(key).to_owned();
        self.get_mut(&written).filter(|value| !matches!(value, Json::Plain(Value::Null)))
    }

    /// Puts a value in the place of the one that is there, else behind all others.
    pub fn insert(&mut self, key: &str, value: Json) {
        match self.get_mut(key) {
            Some(there) => *there = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// The name under which a member called `key` stands: that very one, else one in another case.
    fn written<'k>(&'k self, key: &'k str) -> &'k str {
        let other = || self.0.iter().rfind(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(name, _)| name.as_str());
        if self.get(key).is_some() { key } else { other().unwrap_or(key) }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsItStands)
    }
}

struct AsItStands;

impl<'de> Visitor<'de> for AsItStands {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Plain(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Json::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = object.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(JsonObject(members)))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Object(object) => object.serialize(serializer),
            Json::List(elements) => elements.serialize(serializer),
            Json::Plain(value) => value.serialize(serializer),
        }
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
