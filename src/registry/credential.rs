//! Docker's `config.json` and credential helpers, read and written as docker does it, so that one login serves both.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind, Result};

/// The name under which docker keeps the credentials of Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// In place of a user name: the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What a registry knows its user by. `Debug` does not show the secret part.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Basic {
        user: String,
        password: String,
    },
    /// An OAuth2 refresh token; `user` is the one it was issued to, where that is known.
    IdentityToken {
        user: Option<String>,
        token: String,
    },
}

impl Credential {
    /// For people; not secret.
    pub fn user(&self) -> &str {
        match self {
            Credential::Basic { user, .. } => user,
            Credential::IdentityToken { user, .. } => user.as_deref().unwrap_or(TOKEN_USER),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Credential::Basic { .. } => "Basic",
            Credential::IdentityToken { .. } => "IdentityToken",
        };
        f.debug_struct(name).field("user", &self.user()).finish_non_exhaustive()
    }
}

/// Where a credential is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// The program of this name.
    Helper(String),
    File(PathBuf),
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keeper::Helper(program) => f.write_str(program),
            Keeper::File(path) => path.display().fmt(f),
        }
    }
}

/// The credentials of `config.json` in one directory. The file is read anew at each question.
///
/// A registry's helper (`credHelpers`, else `credsStore`) is asked first; where it has nothing, `auths` is.
#[derive(Debug, Clone)]
pub struct Credentials {
    directory: Option<PathBuf>,
    search_path: Option<OsString>,
}

impl Credentials {
    /// No credentials, and no place to keep any.
    pub fn none() -> Self {
        Self::from_docker_config(None)
    }

    pub fn from_docker_config(directory: Option<PathBuf>) -> Self {
        Credentials { directory, search_path: None }
    }

    /// Looks for helpers in `search_path`, written like `PATH`, and not in the `PATH` of this process.
    pub fn with_search_path(self, search_path: impl Into<OsString>) -> Self {
        Credentials { search_path: Some(search_path.into()), ..self }
    }

    /// The credential for a registry, `docker.io` or a `host[:port]`.
    pub fn find(&self, registry: &str) -> Result<Option<Credential>> {
        let Some(config) = self.config()? else { return Ok(None) };
        if let Some(helper) = self.helper(&config, registry)
            && let Some(credential) = helper.get(server(registry))?
        {
            return Ok(Some(credential));
        }
        config.find(registry)
    }

    /// Keeps a credential, in the place of an older one: with the registry's helper if there is one, else in
    /// `config.json`. The file is replaced in one step and readable for its owner alone; what else it holds stays.
    pub fn store(&self, registry: &str, credential: &Credential) -> Result<Keeper> {
        let mut config = self.config()?.ok_or_else(no_directory)?;
        if let Some(helper) = self.helper(&config, registry) {
            helper.store(server(registry), credential)?;
            return Ok(Keeper::Helper(helper.program));
        }
        config.remove(registry);
        let entry = match credential {
            Credential::Basic { user, password } => {
                json!({ "auth": BASE64_STANDARD.encode(format!("{user}:{password}")) })
            }
            Credential::IdentityToken { user, token } => {
                let user = user.as_deref().unwrap_or(TOKEN_USER);
                json!({ "auth": BASE64_STANDARD.encode(format!("{user}:")), "identitytoken": token })
            }
        };
        config.insert(server(registry), entry)?;
        config.write()?;
        Ok(Keeper::File(config.path))
    }

    /// Forgets a registry's credential everywhere; false if there was none.
    pub fn erase(&self, registry: &str) -> Result<bool> {
        let Some(mut config) = self.config()? else { return Ok(false) };
        let mut found = false;
        if let Some(helper) = self.helper(&config, registry)
            && helper.get(server(registry))?.is_some()
        {
            helper.run("erase", server(registry))?.succeed()?;
            found = true;
        }
        if config.remove(registry) {
            config.write()?;
            found = true;
        }
        Ok(found)
    }

    fn config(&self) -> Result<Option<Config>> {
        self.directory.as_deref().map(Config::read).transpose()
    }

    fn helper(&self, config: &Config, registry: &str) -> Option<Helper> {
        let own = config.document.get("credHelpers").and_then(|helpers| {
            let mut names = [registry, server(registry)].into_iter();
            names.find_map(|name| helpers.get(name))
        });
        let name = own.or_else(|| config.document.get("credsStore"))?.as_str().filter(|name| !name.is_empty())?;
        Some(Helper { program: format!("docker-credential-{name}"), search_path: self.search_path.clone() })
    }
}

fn no_directory() -> Error {
    Error::input("there is no directory to keep credentials in")
        .with_hint("set DOCKER_CONFIG to a directory, or HOME to one that has or gets `.docker`")
}

/// The name by which docker's files and helpers know a registry.
fn server(registry: &str) -> &str {
    if is_docker_hub(registry) { DOCKER_HUB } else { registry }
}

fn is_docker_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

/// Entries were written as URLs of several forms over the years; the host is what counts.
fn is_entry_of(registry: &str, entry: &str) -> bool {
    let rest = entry.strip_prefix("https://").or_else(|| entry.strip_prefix("http://")).unwrap_or(entry);
    let host = rest.split('/').next().unwrap_or(rest);
    host == registry || (is_docker_hub(host) && is_docker_hub(registry))
}

/// `config.json`, with all that other programs keep there.
struct Config {
    path: PathBuf,
    document: Map<String, Value>,
}

impl Config {
    fn read(directory: &Path) -> Result<Config> {
        let path = directory.join("config.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"{}".to_vec(),
            Err(error) => return Err(Error::io("read", &path, error)),
        };
        // Only the place of an error is passed on: the text of the file may be secret.
        let document = serde_json::from_slice(&text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::input(format!("{}:{line}:{column}: not a JSON object", path.display()))
        })?;
        Ok(Config { path, document })
    }

    fn find(&self, registry: &str) -> Result<Option<Credential>> {
        let Some(auths) = self.document.get("auths").and_then(Value::as_object) else { return Ok(None) };
        let exact = auths.get_key_value(server(registry));
        match exact.or_else(|| auths.iter().find(|(entry, _)| is_entry_of(registry, entry))) {
            Some((name, entry)) => self.credential(name, entry),
            None => Ok(None),
        }
    }

    /// `None` for the empty entries that docker leaves for what its helpers keep.
    fn credential(&self, name: &str, entry: &Value) -> Result<Option<Credential>> {
        let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty());
        let pair = match text("auth") {
            Some(auth) => {
                let decoded = BASE64_STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let pair = decoded.as_deref().and_then(|decoded| decoded.split_once(':'));
                let (user, password) = pair.ok_or_else(|| self.malformed(name))?;
                Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
            }
            None => text("username").map(|user| (user.to_owned(), text("password").unwrap_or_default().to_owned())),
        };
        if let Some(token) = text("identitytoken") {
            let user = pair.map(|(user, _)| user).filter(|user| user != TOKEN_USER);
            return Ok(Some(Credential::IdentityToken { user, token: token.to_owned() }));
        }
        Ok(pair.map(|(user, password)| Credential::Basic { user, password }))
    }

    fn malformed(&self, name: &str) -> Error {
        Error::input(format!("{}: the `auth` of `{name}` is not base64 of user:password", self.path.display()))
            .with_hint("log in again with `ocibake login`")
    }

    fn insert(&mut self, server: &str, entry: Value) -> Result<()> {
        let auths = self.document.entry("auths").or_insert_with(|| json!({}));
        let auths = auths
            .as_object_mut()
            .ok_or_else(|| Error::input(format!("{}: `auths` is not an object", self.path.display())))?;
        auths.insert(server.to_owned(), entry);
        Ok(())
    }

    /// Every entry that a lookup of `registry` could find; false if there is none.
    fn remove(&mut self, registry: &str) -> bool {
        let Some(auths) = self.document.get_mut("auths").and_then(Value::as_object_mut) else { return false };
        let before = auths.len();
        auths.retain(|entry, _| !is_entry_of(registry, entry));
        auths.len() < before
    }

    fn write(&self) -> Result<()> {
        // A link, as some keep for their settings, stays one.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let failed = |source| Error::io("write", &path, source);
        let directory = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        // A temporary file has the mode 0600, and the rename keeps it.
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        let mut text = Vec::new();
        let style = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, style);
        self.document.serialize(&mut serializer).map_err(|source| failed(source.into()))?;
        text.push(b'\n');
        file.write_all(&text).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// A `docker-credential-…` program (docker-credential-helpers, "Development"). What it prints may be a secret, so none
/// of that is ever in an error.
struct Helper {
    program: String,
    search_path: Option<OsString>,
}

impl Helper {
    fn get(&self, server: &str) -> Result<Option<Credential>> {
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

    fn store(&self, server: &str, credential: &Credential) -> Result<()> {
        let (user, secret) = match credential {
            Credential::Basic { user, password } => (user.as_str(), password),
            Credential::IdentityToken { token, .. } => (TOKEN_USER, token),
        };
        let input = json!({ "ServerURL": server, "Username": user, "Secret": secret });
        self.run("store", &input.to_string())?.succeed().map(drop)
    }

    fn run(&self, action: &'static str, input: &str) -> Result<Run<'_>> {
        let mut command = Command::new(&self.program);
        command.arg(action).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(path) = &self.search_path {
            command.env("PATH", path);
        }
        let failed = |source: io::Error| self.failed(action, &source.to_string());
        let mut child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::not_found(format!("cannot find {}", self.program))
                .with_hint("docker's config.json names it under credsStore or credHelpers: install it, or take it out"),
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
