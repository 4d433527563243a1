//! An `ocibake.toml` with tables of images as bake reads it: each image is a target.

use super::bake_file::BakeFile;
use super::credential::{AgentEntry, SecretEntry};
use super::definition::{BakeDefinition, TargetPlaces, WrittenPlace};
use super::entry::CacheEntry;
use super::relative::{directory, join};
use super::target::{BakeGroup, BakeTarget};
use crate::error::{Excerpt, Result};
use crate::oci::{Map, Platform};
use crate::plan::{About, DockerfileTable, ImageGroup, ImageTable, ImageTables, Spec, TableRecipe};

/// Defines the images and the groups of `file`; the only image of one without tables is the target `default`. Fails for what is wrong in
/// it.
pub(super) fn define(file: &BakeFile, definition: &mut BakeDefinition) -> Result<()> {
    let Some(ImageTables { images, groups }) = ImageTables::parse(&file.name, &file.text)? else {
        definition.add_target(only(Spec::parse(&file.name, &file.text)?, file), TargetPlaces::default());
        return Ok(());
    };
    for image in images {
        let places = places(&image);
        definition.add_target(target(image, file)?, places);
    }
    for ImageGroup { name, members } in groups {
        definition.extend_group(BakeGroup { name, targets: Some(members), ..BakeGroup::default() });
    }
    Ok(())
}

fn places(image: &ImageTable) -> TargetPlaces {
    let link = image.links.values().next().cloned().map(WrittenPlace::Toml);
    TargetPlaces {
        target: Some(WrittenPlace::Toml(image.place.clone())),
        keys: link.map(|place| ("contexts".to_owned(), place)).into_iter().collect(),
    }
}

/// Returns the target of the only image of `file`.
fn only(spec: Spec, file: &BakeFile) -> BakeTarget {
    let target = BakeTarget {
        name: "default".to_owned(),
        tags: spec.name.as_ref().map(|name| vec![name.familiar()]),
        context: Some(of_file(file, ".".to_owned())),
        table: Some(Excerpt::new(&file.name, &file.text, 0..0)),
        ..BakeTarget::default()
    };
    of_layers(target, spec)
}

/// Returns the context `text`, which is relative to the file.
fn of_file(file: &BakeFile, text: String) -> String {
    let mut context = text;
    // What comes alone from a URL lies in no directory.
    if !file.name.contains("://") {
        join(directory(&file.name), &mut context);
    }
    context
}

fn target(image: ImageTable, file: &BakeFile) -> Result<BakeTarget> {
    let target = BakeTarget {
        name: image.name,
        tags: Some(image.tags).filter(|tags| !tags.is_empty()),
        context: Some(of_file(file, image.context.unwrap_or_else(|| ".".to_owned()))),
        table: Some(image.place.clone()),
        ..BakeTarget::default()
    };
    match image.recipe {
        TableRecipe::Layers(spec) => Ok(of_layers(target, *spec)),
        TableRecipe::Dockerfile(mut table) => {
            table.contexts.values_mut().for_each(|context| *context = of_file(file, std::mem::take(context)));
            of_dockerfile(target, *table).map_err(|error| error.with_excerpt(image.place))
        }
    }
}

/// What `--set` may change goes out of the spec, which has what only a file says.
fn of_layers(target: BakeTarget, spec: Spec) -> BakeTarget {
    let Spec { platforms, index, about, labels, annotations, base, libc, layers, config, .. } = spec;
    let spec = Spec { base, libc, layers, config, ..Spec::default() };
    described(BakeTarget { spec: Some(Box::new(spec)), index, ..target }, &platforms, &about, labels, annotations)
}

fn of_dockerfile(target: BakeTarget, table: DockerfileTable) -> Result<BakeTarget> {
    let secrets = table.secrets.iter().map(|text| SecretEntry::read(text)).collect::<Result<Vec<_>>>()?;
    let caches = table.cache_from.iter().map(|text| CacheEntry::read(text)).collect::<Result<Vec<_>>>()?;
    let target = BakeTarget {
        dockerfile: table.dockerfile,
        dockerfile_inline: table.dockerfile_inline,
        target: table.target,
        args: with_values(table.args),
        contexts: table.contexts,
        secrets: said(secrets),
        ssh: said(table.ssh.iter().map(|text| AgentEntry::read(text)).collect()),
        cache_from: said(caches.into_iter().flatten().collect()),
        network: table.network,
        no_cache: table.no_cache,
        no_cache_filter: said(table.no_cache_filter),
        pull: table.pull,
        shm_size: table.shm_size,
        ulimits: said(table.ulimits),
        extra_hosts: with_values(table.extra_hosts),
        entitlements: said(table.entitlements),
        index: table.index,
        ..target
    };
    Ok(described(target, &table.platforms, &table.about, table.labels, table.annotations))
}

fn described(
    target: BakeTarget,
    platforms: &[Platform],
    about: &About,
    labels: Map<String>,
    annotations: Map<String>,
) -> BakeTarget {
    let mut all = about.labels();
    all.extend(labels);
    BakeTarget {
        description: about.description.clone().unwrap_or_default(),
        platforms: said(platforms.iter().map(ToString::to_string).collect()),
        labels: with_values(all),
        annotations: said(annotations.into_iter().map(|(key, value)| format!("{key}={value}")).collect()),
        ..target
    }
}

/// A list of which nothing was said is none.
fn said<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn with_values(map: Map<String>) -> Map<Option<String>> {
    map.into_iter().map(|(key, value)| (key, Some(value))).collect()
}
