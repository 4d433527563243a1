//! Where credentials are found and kept: in files, and by the helpers that these name.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::file::File;
use super::helper::Helper;
use super::kind::{Credential, Keyring};
use crate::error::{Error, Result};

/// The name under which docker keeps the credentials of Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// Where a credential is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// The program of this name.
    Helper(String),
    /// The file, which holds it unencrypted.
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

/// The credentials in `config.json` of docker's directory, and then those in the files that podman, buildah and skopeo
/// keep (containers-auth.json(5)), in their order. The files are read anew at each question.
///
/// In each file a registry's helper (`credHelpers`, else `credsStore`) is asked first; where it has nothing, `auths` is.
/// Of its entries the one with the longest path that a repository is, or is below, is for that repository; one that is
/// written as a URL is for all of its host. The first file that has one ends the search.
#[derive(Debug, Clone)]
pub struct Credentials {
    directory: Option<PathBuf>,
    auth_files: Vec<PathBuf>,
    search_path: Option<OsString>,
}

impl Credentials {
    /// Returns no credentials, and no place to keep any.
    pub fn none() -> Self {
        Self::from_docker_config(None)
    }

    /// Returns the credentials that docker's `config.json` in `directory` has or tells of; none has none.
    pub fn from_docker_config(directory: Option<PathBuf>) -> Self {
        Credentials { directory, auth_files: Vec::new(), search_path: None }
    }

    /// Adds these files, each of which may be missing. They are only read.
    pub fn with_auth_files(self, auth_files: Vec<PathBuf>) -> Self {
        Credentials { auth_files, ..self }
    }

    /// Looks for helpers in `search_path`, written like `PATH`, and not in the `PATH` of this process.
    pub fn with_search_path(self, search_path: impl Into<OsString>) -> Self {
        Credentials { search_path: Some(search_path.into()), ..self }
    }

    /// Returns the credentials for a registry, `docker.io` or a `host[:port]`.
    pub fn find(&self, registry: &str) -> Result<Keyring> {
        let mut keyring = Keyring::default();
        if let Some(file) = self.config()? {
            self.collect(&file, registry, server(registry), &mut keyring)?;
        }
        for path in &self.auth_files {
            // What is for all of the registry hides whatever comes after it.
            if keyring.credential(None).is_some() {
                break;
            }
            self.collect(&File::read(path)?, registry, registry, &mut keyring)?;
        }
        Ok(keyring)
    }

    /// Keeps a credential for all of a registry in docker's way, in the place of an older one: with the registry's
    /// helper if there is one, else in `config.json`. The file is replaced in one step and readable for its owner alone;
    /// what else it holds stays, in its order, and what others keep there by this program at the same time, too.
    pub fn store(&self, registry: &str, credential: &Credential) -> Result<Keeper> {
        let path = self.config_path().ok_or_else(no_directory)?;
        if let Some(helper) = self.helper(&File::read(&path)?, registry) {
            helper.store(server(registry), credential)?;
            return Ok(Keeper::Helper(helper.program));
        }
        File::change(&path, |config| {
            config.remove(|entry| path_below(registry, entry) == Some("") && entry != server(registry));
            config.insert(server(registry), credential)?;
            Ok(true)
        })?;
        Ok(Keeper::File(path))
    }

    /// Forgets what docker's `config.json` and its helpers have for a registry and for paths of it; false if there was
    /// nothing.
    pub fn erase(&self, registry: &str) -> Result<bool> {
        let Some(path) = self.config_path() else { return Ok(false) };
        let mut config = File::read(&path)?;
        let mut found = false;
        if let Some(helper) = self.helper(&config, registry)
            && helper.get(server(registry))?.is_some()
        {
            helper.erase(server(registry))?;
            found = true;
        }
        let is_meant = |entry: &str| path_below(registry, entry).is_some();
        // Where there is nothing to forget, the file may be one that cannot be changed.
        if config.remove(is_meant) {
            found |= File::change(&path, |config| Ok(config.remove(is_meant)))?;
        }
        Ok(found)
    }

    fn config_path(&self) -> Option<PathBuf> {
        Some(self.directory.as_deref()?.join("config.json"))
    }

    fn config(&self) -> Result<Option<File>> {
        self.config_path().map(|path| File::read(&path)).transpose()
    }

    /// Adds what one file has. `server` is what its helpers know the registry by.
    fn collect(&self, file: &File, registry: &str, server: &str, keyring: &mut Keyring) -> Result<()> {
        if let Some(helper) = self.helper(file, registry)
            && let Some(credential) = helper.get(server)?
        {
            keyring.0.push((String::new(), credential));
            return Ok(());
        }
        let mut found = Vec::new();
        for (name, entry) in file.entries() {
            if let Some(path) = path_below(registry, name)
                && let Some(credential) = file.credential(name, entry)?
            {
                found.push((path.to_owned(), name == server, credential));
            }
        }
        // Of several for the whole registry, the one under docker's own name for it.
        found.sort_by_key(|(path, is_exact, _)| (std::cmp::Reverse(path.len()), !is_exact));
        keyring.0.extend(found.into_iter().map(|(path, _, credential)| (path, credential)));
        Ok(())
    }

    fn helper(&self, file: &File, registry: &str) -> Option<Helper> {
        let name = file.helper([registry, server(registry)])?;
        Some(Helper {
            program: format!("docker-credential-{name}"),
            search_path: self.search_path.clone(),
            named_by: file.path.clone(),
        })
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

/// The path of the registry that an entry is for, empty for all of it; none if it is for another registry. Docker wrote
/// entries as URLs of several forms over the years, of which the host is what counts.
fn path_below<'e>(registry: &str, entry: &'e str) -> Option<&'e str> {
    let rest = entry.strip_prefix("https://").or_else(|| entry.strip_prefix("http://"));
    let (host, path) = rest.unwrap_or(entry).split_once('/').unwrap_or((rest.unwrap_or(entry), ""));
    let path = path.trim_end_matches('/');
    let is_meant = host == registry || (is_docker_hub(host) && is_docker_hub(registry));
    is_meant.then_some(if rest.is_some() || matches!(path, "v1" | "v2") { "" } else { path })
}
