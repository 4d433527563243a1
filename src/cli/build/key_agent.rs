//! `--ssh ID=KEY`: an SSH agent for the build alone, which has the keys in the files that are named.
//!
//! docker has an agent of its own for that; here it is the machine's `ssh-agent`, and `ssh-add` reads the keys and asks for
//! their passphrases. Both end with the build, however that ends.

use std::io::{BufRead, BufReader, Read};
use std::path::{self, Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cli::flags::run::RunFlags;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::Map;
use crate::store::LocalStore;
use crate::store::pending::PendingDirectory;

/// The name of the socket in the directory of an agent.
const SOCKET: &str = "agent";

/// Adds the keys that are its arguments, says so, and ends the agent with its input.
const ADD_AND_WAIT: &str = r#"ssh-add -q -- "$@" </dev/null >&2 && echo ready && cat >/dev/null
status=$?
kill "$SSH_AGENT_PID"
exit $status"#;

/// The agents of a build, each for some keys.
pub struct KeyAgents(Vec<KeyAgent>);

struct KeyAgent {
    id: String,
    child: Child,
    place: PendingDirectory,
}

impl KeyAgents {
    /// Starts an agent for each ID that `flags` give keys. Fails if a key cannot be added, or there is no ssh-agent.
    pub fn start(flags: &RunFlags, store: &LocalStore) -> Result<Self> {
        let start = |(id, keys): (&str, &[PathBuf])| KeyAgent::start(id, keys, store.directory()?);
        flags.keys().map(start).collect::<Result<_>>().map(KeyAgents)
    }

    /// Returns the socket of each agent, by its ID.
    pub fn sockets(&self) -> Map<PathBuf> {
        self.0.iter().map(|agent| (agent.id.clone(), agent.place.path().join(SOCKET))).collect()
    }
}

impl KeyAgent {
    fn start(id: &str, keys: &[PathBuf], place: PendingDirectory) -> Result<Self> {
        let absolute = |key: &PathBuf| path::absolute(key).map_err(|source| Error::io("find the key", key, source));
        let keys = keys.iter().map(absolute).collect::<Result<Vec<_>>>()?;
        // A socket's address must be short, and the path of a store may be long.
        let started = Command::new("ssh-agent")
            .args(["-a", SOCKET, "sh", "-c", ADD_AND_WAIT, "sh"])
            .args(&keys)
            .current_dir(place.path())
            .env("SSH_ASKPASS_REQUIRE", "never")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = started.map_err(|source| {
            Error::io("start", Path::new("ssh-agent"), source).with_hint(
                "keys are given by an agent: install openssh-client, or give the socket of an agent that has them",
            )
        })?;
        let mut agent = KeyAgent { id: id.to_owned(), child, place };
        let mut line = String::new();
        if let Some(output) = agent.child.stdout.take() {
            // What cannot be read is not the line, either.
            let _ = BufReader::new(output).read_line(&mut line);
        }
        if line == "ready\n" { Ok(agent) } else { Err(agent.refused()) }
    }

    /// The error of an agent that did not take its keys.
    fn refused(&mut self) -> Error {
        let mut said = Vec::new();
        if let Some(mut errors) = self.child.stderr.take() {
            let _ = errors.read_to_end(&mut said);
        }
        let said = String::from_utf8_lossy(&said).lines().map(str::to_owned).collect();
        Error::new(ErrorKind::Input, format!("--ssh: the keys of `{}` cannot be added to an agent", self.id))
            .with_details(said)
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        // With its input it ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
