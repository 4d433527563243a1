//! What the images of a target have in common.

use super::{Plan, Target};
use crate::oci::Map;

impl Plan {
    /// Returns the annotations of the index of `target`: its own, and those that all of its images have in common.
    pub fn index_annotations(&self, target: &Target) -> Map<String> {
        let mut stages = target.images.iter().filter_map(|number| self.stages.get(*number));
        let mut common = stages.next().map(|first| first.annotations.clone()).unwrap_or_default();
        for stage in stages {
            common.retain(|key, value| stage.annotations.get(key) == Some(value));
        }
        common.extend(target.annotations.clone());
        common.extend(target.placed_annotations.index.clone());
        common
    }
}
