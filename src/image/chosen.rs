//! The one image of several platforms that is meant.

use super::read::{Existing, Reader};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Platform, media_type};
use crate::store::{Graph, Store};

/// Returns the image below `root`, which errors call `title`, that fits `platform` best, and its manifest's descriptor. Where
/// no platform is said it is that of this machine, or whichever the image has if it has but one.
pub fn chosen(
    store: &dyn Store,
    title: &str,
    root: &Descriptor,
    platform: Option<&Platform>,
) -> Result<(Descriptor, Existing)> {
    let graph = Graph::of(store, root)?;
    let wanted = platform.cloned().unwrap_or_else(Platform::host);
    let is_any = platform.is_none() && !media_type::is_index(&root.media_type);
    let mut best: Option<(usize, Descriptor, Existing)> = None;
    for (at, bytes) in graph.images() {
        // What is listed for another platform need not be here.
        if at.platform.as_ref().is_some_and(|listed| !is_any && wanted.fit(listed).is_none()) {
            continue;
        }
        let Some(image) = Reader::new(store).image_in(at, bytes)? else { continue };
        let fit = match wanted.fit(&image.config.platform) {
            Some(fit) => fit,
            None if is_any => usize::MAX,
            None => continue,
        };
        if best.as_ref().is_none_or(|(other, ..)| fit < *other) {
            best = Some((fit, at.clone(), image));
        }
    }
    let found = best.map(|(_, manifest, image)| (manifest, image));
    found.ok_or_else(|| Error::not_found(format!("{title} has no image for {wanted}")))
}
