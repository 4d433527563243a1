//! What the git checkout around a context says of itself. The `git` program is asked; none of its settings that could
//! make the answer another on another machine are obeyed.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::error::{Error, Result};
use crate::plan::label::{self, Checkout};
use crate::plan::tag::Branch;

/// The facts of the checkout that `directory` is in: none if it is in none, or in one without a commit. An error if
/// there is one and git will not speak of it.
pub fn checkout(directory: &Path) -> Result<Option<Checkout>> {
    let directory = directory.canonicalize().map_err(|source| Error::io("read", directory, source))?;
    if !directory.ancestors().any(|above| above.join(".git").exists()) {
        return Ok(None);
    }
    let git = Git { directory: &directory };
    git.answer(git.run(&["rev-parse", "--git-dir"])?)?; // what it refuses altogether, it says here
    let Some(revision) = answer(&git.run(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?) else {
        return Ok(None);
    };
    // None needs another's answer: they think side by side.
    let log = ["log", "-1", "--no-show-signature", "--format=%ct", &revision];
    // As `git describe --dirty` has it: a file that git does not know leaves the checkout clean.
    let status = ["status", "--porcelain", "--untracked-files=no"];
    let config = ["config", "--get", "remote.origin.url"];
    let thinking = [&log[..], &status, &config].map(|question| git.start(question));
    let branch = git.branch(&revision);
    let [log, status, config] = thinking.map(finished);
    let time = git.answer(log?)?;
    let commit_time = time.parse().map_err(|_| Error::input(format!("git gave `{time}` as the time of {revision}")))?;
    let dirty = !git.answer(status?)?.is_empty();
    let remote = answer(&config?);
    Ok(Some(Checkout {
        source: remote.as_deref().and_then(label::source),
        dirty,
        commit_time,
        branch: branch?,
        revision,
    }))
}

struct Git<'a> {
    directory: &'a Path,
}

impl Git<'_> {
    fn branch(&self, revision: &str) -> Result<Option<Branch>> {
        let Some(name) = answer(&self.run(&["symbolic-ref", "--quiet", "--short", "HEAD"])?) else { return Ok(None) };
        let default = answer(&self.run(&["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"])?);
        let is_default = match default.as_deref().and_then(|default| default.strip_prefix("origin/")) {
            Some(default) => default == name,
            None => matches!(name.as_str(), "main" | "master"),
        };
        Ok(Some(Branch { name, commit: revision.to_owned(), is_default }))
    }

    /// The answer to what a sound checkout can always answer.
    fn answer(&self, output: Output) -> Result<String> {
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        let complaint = text(&output.stderr);
        let error = Error::input(format!(
            "git will not read {}: {}",
            self.directory.display(),
            complaint.lines().next().unwrap_or("it does not say why")
        ));
        Err(if complaint.contains("safe.directory") {
            error.with_hint(format!("git config --global --add safe.directory {}", self.directory.display()))
        } else {
            error
        })
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        finished(self.start(arguments))
    }

    fn start(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.directory).args(["-c", "core.fsmonitor=false"]).args(arguments);
        for variable in REPOSITORY_VARIABLES {
            command.env_remove(variable);
        }
        command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_REPLACE_OBJECTS", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                Error::not_found(format!("{} is a git checkout, but there is no git here", self.directory.display()))
                    .with_hint("install git, and revision, source and commit time find their way into the image")
            }
            _ => Error::io("run", "git", source),
        })
    }
}

fn finished(child: Result<Child>) -> Result<Output> {
    child?.wait_with_output().map_err(|source| Error::io("run", "git", source))
}

/// The answer, or none if git has none to give.
fn answer(output: &Output) -> Option<String> {
    output.status.success().then(|| text(&output.stdout)).filter(|answer| !answer.is_empty())
}

/// What would have git look into another repository, or see other content or settings in this one: a hook that calls us
/// has some of it set. The list is that of `git rev-parse --local-env-vars`, and what confines or shifts the search
/// beside it. `GIT_CONFIG_GLOBAL` and `GIT_CONFIG_SYSTEM` stay, for `safe.directory` is found through them.
pub(super) const REPOSITORY_VARIABLES: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT", // without it the GIT_CONFIG_KEY_<n> and GIT_CONFIG_VALUE_<n> do nothing
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_NAMESPACE",
    "GIT_ATTR_SOURCE",
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
