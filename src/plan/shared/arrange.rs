//! The order of nodes: those that share most stand side by side, and behind those that they stand on.

use std::collections::{BTreeMap, BTreeSet};

use super::document::PlanNode;
use crate::oci::Map;

/// A target whose images are to be arranged.
#[derive(Debug, Clone, Default)]
pub struct ArrangedTarget {
    /// It was not asked for, and its images are not nodes.
    pub is_linked: bool,
    /// The platform of each of its images, and the annotations of the descriptor that points to it.
    pub images: Vec<(String, Map<String>)>,
    /// The targets that it takes from.
    pub takes_from: Vec<String>,
    /// What says which other targets it is like: its context and its Dockerfile.
    pub likeness: String,
}

/// An image of a target, by the place among the target's.
type ImagePlace<'a> = (&'a str, usize);

/// Returns the nodes of `targets` in the order in which they are packed into shards. Targets that take from each other stand
/// together, the images of one platform among them first, and among these the ones that are made of the same context and Dockerfile.
pub fn arrange(targets: &BTreeMap<String, ArrangedTarget>) -> Vec<PlanNode> {
    let groups = groups(targets);
    let mut waves = BTreeMap::new();
    let mut nodes = Vec::new();
    for (name, target) in targets.iter().filter(|(_, target)| !target.is_linked) {
        for (image, (platform, annotations)) in target.images.iter().enumerate() {
            let wave = height(targets, (name, image), &mut waves).saturating_sub(1);
            let group = groups.get(name.as_str()).copied().unwrap_or(name);
            let key = (group, platform.clone(), target.likeness.clone(), wave, name.clone(), image);
            let node = PlanNode {
                target: name.clone(),
                image,
                platform: platform.clone(),
                wave,
                annotations: annotations.clone(),
            };
            nodes.push((key, node));
        }
    }
    nodes.sort_by(|(one, _), (other, _)| one.cmp(other));
    nodes.into_iter().map(|(_, node)| node).collect()
}

/// The group of each target, called by the first of its names: targets that take from each other, directly or not.
fn groups(targets: &BTreeMap<String, ArrangedTarget>) -> BTreeMap<&str, &str> {
    let mut near: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, target) in targets {
        for other in &target.takes_from {
            near.entry(name).or_default().insert(other);
            near.entry(other).or_default().insert(name);
        }
    }
    let mut groups = BTreeMap::new();
    for first in targets.keys() {
        let mut left = vec![first.as_str()];
        while let Some(name) = left.pop() {
            if !groups.contains_key(name) {
                groups.insert(name, first.as_str());
                left.extend(near.get(name).into_iter().flatten());
            }
        }
    }
    groups
}

/// How many nodes stand on each other in the longest chain down from `place`, that included where it is a node. Circles were refused
/// before.
fn height<'a>(
    targets: &'a BTreeMap<String, ArrangedTarget>,
    place: ImagePlace<'a>,
    known: &mut BTreeMap<ImagePlace<'a>, usize>,
) -> usize {
    if let Some(height) = known.get(&place) {
        return *height;
    }
    let Some(target) = targets.get(place.0) else { return 0 };
    // Should there be a circle all the same, it ends here.
    known.insert(place, 0);
    let below: Vec<ImagePlace<'a>> =
        target.takes_from.iter().filter_map(|other| image_for(targets, other, place)).collect();
    let highest = below.into_iter().map(|below| height(targets, below, known)).max().unwrap_or(0);
    let height = highest + usize::from(!target.is_linked);
    known.insert(place, height);
    height
}

/// The image of `other` that the one at `place` takes from: that for its platform, or the only one.
fn image_for<'a>(
    targets: &'a BTreeMap<String, ArrangedTarget>,
    other: &'a str,
    place: ImagePlace<'_>,
) -> Option<ImagePlace<'a>> {
    let platform = &targets.get(place.0)?.images.get(place.1)?.0;
    let offered: Vec<&str> = targets.get(other)?.images.iter().map(|(own, _)| own.as_str()).collect();
    image_of(&offered, platform).map(|image| (other, image))
}

/// Returns the place of the image for `platform` among those for `offered`: the only one serves for any.
pub(super) fn image_of(offered: &[&str], platform: &str) -> Option<usize> {
    let at = offered.iter().position(|own| *own == platform);
    at.or((offered.len() == 1).then_some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(platforms: &[&str], takes_from: &[&str], is_linked: bool) -> ArrangedTarget {
        ArrangedTarget {
            is_linked,
            images: platforms.iter().map(|platform| ((*platform).to_owned(), Map::new())).collect(),
            takes_from: takes_from.iter().map(|name| (*name).to_owned()).collect(),
            likeness: String::new(),
        }
    }

    fn arranged(targets: &[(&str, ArrangedTarget)]) -> Vec<String> {
        let targets = targets.iter().map(|(name, target)| ((*name).to_owned(), target.clone())).collect();
        arrange(&targets).iter().map(|node| format!("{} {}", node.name(), node.wave)).collect()
    }

    #[test]
    fn what_stands_on_another_comes_in_a_later_wave() {
        let both = ["linux/amd64", "linux/arm64"];
        let nodes = arranged(&[
            ("app", target(&both, &["lib", "tool"], false)),
            ("lib", target(&both, &["hidden"], false)),
            ("hidden", target(&both, &[], true)),
            ("tool", target(&["linux/amd64"], &[], false)),
            ("alone", target(&["linux/arm64"], &[], false)),
        ]);
        let expected = [
            "alone/linux/arm64 0",
            "lib/linux/amd64 0",
            "tool/linux/amd64 0",
            "app/linux/amd64 1",
            "lib/linux/arm64 0",
            "app/linux/arm64 1",
        ];
        assert_eq!(nodes, expected);
    }

    #[test]
    fn what_is_made_of_the_same_stands_together() {
        let of = |likeness: &str| ArrangedTarget {
            likeness: likeness.to_owned(),
            ..target(&["linux/amd64"], &["base"], false)
        };
        let nodes = arranged(&[
            ("base", target(&["linux/amd64"], &[], true)),
            ("a", of("two")),
            ("b", of("one")),
            ("c", of("two")),
        ]);
        assert_eq!(nodes, ["b/linux/amd64 0", "a/linux/amd64 0", "c/linux/amd64 0"]);
    }
}
