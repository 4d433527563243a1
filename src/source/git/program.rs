//! The `git` program, run so that what is fetched decides about nothing.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::checkout::REPOSITORY_VARIABLES;
use crate::error::{Error, Result};
use crate::plan::GitUrl;

pub(super) struct Git<'a> {
    git_dir: &'a Path,
    work_tree: &'a Path,
}

/// What decides about programs that git starts, beside those of [`REPOSITORY_VARIABLES`].
const PROGRAM_VARIABLES: [&str; 9] = [
    "GIT_EXTERNAL_DIFF",
    "GIT_EDITOR",
    "GIT_PAGER",
    "GIT_PROXY_COMMAND",
    "GIT_SSH",
    "GIT_SSH_VARIANT",
    "GIT_TEMPLATE_DIR",
    "GIT_ATTR_NOSYSTEM",
    "GIT_PROTOCOL_FROM_USER",
];

/// Settings for every call; submodules inherit them.
const SETTINGS: [&str; 11] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "core.logAllRefUpdates=false",
    "init.defaultBranch=master",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    // A server that sends nothing for two minutes has gone.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=120",
];

/// The user's own settings are not read: for ssh they may be the way to a program, too.
const SSH: &str = "ssh -F /dev/null -o BatchMode=yes";

/// Modes do not depend on who builds.
const WITH_UMASK: &str = "umask 022; exec git \"$@\"";

impl<'a> Git<'a> {
    pub fn new(git_dir: &'a Path, work_tree: &'a Path) -> Self {
        Git { git_dir, work_tree }
    }

    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("sh");
        command.args(["-c", WITH_UMASK, "git"]);
        command.arg("--git-dir").arg(self.git_dir).arg("--work-tree").arg(self.work_tree);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(arguments).current_dir(self.work_tree).stdin(Stdio::null());
        for variable in REPOSITORY_VARIABLES.iter().chain(&PROGRAM_VARIABLES) {
            command.env_remove(variable);
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_ALLOW_PROTOCOL", "http:https:ssh:git")
            .env("GIT_SSH_COMMAND", SSH);
        let output = command.output().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::not_found("there is no sh here, by which git is started"),
            _ => Error::io("run", "git", source),
        })?;
        if output.status.code() == Some(NOT_FOUND) {
            return Err(
                Error::not_found("there is no git here").with_hint("install git, by which repositories are fetched")
            );
        }
        Ok(output)
    }
}

/// The shell's status where it finds no program (POSIX.1-2017, 2.8.2).
const NOT_FOUND: i32 = 127;

/// The most of git's words that an error repeats, in characters.
const LONGEST: usize = 400;

/// What git says is wrong, in one line and without what only `url` should know.
pub(super) fn complaint(output: &Output, url: &GitUrl) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let mut said = said.into_owned();
    if let Some(secret) = url.secret() {
        said = said.replace(&format!("{secret}@"), "");
        let password = secret.split_once(':').map_or(secret, |(_, password)| password);
        if !password.is_empty() {
            said = said.replace(password, "…");
        }
    }
    let is_news =
        |line: &&str| ["hint:", "warning:", "Cloning into", "Submodule"].iter().any(|start| line.starts_with(start));
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !is_news(line));
    let words = lines.collect::<Vec<_>>().join(" ");
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if words.is_empty() { "git does not say why".to_owned() } else { words }
}
