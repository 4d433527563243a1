use std::path::Path;

use clap::Args;
use serde_json::json;

use super::answer;
use crate::error::{Error, Result};
use crate::oci::{Reference, to_json};
use crate::plan::tag::{self, TagKind, TagPlan};
use crate::source::git;

/// Show the tags that a push would set, without pushing
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name as for `push`, such as registry.example/org/api:v0.2.0
    #[arg(value_name = "NAME:VERSION")]
    name: String,
    #[command(flatten)]
    choice: TagChoice,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which tags a name stands for.
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
    /// The name taken apart, and its tags; without a tag it is `latest`. `checkout` is a directory in the git checkout
    /// whose branch counts.
    pub fn resolve(&self, name: &str, checkout: &Path) -> Result<(Reference, String, TagPlan)> {
        let (repository, tag) = tag::split_name(name).map_err(Error::on_command_line)?;
        let tag = tag.unwrap_or_else(|| "latest".to_owned());
        // Where git will not answer, no tag is a branch's.
        let branch = git::checkout(checkout).ok().flatten().and_then(|checkout| checkout.branch);
        let plan = match &self.tag_template {
            Some(template) => tag::from_template(template, &tag, branch.as_ref()),
            None if self.no_fan_out => tag::alone(&tag),
            None => tag::fan_out(&tag, branch.as_ref()),
        };
        Ok((repository, tag, plan.map_err(Error::on_command_line)?))
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (repository, _, plan) = arguments.choice.resolve(&arguments.name, Path::new("."))?;
    if !arguments.json {
        let names: Vec<String> = plan.tags.iter().map(|tag| repository.with_tag(&tag.name).to_string()).collect();
        return answer(&names.join("\n"));
    }
    let tags: Vec<_> = plan
        .tags
        .iter()
        .map(|tag| {
            let kind = match tag.kind {
                TagKind::Exact => "exact",
                TagKind::Floating => "floating",
            };
            json!({"name": repository.with_tag(&tag.name).to_string(), "tag": tag.name, "kind": kind, "reason": tag.reason})
        })
        .collect();
    answer(&String::from_utf8_lossy(&to_json(&json!({"repository": repository.name(), "tags": tags}))))
}
