//! The kinds of steps, a file each: what a step of that kind is known by, and what it changes in a file system.

mod adds;
mod agent;
mod copy;
mod directory;
mod emulation;
mod host_ca;
mod last_lines;
mod provided;
mod run;
mod shell;

pub use provided::Provided;

use std::sync::Arc;

use super::cache::{By, Key, Mark};
use super::inputs::{DiskRoot, Inputs};
use crate::error::{Excerpt, Result};
use crate::layer::Layer;
use crate::oci::KeyBuilder;
use crate::plan::{RunSettings, Work};
use crate::progress::{Event, StepPlace, WarningKind};
use crate::tree::{Entry, Files, owner};

/// A kind of step.
pub trait Doing {
    /// Returns what it takes files from, beside the plan's contexts and what comes from elsewhere.
    fn takes(&self) -> Takes;

    /// Adds to `key` all that decides about what it changes, beside what is below it.
    fn mark(&self, key: KeyBuilder, given: MarkGiven<'_>, inputs: &Inputs<'_>) -> Result<(KeyBuilder, Settled)>;

    /// Does it.
    fn change(&self, given: Given<'_>, inputs: &Inputs<'_>) -> Result<StepChange>;

    /// Adds to `key` what decides about what it changes, as [`mark`](Self::mark) does, but by content; none for a step that is
    /// known by its mark alone.
    fn content(&self, _: KeyBuilder, _: &Given<'_>, _: &Inputs<'_>) -> Result<Option<KeyBuilder>> {
        Ok(None)
    }

    /// Returns whether its mark says all by content, too, and so is the same on other machines.
    fn is_portable(&self) -> bool {
        true
    }

    /// The name of the kind in keys.
    fn kind(&self) -> &'static str;
}

/// The places that a step takes files from.
pub struct Takes {
    pub below: Below,
    /// The numbers of stages.
    pub stages: Vec<usize>,
    /// It works on a file system on disk. Where an earlier build has done it, its change is read from the layer.
    pub on_disk: bool,
}

/// The way in which a step deals with the file system that is below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// It does not look at it.
    Unseen,
    /// It looks at it, and changes what it changes regardless of it.
    Seen,
    Changed,
}

/// True if a later change of any file that a step takes is sure to show.
pub type Settled = bool;

/// What decides about a step from outside, as far as it is known before there are any files.
#[derive(Clone, Copy)]
pub struct MarkGiven<'a> {
    /// What the stages are known by that it takes files from.
    pub from: &'a [Mark],
    /// What commands are given.
    pub run: &'a RunSettings,
    /// What files are known by.
    pub by: By,
}

/// The files that a step is given to take from, as far as it said that it takes any.
pub struct Given<'a> {
    /// For what is told of it.
    pub step: StepPlace<'a>,
    /// The line that asked for it.
    pub place: Option<&'a Excerpt>,
    /// What commands are given.
    pub run: &'a RunSettings,
    pub below: Files,
    /// Those of each stage that it takes from.
    pub from: Vec<Files>,
    /// Returns the file system on disk from which it is the least way to the one below.
    pub near: &'a dyn Fn() -> Result<Arc<DiskRoot>>,
}

/// The change that a step has made.
pub struct StepChange {
    /// The entries of its layer, sorted by path; none if it puts nothing.
    pub entries: Arc<Vec<Entry>>,
    /// The paths that are no longer there, sorted; they go before the entries come.
    pub removed: Vec<Vec<u8>>,
    pub leaves: Leaves,
    /// Files get their extended attributes from disk. As docker has it, they stay behind for `COPY`; a spec brings them
    /// along.
    pub has_xattrs: bool,
    /// The file system that it leaves, where it lies on disk.
    pub root: Option<Arc<DiskRoot>>,
    /// What it is known by through its content.
    pub content: Option<ContentMark>,
    /// The last lines that its command has written.
    pub printed: Vec<String>,
}

/// What a step that works on disk is known by through its content.
pub struct ContentMark {
    pub key: Key,
    /// The file system that it leaves.
    pub files: Files,
    /// The layer that an earlier build has made of the same; the inner one is none if it changed nothing.
    pub layer: Option<Option<Layer>>,
    /// Another step of this build has changed the same.
    pub is_shared: bool,
}

/// The change of a command that several states come to.
#[derive(Clone)]
pub struct SharedChange {
    pub entries: Arc<Vec<Entry>>,
    pub removed: Arc<Vec<Vec<u8>>>,
    pub root: Option<Arc<DiskRoot>>,
    pub has_xattrs: bool,
}

impl StepChange {
    /// Returns that of a step which changes nothing.
    pub fn nothing() -> Self {
        StepChange {
            entries: Arc::default(),
            removed: Vec::new(),
            leaves: Leaves::OverBelow,
            has_xattrs: false,
            root: None,
            content: None,
            printed: Vec::new(),
        }
    }
}

/// The file system that a step leaves.
pub enum Leaves {
    /// This one.
    Files(Files),
    /// These, with the entries that it has changed.
    Over(Files),
    /// The one below it, whatever that is, with the entries that it has changed.
    OverBelow,
}

/// Returns the kind of a step; none for one that does nothing.
pub fn work(work: &Work) -> Option<&dyn Doing> {
    match work {
        Work::Nothing => None,
        Work::Adds(adds) => Some(adds),
        Work::Copy(copy) => Some(copy),
        Work::Directory(directory) => Some(directory),
        Work::Run(run) => Some(run),
    }
}

impl Takes {
    /// For one that changes the file system below it, and takes files from no stage.
    fn changed() -> Self {
        Takes { below: Below::Changed, stages: Vec::new(), on_disk: false }
    }
}

/// Whom `owner` means to the step that is `given` what it takes.
fn owner(owner: Option<&str>, given: &Given<'_>, inputs: &Inputs<'_>) -> Result<Option<(u32, u32)>> {
    let Some(owner) = owner else { return Ok(None) };
    let found = owner::find(owner, &given.below, &mut |files, path| inputs.bases.read(files, path))?;
    if found.is_unknown {
        let message = format!(
            "`{owner}` is not known in the image, so root becomes the owner, as with docker: {}",
            given.step.title
        );
        (inputs.options.progress)(Event::Warning { kind: WarningKind::UnknownOwner, message: &message });
    }
    Ok(Some((found.user, found.group)))
}
