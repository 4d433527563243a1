//! A plan of which only some images are wanted.

use crate::oci::Platform;
use crate::plan::Plan;

impl Plan {
    /// Leaves out the images of its targets that are not wanted; `images` are the places of those that are, of each target. What is
    /// made of those is what it is beside the others; each target is an index, which is none to be given on.
    pub fn narrow(&mut self, images: &[Vec<usize>]) {
        for (target, wanted) in self.targets.iter_mut().zip(images) {
            target.images = wanted.iter().filter_map(|place| target.images.get(*place).copied()).collect();
            target.index = true;
            let platforms: Vec<Platform> = target
                .images
                .iter()
                .filter_map(|stage| self.stages.get(*stage))
                .map(|stage| stage.platform.normalised())
                .collect();
            let placed = &mut target.placed_annotations;
            for list in [&mut placed.manifests, &mut placed.manifest_descriptors] {
                list.retain(|(platform, _)| platform.as_ref().is_none_or(|platform| platforms.contains(platform)));
            }
        }
    }
}
