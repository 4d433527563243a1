//! The steps of a build as events tell of them.

use serde::{Deserialize, Serialize};

use crate::oci::Platform;

/// A step and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepPlace<'a> {
    /// The number of the step in its build, the same in all events about it; they count from 0.
    pub index: usize,
    /// The name of the step.
    pub title: &'a str,
    /// The name of its target, or the first one of those that share it; none where one alone is built.
    pub target: Option<&'a str>,
    /// The name of its stage, or the first one of those that share it.
    pub stage: &'a str,
    /// The platform that the stage is for.
    pub platform: &'a Platform,
    /// The number of the step in its stage, counted from 1.
    pub number: usize,
    /// The line of the Dockerfile that it begins with; none if no line asked for it.
    pub line: Option<usize>,
}

/// A step that a build has before it, or what a stage starts from.
#[derive(Debug, Clone)]
pub struct PlannedStep<'a> {
    /// Where it stands. What a stage starts from has neither a title nor a number in its stage.
    pub place: StepPlace<'a>,
    /// The name of the image that a stage starts from; none for a step, and for nothing.
    pub base: Option<&'a str>,
    /// The indices of the steps that it stands on or takes files from.
    pub stands_on: Vec<usize>,
    /// The number of the layer that it may become, the same in all events about that; none if no image has it, and doing it
    /// again is quickly done.
    pub layer: Option<usize>,
    /// The targets that need it, by their place among the plan's.
    pub targets: Vec<usize>,
}

/// A part of what is done for a step, by one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepPart {
    /// It is found out what the step is known by, and whether an earlier build has done it.
    Mark,
    /// Other machines are asked whether they have done it.
    Ask,
    /// What they say is held against what the step stands on here.
    Recall,
    /// The file system that it leaves is put together, or that of its image read.
    Files,
    /// What it changes is found out: its command is run, or its files are looked at.
    Change,
    /// Its layer is written.
    Layer,
}

impl StepPart {
    /// Returns the name by which programs know the part. It stays what it is.
    pub fn name(self) -> &'static str {
        match self {
            StepPart::Mark => "mark",
            StepPart::Ask => "ask",
            StepPart::Recall => "recall",
            StepPart::Files => "files",
            StepPart::Change => "change",
            StepPart::Layer => "layer",
        }
    }
}

/// What a step has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepOutcome {
    /// Its layer is there already.
    Known(KnownBy),
    /// The step of this index makes the same layer.
    Same(usize),
    /// It was done.
    Done(DoneBecause),
}

/// The way in which a layer was found that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownBy {
    /// All that the step is made from is as it was.
    Mark,
    /// What it is made from came about anew, with the same content.
    Content,
    /// Its files are those of a layer that was made before.
    Files,
    /// An image has the layer that was named to take layers from.
    Image,
    /// Another step of the build has done the same on the same content.
    Once,
    /// Another machine has done it on the same content, and keeps what it came to where others find it.
    Cache,
}

impl KnownBy {
    /// Returns the name by which programs know the way. It stays what it is.
    pub fn name(self) -> &'static str {
        match self {
            KnownBy::Mark => "mark",
            KnownBy::Content => "content",
            KnownBy::Files => "files",
            KnownBy::Image => "image",
            KnownBy::Once => "once",
            KnownBy::Cache => "cache",
        }
    }
}

/// Why a step was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DoneBecause {
    /// No build that the store remembers has done it on the same.
    Unseen,
    /// It was not to be taken from an earlier build, or stands on such a step.
    Anew,
    /// Files were to be read, whatever their times say.
    Untrusted,
    /// No image has its layer, which is not kept.
    NotKept,
}

impl DoneBecause {
    /// Returns the name by which programs know the reason. It stays what it is.
    pub fn name(self) -> &'static str {
        match self {
            DoneBecause::Unseen => "unseen",
            DoneBecause::Anew => "anew",
            DoneBecause::Untrusted => "untrusted",
            DoneBecause::NotKept => "not-kept",
        }
    }
}
