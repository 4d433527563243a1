//! One layer in the place of all that the steps of an image have come to.

use std::sync::Arc;
use std::thread;

use super::graph::ImageSteps;
use super::inputs::Inputs;
use super::layers::{self, LayerTask, Layers};
use crate::error::{Error, Result};
use crate::layer::{Layer, with_whiteouts};
use crate::tree::{Change, Files, diff};

/// The line of the history that the layer gets.
pub const SQUASHED: &str = "ocibake: squash";

/// The name of the layer in progress.
const TITLE: &str = "squash";

/// What the layers of an image became.
pub enum Squashed {
    /// They are what they were: there is one at most.
    No,
    /// All of them are this one; none if it would be empty.
    Into(Option<Box<Layer>>),
}

/// Returns what the `layers` of the steps of each of `images` become. The layers must be in the local store; numbers of new ones
/// begin at `first`.
pub fn squash<'a>(
    images: &[&'a ImageSteps<'a>],
    layers: &[Option<Layer>],
    inputs: &Inputs<'a>,
    first: usize,
) -> Result<Vec<Squashed>> {
    let writing = Layers::new(inputs.options, inputs.pool);
    let writing = &writing;
    thread::scope(|scope| {
        let made = writing.serve(scope).and_then(|()| {
            let one =
                |(number, image): (usize, &&'a ImageSteps<'a>)| one(image, layers, writing, inputs, first + number);
            images.iter().enumerate().map(one).collect()
        });
        writing.close();
        made
    })
}

fn one<'a>(
    image: &ImageSteps<'a>,
    layers: &[Option<Layer>],
    writing: &Layers<'a>,
    inputs: &Inputs<'a>,
    number: usize,
) -> Result<Squashed> {
    let own: Vec<&Layer> =
        image.steps.iter().filter_map(|(_, state)| state.and_then(|state| layers[state].as_ref())).collect();
    if own.len() < 2 {
        return Ok(Squashed::No);
    }
    if image.stage.platform.is_windows() {
        return Err(
            Error::input("the layers of an image for Windows cannot be squashed").with_hint("leave out --squash")
        );
    }
    let below = image.below.map_or_else(|| Ok(Files::new()), |below| inputs.bases.files(below))?;
    let all = own.iter().try_fold(below.clone(), |files, layer| inputs.bases.applied(&files, layer))?;
    let (mut entries, mut removed) = (Vec::new(), Vec::new());
    for change in diff(&below, &all) {
        match change {
            Change::Put(entry) => entries.push(entry),
            Change::Remove(path) => removed.push(path),
        }
    }
    if entries.is_empty() && removed.is_empty() {
        return Ok(Squashed::Into(None));
    }
    let misnamed = layers::misnamed(&entries);
    let time = inputs.options.modified.of_made();
    let entries = if removed.is_empty() { entries } else { with_whiteouts(&entries, &removed, time) };
    let trusts_times = inputs.options.trust_times && !image.stage.run.no_cache;
    let (entries, has_xattrs) = (Arc::new(entries), false);
    let task = LayerTask { number, title: TITLE, entries, misnamed, has_xattrs, trusts_times };
    writing.make(task, inputs).map(|made| Squashed::Into(Some(Box::new(made.layer))))
}
