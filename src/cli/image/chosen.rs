//! The one image of several platforms that is meant.

use crate::error::{Error, Result};
use crate::image::{Existing, choose};
use crate::oci::{Descriptor, Platform};
use crate::store::Store;

/// Returns the image below `root`, which errors call `title`, that fits `platform` best, and its manifest's descriptor. Where
/// no platform is said it is that of this machine, or whichever the image has if it has but one.
pub fn chosen(
    store: &dyn Store,
    title: &str,
    root: &Descriptor,
    platform: Option<&Platform>,
) -> Result<(Descriptor, Existing)> {
    let wanted = platform.cloned().unwrap_or_else(Platform::host);
    let found = choose(store, title, root, &wanted)?;
    let (manifest, image) = found.ok_or_else(|| Error::input(format!("{title} is an artifact, not an image")))?;
    match platform {
        Some(platform) if platform.fit(&image.config.platform).is_none() => {
            Err(Error::not_found(format!("{title} has no image for {platform}"))
                .with_hint(format!("it has {}", image.config.platform)))
        }
        _ => Ok((manifest, image)),
    }
}
