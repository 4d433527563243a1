//! Media types (image-spec, media-types.md) and docker's older names for the same things.

use crate::error::{Error, Result};

/// The type of an image index, and of a layout's `index.json`.
pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The type of an image manifest; also of the manifests of artifacts.
pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The type of an image's configuration.
pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The type of a layer that is not compressed.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// The type of a layer that is compressed with gzip (RFC 1952).
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The type of a layer that is compressed with zstd (RFC 8878).
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// The type of the two bytes `{}` (image-spec, manifest.md, "Guidance for an Empty Descriptor").
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Docker's type of an index (its "fat manifest").
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's type of a manifest (its "Image Manifest Version 2, Schema 2").
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// The beginning of the types of docker's first form of a manifest.
pub const FIRST_SCHEMA: &str = "application/vnd.docker.distribution.manifest.v1+";
/// Docker's type of an image's configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Returns whether it is a layer that may not be given on: registries keep its descriptor, and its content is had from the
/// descriptor's `urls` (image-spec 1.0, layer.md "Non-Distributable Layers"; docker's foreign layers).
pub fn is_nondistributable(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}

/// Returns OCI's name of the type of a layer that docker has another name for; all others as they are.
pub fn oci_layer(media_type: &str) -> String {
    const NAMES: [(&str, &str); 2] = [
        ("application/vnd.docker.image.rootfs.diff.tar", LAYER),
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
        ),
    ];
    let named = NAMES.iter().find_map(|(docker, oci)| Some((media_type.strip_prefix(docker)?, oci)));
    match named {
        Some(("", oci)) => (*oci).to_owned(),
        Some((".gzip", oci)) => format!("{oci}+gzip"),
        Some((".zstd", oci)) => format!("{oci}+zstd"),
        _ => media_type.to_owned(),
    }
}

/// Returns whether it is a layer of files of either family, as a tar or compressed with gzip or zstd; one that may not be given
/// on, too.
pub fn is_layer(media_type: &str) -> bool {
    const TARS: [&str; 4] = [
        LAYER,
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ];
    let suffix = TARS.iter().find_map(|tar| media_type.strip_prefix(tar));
    suffix.is_some_and(|suffix| matches!(suffix, "" | "+gzip" | "+zstd" | ".gzip" | ".zstd"))
}

/// Returns whether it is an index of manifests, or docker's manifest list.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, IMAGE_INDEX | DOCKER_MANIFEST_LIST)
}

/// Returns whether it is an image manifest of either family.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, IMAGE_MANIFEST | DOCKER_MANIFEST)
}

/// Returns whether it is the config of an image of either family; that of an artifact is of another type.
pub fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, IMAGE_CONFIG | DOCKER_CONFIG)
}

/// Types that registries and proxies have put in the place of a config's own: they say nothing of what it is.
pub fn is_of_no_kind(media_type: &str) -> bool {
    matches!(media_type, "" | "application/octet-stream" | "application/json" | "text/html")
}

/// Refuses what is not a manifest of a type that is read; `what` has this type.
pub fn check_manifest(what: &str, media_type: &str) -> Result<()> {
    check_schema(what, media_type)?;
    if is_manifest(media_type) {
        return Ok(());
    }
    Err(Error::input(format!("{what} has the type `{}`, which is not that of an image", media_type.escape_debug())))
}

/// Refuses docker's first form of a manifest, signed or not, and says what to do about it; `what` has this type.
pub fn check_schema(what: &str, media_type: &str) -> Result<()> {
    if !media_type.starts_with(FIRST_SCHEMA) {
        return Ok(());
    }
    Err(Error::input(format!("{what} is an image of docker's schema 1, which is not supported"))
        .with_hint("push it again with docker 1.10 or later, or copy it with `skopeo copy --format oci`"))
}

/// Returns whether it is something that a registry keeps under `/manifests/` and not under `/blobs/`.
pub fn is_manifest_or_index(media_type: &str) -> bool {
    is_manifest(media_type) || is_index(media_type)
}
