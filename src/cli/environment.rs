use std::env;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::registry::{Client, Credentials, Options};

/// What the environment variables say, read once.
#[derive(Debug)]
pub struct Environment {
    /// `OCIBAKE_STORE`, else `ocibake` in the user's cache directory.
    pub store: PathBuf,
    /// `DOCKER_CONFIG`, else `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970 (reproducible-builds.org's specification).
    pub source_date_epoch: Option<i64>,
}

impl Environment {
    pub fn read() -> Result<Self> {
        // An empty variable is an unset one.
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let home = variable("HOME").map(PathBuf::from);
        let cache = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let store = variable("OCIBAKE_STORE")
            .map(PathBuf::from)
            .or_else(|| cache.map(|cache| cache.join("ocibake")))
            .or_else(|| home.as_ref().map(|home| home.join(".cache/ocibake")))
            .unwrap_or_else(|| env::temp_dir().join("ocibake"));
        let docker_config =
            variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| home.map(|home| home.join(".docker")));
        let source_date_epoch = variable("SOURCE_DATE_EPOCH")
            .map(|value| {
                let text = value.to_string_lossy();
                text.parse().map_err(|_| {
                    Error::usage(format!("SOURCE_DATE_EPOCH is `{text}`"))
                        .with_hint("it is a number of seconds since 1970")
                })
            })
            .transpose()?;
        Ok(Environment { store, docker_config, source_date_epoch })
    }

    /// A client with the user's credentials. `parallel` blobs move at a time; 0 is the usual number.
    pub fn client(&self, insecure: bool, parallel: usize) -> Result<Client> {
        let usual = Options::default();
        let parallel = if parallel == 0 { usual.parallel } else { parallel };
        Client::new(Options { insecure, parallel, credentials: self.credentials(), ..usual })
    }

    pub fn credentials(&self) -> Credentials {
        Credentials::from_docker_config(self.docker_config.clone())
    }
}
