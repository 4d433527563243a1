//! Caches, outputs and attestations of a target: a kind and its attributes, written as text (`type=registry,ref=NAME`) or as
//! an object.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::oci::Map;
use crate::plan::quantity;
use crate::plan::secret::csv_fields;

/// An entry of `cache-from` or `cache-to`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheEntry {
    /// `type`.
    pub kind: String,
    /// All else.
    pub attributes: Map<String>,
}

/// An entry of `output`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputEntry {
    /// `type`.
    pub kind: String,
    /// `dest`; empty for none.
    pub destination: String,
    /// All else.
    pub attributes: Map<String>,
}

/// An entry of `attest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttestEntry {
    /// `type`.
    pub kind: String,
    /// `disabled`.
    pub is_disabled: bool,
    /// All else.
    pub attributes: Map<String>,
}

impl CacheEntry {
    /// Reads what a text says: one entry, or names of images between commas, each of which is one. Nothing is none.
    pub fn read(text: &str) -> Result<Vec<CacheEntry>> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let fields = fields(text)?;
        if !text.contains('=') {
            let of_name = |name: String| CacheEntry {
                kind: "registry".to_owned(),
                attributes: Map::from([("ref".to_owned(), name)]),
            };
            return Ok(fields.into_iter().map(of_name).collect());
        }
        let mut entry = CacheEntry::default();
        for field in &fields {
            let (key, value) = pair(field)?;
            match key.to_lowercase().as_str() {
                "type" => entry.kind = value.to_owned(),
                key => drop(entry.attributes.insert(key.to_owned(), value.to_owned())),
            }
        }
        entry.checked(text).map(|entry| vec![entry])
    }

    /// Reads the fields of an object.
    pub fn of_fields(mut fields: Map<String>) -> Result<CacheEntry> {
        let kind = fields.remove("type").unwrap_or_default();
        CacheEntry { kind, attributes: fields }.checked("the object")
    }

    /// Returns it as the fields of an object.
    pub fn to_fields(&self) -> Map<String> {
        with_kind(&self.attributes, &self.kind)
    }

    fn checked(self, shown: &str) -> Result<CacheEntry> {
        match self.kind.is_empty() {
            true => Err(without_type(shown, "a cache", "type=registry,ref=NAME")),
            false => Ok(self),
        }
    }
}

impl OutputEntry {
    /// Reads a text: fields, or a directory; `-` is a tar on standard output.
    pub fn read(text: &str) -> Result<OutputEntry> {
        let fields = fields(text)?;
        if fields.len() == 1 && fields[0] == text && !text.starts_with("type=") {
            let kind = if text == "-" { "tar" } else { "local" };
            return Ok(OutputEntry { kind: kind.to_owned(), destination: text.to_owned(), attributes: Map::new() });
        }
        let mut entry = OutputEntry::default();
        for field in &fields {
            let (key, value) = pair(field)?;
            match key.to_lowercase().trim() {
                "type" => entry.kind = value.to_owned(),
                "dest" => entry.destination = value.to_owned(),
                key => drop(entry.attributes.insert(key.to_owned(), value.to_owned())),
            }
        }
        entry.checked(text)
    }

    /// Reads the fields of an object.
    pub fn of_fields(mut fields: Map<String>) -> Result<OutputEntry> {
        let kind = fields.remove("type").unwrap_or_default();
        let destination = fields.remove("dest").unwrap_or_default();
        OutputEntry { kind, destination, attributes: fields }.checked("the object")
    }

    /// Returns it as the fields of an object.
    pub fn to_fields(&self) -> Map<String> {
        let mut fields = with_kind(&self.attributes, &self.kind);
        fields.insert("dest".to_owned(), self.destination.clone());
        fields
    }

    fn checked(self, shown: &str) -> Result<OutputEntry> {
        match self.kind.is_empty() {
            true => Err(without_type(shown, "an output", "type=image,push=true")),
            false => Ok(self),
        }
    }
}

impl AttestEntry {
    /// Reads a text of fields.
    pub fn read(text: &str) -> Result<AttestEntry> {
        let mut entry = AttestEntry::default();
        for field in &fields(text)? {
            let (key, value) = pair(field)?;
            match key.to_lowercase().trim() {
                "type" => entry.kind = value.to_owned(),
                "disabled" => entry.is_disabled = disabled(value)?,
                _ => drop(entry.attributes.insert(key.to_owned(), value.to_owned())),
            }
        }
        match entry.kind.is_empty() {
            true => Err(without_type(text, "an attestation", "type=provenance,mode=max")),
            false => Ok(entry),
        }
    }

    /// Reads the fields of an object.
    pub fn of_fields(mut fields: Map<String>) -> Result<AttestEntry> {
        let kind = fields.remove("type").unwrap_or_default();
        let is_disabled = fields.remove("disabled").map(|text| disabled(&text)).transpose()?.unwrap_or_default();
        Ok(AttestEntry { kind, is_disabled, attributes: fields })
    }

    /// Returns it as the fields of an object.
    pub fn to_fields(&self) -> Map<String> {
        let mut fields = with_kind(&self.attributes, &self.kind);
        if self.is_disabled {
            fields.insert("disabled".to_owned(), true.to_string());
        }
        fields
    }

    /// Returns what the flag `--sbom` or `--provenance` stands for: the text of an entry. `value` is true, false, or fields.
    pub fn text_of_flag(kind: &str, value: &str) -> String {
        match quantity::boolean(value) {
            Some(is_on) => format!("type={kind},disabled={}", !is_on),
            None => format!("type={kind},{value}"),
        }
    }
}

impl Serialize for CacheEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.to_fields().serialize(serializer)
    }
}

impl Serialize for OutputEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut fields = self.to_fields();
        if self.destination.is_empty() {
            fields.remove("dest");
        }
        fields.serialize(serializer)
    }
}

impl Serialize for AttestEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let fields = self.to_fields();
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (key, value) in &fields {
            match key.as_str() {
                "disabled" if self.is_disabled => map.serialize_entry(key, &true)?,
                _ => map.serialize_entry(key, value)?,
            }
        }
        map.end()
    }
}

/// Returns the fields of a text between commas.
pub(super) fn fields(text: &str) -> Result<Vec<String>> {
    csv_fields(text).ok_or_else(|| {
        Error::input(format!("quotation marks are inside a field of `{text}`")).with_hint("quote the whole field")
    })
}

/// Returns key and value of a field.
pub(super) fn pair(field: &str) -> Result<(&str, &str)> {
    field.split_once('=').ok_or_else(|| Error::input(format!("`{field}` has no `=`")).with_hint("write KEY=VALUE"))
}

fn disabled(text: &str) -> Result<bool> {
    quantity::boolean(text).ok_or_else(|| Error::input(format!("`disabled` must be true or false, not `{text}`")))
}

fn with_kind(attributes: &Map<String>, kind: &str) -> Map<String> {
    let mut fields = attributes.clone();
    fields.insert("type".to_owned(), kind.to_owned());
    fields
}

fn without_type(shown: &str, what: &str, example: &str) -> Error {
    Error::input(format!("{what} needs a type, and `{shown}` has none")).with_hint(format!("write it as in {example}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn a_cache_is_fields_or_names_of_images() {
        let read = |text: &str| CacheEntry::read(text).map(|entries| json(&entries)).ok();
        assert_eq!(read("").as_deref(), Some("[]"));
        assert_eq!(
            read("a/b:c,d").as_deref(),
            Some(r#"[{"ref":"a/b:c","type":"registry"},{"ref":"d","type":"registry"}]"#)
        );
        assert_eq!(read("TYPE=gha,Scope=a=b").as_deref(), Some(r#"[{"scope":"a=b","type":"gha"}]"#));
        assert_eq!(read("ref=a"), None);
        assert_eq!(read("type=local,src"), None);
        assert_eq!(read("type=local,a\"b"), None);
    }

    #[test]
    fn an_output_is_fields_or_a_directory() {
        let read = |text: &str| OutputEntry::read(text).map(|entry| json(&entry)).ok();
        assert_eq!(read("out").as_deref(), Some(r#"{"dest":"out","type":"local"}"#));
        assert_eq!(read("-").as_deref(), Some(r#"{"dest":"-","type":"tar"}"#));
        assert_eq!(read("type=image, Push=true").as_deref(), Some(r#"{"push":"true","type":"image"}"#));
        assert_eq!(read("dest=a").as_deref(), Some(r#"{"dest":"dest=a","type":"local"}"#));
        assert_eq!(read("dest=a,x=b"), None);
    }

    #[test]
    fn an_attestation_may_be_turned_off() {
        let read = |text: &str| AttestEntry::read(text).map(|entry| json(&entry)).ok();
        assert_eq!(read("type=sbom,disabled=1").as_deref(), Some(r#"{"disabled":true,"type":"sbom"}"#));
        assert_eq!(read("type=provenance,Mode=max").as_deref(), Some(r#"{"Mode":"max","type":"provenance"}"#));
        assert_eq!(read("mode=max"), None);
        assert_eq!(AttestEntry::text_of_flag("sbom", "false"), "type=sbom,disabled=true");
        assert_eq!(AttestEntry::text_of_flag("provenance", "mode=min"), "type=provenance,mode=min");
    }
}
