//! A [`Release`] sets the tags of versions and branches: all content goes first, to every repository; then the tags are
//! set, exact ones before those that float, and these only forward (see [`ratchet`](super::ratchet)).

use super::flip::flip;
use super::ratchet::{Pushed, TagChange};
use super::record::{Record, RecordedTag};
use super::survey::{TagStep, survey};
use super::tag::TagKind;
use super::target::ReleaseTarget;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::Descriptor;
use crate::output::{self, Means, Output, OutputImage};
use crate::progress::{Event, Progress};
use crate::registry::Client;

/// A push that sets tags.
#[derive(Clone, Copy)]
pub struct Release<'a> {
    /// The repositories that it goes to.
    pub targets: &'a [ReleaseTarget],
    /// No exact tag that stands for another image is changed.
    pub immutable: bool,
    /// The command that undoes it, once a record is kept.
    pub undo: Option<&'a str>,
    /// Keeps the record of what is done: before the first tag is set, and after the last.
    pub keep: &'a (dyn Fn(OutputImage<'_>, Record) -> Result<()> + Sync),
}

impl Release<'_> {
    /// Asks the registries, and returns what a push of `root` would do, in the order in which it would do it. Changes
    /// nothing. That an exact tag would have to change is an error if the release is immutable.
    pub fn plan(&self, root: &Descriptor, client: &Client, progress: Progress<'_>) -> Result<Vec<TagStep>> {
        let mut steps = Vec::new();
        for target in self.targets {
            let pushed = Pushed { root: root.digest, version: target.version.clone() };
            steps.extend(survey(target, &pushed, client, progress)?);
        }
        steps.sort_by_key(|step| step.kind == TagKind::Floating);
        if self.immutable {
            check_exact(&steps, root)?;
        }
        Ok(steps)
    }

    /// Writes `image` to each of `outputs`, to the registry last, and sets the tags of the release once all of it is there.
    /// The record is kept before the first tag is set, so that a push that ends between tags can be undone.
    pub fn write(&self, outputs: &[Output], image: OutputImage<'_>, means: &Means<'_>) -> Result<()> {
        let Means { client, progress, .. } = *means;
        let client = client.client()?;
        if self.immutable {
            self.plan(image.root, client, progress)?;
        }
        let others = outputs.iter().filter(|output| **output != Output::Registry).cloned();
        let outputs: Vec<Output> = others.chain([Output::Registry]).collect();
        let uploaded = output::write(&outputs, image, means)?;
        // Only now: while all of that was on its way, another push may have moved the tags.
        let steps = self.plan(image.root, client, progress)?;
        for step in &steps {
            let (name, change, sets) = (step.name.to_string(), step.change.to_string(), step.change.sets());
            progress(Event::TagPlanned { name: &name, change: &change, sets });
        }
        (self.keep)(image, record(&steps, image.root, false))?;
        let names = steps.iter().filter(|step| step.change.sets()).map(|step| &step.name);
        let names: Vec<_> = names.flat_map(|name| uploaded.iter().map(move |image| (name, &image.graph))).collect();
        flip(&names, self.undo, client, progress)?;
        (self.keep)(image, record(&steps, image.root, true))
    }
}

fn check_exact(steps: &[TagStep], root: &Descriptor) -> Result<()> {
    let changes = |step: &&TagStep| step.kind == TagKind::Exact && matches!(step.change, TagChange::Moves { .. });
    let changed: Vec<_> = steps.iter().filter(changes).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let line = |step: &&TagStep| {
        let now = step.now.as_ref().map(|now| now.digest.to_string()).unwrap_or_default();
        format!("  {} is {now}", step.name)
    };
    let message = format!("tags that must not change stand for another image than {}", root.digest);
    Err(Error::new(ErrorKind::Registry, message)
        .with_details(changed.iter().map(line).collect())
        .with_hint("give what is pushed a new version; or leave out --immutable to let the tags change"))
}

/// Returns the record of `steps`, which lead to `root`.
pub(super) fn record(steps: &[TagStep], root: &Descriptor, complete: bool) -> Record {
    let pushed = Descriptor::new(root.media_type.clone(), root.digest, root.size);
    let tags = steps.iter().map(|step| RecordedTag {
        repository: step.name.name(),
        tag: step.name.tag().unwrap_or("latest").to_owned(),
        change: step.change.word().to_owned(),
        before: step.now.clone(),
        after: if step.change.sets() { Some(pushed.clone()) } else { step.now.clone() },
    });
    Record { complete, tags: tags.collect() }
}
