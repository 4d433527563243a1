//! What of an image an engine is given: all of it, or the one platform that docker's archives hold.

use std::path::Path;

use super::super::bundle::{BundleEntry, OutputImage, ReadEntry};
use crate::error::Result;
use crate::image::{choose, no_image};
use crate::layer::Layer;
use crate::oci::{Digest, Platform, Reference};
use crate::store::Graph;

use super::kind::EngineKind;

/// An image for one platform, as an engine keeps it.
pub(super) struct OnePlatform<'a> {
    pub entry: ReadEntry<'a>,
    /// The digest of its config, which is its ID.
    pub id: Digest,
    pub layers: Vec<Layer>,
    /// Its platform, if it is one of several.
    pub platform: Option<Platform>,
}

impl<'a> OnePlatform<'a> {
    /// Returns the image of `item` that is for this machine, or the only one that it has. Fails where there is none.
    pub fn of(kind: EngineKind, item: &'a ReadEntry<'_>) -> Result<Self> {
        let OutputImage { store, root, names } = item.entry.image;
        let mut images = item.graph.images().map(|(descriptor, _)| descriptor);
        let title = names.first().map_or_else(|| root.digest.to_string(), ToString::to_string);
        let only = images.next().filter(|_| images.next().is_none());
        let found = choose(store, &title, only.unwrap_or(root), &Platform::host())
            .map_err(|error| error.with_hint(format!("{kind} takes one platform: build for it with --platform")))?;
        let (manifest, image) = found.ok_or_else(|| no_image(root))?;
        let mut all = item.graph.manifests.iter().map(|(descriptor, _)| descriptor);
        let root = all.find(|descriptor| descriptor.digest == manifest.digest).unwrap_or(root);
        let entry = BundleEntry { image: OutputImage { store, root, names }, ..item.entry };
        let graph = Graph::of(store, root)?;
        Ok(OnePlatform {
            id: image.manifest.config.digest,
            layers: image.layers()?,
            platform: only.is_none().then(|| image.config.platform.clone()),
            entry: ReadEntry { entry, graph, referrers: Vec::new() },
        })
    }

    /// Returns the names that engines can give it.
    pub fn names(&self) -> Vec<&'a Reference> {
        self.entry.entry.image.names.iter().filter(|name| name.tag().is_some()).collect()
    }
}

/// Returns what errors call the way into an engine.
pub(super) fn title(kind: EngineKind) -> &'static Path {
    Path::new(match kind {
        EngineKind::Docker => "the archive for docker",
        EngineKind::Podman => "the archive for podman",
        EngineKind::Containerd => "the archive for containerd",
        EngineKind::Kind => "the archive for kind",
        EngineKind::K3d => "the archive for k3d",
        EngineKind::Minikube => "the archive for minikube",
    })
}
