//! Credential helpers: the programs that keep credentials for docker.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::json;

use super::super::foreign::{first_value, text};
use super::kind::{Credential, TOKEN_USER};
use crate::error::{Error, ErrorKind, Result};
use crate::net::program;

/// A `docker-credential-…` program (docker-credential-helpers, "Development"). Its answers may be secret, so none of what it
/// prints to standard output is ever in an error; what it says on standard error is for people, and is.
pub(super) struct Helper {
    pub program: String,
    /// Where to look for it, if not in the `PATH` of this process.
    pub search_path: Option<OsString>,
    pub named_by: PathBuf,
}

impl Helper {
    pub fn get(&self, server: &str) -> Result<Option<Credential>> {
        let run = self.run("get", server)?;
        let has_nothing = |said: &[u8]| said.windows(NOTHING_FOUND.len()).any(|window| window == NOTHING_FOUND);
        if !run.success && (has_nothing(&run.output) || has_nothing(&run.words)) {
            return Ok(None);
        }
        let output = run.succeed()?;
        let answer =
            first_value(&output).ok().filter(|answer: &serde_json::Value| answer.is_object() || answer.is_null());
        let answer = answer.ok_or_else(|| self.failed("get", "its answer is not a credential"))?;
        let text = |name: &str| text(&answer, name).unwrap_or_default();
        Ok(match (text("Username"), text("Secret")) {
            (_, "") => None,
            (TOKEN_USER, token) => Some(Credential::IdentityToken { user: None, token: token.to_owned() }),
            (user, password) => Some(Credential::Basic { user: user.to_owned(), password: password.to_owned() }),
        })
    }

    pub fn store(&self, server: &str, credential: &Credential) -> Result<()> {
        let (user, secret) = match credential {
            Credential::Basic { user, password } => (user.as_str(), password),
            Credential::IdentityToken { token, .. } => (TOKEN_USER, token),
            Credential::RegistryToken { .. } => {
                return Err(self.failed("store", "credential helpers cannot keep a registry's own token"));
            }
        };
        let input = json!({ "ServerURL": server, "Username": user, "Secret": secret });
        // What it was told to keep is secret even where it says it itself.
        let run = self.run("store", &input.to_string())?;
        let words = String::from_utf8_lossy(&run.words).replace(secret, "…").into_bytes();
        Run { words, ..run }.succeed().map(drop)
    }

    pub fn erase(&self, server: &str) -> Result<()> {
        self.run("erase", server)?.succeed().map(drop)
    }

    fn run(&self, action: &'static str, input: &str) -> Result<Run<'_>> {
        let mut command = program(&self.program);
        command.arg(action).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
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
        Ok(Run { helper: self, action, success: output.status.success(), output: output.stdout, words: output.stderr })
    }

    fn failed(&self, action: &str, why: &str) -> Error {
        Error::new(ErrorKind::Denied, format!("{} {action}: {why}", self.program))
            .with_hint(format!("try it by hand: echo REGISTRY | {} get", self.program))
    }
}

/// The words that helpers print, by the protocol, for a server that they do not know.
const NOTHING_FOUND: &[u8] = b"credentials not found";

struct Run<'h> {
    helper: &'h Helper,
    action: &'static str,
    success: bool,
    output: Vec<u8>,
    /// The words that it said on standard error.
    words: Vec<u8>,
}

/// How much of a helper's words is shown, in characters.
const LONGEST_WORDS: usize = 1000;

impl Run<'_> {
    fn succeed(self) -> Result<Vec<u8>> {
        if self.success {
            return Ok(self.output);
        }
        let words = String::from_utf8_lossy(&self.words);
        let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let words: String = lines.join("; ").chars().take(LONGEST_WORDS).collect();
        Err(self.helper.failed(self.action, if words.is_empty() { "it failed" } else { &words }))
    }
}
