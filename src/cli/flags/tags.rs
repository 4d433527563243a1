//! The flags that say which tags a name stands for, and what becomes of them.

use std::path::Path;

use clap::Args;

use crate::cli::ci::CiCommit;
use crate::error::{Error, Result};
use crate::oci::Reference;
use crate::plan::version;
use crate::release::ReleaseTarget;
use crate::release::tag::{self, TagPlan};
use crate::source::git;

/// The flags that choose the tags that a name stands for.
#[derive(Debug, Args, Default, PartialEq, Eq)]
pub struct TagChoice {
    /// Set only the tag that is named
    #[arg(long)]
    pub no_fan_out: bool,
    /// Set these tags instead, such as '{version},{major}.{minor},latest'
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "no_fan_out")]
    pub tag_template: Option<String>,
}

impl TagChoice {
    /// Returns the repository of `name`, its tag (`latest` if it has none), and the plan of its tags. Fails for a name
    /// or a template that is wrong. `checkout` is a directory in the git checkout whose branch counts; on a commit alone it is
    /// the one that the CI's variables name.
    pub fn resolve(&self, name: &str, checkout: &Path, ci: &CiCommit) -> Result<(Reference, String, TagPlan)> {
        let (repository, tag) = tag::split_name(name).map_err(Error::on_command_line)?;
        let tag = tag.unwrap_or_else(|| "latest".to_owned());
        // Where git will not answer, no tag is a branch's.
        let found = git::checkout(checkout).ok().flatten();
        let branch = ci.complete(found, checkout).and_then(|checkout| checkout.branch);
        let plan = match &self.tag_template {
            Some(template) => tag::from_template(template, &tag, branch.as_ref()),
            None if self.no_fan_out => tag::alone(&tag),
            None => tag::fan_out(&tag, branch.as_ref()),
        };
        Ok((repository, tag, plan.map_err(Error::on_command_line)?))
    }
}

/// The flags that say what a push may do to tags that are there already.
#[derive(Debug, Args)]
pub struct ReleaseFlags {
    /// Move floating tags back even if a newer release holds them
    #[arg(long)]
    force_tags: bool,
    /// Refuse to change an exact tag that stands for another image
    #[arg(long)]
    pub immutable: bool,
}

impl ReleaseFlags {
    /// Returns the target of a push to `name`, and the tag that the name has; as [`TagChoice::resolve`] has it.
    pub fn target(
        &self,
        choice: &TagChoice,
        name: &str,
        checkout: &Path,
        ci: &CiCommit,
    ) -> Result<(ReleaseTarget, String)> {
        let (repository, tag, mut plan) = choice.resolve(name, checkout, ci)?;
        if self.force_tags {
            plan.tags.iter_mut().for_each(|tag| tag.line = None);
        }
        Ok((ReleaseTarget { repository, version: version::of_tag(&tag), tags: plan.tags }, tag))
    }
}
