//! What a plan knows of the images of other targets that it takes from: they are built with it, and [`join`](super::join) puts
//! their stages in place.

use std::sync::Arc;

use super::{Base, Plan, Stage};
use crate::error::{Error, Result};
use crate::oci::Platform;

/// The image that another target becomes for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedImage {
    /// The name of the target.
    pub target: Arc<str>,
    /// The place of the image among the target's.
    pub image: usize,
}

/// Another target, as far as a plan that takes from it needs to know it.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkedTarget {
    name: Arc<str>,
    /// What stands for each of its images: a stage with the settings of that, and without steps.
    images: Vec<Stage>,
}

impl LinkedTarget {
    /// Returns the target `name`, the only one of `plan`.
    pub fn of(name: &Arc<str>, plan: &Plan) -> Self {
        let images =
            plan.targets.iter().flat_map(|target| &target.images).filter_map(|number| plan.stages.get(*number));
        let standing = |(image, stage): (usize, &Stage)| Stage {
            title: name.to_string(),
            base: Base::Target(LinkedImage { target: name.clone(), image }),
            steps: Vec::new(),
            ..stage.clone()
        };
        LinkedTarget { name: name.clone(), images: images.enumerate().map(standing).collect() }
    }

    /// Returns the target `name` before anybody knows what it comes to.
    pub fn unknown(name: &str) -> Self {
        LinkedTarget { name: name.into(), images: Vec::new() }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a warning where its image for `wanted` is one for another system or processor, and none where it is for that.
    pub fn mismatch(&self, wanted: &Platform) -> Option<String> {
        let actual = &self.stage(wanted).ok()?.platform;
        let is_other = (&actual.os, &actual.architecture) != (&wanted.os, &wanted.architecture);
        is_other.then(|| format!("the target {} is for {actual}, but the build is for {wanted}", self.name))
    }

    /// Refuses an image of it, for which `stage` stands, that no layers for `wanted` can stand on: those for Windows and those
    /// for other systems are laid out in different ways.
    pub fn check_layers(&self, stage: &Stage, wanted: &Platform) -> Result<()> {
        let actual = &stage.platform;
        if actual.is_windows() == wanted.is_windows() {
            return Ok(());
        }
        let message = format!("the target {} is for {actual}, and nothing for {wanted} can be based on it", self.name);
        Err(Error::input(message).with_hint(format!("build for its own platform, with `platforms = [\"{actual}\"]`")))
    }

    /// Returns whether anybody knows what it comes to.
    pub fn is_known(&self) -> bool {
        !self.images.is_empty()
    }

    /// Returns what stands for its image for `platform`; the only one serves for any. Fails if there is none.
    pub fn stage(&self, platform: &Platform) -> Result<&Stage> {
        if let [only] = &self.images[..] {
            return Ok(only);
        }
        self.images.iter().find(|stage| stage.platform == *platform).ok_or_else(|| {
            let error = Error::input(format!("the target {} is not built for {platform}", self.name));
            match self.is_known() {
                true => {
                    let platforms: Vec<String> = self.images.iter().map(|stage| stage.platform.to_string()).collect();
                    error.with_hint(format!("it is built for {}: add the platform there", platforms.join(", ")))
                }
                false => error,
            }
        })
    }
}
