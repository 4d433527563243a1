//! Documents as templates of Go's see them: fields have the names that Go's types have, and `json` still shows the document.

use serde_json::{Map, Value};

use crate::cli::format::AS_JSON;

/// The form of a document, or of a part of it.
pub enum Shape {
    /// Names that are the same in Go.
    Same,
    Each(&'static Shape),
    /// The members: their names in JSON and in Go. Others Go does not see.
    Members(&'static [(&'static str, &'static str, &'static Shape)]),
}

/// An index as buildx shows it (`ocispecs.Index`, with its own digest and size).
pub const INDEX: Shape = Shape::Members(&[
    ("schemaVersion", "SchemaVersion", &Shape::Same),
    ("mediaType", "MediaType", &Shape::Same),
    ("digest", "Digest", &Shape::Same),
    ("size", "Size", &Shape::Same),
    ("manifests", "Manifests", &Shape::Each(&DESCRIPTOR)),
    ("annotations", "Annotations", &Shape::Same),
]);

/// `ocispecs.Descriptor`.
pub const DESCRIPTOR: Shape = Shape::Members(&[
    ("mediaType", "MediaType", &Shape::Same),
    ("digest", "Digest", &Shape::Same),
    ("size", "Size", &Shape::Same),
    ("urls", "URLs", &Shape::Same),
    ("annotations", "Annotations", &Shape::Same),
    ("data", "Data", &Shape::Same),
    ("platform", "Platform", &PLATFORM),
    ("artifactType", "ArtifactType", &Shape::Same),
]);

const PLATFORM: Shape = Shape::Members(&[
    ("architecture", "Architecture", &Shape::Same),
    ("os", "OS", &Shape::Same),
    ("os.version", "OSVersion", &Shape::Same),
    ("os.features", "OSFeatures", &Shape::Same),
    ("variant", "Variant", &Shape::Same),
]);

/// `ocispecs.Image`.
pub const CONFIG: Shape = Shape::Members(&[
    ("created", "Created", &Shape::Same),
    ("author", "Author", &Shape::Same),
    ("architecture", "Architecture", &Shape::Same),
    ("os", "OS", &Shape::Same),
    ("os.version", "OSVersion", &Shape::Same),
    ("os.features", "OSFeatures", &Shape::Same),
    ("variant", "Variant", &Shape::Same),
    ("config", "Config", &Shape::Same),
    ("rootfs", "RootFS", &Shape::Members(&[("type", "Type", &Shape::Same), ("diff_ids", "DiffIDs", &Shape::Same)])),
    (
        "history",
        "History",
        &Shape::Each(&Shape::Members(&[
            ("created", "Created", &Shape::Same),
            ("created_by", "CreatedBy", &Shape::Same),
            ("author", "Author", &Shape::Same),
            ("comment", "Comment", &Shape::Same),
            ("empty_layer", "EmptyLayer", &Shape::Same),
        ])),
    ),
]);

/// Returns a document of this form with Go's names.
pub fn named(document: Value, shape: &Shape) -> Value {
    match (document, shape) {
        (Value::Array(elements), Shape::Each(shape)) => elements.into_iter().map(|it| named(it, shape)).collect(),
        (Value::Object(mut members), Shape::Members(names)) => {
            let mut seen = Map::new();
            seen.insert(AS_JSON.to_owned(), Value::Object(members.clone()).to_string().into());
            for (own, go, shape) in *names {
                if let Some(member) = members.remove(*own) {
                    seen.insert((*go).to_owned(), named(member, shape));
                }
            }
            Value::Object(seen)
        }
        (document, _) => document,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::format::Format;

    #[test]
    fn fields_have_gos_names_and_json_shows_what_was_read() {
        let index = json!({"mediaType": "x", "manifests": [{"digest": "d", "platform": {"os": "linux"}}], "extra": 1});
        let row = json!({"Manifest": named(index, &INDEX)});
        let shown = |template: &str| template.parse::<Format>().unwrap().lines(&[&row], &[]).unwrap().join("\n");
        assert_eq!(shown("{{.Manifest.MediaType}}"), "x");
        assert_eq!(shown("{{range .Manifest.Manifests}}{{.Digest}} {{.Platform.OS}}{{end}}"), "d linux");
        assert_eq!(
            shown("{{json .Manifest}}"),
            r#"{"extra":1,"manifests":[{"digest":"d","platform":{"os":"linux"}}],"mediaType":"x"}"#
        );
        assert_eq!(shown("{{json (index .Manifest.Manifests 0).Platform}}"), r#"{"os":"linux"}"#);
        assert_eq!(shown("{{.Manifest.Extra}}"), "<no value>");
    }
}
