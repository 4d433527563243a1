//! The flags of builds that many machines share.

use std::env;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::cli::flags::value::value;
use crate::error::{Error, Result};
use crate::plan::quantity::Age;
use crate::plan::shared::{JobEngine, Shard, SharedPlan};

/// The variable of an Indexed Job of Kubernetes: the index of the pod, from 0.
const KUBERNETES_INDEX: &str = "JOB_COMPLETION_INDEX";
/// The variables of a job of GitLab with `parallel`: its number, from 1, and how many there are.
const GITLAB_NUMBER: &str = "CI_NODE_INDEX";
const GITLAB_ALL: &str = "CI_NODE_TOTAL";

/// The flags by which many machines build one definition
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Many machines")]
pub struct ShardFlags {
    /// Write what is to be built and pushed to FILE, for many machines to share, and build nothing; with --shard and --join,
    /// follow it
    ///
    /// The plan holds the targets as they are resolved, the digests of their bases, the commit, and the tags to set. Its digest goes
    /// to standard output.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Print the jobs that build the shards of the plan: github, gitlab or kubernetes
    #[arg(long, value_name = "ENGINE", requires = "plan", conflicts_with_all = ["shard", "join"], value_parser = value::<JobEngine>)]
    matrix: Option<JobEngine>,
    /// Number of shards [default: one for each image of a platform, as many as the jobs of the engine may be]
    #[arg(long, value_name = "N", requires = "plan")]
    shards: Option<usize>,
    /// Build a share of the plan, push it without tags, and leave its results in the registry; without I/N, the share that the
    /// variables of Kubernetes or GitLab name
    #[arg(
        long,
        value_name = "I/N",
        requires = "plan",
        conflicts_with = "join",
        num_args = 0..=1,
        default_missing_value = "auto",
        value_parser = value::<ShardChoice>
    )]
    shard: Option<ShardChoice>,
    /// Make the images of the plan from the results of all shards, and set all tags, or none
    #[arg(long, requires = "plan")]
    join: bool,
    /// How long --join waits for results that are not there yet, as in 30m [default: not at all]
    #[arg(long, value_name = "DURATION", requires = "join", conflicts_with = "shard", value_parser = value::<Age>)]
    timeout: Option<Age>,
}

/// The share that a machine builds.
#[derive(Debug, Clone, Copy)]
enum ShardChoice {
    /// This one.
    Given(Shard),
    /// The one that variables name.
    OfVariables,
}

/// What is done with a plan.
pub enum SharedWork<'a> {
    /// It is written to the file, and the jobs of it are printed.
    Plan { file: &'a Path, shards: Option<usize>, jobs: Option<JobEngine> },
    /// A share of it is built.
    Build { file: &'a Path },
    /// Its results are joined.
    Join { file: &'a Path, timeout: Duration },
}

impl FromStr for ShardChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(ShardChoice::OfVariables),
            text => text.parse().map(ShardChoice::Given),
        }
    }
}

impl ShardFlags {
    /// Returns what is done with a plan; none where there is none.
    pub fn work(&self) -> Option<SharedWork<'_>> {
        let file = self.plan.as_deref()?;
        Some(match (self.shard, self.join) {
            (Some(_), _) => SharedWork::Build { file },
            (None, true) => SharedWork::Join { file, timeout: self.timeout.map_or(Duration::ZERO, |Age(span)| span) },
            (None, false) => SharedWork::Plan { file, shards: self.shards, jobs: self.matrix },
        })
    }

    /// Returns whether a plan that is there says what is done.
    pub fn goes_by_plan(&self) -> bool {
        self.shard.is_some() || self.join
    }

    /// Returns the number of shards, as the command line or the plan says it.
    pub fn count(&self, plan: &SharedPlan) -> Option<usize> {
        self.shards.or(plan.shards)
    }

    /// Returns the share of `plan` that is built here. Fails where nothing says it.
    pub fn shard(&self, plan: &SharedPlan) -> Result<Shard> {
        if let Some(ShardChoice::Given(shard)) = self.shard {
            return Ok(shard);
        }
        if let Some(index) = number(KUBERNETES_INDEX)? {
            let all = self.count(plan).ok_or_else(|| {
                Error::usage(format!("{KUBERNETES_INDEX} is set, but nothing says how many shards there are"))
                    .with_hint("give --shards N, here or when the plan is made")
            })?;
            return Shard::new(index.saturating_add(1), all);
        }
        match (number(GITLAB_NUMBER)?, number(GITLAB_ALL)?) {
            (Some(number), Some(all)) => Shard::new(number, all),
            _ => Err(Error::usage("--shard: nothing says which shard to build")
                .with_hint(format!("give I/N, or set {KUBERNETES_INDEX}, or {GITLAB_NUMBER} and {GITLAB_ALL}"))),
        }
    }
}

/// Returns the number that a variable has; none if it is not set.
fn number(variable: &str) -> Result<Option<usize>> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Error::usage(format!("{variable} is `{}`, which is not a number", value.display())))
}
