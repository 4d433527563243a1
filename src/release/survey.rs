//! A survey asks registries what the tags of a release stand for, and says what becomes of each.

use std::collections::HashMap;
use std::thread::{self, ScopedJoinHandle};

use semver::Version;

use super::ratchet::{self, Pushed, Standing, TagChange};
use super::tag::{PlannedTag, TagKind};
use super::target::ReleaseTarget;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Reader;
use crate::oci::{Descriptor, ImageIndex, Reference, from_json, media_type};
use crate::plan::{BASE_DIGEST, BASE_NAME, version};
use crate::progress::{Event, Progress, WarningKind};
use crate::registry::{Client, Repository};

/// How many requests are under way at once.
const PARALLEL: usize = 8;

const VERSION: &str = "org.opencontainers.image.version";

/// A tag, and what a push does with it.
#[derive(Debug, Clone, PartialEq)]
pub struct TagStep {
    /// The repository's name with the tag.
    pub name: Reference,
    /// Exact tags are set before floating ones.
    pub kind: TagKind,
    /// The image that the tag stands for; none if there is no such tag.
    pub now: Option<Descriptor>,
    /// The change that the push makes.
    pub change: TagChange,
}

/// Returns what becomes of each tag of `target`, by what its repository has. It takes one request for the list of tags, one
/// for each tag, and one or a few for the version of each image that a floating tag would leave.
pub fn survey(
    target: &ReleaseTarget,
    pushed: &Pushed,
    client: &Client,
    progress: Progress<'_>,
) -> Result<Vec<TagStep>> {
    let repository = client.repository(&target.repository, progress);
    let (releases, standing) = if target.tags.iter().any(|tag| tag.line.is_some()) {
        // Not beside the others: one request alone gets the token that is then there for all.
        let listed = repository.tags();
        let standing = find(&repository, &target.tags)?;
        let listed = usable(listed, &standing, target, progress);
        let releases = |listed: Vec<String>| ratchet::releases(&listed, &target.tags, pushed.version.as_ref());
        (listed.map(releases), standing)
    } else {
        (Some(Vec::new()), find(&repository, &target.tags)?)
    };
    let mut versions = HashMap::new();
    for (tag, now) in target.tags.iter().zip(&standing) {
        if let Some(now) = now.as_ref().filter(|now| now.digest != pushed.root && tag.kind == TagKind::Floating)
            && !versions.contains_key(&now.digest)
        {
            versions.insert(now.digest, version_of(&repository, now, releases.is_none())?);
        }
    }
    let known =
        |now: &Descriptor| Standing { digest: now.digest, version: versions.get(&now.digest).cloned().flatten() };
    let steps = target.tags.iter().zip(standing).map(|(tag, now)| {
        let change = ratchet::change(tag, pushed, now.as_ref().map(known), releases.as_deref());
        TagStep { name: target.repository.with_tag(&tag.name), kind: tag.kind, now, change }
    });
    Ok(steps.collect())
}

/// Returns what each of `tags` stands for, in their order.
fn find(repository: &Repository<'_>, tags: &[PlannedTag]) -> Result<Vec<Option<Descriptor>>> {
    let mut found = Vec::with_capacity(tags.len());
    for some in tags.chunks(PARALLEL) {
        let results: Vec<_> = thread::scope(|scope| {
            let asked: Vec<_> = some.iter().map(|tag| scope.spawn(|| repository.find(&tag.name))).collect();
            asked.into_iter().map(joined).collect()
        });
        for result in results {
            found.push(result?);
        }
    }
    Ok(found)
}

/// Returns the list, if it is one to go by: not every registry lists tags, and some list none to those who may only push.
fn usable(
    listed: Result<Vec<String>>,
    standing: &[Option<Descriptor>],
    target: &ReleaseTarget,
    progress: Progress<'_>,
) -> Option<Vec<String>> {
    let why = match listed {
        Ok(listed) if !listed.is_empty() || standing.iter().all(Option::is_none) => return Some(listed),
        Ok(_) => "the list is empty".to_owned(),
        Err(Error { message, .. }) => message,
    };
    let name = target.repository.name();
    let message = format!(
        "the tags of {name} cannot be listed ({why}): floating tags are only compared with the versions of the \
            images that they stand for"
    );
    progress(Event::Warning { kind: WarningKind::TagsNotListed, message: &message });
    None
}

/// Returns the version of the image at `root`, as its annotation says; or its label, if `labels` count, which an image
/// may have from the one that it is based on. An image that is not all there, or is none, has none.
fn version_of(repository: &Repository<'_>, root: &Descriptor, labels: bool) -> Result<Option<Version>> {
    match stated_version(repository, root, labels) {
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Input) => Ok(None),
        stated => Ok(stated?.and_then(|text| version::of_tag(&text))),
    }
}

fn stated_version(repository: &Repository<'_>, root: &Descriptor, labels: bool) -> Result<Option<String>> {
    let mut reader = Reader::new(repository);
    let mut at = root.clone();
    if media_type::is_index(&root.media_type) {
        let index: ImageIndex = from_json("the index", &reader.document(root)?)?;
        let is_image = |at: &Descriptor| media_type::is_manifest(&at.media_type) && !at.is_attestation();
        match (index.annotations.get(VERSION), index.manifests.into_iter().find(is_image)) {
            (None, Some(image)) if labels => at = image,
            (stated, _) => return Ok(stated.cloned()),
        }
    }
    let Some(manifest) = reader.manifest(&at)? else { return Ok(None) };
    // One that tells what it stands on tells its own version, too, if it has any: the label is that of its base.
    let is_inherited = [BASE_NAME, BASE_DIGEST].iter().any(|key| manifest.annotations.contains_key(*key));
    if manifest.annotations.contains_key(VERSION) || !labels || is_inherited {
        return Ok(manifest.annotations.get(VERSION).cloned());
    }
    let image = reader.image_of(&at, manifest)?;
    Ok(image.config.config.labels.and_then(|labels| labels.get(VERSION).cloned()))
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
