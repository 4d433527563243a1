//! The result that a shard leaves for a node: an index under a tag of its own, which lists the manifest that was made. So a registry
//! keeps the manifest, and takes the result wherever it takes images for several platforms.

use serde_json::Value;

use super::document::PlanNode;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, ImageIndex, MANIFEST_LIMIT, Map, from_json, media_type, to_json};

/// The largest result, in bytes.
pub const RESULT_LIMIT: u64 = 64 << 10;

/// The type of the artifact.
const TYPE: &str = "application/vnd.dev.ocibake.result.v1";

/// The annotations that say which node of which plan it is of.
const PLAN: &str = "dev.ocibake.plan";
const NODE: &str = "dev.ocibake.node";

/// Returns the tag of the result for `node` of the plan with that digest.
pub fn result_tag(plan: Digest, node: &PlanNode) -> String {
    let place = Digest::of(&to_json(&(&node.target, node.image, &node.platform)));
    format!("plan-{:.12}-{:.16}", plan.hex(), place.hex())
}

/// Returns the result for `node` of the plan with that digest, whose manifest is `manifest`. The same is the same bytes.
pub fn result(plan: Digest, node: &PlanNode, manifest: &Descriptor) -> Vec<u8> {
    let listed = Descriptor { annotations: Map::new(), other: Map::new(), ..manifest.clone() };
    let annotations = Map::from([(PLAN.to_owned(), plan.to_string()), (NODE.to_owned(), node.name())]);
    let mut index = ImageIndex::new(vec![listed], annotations);
    index.other.insert("artifactType".to_owned(), Value::from(TYPE));
    to_json(&index)
}

/// Reads what stands under the tag of the result for `node`, and returns the manifest that it names. Fails for anything that
/// [`result`] does not write.
pub fn read_result(plan: Digest, node: &PlanNode, bytes: &[u8]) -> Result<Descriptor> {
    let what = format!("the result for {}", node.name());
    let index: ImageIndex = from_json(&what, bytes)?;
    let wrong = |why: String| Error::input(format!("{what} {why}"));
    for (key, expected) in [(PLAN, plan.to_string()), (NODE, node.name())] {
        match index.annotations.get(key) {
            Some(own) if *own == expected => {}
            Some(own) => return Err(wrong(format!("is for `{own}`, not for `{expected}`"))),
            None => return Err(wrong(format!("has no annotation {key}"))),
        }
    }
    let [manifest] = &index.manifests[..] else {
        return Err(wrong(format!("names {} manifests, but one was expected", index.manifests.len())));
    };
    if manifest.media_type != media_type::IMAGE_MANIFEST || manifest.size > MANIFEST_LIMIT {
        return Err(wrong(format!("names {} bytes of the type `{}`", manifest.size, manifest.media_type)));
    }
    if manifest.platform.is_none() {
        return Err(wrong("names a manifest for no platform".to_owned()));
    }
    match result(plan, node, manifest) == bytes {
        true => Ok(manifest.clone()),
        false => Err(wrong("holds more than a result".to_owned())),
    }
}
