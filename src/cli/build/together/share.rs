//! The share of one machine in a build that many have planned together.

use crate::build::Built;
use crate::error::Result;
use crate::oci::{Digest, Reference};
use crate::plan::{BaseLock, Plan};
use crate::store::{LocalStore, Store};

/// What is built of several builds that many machines have planned together.
pub struct BuildShare<'a> {
    /// What bases are held to, whatever locks there are.
    pub bases: &'a BaseLock,
    /// The places of the images that are built, among those of each build.
    pub images: &'a [Vec<usize>],
    /// Is shown what each build comes to before anything is built. If it fails, nothing is.
    pub check: &'a dyn Fn(&[PlannedBuild<'_>]) -> Result<()>,
    /// Takes what was built, whose blobs are in the store, to where it goes.
    pub deliver: &'a DeliverShare<'a>,
}

/// Takes what was built, whose blobs are in the first store; documents may be put into the second.
pub type DeliverShare<'a> = dyn Fn(&[Built], &dyn Store, &LocalStore) -> Result<()> + 'a;

/// What a build comes to, before it is built.
pub struct PlannedBuild<'a> {
    /// The name of the target.
    pub name: &'a str,
    /// The plan, which has this target alone.
    pub plan: &'a Plan,
    /// The names that the image is to get.
    pub names: &'a [Reference],
    /// The digest of its Dockerfile; none where it is told otherwise what to do.
    pub dockerfile: Option<Digest>,
}
