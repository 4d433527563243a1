//! What an image says of the steps that it came about by, in a field of its config (config.md: readers that do not know a
//! field ignore it). Builds elsewhere take the layers of these steps without doing them.
//!
//! A step names its layer by the diff_id, so that it goes on naming this one, or none, whatever is done to the image.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::oci::{Digest, ImageConfig, Map};

/// The field.
const FIELD: &str = "dev.ocibake.steps.v1";

/// Of an image that has come about by more steps, the first are said.
const MOST_STEPS: usize = 1000;

/// A step that an image came about by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlineStep {
    /// What it is known by on all machines.
    pub key: Digest,
    /// What stands for the file system that it was done on.
    pub on: Digest,
    /// The layer that it came to; none if it changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<Digest>,
    /// Who says so; none if nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// Returns the fields `other` of the config of an image: those of the image that it stands on, which is of other steps, and
/// what it says of its own `steps`.
pub(super) fn with_steps(mut other: Map<serde_json::Value>, steps: &[InlineStep]) -> Map<serde_json::Value> {
    other.remove(FIELD);
    if !steps.is_empty() {
        other.insert(FIELD.to_owned(), serde_json::json!(&steps[..steps.len().min(MOST_STEPS)]));
    }
    other
}

/// Returns the steps that the image of `config` came about by, as it says; none if it does not say. Nothing of it is
/// checked beside the form.
pub fn inline_steps(config: &ImageConfig) -> Result<Vec<InlineStep>> {
    let wrong = |what: String| Error::integrity(format!("`{FIELD}` of its config {what}"));
    let Some(said) = config.other.get(FIELD) else { return Ok(Vec::new()) };
    if said.as_array().is_some_and(|steps| steps.len() > MOST_STEPS) {
        return Err(wrong(format!("has more than {MOST_STEPS} steps")));
    }
    Vec::<InlineStep>::deserialize(said).map_err(|error| wrong(format!("is not a list of steps: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::oci::from_json;

    fn config(field: &Value) -> ImageConfig {
        let text = json!({"architecture": "amd64", "os": "linux", FIELD: field}).to_string();
        from_json("it", text.as_bytes()).unwrap()
    }

    #[test]
    fn what_an_image_says_is_read_as_it_was_written() {
        let step = |name: &str, diff_id: Option<&str>, signature: Option<&str>| InlineStep {
            key: Digest::of(name.as_bytes()),
            on: Digest::of(b"on"),
            diff_id: diff_id.map(|tar| Digest::of(tar.as_bytes())),
            signature: signature.map(str::to_owned),
        };
        let steps = [step("a", Some("tar"), None), step("b", None, None), step("c", Some("tar"), Some("signed"))];
        let other = with_steps(Map::from([("foreign".to_owned(), json!(1))]), &steps);
        assert_eq!((other.len(), &other["foreign"]), (2, &json!(1)));
        assert_eq!(inline_steps(&config(&other[FIELD])).unwrap(), steps);
        assert_eq!(other[FIELD][1].as_object().unwrap().len(), 2, "what there is not is not said");
        // An image on that one says nothing about these steps, and one without any has not a byte of it.
        assert_eq!(with_steps(other, &[]), Map::from([("foreign".to_owned(), json!(1))]));
        let many = vec![step("a", None, None); MOST_STEPS + 1];
        assert_eq!(inline_steps(&config(&with_steps(Map::new(), &many)[FIELD])).unwrap().len(), MOST_STEPS);
    }

    #[test]
    fn what_is_no_list_of_steps_is_refused() {
        let digest = Digest::of(b"x").to_string();
        let many = vec![json!({"key": digest, "on": digest}); MOST_STEPS + 1];
        for field in [
            json!("W10="),
            json!({"key": digest}),
            json!([1]),
            json!([{"key": digest}]),
            json!([{"key": "sha256:zz", "on": digest}]),
            json!([{"key": digest, "on": digest, "diff_id": 5}]),
            json!([{"key": digest, "on": digest, "signature": ["x"]}]),
            json!(many),
        ] {
            inline_steps(&config(&field)).unwrap_err();
        }
        assert_eq!(inline_steps(&config(&json!([]))).unwrap(), []);
    }
}
