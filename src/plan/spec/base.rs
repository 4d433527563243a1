//! What an image of layers stands on.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::oci::{Map, Platform, Settings};
use crate::plan::inherit::laid_over;
use crate::plan::{Base, FindBase, LinkedTarget, Stage};

/// What the first layer stands on.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum SpecBase {
    /// Nothing.
    #[default]
    Scratch,
    /// An image by its name.
    Image(String),
    /// The image of another target, which is built with this one.
    Target(Arc<LinkedTarget>),
}

/// What a stage stands on, and what it has of that.
pub(super) struct Foundation {
    pub base: Base,
    /// Its own on top of those below.
    pub settings: Settings,
    /// None for what has no platform of its own.
    pub platform: Option<Platform>,
    pub annotations: Map<String>,
    pub author: Option<String>,
}

/// Returns the base that a name stands for. Fails for an empty one.
pub fn base(text: &str) -> Result<SpecBase> {
    match text {
        "" => Err(Error::input("the name of the base is empty").with_hint("an image of nothing else is on `scratch`")),
        "scratch" => Ok(SpecBase::Scratch),
        name => Ok(SpecBase::Image(name.to_owned())),
    }
}

impl SpecBase {
    /// Returns the name of the target whose image it is; none if it is not a target's.
    pub fn target(&self) -> Option<&str> {
        match self {
            SpecBase::Target(target) => Some(target.name()),
            SpecBase::Scratch | SpecBase::Image(_) => None,
        }
    }

    /// Returns it for one platform, below an image that has `own` settings. The stage that stands for another target's image is added to `stages`.
    pub(super) fn foundation(
        &self,
        platform: &Platform,
        own: Settings,
        bases: &mut FindBase<'_>,
        stages: &mut Vec<Stage>,
    ) -> Result<Foundation> {
        match self {
            SpecBase::Scratch => Ok(Foundation {
                base: Base::Scratch,
                settings: own,
                platform: None,
                annotations: Map::new(),
                author: None,
            }),
            SpecBase::Image(name) => {
                let image = bases(name, platform)?;
                image.check_layers(platform)?;
                Ok(Foundation {
                    settings: image.settings(&own),
                    platform: Some(image.config.platform.normalised()),
                    annotations: image.annotations(),
                    author: image.config.author.clone(),
                    base: Base::Image(image),
                })
            }
            SpecBase::Target(target) => {
                let stage = target.stage(platform)?.clone();
                target.check_layers(&stage, platform)?;
                let foundation = Foundation {
                    base: Base::Stage(stages.len()),
                    settings: laid_over(stage.settings.clone(), &own),
                    platform: Some(stage.platform.clone()),
                    annotations: stage.annotations.clone(),
                    author: stage.author.clone(),
                };
                stages.push(stage);
                Ok(foundation)
            }
        }
    }
}
