//! This file writes images to outputs, and then lets their names stand for them in registries.

use super::flip::flip;
use crate::error::Result;
use crate::output::{self, Bundle, Means, Output, OutputImage, Uploaded};

/// Writes `image` to each of `outputs`, in their order, once all of them have passed [`check`](output::check); then
/// sets its tags in registries. A name with a digest alone is not a tag.
pub fn write(outputs: &[Output], image: OutputImage<'_>, means: &Means<'_>) -> Result<()> {
    set_tags(&output::write(outputs, image, means)?, means)
}

/// Does the same with several images: what they share is written once. As long as one repository or output lacks something, no
/// tag of any has changed.
pub fn write_all(outputs: &[Output], bundle: &Bundle<'_>, means: &Means<'_>) -> Result<()> {
    set_tags(&output::write_all(outputs, bundle, means)?, means)
}

fn set_tags(uploaded: &[Uploaded], means: &Means<'_>) -> Result<()> {
    if uploaded.is_empty() {
        return Ok(());
    }
    let tags = uploaded.iter().flat_map(|image| image.tags.iter().map(|name| (name, &image.graph)));
    flip(&tags.collect::<Vec<_>>(), None, means.client.client()?, means.progress)
}
