//! What came of a target, for those who are told at the end.

use std::time::Duration;

use crate::oci::{Digest, Platform, Reference};

/// A target that is built, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct FinishedTarget<'a> {
    /// The name of the target.
    pub name: &'a str,
    /// The platforms of its images.
    pub platforms: &'a [&'a Platform],
    /// The size of its layers and documents in bytes, each blob counted once.
    pub size: u64,
    /// The steps that were done for it.
    pub run: usize,
    /// The steps that an earlier build, or this one for another target, has done.
    pub known: usize,
    /// The time from the beginning of the build to its last step.
    pub elapsed: Duration,
    /// The digest of its manifest or index.
    pub digest: Digest,
    /// The names that stand for it.
    pub names: &'a [Reference],
}
