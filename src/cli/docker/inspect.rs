//! `docker inspect` of images.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::environment::Environment;
use crate::cli::flags::value::value;
use crate::cli::format::Format;
use crate::cli::image::row::repository;
use crate::cli::print::{answer_json, answer_lines, show};
use crate::error::{Error, Result};
use crate::image::chosen;
use crate::oci::{Platform, Reference};
use crate::store::LocalStore;

/// Show what an image of the local store is, as docker does
#[derive(Debug, Args)]
pub struct DockerInspectArguments {
    /// Images: names or IDs
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Show it as a Go template says, such as '{{.Id}}' or '{{json .Config}}', or json
    #[arg(short, long, value_name = "FORMAT", value_parser = value::<Format>)]
    format: Option<Format>,
    /// Kind of what is inspected: image
    #[arg(long, value_name = "TYPE", value_parser = ["image"], hide = true)]
    r#type: Option<String>,
    /// Accepted, as docker has it
    #[arg(short, long, hide = true)]
    size: bool,
    /// Platform of which the image is meant [default: that of this machine]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
}

/// Answers with what docker says of images. One that is not there does not keep the others.
pub fn run(arguments: &DockerInspectArguments, environment: &Environment) -> Result<()> {
    let store = LocalStore::open(environment.store()?)?;
    let (mut told, mut errors) = (Vec::new(), Vec::new());
    for text in &arguments.images {
        match image(&store, text, arguments.platform.as_ref()) {
            Ok(image) => told.push(image),
            Err(error) => errors.push(error),
        }
    }
    match &arguments.format {
        Some(format) => answer_lines(format.lines(&told, &[])?)?,
        None => answer_json(&told)?,
    }
    let last = errors.pop();
    errors.iter().for_each(show);
    last.map_or(Ok(()), Err)
}

fn image(store: &LocalStore, text: &str, platform: Option<&Platform>) -> Result<Value> {
    let found = store.find(text)?.ok_or_else(|| Error::not_found(format!("No such object: {text}")))?;
    let (manifest, image) = chosen(store, text, &found.root, platform)?;
    let names: Vec<_> = store.names()?.into_iter().filter(|named| named.root.digest == found.root.digest).collect();
    let digest = |name: &Reference| format!("{}@{}", repository(name), found.root.digest);
    let digests: BTreeSet<String> = names.iter().map(|named| digest(&named.name)).collect();
    let layers = image.manifest.layers.iter().map(|layer| layer.size);
    let config = &image.config;
    Ok(json!({
        "Id": found.root.digest,
        "RepoTags": names.iter().map(|named| named.name.familiar()).collect::<Vec<_>>(),
        "RepoDigests": digests,
        "Parent": "",
        "Comment": config.history.last().and_then(|step| step.comment.clone()).unwrap_or_default(),
        "Created": config.created,
        "Author": config.author.clone().unwrap_or_default(),
        "Config": config.config,
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "Size": layers.fold(manifest.size.saturating_add(image.manifest.config.size), u64::saturating_add),
        "RootFS": {"Type": "layers", "Layers": config.rootfs.diff_ids},
        "Descriptor": found.root,
    }))
}
