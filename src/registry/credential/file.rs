use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::foreign::{first_value, key, member, text};
use super::{Credential, TOKEN_USER};
use crate::error::{Error, Result};

/// `config.json` or `auth.json`, with all that other programs keep there.
pub(super) struct File {
    pub path: PathBuf,
    document: Value,
}

impl File {
    /// An empty one where there is none.
    pub fn read(path: &Path) -> Result<File> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("read", path, error)),
        };
        // Only the place of an error is passed on: the text of the file may be secret.
        let refuse = |line, column| Error::input(format!("{}:{line}:{column}: not a JSON object", path.display()));
        match first_value(&text).map_err(|error| refuse(error.line(), error.column()))? {
            Value::Null => Ok(File { path: path.to_owned(), document: json!({}) }),
            document @ Value::Object(_) => Ok(File { path: path.to_owned(), document }),
            _ => Err(refuse(1, 0)),
        }
    }

    /// The helper for whatever of `names` is named first, else the one for all registries.
    pub fn helper(&self, names: [&str; 2]) -> Option<&str> {
        let own = member(&self.document, "credHelpers");
        let own = own.and_then(|helpers| names.iter().find_map(|name| helpers.get(name)));
        own.or_else(|| member(&self.document, "credsStore"))?.as_str().filter(|name| !name.is_empty())
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        let auths = member(&self.document, "auths").and_then(Value::as_object);
        auths.into_iter().flatten().map(|(name, entry)| (name.as_str(), entry))
    }

    /// `None` for the empty entries that docker leaves for what its helpers keep.
    pub fn credential(&self, name: &str, entry: &Value) -> Result<Option<Credential>> {
        let text = |key: &str| text(entry, key);
        if let Some(token) = text("registrytoken") {
            return Ok(Some(Credential::RegistryToken { token: token.to_owned() }));
        }
        let pair = match text("auth") {
            Some(auth) => {
                // Go passes over line ends, which `base64` puts in.
                let auth: String = auth.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
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
            .with_hint("log in again with `ocibake login`, or with the program that wrote the file")
    }

    pub fn insert(&mut self, server: &str, credential: &Credential) -> Result<()> {
        let entry = match credential {
            Credential::Basic { user, password } => {
                json!({ "auth": BASE64_STANDARD.encode(format!("{user}:{password}")) })
            }
            Credential::IdentityToken { user, token } => {
                let user = user.as_deref().unwrap_or(TOKEN_USER);
                json!({ "auth": BASE64_STANDARD.encode(format!("{user}:")), "identitytoken": token })
            }
            Credential::RegistryToken { token } => json!({ "registrytoken": token }),
        };
        let refuse = Error::input(format!("{}: `auths` is not an object", self.path.display()));
        let Some(auths) = self.member_mut("auths") else { return Err(refuse) };
        if auths.is_null() {
            *auths = json!({});
        }
        let auths = auths.as_object_mut().ok_or(refuse)?;
        auths.insert(server.to_owned(), entry);
        Ok(())
    }

    /// Removes the entries whose names `is_meant`; false if there is none.
    pub fn remove(&mut self, is_meant: impl Fn(&str) -> bool) -> bool {
        if member(&self.document, "auths").is_none() {
            return false;
        }
        let Some(auths) = self.member_mut("auths").and_then(Value::as_object_mut) else { return false };
        let before = auths.len();
        auths.retain(|entry, _| !is_meant(entry));
        auths.len() < before
    }

    /// Returns a member to be changed, null if it is not there.
    fn member_mut(&mut self, name: &str) -> Option<&mut Value> {
        let document = self.document.as_object_mut()?;
        Some(document.entry(key(document, name)).or_insert(Value::Null))
    }

    pub fn write(&self) -> Result<()> {
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
