//! A file of credentials: docker's `config.json`, or podman's `auth.json`.

use std::fs::{self, DirBuilder};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, fchown};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::super::foreign::first_value;
use super::json::{Json, JsonObject};
use super::kind::{Credential, TOKEN_USER};
use crate::error::{Error, Result};
use crate::store::lock::Lock;
use crate::store::regular;

/// In bytes; far more than the credentials of any user need.
const LIMIT: u64 = 16 << 20;

/// The most links that lead on from one another, as the system has it.
const MOST_LINKS: usize = 40;

/// `config.json` or `auth.json`, with all that other programs keep there.
pub(super) struct File {
    pub path: PathBuf,
    document: JsonObject,
}

impl File {
    /// Reads the file, an empty one where there is none.
    pub fn read(path: &Path) -> Result<File> {
        let text = match read_regular(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("read", path, error)),
        };
        // Only the place of an error is passed on: the text of the file may be secret.
        let refuse = |line, column| Error::input(format!("{}:{line}:{column}: not a JSON object", path.display()));
        let document = match first_value(&text).map_err(|error| refuse(error.line(), error.column()))? {
            Json::Plain(Value::Null) => JsonObject::default(),
            Json::Object(document) => document,
            _ => return Err(refuse(1, 0)),
        };
        Ok(File { path: path.to_owned(), document })
    }

    /// Changes the file at `path`, and with it nothing that somebody else changes at the same time: whoever changes it
    /// holds a lock meanwhile, reads it anew and replaces it in one step. It stays as it is if `change` says that
    /// nothing is to be changed, which is returned.
    pub fn change(path: &Path, change: impl FnOnce(&mut File) -> Result<bool>) -> Result<bool> {
        // A link, as some keep for their settings, stays one.
        let place = end_of_links(path);
        let directory = place.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let failed = |source| Error::io("write", &place, source);
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let lock = directory.join(name);
        // Docker has no lock that could be shared with it.
        let _alone = Lock::alone(&lock).map_err(|source| Error::io("lock", &lock, source))?;
        let done = File::read(path).and_then(|mut file| {
            let is_changed = change(&mut file)?;
            if is_changed {
                file.write(&place, directory).map_err(failed)?;
            }
            Ok(is_changed)
        });
        // It is still held. One that stays, where this is killed or fails, is in nobody's way.
        let _ = fs::remove_file(&lock);
        done
    }

    /// Returns the helper for whatever of `names` is named first, else the one for all registries.
    pub fn helper(&self, names: [&str; 2]) -> Option<&str> {
        let own = self.document.member("credHelpers");
        let own = own.and_then(|helpers| names.iter().find_map(|name| helpers.get(name)));
        own.or_else(|| self.document.member("credsStore"))?.as_str().filter(|name| !name.is_empty())
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &Json)> {
        let auths = self.document.member("auths").and_then(Json::as_object);
        auths.into_iter().flat_map(|auths| &auths.0).map(|(name, entry)| (name.as_str(), entry))
    }

    /// Returns `None` for the empty entries that docker leaves for what its helpers keep.
    pub fn credential(&self, name: &str, entry: &Json) -> Result<Option<Credential>> {
        let text = |key: &str| entry.as_object()?.member(key)?.as_str().filter(|text| !text.is_empty());
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
        let text = |text: &str| Json::Plain(text.into());
        let mut entry = JsonObject::default();
        match credential {
            Credential::Basic { user, password } => {
                entry.insert("auth", text(&BASE64_STANDARD.encode(format!("{user}:{password}"))));
            }
            Credential::IdentityToken { user, token } => {
                let user = user.as_deref().unwrap_or(TOKEN_USER);
                entry.insert("auth", text(&BASE64_STANDARD.encode(format!("{user}:"))));
                entry.insert("identitytoken", text(token));
            }
            Credential::RegistryToken { token } => entry.insert("registrytoken", text(token)),
        }
        if self.document.member("auths").is_none() {
            self.document.insert("auths", Json::Object(JsonObject::default()));
        }
        let auths = self.document.member_mut("auths").and_then(Json::as_object_mut);
        let auths = auths.ok_or_else(|| Error::input(format!("{}: `auths` is not an object", self.path.display())))?;
        auths.insert(server, Json::Object(entry));
        Ok(())
    }

    /// Removes the entries whose names `is_meant`; false if there is none.
    pub fn remove(&mut self, is_meant: impl Fn(&str) -> bool) -> bool {
        let Some(auths) = self.document.member_mut("auths").and_then(Json::as_object_mut) else { return false };
        let before = auths.0.len();
        auths.0.retain(|(entry, _)| !is_meant(entry));
        auths.0.len() < before
    }

    fn write(&self, place: &Path, directory: &Path) -> io::Result<()> {
        // A temporary file has the mode 0600, and the rename keeps it.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        if let Ok(former) = fs::metadata(place) {
            // Root may log in for somebody else, to whom the file belongs; others may not give files away.
            let _ = fchown(file.as_file(), Some(former.uid()), Some(former.gid()));
        }
        let mut text = Vec::new();
        let style = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        self.document.serialize(&mut serde_json::Serializer::with_formatter(&mut text, style))?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(place)?;
        Ok(())
    }
}

/// The content of a regular file; whatever else is there is refused at once, and so is one of more than [`LIMIT`].
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    regular::open(path)?.take(LIMIT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LIMIT {
        return Err(io::Error::other(format!("it is larger than {LIMIT} bytes")));
    }
    Ok(text)
}

/// Where the links that begin at `path` lead, be there a file or not.
fn end_of_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => break,
        }
    }
    path
}
