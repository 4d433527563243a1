//! Images, put together of what their steps have come to.

use crate::image::{self, Image, InlineStep, Parts};
use crate::plan::{Step, Target, Work};

use super::graph::ImageSteps;
use super::schedule::StateOutcomes;
use super::squash::{SQUASHED, Squashed};

/// Returns the image of `target` that its steps come to, by what all states did. Where layers were `squashed`, the history has
/// the steps without them, and the one that has taken their place in the end.
pub fn image(
    target: &Target,
    image: &ImageSteps<'_>,
    outcomes: &StateOutcomes,
    squashed: Option<Squashed>,
    created: &str,
) -> Image {
    let ImageSteps { stage, below, steps } = image;
    let created_by = |step: &Step| match (&step.created_by, &step.work) {
        (Some(line), _) => line.clone(),
        (None, Work::Adds(_)) => format!("ocibake: {}", step.title),
        (None, _) => step.title.clone(),
    };
    let histories: Vec<String> = steps.iter().map(|(step, _)| created_by(step)).collect();
    let own = match &squashed {
        None | Some(Squashed::No) => Some(&outcomes.layers),
        Some(Squashed::Into(_)) => None,
    };
    // What became part of another layer cannot be told.
    let told = own.filter(|_| target.tells_steps).map_or(&[][..], |_| &outcomes.inline_steps);
    let inline_steps: Vec<InlineStep> = steps.iter().filter_map(|(_, state)| told.get((*state)?)?.clone()).collect();
    let mut steps: Vec<image::HistoryStep<'_>> = steps
        .iter()
        .zip(&histories)
        .map(|((_, state), created_by)| image::HistoryStep {
            layer: own.zip(*state).and_then(|(layers, state)| layers[state].as_ref()),
            created_by,
        })
        .collect();
    if let Some(Squashed::Into(Some(layer))) = &squashed {
        steps.push(image::HistoryStep { layer: Some(layer.as_ref()), created_by: SQUASHED });
    }
    let mut annotations = stage.annotations.clone();
    annotations.extend(target.annotations.clone());
    annotations.extend(target.placed_annotations.of_manifest(&stage.platform));
    let mut image = Image::new(&Parts {
        platform: &stage.platform,
        settings: &stage.settings,
        author: stage.author.as_deref(),
        below: *below,
        steps: &steps,
        inline_steps: &inline_steps,
        created,
        annotations: &annotations,
    });
    image.manifest.descriptor.annotations = target.placed_annotations.of_manifest_descriptor(&stage.platform);
    image
}
