use std::env;
use std::path::{Path, PathBuf};

use super::quantity::Size;
use crate::error::{Error, Result};
use crate::registry::{Credentials, OnDemand, Options};
use crate::store::prune::Limit;

/// What the environment variables say, read once.
#[derive(Debug)]
pub struct Environment {
    store: Option<PathBuf>,
    store_limit: Option<String>,
    /// `DOCKER_CONFIG`, else `~/.docker`.
    pub docker_config: Option<PathBuf>,
    source_date_epoch: Option<String>,
}

impl Environment {
    pub fn read() -> Self {
        // An empty variable is an unset one.
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let home = variable("HOME").map(PathBuf::from);
        let cache = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let store = variable("OCIBAKE_STORE")
            .map(PathBuf::from)
            .or_else(|| cache.map(|cache| cache.join("ocibake")))
            .or_else(|| home.as_ref().map(|home| home.join(".cache/ocibake")));
        let docker_config =
            variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| home.map(|home| home.join(".docker")));
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        let (store_limit, source_date_epoch) = (text("OCIBAKE_STORE_LIMIT"), text("SOURCE_DATE_EPOCH"));
        Environment { store, store_limit, docker_config, source_date_epoch }
    }

    /// `OCIBAKE_STORE`, else `ocibake` in the user's cache directory. There is no other place that is the user's alone:
    /// in a directory for all, anybody could put blobs and records into the store before.
    pub fn store(&self) -> Result<&Path> {
        self.store.as_deref().ok_or_else(|| {
            Error::usage("there is no place for the local store: neither HOME nor XDG_CACHE_HOME is set")
                .with_hint("set OCIBAKE_STORE to a directory of yours")
        })
    }

    /// `OCIBAKE_STORE_LIMIT`: a size, or `none` (or 0) for a store that only grows.
    pub fn store_limit(&self) -> Result<Limit> {
        match self.store_limit.as_deref() {
            None => Ok(Limit::Usual),
            Some("none") => Ok(Limit::None),
            Some(text) => match text.parse() {
                Ok(Size(0)) => Ok(Limit::None),
                Ok(Size(bytes)) => Ok(Limit::Bytes(bytes)),
                Err(_) => Err(Error::usage(format!("OCIBAKE_STORE_LIMIT is `{text}`"))
                    .with_hint("it is a size, as in 500m or 20GB, or none")),
            },
        }
    }

    /// `SOURCE_DATE_EPOCH`, in seconds since 1970 (reproducible-builds.org's specification).
    pub fn source_date_epoch(&self) -> Result<Option<i64>> {
        let parse = |text: &String| {
            text.parse().map_err(|_| {
                Error::usage(format!("SOURCE_DATE_EPOCH is `{text}`")).with_hint("it is a number of seconds since 1970")
            })
        };
        self.source_date_epoch.as_ref().map(parse).transpose()
    }

    /// A client with the user's credentials. `parallel` blobs move at a time; 0 is the usual number.
    pub fn client(&self, insecure: bool, parallel: usize) -> OnDemand {
        let usual = Options::default();
        let parallel = if parallel == 0 { usual.parallel } else { parallel };
        OnDemand::new(Options { insecure, parallel, credentials: self.credentials(), ..usual })
    }

    pub fn credentials(&self) -> Credentials {
        Credentials::from_docker_config(self.docker_config.clone())
    }
}
