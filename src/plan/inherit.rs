//! What an image has of the one that it stands on.

use super::{BaseImage, setting};
use crate::oci::{Map, Reference, Settings};

const NAME: &str = "org.opencontainers.image.base.name";
const DIGEST: &str = "org.opencontainers.image.base.digest";

impl BaseImage {
    /// What an image says of the one below it (image-spec, annotations.md "Pre-Defined Annotation Keys"): the digest of
    /// what the name stands for, and the name, where it is that of a registry.
    pub fn annotations(&self) -> Map<String> {
        let mut annotations = Map::from([(DIGEST.to_owned(), self.root.to_string())]);
        if self.reference().is_some() {
            annotations.insert(NAME.to_owned(), self.name.clone());
        }
        annotations
    }

    /// The name, where it is that of a registry.
    pub fn reference(&self) -> Option<Reference> {
        // What lies elsewhere may look like a name, such as `oci:base`, but like no full one.
        self.name.parse().ok().filter(|reference: &Reference| reference.to_string() == self.name)
    }

    /// `own` on top of the base's settings, as `FROM` of a Dockerfile has it: variables are replaced by name, labels, ports
    /// and volumes come together, an entrypoint does away with the base's command, and all else is the base's unless it
    /// is given.
    pub fn settings(&self, own: &Settings) -> Settings {
        let mut all = self.config.config.clone();
        for variable in own.env.iter().flatten() {
            setting::put_variable(all.env.get_or_insert_default(), variable);
        }
        if own.entrypoint.is_some() {
            all.entrypoint.clone_from(&own.entrypoint);
            all.cmd = None;
        }
        for (ours, own) in [(&mut all.cmd, &own.cmd), (&mut all.shell, &own.shell), (&mut all.on_build, &own.on_build)]
        {
            if own.is_some() {
                ours.clone_from(own);
            }
        }
        for (ours, own) in [
            (&mut all.user, &own.user),
            (&mut all.working_dir, &own.working_dir),
            (&mut all.stop_signal, &own.stop_signal),
        ] {
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
}
