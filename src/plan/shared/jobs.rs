//! The jobs that build the shards of a plan, in the words of what starts them.

use std::str::FromStr;

use serde_json::json;

use super::document::SharedPlan;
use super::kubernetes;
use super::shard::Shard;
use crate::error::{Error, Result};

/// What starts jobs side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEngine {
    /// The matrix of a job of GitHub Actions.
    Github,
    /// A child pipeline of GitLab, with `parallel`.
    Gitlab,
    /// An Indexed Job.
    Kubernetes,
}

/// The jobs of a plan.
pub struct Jobs<'a> {
    /// The plan.
    pub plan: &'a SharedPlan,
    /// The path of its file.
    pub file: &'a str,
    /// The number of shards.
    pub shards: usize,
}

impl JobEngine {
    /// Returns how many jobs it starts side by side at most.
    pub fn most(self) -> usize {
        match self {
            JobEngine::Github => 256,
            JobEngine::Gitlab => 200,
            // More indexes than that cannot be told apart from each other's failures (KEP-3850).
            JobEngine::Kubernetes => 100_000,
        }
    }
}

impl FromStr for JobEngine {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "github" => Ok(JobEngine::Github),
            "gitlab" => Ok(JobEngine::Gitlab),
            "kubernetes" => Ok(JobEngine::Kubernetes),
            _ => Err(Error::usage(format!("cannot write jobs for `{text}`"))
                .with_hint("known systems are github, gitlab and kubernetes")),
        }
    }
}

impl Jobs<'_> {
    /// Returns the text that `engine` reads. Fails for more shards than it starts jobs, and for a plan that it cannot hand on.
    pub fn text(&self, engine: JobEngine) -> Result<String> {
        if self.shards > engine.most() {
            let message = format!("there are {} shards, more than the limit of {} jobs", self.shards, engine.most());
            return Err(Error::usage(message).with_hint("--shards N packs the nodes into fewer"));
        }
        match engine {
            JobEngine::Github => self.github(),
            JobEngine::Gitlab => Ok(self.gitlab()),
            JobEngine::Kubernetes => kubernetes::manifest(self.plan, self.shards),
        }
    }

    /// `strategy.matrix`, on one line.
    fn github(&self) -> Result<String> {
        let mut include = Vec::with_capacity(self.shards);
        for number in 1..=self.shards {
            let shard = Shard::new(number, self.shards)?;
            include.push(json!({ "shard": shard.to_string(), "nodes": self.nodes(shard) }));
        }
        Ok(format!("{}\n", json!({ "include": include })))
    }

    /// What a shard is of, in a few words: the name of its job.
    fn nodes(&self, shard: Shard) -> String {
        let names: Vec<String> =
            self.plan.nodes[shard.nodes(self.plan.nodes.len())].iter().map(super::document::PlanNode::name).collect();
        match &names[..] {
            [first, _, _, .., last] => format!("{first} … {last} ({})", names.len()),
            few => few.join(", "),
        }
    }

    /// A child pipeline. What a job of it is given, `CI_NODE_INDEX` and `CI_NODE_TOTAL`, says its share; where there is one alone, it
    /// is given nothing.
    fn gitlab(&self) -> String {
        let file = shell_word(self.file);
        let (parallel, shard) = match self.shards {
            1 => (String::new(), "--shard 1/1"),
            several => (format!("  parallel: {several}\n"), "--shard"),
        };
        let script = |rest: &str| json!(format!("ocibake bake --plan {file} {rest}")).to_string();
        let needs = "  needs:\n    - pipeline: $PARENT_PIPELINE_ID\n      job: plan\n";
        format!(
            "# Made by `ocibake bake --matrix gitlab`: a child pipeline of the job `plan`.\n\
             build:\n  image: $OCIBAKE_IMAGE\n{parallel}{needs}  script:\n    - {}\n\
             join:\n  image: $OCIBAKE_IMAGE\n{needs}    - job: build\n  script:\n    - {}\n",
            script(shard),
            script("--join"),
        )
    }
}

/// Returns `text` as one word of a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
