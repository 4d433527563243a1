//! `docker inspect` of images.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::environment::Environment;
use crate::cli::flags::value::value;
use crate::cli::format::Format;
use crate::cli::image::chosen::chosen;
use crate::cli::image::row::repository;
use crate::cli::print::{answer_json, answer_lines, show, tell};
use crate::error::Result;
use crate::oci::{Platform, Reference};
use crate::plan::label::rfc3339;
use crate::store::{ImageArrival, LocalStore, NamedImage};

/// Show what an image of the local store is, as docker does
#[derive(Debug, Args)]
pub struct DockerInspectArguments {
    /// Images: names or IDs
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Show it as a Go template says, such as '{{.Id}}' or '{{json .Config}}', or json
    #[arg(short, long, value_name = "FORMAT", value_parser = value::<Format>)]
    format: Option<Format>,
    /// Kind of what is inspected; there are only images
    #[arg(long, value_name = "TYPE", hide = true)]
    r#type: Option<String>,
    /// Accepted, as with docker
    #[arg(short, long, hide = true)]
    size: bool,
    /// Platform whose image is meant [default: that of this machine]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
}

/// Answers with what docker says of images, and returns docker's exit code. One that is not there does not keep the others;
/// it is said in docker's words, which call it `what`, unless its kind is named.
pub fn run(arguments: &DockerInspectArguments, what: &str, environment: &Environment) -> Result<u8> {
    let store = environment.present_store().map(LocalStore::open).transpose()?;
    let what = arguments.r#type.as_deref().unwrap_or(what);
    let (mut told, mut missing, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for text in &arguments.images {
        let store = store.as_ref().filter(|_| matches!(what, "object" | "image"));
        match store.map_or(Ok(None), |store| image(store, text, arguments.platform.as_ref())) {
            Ok(Some(image)) => told.push(image),
            Ok(None) => missing.push(text),
            Err(error) => errors.push(error),
        }
    }
    match &arguments.format {
        Some(format) => answer_lines(format.lines(&told, &[])?)?,
        None => answer_json(&told)?,
    }
    missing.iter().for_each(|text| tell(&format!("Error: No such {what}: {text}")));
    errors.iter().for_each(show);
    Ok(u8::from(told.len() < arguments.images.len()))
}

fn image(store: &LocalStore, text: &str, platform: Option<&Platform>) -> Result<Option<Value>> {
    let Some(found) = store.find(text)? else { return Ok(None) };
    let (manifest, image) = chosen(store, text, &found.root, platform)?;
    let names: Vec<_> = store.names()?.into_iter().filter(|named| named.root.digest == found.root.digest).collect();
    let digests = digests(&names, text.parse().ok().as_ref());
    let layers = image.manifest.layers.iter().map(|layer| layer.size);
    let config = &image.config;
    let since = found.named.as_ref().map_or(0, |image| image.since);
    let tagged = i64::try_from(since).ok().and_then(|since| rfc3339(since).ok());
    Ok(Some(json!({
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
        "Metadata": {"LastTagTime": tagged},
        "Descriptor": found.root,
    })))
}

/// Returns the names by digest, each repository once. Docker has them of what went to a registry or came from one, and scripts
/// take the first: that is the one of the name that was asked for, and a name that no registry can have by itself comes last.
fn digests(names: &[NamedImage], asked: Option<&Reference>) -> Vec<String> {
    let is_local = |image: &NamedImage| image.arrival == ImageArrival::Made && !repository(&image.name).contains('/');
    let is_other = |image: &NamedImage| asked.is_none_or(|asked| asked.name() != image.name.name());
    let mut sorted: Vec<&NamedImage> = names.iter().collect();
    sorted.sort_by_key(|image| (is_local(image), is_other(image)));
    let mut digests: Vec<String> =
        sorted.into_iter().map(|image| format!("{}@{}", repository(&image.name), image.root.digest)).collect();
    digests.dedup();
    digests
}
