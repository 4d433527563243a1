//! What a build has done with each of its steps, and what decided about that: kept in the store for who asks why.

mod earlier;
mod listing;
mod reason;

use serde::{Deserialize, Serialize};

pub use self::earlier::{EarlierStep, StageMemory};
pub use self::listing::{FileChange, FileListing};
pub use self::reason::{Reason, nearest_entry};
use crate::error::Result;
use crate::layer::Layer;
use crate::oci::{Digest, KeyBuilder, KeyPart, Keyed, Map, from_json, to_json};
use crate::progress::StepOutcome;
use crate::store::LocalStore;

/// What the last build has done with each of its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildAccount {
    /// The end of the build, in seconds since 1970.
    pub ended: i64,
    /// It has failed: steps without an outcome were not reached, or are what it failed by.
    pub is_failed: bool,
    /// Where its contexts lay.
    pub contexts: Vec<String>,
    /// The steps and what they stand on, each behind those that it stands on or takes from.
    pub steps: Vec<StepAccount>,
}

/// What a build has done with a step, or with the image that a stage starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepAccount {
    /// The name of the step, or of the image.
    pub title: String,
    /// It is the image that a stage starts from, and no step.
    pub is_base: bool,
    /// The name of its stage.
    pub stage: String,
    /// The number of the step in its stage, counted from 1; 0 for an image.
    pub number: usize,
    /// The platform of its stage.
    pub platform: String,
    /// The names of the targets that need it; an empty one where one alone is built.
    pub targets: Vec<String>,
    /// The file and the line that asked for it.
    pub place: Option<(String, usize)>,
    /// The step below it, by its place among all.
    pub stands_on: Option<usize>,
    /// The last steps of the stages that it takes files from.
    pub takes_from: Vec<usize>,
    /// The names of all that it takes files from.
    pub sources: Vec<String>,
    /// None if it was not needed, or the build did not get so far.
    pub outcome: Option<StepOutcome>,
    /// The cache that it was taken from.
    pub cache: Option<String>,
    /// What it is known by here.
    pub mark: StepMark,
    /// The parts of the key by which other machines know it; none if nobody was asked or told.
    pub portable: Vec<KeyPart>,
    /// None if it changed nothing, or nothing came of it.
    pub layer: Option<Layer>,
    /// An earlier build of its stage is remembered.
    pub is_stage_known: bool,
    /// The step of an earlier build that is the nearest to one that was done.
    pub earlier: Option<EarlierStep>,
}

/// What a step is known by on the machine that has done it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepMark {
    /// The parts of its key.
    pub parts: Vec<KeyPart>,
    /// The digests of the values of a command's variables, by their names.
    pub variables: Map<Digest>,
    /// A later change of any file that it takes is sure to show.
    pub is_settled: bool,
}

impl Keyed for BuildAccount {}

impl BuildAccount {
    /// Returns what the last build has noted that used `store`; none if none has.
    pub fn last(store: &LocalStore) -> Option<BuildAccount> {
        let noted = store.note(&last_key())?;
        from_json("what the last build has noted", &noted).ok()
    }

    /// Notes it as that of the last build.
    pub fn keep(&self, store: &LocalStore) -> Result<()> {
        store.put_note(&last_key(), &to_json(self))
    }
}

fn last_key() -> Digest {
    KeyBuilder::new("account of the last build 1").finish()
}
