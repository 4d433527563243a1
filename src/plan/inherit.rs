//! What an image has of the one that it stands on.

use super::{BaseImage, setting};
use crate::error::{Error, Result};
use crate::oci::{Map, Platform, Reference, Settings};

/// The annotation that names the base (image-spec, annotations.md).
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// The annotation with the digest of what that name stood for.
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

impl BaseImage {
    /// Returns the annotations of an image that stands on this one (image-spec, annotations.md "Pre-Defined Annotation
    /// Keys"): the digest that the name stands for, and the name, where it is that of a registry.
    pub fn annotations(&self) -> Map<String> {
        let mut annotations = Map::from([(BASE_DIGEST.to_owned(), self.root.to_string())]);
        if self.reference().is_some() {
            annotations.insert(BASE_NAME.to_owned(), self.name.clone());
        }
        annotations
    }

    /// Returns a warning where the image is for another system or processor than `wanted`, and none where it is for
    /// that.
    pub fn mismatch(&self, wanted: &Platform) -> Option<String> {
        let actual = self.config.platform.normalised();
        let is_other = (&actual.os, &actual.architecture) != (&wanted.os, &wanted.architecture);
        is_other.then(|| format!("the base {} is for {actual}, but the build is for {wanted}", self.name))
    }

    /// Refuses a base for Windows where another system is built, and the other way round: what their layers have is laid
    /// out in different ways, so that no machine could run the image.
    pub fn check_layers(&self, wanted: &Platform) -> Result<()> {
        let actual = &self.config.platform;
        if actual.is_windows() == wanted.is_windows() {
            return Ok(());
        }
        let message = format!("the base {} is for {actual}, and nothing for {wanted} can be based on it", self.name);
        Err(Error::input(message).with_hint(format!("build for its own platform, with --platform {actual}")))
    }

    /// Returns the name, where it is that of a registry.
    pub fn reference(&self) -> Option<Reference> {
        // What lies elsewhere may look like a name, such as `oci:base`, but like no full one.
        self.name.parse().ok().filter(|reference: &Reference| reference.to_string() == self.name)
    }

    /// Returns `own` on top of the base's settings, as `FROM` of a Dockerfile has it.
    pub fn settings(&self, own: &Settings) -> Settings {
        laid_over(self.config.config.clone(), own)
    }
}

/// Returns `own` on top of the settings `below`: variables are replaced by name, labels, ports and volumes come together, an
/// entrypoint does away with the command below, and all else is as below unless it is given.
pub(super) fn laid_over(below: Settings, own: &Settings) -> Settings {
    let mut all = below;
    for variable in own.env.iter().flatten() {
        setting::put_variable(all.env.get_or_insert_default(), variable);
    }
    if own.entrypoint.is_some() {
        all.entrypoint.clone_from(&own.entrypoint);
        all.cmd = None;
    }
    for (ours, own) in [(&mut all.cmd, &own.cmd), (&mut all.shell, &own.shell), (&mut all.on_build, &own.on_build)] {
        if own.is_some() {
            ours.clone_from(own);
        }
    }
    for (ours, own) in
        [(&mut all.user, &own.user), (&mut all.working_dir, &own.working_dir), (&mut all.stop_signal, &own.stop_signal)]
    {
        if !own.is_empty() {
            ours.clone_from(own);
        }
    }
    for (ours, own) in [(&mut all.exposed_ports, &own.exposed_ports), (&mut all.volumes, &own.volumes)] {
        if let Some(own) = own {
            ours.get_or_insert_default().extend(own.clone());
        }
    }
    if let Some(labels) = &own.labels {
        all.labels.get_or_insert_default().extend(labels.clone());
    }
    if own.healthcheck.is_some() {
        all.healthcheck.clone_from(&own.healthcheck);
    }
    all.other.extend(own.other.clone());
    all
}
