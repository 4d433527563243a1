//! From what a name stands for to the base for one platform.

use crate::error::{Error, Result};
use crate::image::choose;
use crate::oci::{Descriptor, Platform, media_type};
use crate::plan::BaseImage;
use crate::store::Store;

/// Returns the image for `platform` of what `root`, which `name` stands for, reaches. Fails if that has no images, and
/// for documents that are malformed. All documents on the way are read from `store`, and no others.
pub(in crate::source) fn image(
    store: &dyn Store,
    name: &str,
    root: &Descriptor,
    platform: &Platform,
) -> Result<BaseImage> {
    let Some((found, image)) = choose(store, name, root, platform)? else {
        return Err(Error::input(format!("{name} is an artifact, not an image"))
            .with_hint("only an image with a config and layers can be built on"));
    };
    let layers = image.layers().map_err(|error| Error { message: format!("{name}: {}", error.message), ..error })?;
    let layers = layers.into_iter().map(|layer| in_oci_terms(name, layer.descriptor)).collect::<Result<_>>()?;
    Ok(BaseImage { name: name.to_owned(), root: root.digest, manifest: found.digest, layers, config: image.config })
}

/// A layer under OCI's name of its type, as the manifests are that are made here; its bytes, and all else that its
/// descriptor says, stay.
fn in_oci_terms(name: &str, layer: Descriptor) -> Result<Descriptor> {
    if !media_type::is_layer(&layer.media_type) {
        let kind = layer.media_type.escape_debug();
        return Err(Error::input(format!("a layer of {name} has the type `{kind}`, which is not supported")));
    }
    Ok(Descriptor { media_type: media_type::oci_layer(&layer.media_type), ..layer })
}
