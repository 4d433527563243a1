//! Several builds by their names, and where they go together.

use std::path::Path;
use std::sync::Arc;

use super::share::BuildShare;
use crate::cli::build::request::BuildRequest;
use crate::output::Output;

/// Several builds that are made as one.
pub struct Together<'a> {
    /// The builds, each behind those whose images it takes from. They have the same `secret`, `shell`, `beforehand` and
    /// `commands`, and as many jobs as the first of them.
    pub requests: &'a [NamedRequest<'a>],
    /// Outputs that get all the images that go anywhere at once, beside those of each.
    pub outputs: &'a [Output],
    /// The file that tells of all of them.
    pub metadata_file: Option<&'a Path>,
    /// The share that this is of a build of many machines; none where it is all of it.
    pub share: Option<&'a BuildShare<'a>>,
}

/// A build by the name of its target, by which contexts of others may stand for it ([`ContextPlace::Target`](crate::plan::ContextPlace::Target)).
pub struct NamedRequest<'a> {
    pub name: Arc<str>,
    pub request: BuildRequest<'a>,
}
