//! A [`ReleaseTarget`] says where the tags of a release go.

use semver::Version;

use super::tag::PlannedTag;
use crate::oci::Reference;

/// A repository, and the tags that are to be set in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseTarget {
    /// A name without a tag.
    pub repository: Reference,
    /// The version of the tag which was asked for, if it is one.
    pub version: Option<Version>,
    /// The exact ones first.
    pub tags: Vec<PlannedTag>,
}

impl ReleaseTarget {
    /// Returns the repository's name with each of the tags.
    pub fn names(&self) -> impl Iterator<Item = Reference> {
        self.tags.iter().map(|tag| self.repository.with_tag(&tag.name))
    }
}
