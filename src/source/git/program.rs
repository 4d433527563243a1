//! The `git` program, run so that what is fetched decides about nothing.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::address::without_user_information;
use crate::error::{Error, Result};
use crate::net::{Stop, program};
use crate::plan::GitUrl;

/// The program, with the repository that it works on.
pub(super) struct Git<'a> {
    pub git_dir: &'a Path,
    pub work_tree: &'a Path,
    pub credentials: &'a GitCredentials,
    /// Ends git when it is ended.
    pub stop: &'a Stop,
}

/// The right to fetch: a file that only the user can read, from which git's own helper takes what belongs to a host. It
/// goes with this value.
pub(super) struct GitCredentials {
    file: PathBuf,
}

/// Settings for every call; submodules inherit them. The helper for credentials is added to them.
const SETTINGS: [&str; 18] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.logAllRefUpdates=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "safe.bareRepository=explicit",
    "init.defaultBranch=master",
    "credential.helper=",
    "transfer.credentialsInUrl=die",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "advice.detachedHead=false",
    // A server that sends nothing for two minutes has gone.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=120",
];

/// Starts git. Modes do not depend on who builds. Of git's variables only those remain that say where its own programs
/// are and how servers and proxies are known; all others could have it look elsewhere, write elsewhere or run something.
/// Nothing but the shell is needed for that.
const START: &str = r#"umask 022
set -f
IFS='
'
for name in $(export -p); do
    name=${name#export }
    name=${name#declare -x }
    name=${name%%=*}
    case $name in
    *[!A-Za-z0-9_]*) ;;
    GIT_EXEC_PATH | GIT_SSL_* | GIT_PROXY_SSL_* | GIT_HTTP_PROXY_AUTHMETHOD) ;;
    GIT_*) unset "$name" ;;
    esac
done
unset IFS name
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1
export GIT_TERMINAL_PROMPT=0 GIT_ASKPASS= GIT_LFS_SKIP_SMUDGE=1 GIT_NO_REPLACE_OBJECTS=1
export GIT_ALLOW_PROTOCOL=http:https:ssh:git GIT_PROTOCOL_FROM_USER=0
# The user's own settings are not read: for ssh they may be the way to a program, too.
export GIT_SSH_COMMAND='ssh -F /dev/null -o BatchMode=yes' LC_ALL=C
exec git "$@""#;

impl Git<'_> {
    /// Runs git and returns what it has said. Fails if there is no git, and once `stop` is ended.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = program("sh");
        command.args(["-c", START, "git"]);
        command.arg("--git-dir").arg(self.git_dir).arg("--work-tree").arg(self.work_tree);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.arg("-c").arg(self.credentials.setting());
        command.args(arguments).current_dir(self.work_tree).stdin(Stdio::null());
        let output = until(self.stop, &mut command).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::not_found("there is no sh here, which starts git"),
            _ => Error::io("run", "git", source),
        })?;
        if output.status.code() == Some(NOT_FOUND) {
            return Err(Error::not_found("there is no git here").with_hint("install git, which fetches repositories"));
        }
        Ok(output)
    }

    /// Returns what git says. Fails with its complaint, without what is secret. `action` completes "cannot …", as of
    /// the repository at `url`.
    pub fn answer(&self, arguments: &[&str], action: &str, url: &GitUrl) -> Result<String> {
        let output = self.run(arguments)?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(failed(action, url, &complaint(&output, url))),
        }
    }
}

/// How often `until` looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Runs `command` and returns what it has said, as [`Command::output`] does; once `stop` is ended it is told to end, which
/// git passes on to those that it has started.
fn until(stop: &Stop, command: &mut Command) -> io::Result<Output> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = read_aside(child.stdout.take());
    let stderr = read_aside(child.stderr.take());
    let mut said = Vec::new();
    for part in [stdout?, stderr?] {
        said.push(loop {
            match part.recv_timeout(LOOK) {
                Ok(bytes) => break bytes?,
                Err(RecvTimeoutError::Timeout) if !stop.is_ended() => {}
                Err(_) => {
                    if let Some(process) = Pid::from_raw(child.id().cast_signed()) {
                        // It may have ended on its own.
                        let _ = kill_process(process, Signal::TERM);
                    }
                    child.wait()?;
                    return Err(io::Error::from(io::ErrorKind::Interrupted));
                }
            }
        });
    }
    let [stdout, stderr] = [said.swap_remove(0), said.swap_remove(0)];
    Ok(Output { status: child.wait()?, stdout, stderr })
}

/// All that comes through `pipe`, once it has ended.
fn read_aside(pipe: Option<impl Read + Send + 'static>) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (send, receive) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes));
        // Who has ended git does not wait for it.
        let _ = send.send(read.map(|_| bytes));
    })?;
    Ok(receive)
}

impl GitCredentials {
    /// Returns an empty file, which is written in `directory` once there is a credential.
    pub fn new(directory: &Path) -> Self {
        GitCredentials { file: directory.join("credentials") }
    }

    /// Adds a line of git-credential-store(1). Of several for one host the first counts.
    pub fn add(&self, line: &str) -> Result<()> {
        let mut file = OpenOptions::new();
        let file = file.create(true).append(true).mode(0o600).open(&self.file);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|source| Error::io("write", &self.file, source))
    }

    /// Returns the setting that tells git of the file: its path, quoted for the shell that starts the helper.
    fn setting(&self) -> OsString {
        let mut setting = b"credential.helper=store --file='".to_vec();
        for byte in self.file.as_os_str().as_bytes() {
            match byte {
                b'\'' => setting.extend_from_slice(b"'\\''"),
                other => setting.push(*other),
            }
        }
        setting.push(b'\'');
        OsString::from_vec(setting)
    }
}

impl Drop for GitCredentials {
    fn drop(&mut self) {
        // Where there are none there is no file; and what cannot be removed goes with the directory.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// The shell's status where it finds no program (POSIX.1-2017, 2.8.2).
const NOT_FOUND: i32 = 127;

/// The most of git's words that an error repeats, in characters.
const LONGEST: usize = 400;

/// Returns what git says is wrong, in one line and without what only `url` should know.
pub(super) fn complaint(output: &Output, url: &GitUrl) -> String {
    let mut said = without_user_information(&String::from_utf8_lossy(&output.stderr));
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

/// Returns the error for a complaint of git's. `action` completes "cannot …".
pub(super) fn failed(action: &str, url: &GitUrl, complaint: &str) -> Error {
    let error = Error::input(format!("cannot {action} {url}: {complaint}"));
    let says = |words: &str| complaint.contains(words);
    let wants_login =
        ["could not read Username", "could not read Password", "Authentication failed", "prompts disabled"];
    if wants_login.iter().any(|words| says(words)) {
        error.with_hint("it requires a login: use an SSH address and an agent, or clone it and build the directory")
    } else if says("Host key verification failed") {
        error.with_hint("the host is not known here: add its key to ~/.ssh/known_hosts")
    } else if says("not allowed") && says("transport") {
        error.with_hint(SPOKEN)
    } else {
        error
    }
}

/// The hint for an address of any other kind.
pub(super) const SPOKEN: &str = "only http, https, ssh and git are spoken, by submodules too";
