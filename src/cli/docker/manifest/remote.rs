//! The images that lists are made of, as their registries have them.

use super::kept::ListEntry;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{self, Reader};
use crate::oci::{Reference, media_type};
use crate::progress::silent;
use crate::registry::OnDemand;
use crate::source::image::Location;
use crate::store::read_document;

/// Reads a name as docker does: without a tag and a digest, `latest` is meant.
pub fn named(text: &str) -> Result<Reference> {
    let name: Reference = text.parse().map_err(Error::on_command_line)?;
    Ok(if name.tag().is_none() && name.digest().is_none() { name.with_tag("latest") } else { name })
}

/// Returns an image that a registry has, as an entry for the platform of its config.
pub fn found(image: &Reference, client: &OnDemand) -> Result<ListEntry> {
    let (store, root) =
        Location::Registry(image.clone()).open(client, &silent).map_err(|error| missing(image, error))?;
    if media_type::is_index(&root.media_type) {
        return Err(Error::input(format!("{image} is a manifest list"))
            .with_hint("name its images by digest, or join lists with `docker buildx imagetools create`"));
    }
    let manifest = read_document(store.as_ref(), &root)?;
    let read = Reader::new(store.as_ref()).image_in(&root, &manifest)?.ok_or_else(|| image::no_image(&root))?;
    let descriptor = root.with_platform(read.config.platform);
    Ok(ListEntry { reference: image.clone(), descriptor, manifest: Some(manifest) })
}

/// Returns the error for an image that its registry does not have, in docker's words; any other as it is.
pub fn missing(image: &Reference, error: Error) -> Error {
    match error.kind {
        ErrorKind::NotFound => Error::not_found(format!("no such manifest: {image}"))
            .with_source(error)
            .with_hint("a list is made of images that are in a registry: `docker push` it first"),
        _ => error,
    }
}
