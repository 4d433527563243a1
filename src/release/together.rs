//! This file pushes several images at once: all content of all of them first, and then the tags.

use super::flip::flip;
use super::push::{Release, record};
use super::survey::TagStep;
use super::tag::TagKind;
use crate::error::Result;
use crate::oci::Reference;
use crate::output::{self, Bundle, BundleEntry, Means, Output, OutputImage};
use crate::progress::Event;

/// An image that is pushed with others.
#[derive(Clone, Copy)]
pub struct PushedImage<'a> {
    /// The image, and the names of the repositories that it goes to.
    pub image: OutputImage<'a>,
    /// What decides about its tags; without it, each of its names is set.
    pub release: Option<Release<'a>>,
}

/// Uploads `images` to the repositories of their names. As long as one repository lacks something of one image, no tag of any has
/// changed; then exact tags are set before those that float. The record of each release is kept before the first tag is set, and
/// after the last.
pub fn push_together(images: &[PushedImage<'_>], means: &Means<'_>) -> Result<()> {
    if images.is_empty() {
        return Ok(());
    }
    let Means { client, progress, .. } = *means;
    let client = client.client()?;
    for (image, release) in releases(images).filter(|(_, release)| release.immutable) {
        release.plan(image.root, client, progress)?;
    }
    let entries = images.iter().map(|pushed| BundleEntry { image: pushed.image, short_names: &[], referrers: &[] });
    let bundle = Bundle { entries: entries.collect(), left_out: None };
    let uploaded = output::write_all(&[Output::Registry], &bundle, means)?;
    // Only now: while all of that was on its way, another push may have moved the tags.
    let mut planned: Vec<Vec<TagStep>> = Vec::with_capacity(images.len());
    for PushedImage { image, release } in images {
        planned.push(release.map_or(Ok(Vec::new()), |release| release.plan(image.root, client, progress))?);
    }
    for step in planned.iter().flatten() {
        let (name, change, sets) = (step.name.to_string(), step.change.to_string(), step.change.sets());
        progress(Event::TagPlanned { name: &name, change: &change, sets });
    }
    let keep = |is_complete| {
        images.iter().zip(&planned).try_for_each(|(pushed, steps)| match pushed.release {
            Some(release) => (release.keep)(pushed.image, record(steps, pushed.image.root, is_complete)),
            None => Ok(()),
        })
    };
    keep(false)?;
    let (mut exact, mut floating): (Vec<(&Reference, _)>, Vec<_>) = (Vec::new(), Vec::new());
    for ((pushed, steps), uploaded) in images.iter().zip(&planned).zip(&uploaded) {
        if pushed.release.is_none() {
            exact.extend(uploaded.tags.iter().map(|name| (name, &uploaded.graph)));
        }
        for step in steps.iter().filter(|step| step.change.sets()) {
            let list = if step.kind == TagKind::Floating { &mut floating } else { &mut exact };
            list.push((&step.name, &uploaded.graph));
        }
    }
    exact.append(&mut floating);
    let undo = releases(images).find_map(|(_, release)| release.undo);
    flip(&exact, undo, client, progress)?;
    keep(true)
}

fn releases<'a>(images: &'a [PushedImage<'a>]) -> impl Iterator<Item = (OutputImage<'a>, Release<'a>)> {
    images.iter().filter_map(|pushed| Some((pushed.image, pushed.release?)))
}
