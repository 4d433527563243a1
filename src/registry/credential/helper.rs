use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Credential, TOKEN_USER};
use crate::error::{Error, ErrorKind, Result};

/// A `docker-credential-…` program (docker-credential-helpers, "Development"). What it prints may be a secret, so none
/// of that is ever in an error.
pub(super) struct Helper {
    pub program: String,
    /// Where to look for it, if not in the `PATH` of this process.
    pub search_path: Option<OsString>,
    pub named_by: PathBuf,
}

impl Helper {
    pub fn get(&self, server: &str) -> Result<Option<Credential>> {
        let run = self.run("get", server)?;
        if !run.success && run.output.windows(NOTHING_FOUND.len()).any(|window| window == NOTHING_FOUND) {
            return Ok(None);
        }
        let output = run.succeed()?;
        let answer: Value = serde_json::from_slice(&output).unwrap_or_default();
        let (Some(user), Some(secret)) = (answer["Username"].as_str(), answer["Secret"].as_str()) else {
            return Err(self.failed("get", "its answer is not a credential"));
        };
        Ok(match (user, secret) {
            (_, "") => None,
            (TOKEN_USER, token) => Some(Credential::IdentityToken { user: None, token: token.to_owned() }),
            (user, password) => Some(Credential::Basic { user: user.to_owned(), password: password.to_owned() }),
        })
    }

    pub fn store(&self, server: &str, credential: &Credential) -> Result<()> {
        let (user, secret) = match credential {
            Credential::Basic { user, password } => (user.as_str(), password),
            Credential::IdentityToken { token, .. } => (TOKEN_USER, token),
        };
        let input = json!({ "ServerURL": server, "Username": user, "Secret": secret });
        self.run("store", &input.to_string())?.succeed().map(drop)
    }

    pub fn erase(&self, server: &str) -> Result<()> {
        self.run("erase", server)?.succeed().map(drop)
    }

    fn run(&self, action: &'static str, input: &str) -> Result<Run<'_>> {
        let mut command = Command::new(&self.program);
        command.arg(action).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(path) = &self.search_path {
            command.env("PATH", path);
        }
        let failed = |source: io::Error| self.failed(action, &source.to_string());
        let mut child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::not_found(format!("cannot find {}", self.program)).with_hint(format!(
                "{} names it under credsStore or credHelpers: install it, or take it out",
                self.named_by.display()
            )),
            _ => failed(source),
        })?;
        // A helper that does not read its input says why with its exit.
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(failed)?;
        Ok(Run { helper: self, action, success: output.status.success(), output: output.stdout })
    }

    fn failed(&self, action: &str, why: &str) -> Error {
        Error::new(ErrorKind::Denied, format!("{} {action}: {why}", self.program))
            .with_hint(format!("try it by hand: echo REGISTRY | {} get", self.program))
    }
}

/// What helpers print, by the protocol, for a server that they do not know.
const NOTHING_FOUND: &[u8] = b"credentials not found";

struct Run<'h> {
    helper: &'h Helper,
    action: &'static str,
    success: bool,
    output: Vec<u8>,
}

impl Run<'_> {
    fn succeed(self) -> Result<Vec<u8>> {
        if self.success { Ok(self.output) } else { Err(self.helper.failed(self.action, "it failed")) }
    }
}
