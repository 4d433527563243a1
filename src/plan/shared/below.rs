//! What a share of a plan takes from elsewhere in it.

use std::collections::BTreeSet;

use super::arrange::image_of;
use super::document::{PlanNode, SharedPlan};
use crate::oci::Map;

impl SharedPlan {
    /// Returns the images that it takes to build `nodes`, by their targets: their own, and those that these take from, as
    /// `takes_from` says it of a target.
    pub fn images_for(&self, nodes: &[&PlanNode], takes_from: &dyn Fn(&str) -> Vec<String>) -> Map<BTreeSet<usize>> {
        let mut images: Map<BTreeSet<usize>> = Map::new();
        let mut left: Vec<(String, usize)> = nodes.iter().map(|node| (node.target.clone(), node.image)).collect();
        while let Some((name, image)) = left.pop() {
            if !images.entry(name.clone()).or_default().insert(image) {
                continue;
            }
            let Some(platform) = self.targets.get(&name).and_then(|target| target.platforms.get(image)) else {
                continue;
            };
            for other in takes_from(&name) {
                let Some(target) = self.targets.get(&other) else { continue };
                let offered: Vec<&str> = target.platforms.iter().map(String::as_str).collect();
                left.extend(image_of(&offered, platform).map(|image| (other, image)));
            }
        }
        images
    }
}
