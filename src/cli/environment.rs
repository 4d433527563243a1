//! The environment variables, read in one place, and what they make of the store and the client.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, io};

use rustix::fs::{Access, access};

use super::ci::CiCommit;
use crate::error::{Error, Result};
use crate::net::{Certificates, HttpOptions, Proxies};
use crate::output::engine::EngineSettings;
use crate::plan::quantity::Size;
use crate::registry::{Credentials, OnDemand, RegistriesConf, RegistryOptions};
use crate::source::image::Location;
use crate::store::LocalStore;
use crate::store::pending::PendingDirectory;
use crate::store::prune::Limit;

/// All that the environment variables say, read once.
#[derive(Debug)]
pub struct Environment {
    store: Option<PathBuf>,
    /// `OCIBAKE_STORE` says where the store is.
    is_store_named: bool,
    /// A store for want of a place for one that lasts.
    temporary_store: OnceLock<PendingDirectory>,
    store_limit: Option<String>,
    /// `DOCKER_CONFIG`, else `~/.docker`.
    pub docker_config: Option<PathBuf>,
    source_date_epoch: Option<String>,
    /// podman's files, in its order.
    auth_files: Vec<PathBuf>,
    certificates: Certificates,
    proxies: Proxies,
    registries: RegistriesConf,
    /// What the variables of engines say.
    pub engines: EngineSettings,
    /// What the variables of a CI service say.
    pub ci: CiCommit,
    /// What docker's variables say.
    pub docker: DockerVariables,
    /// The program was started again: what is to be said before it is known that commands are to be run was said.
    pub again: bool,
}

/// The variables that only docker's own command line knows.
#[derive(Debug)]
pub struct DockerVariables {
    /// `DOCKER_DEFAULT_PLATFORM`.
    pub default_platform: Option<String>,
    /// `DOCKER_BUILDKIT=0`: the words of the builder before BuildKit are wanted.
    pub is_classic: bool,
}

impl Environment {
    /// Reads the variables.
    pub fn read() -> Self {
        // An empty variable is an unset one.
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let path = |name: &str| variable(name).map(PathBuf::from);
        let home = path("HOME");
        // The directory of that variable, which is to be absolute (XDG Base Directory Specification).
        let xdg = |name: &str, usual: &str| {
            let own = path(name).filter(|path| path.is_absolute());
            own.or_else(|| home.as_ref().map(|home| home.join(usual)))
        };
        let config = xdg("XDG_CONFIG_HOME", ".config");
        let cache = xdg("XDG_CACHE_HOME", ".cache").map(|cache| cache.join("ocibake"));
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        Environment {
            is_store_named: path("OCIBAKE_STORE").is_some(),
            store: path("OCIBAKE_STORE").or(cache),
            temporary_store: OnceLock::new(),
            store_limit: text("OCIBAKE_STORE_LIMIT"),
            docker_config: path("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker"))),
            source_date_epoch: text("SOURCE_DATE_EPOCH"),
            auth_files: auth_files(path("REGISTRY_AUTH_FILE"), path("XDG_RUNTIME_DIR"), config.as_deref()),
            certificates: Certificates {
                roots: roots(path("SSL_CERT_FILE"), variable("SSL_CERT_DIR")),
                directories: certificate_directories(config.as_deref()),
                own: None,
            },
            proxies: proxies(text),
            registries: registries(path("CONTAINERS_REGISTRIES_CONF"), config.as_deref()),
            engines: EngineSettings {
                usual: text("OCIBAKE_ENGINE"),
                docker_host: text("DOCKER_HOST"),
                docker_context: text("DOCKER_CONTEXT"),
                docker_config: None,
                docker_tls: docker_tls(variable, home.as_deref()),
                container_host: text("CONTAINER_HOST"),
                runtime: path("XDG_RUNTIME_DIR"),
                containerd_address: path("CONTAINERD_ADDRESS"),
                containerd_namespace: text("CONTAINERD_NAMESPACE"),
                kind_cluster: text("KIND_CLUSTER_NAME"),
                path: variable("PATH").iter().flat_map(env::split_paths).collect(),
            },
            ci: CiCommit::read(text),
            docker: DockerVariables {
                default_platform: text("DOCKER_DEFAULT_PLATFORM"),
                is_classic: text("DOCKER_BUILDKIT").is_some_and(|value| value == "0"),
            },
            again: false,
        }
    }

    /// Returns `OCIBAKE_STORE`, else `ocibake` in the user's cache directory. Fails if neither is known. There is no
    /// other place that is the user's alone: in a directory for all, anybody could put blobs and records into the store
    /// before.
    pub fn store(&self) -> Result<&Path> {
        self.store.as_deref().ok_or_else(|| {
            Error::usage("there is no place for the local store: neither HOME nor XDG_CACHE_HOME is set")
                .with_hint("set OCIBAKE_STORE to a directory of yours")
        })
    }

    /// Returns the same for who needs a store only for now: where no place is known, or what is known cannot be written to, it
    /// is a directory of the user's alone, which goes with this value. One that `OCIBAKE_STORE` names has to do.
    pub fn working_store(&self) -> Result<&Path> {
        match &self.store {
            Some(store) if self.is_store_named || may_be_written(store) => Ok(store),
            _ => {
                if self.temporary_store.get().is_none() {
                    let _ = self.temporary_store.set(PendingDirectory::begin(&env::temp_dir())?);
                }
                self.temporary_store.get().map(PendingDirectory::path).map_or_else(|| self.store(), Ok)
            }
        }
    }

    /// Returns why the store is one that does not last, if it is.
    pub fn why_temporary(&self) -> Option<String> {
        self.temporary_store.get()?;
        Some(match &self.store {
            Some(store) => format!("{} cannot be written to", store.display()),
            None => "neither HOME nor XDG_CACHE_HOME is set".to_owned(),
        })
    }

    /// Returns where the local store is; none if there is none yet.
    pub fn present_store(&self) -> Option<&Path> {
        self.store.as_deref().filter(|store| LocalStore::is_at(store))
    }

    /// Returns what a REF on the command line means: a path, an image of the local store, or a name in a registry.
    pub fn location(&self, text: &str) -> Result<Location> {
        Location::referred(text, self.present_store())
    }

    /// Returns `OCIBAKE_STORE_LIMIT`: a size, or `none` (or 0) for a store that only grows. Fails for anything else.
    pub fn store_limit(&self) -> Result<Limit> {
        match self.store_limit.as_deref() {
            None => Ok(Limit::Usual),
            Some("none") => Ok(Limit::None),
            Some(text) => match text.parse() {
                Ok(Size(0)) => Ok(Limit::None),
                Ok(Size(bytes)) => Ok(Limit::Bytes(bytes)),
                Err(_) => Err(Error::usage(format!("OCIBAKE_STORE_LIMIT is `{text}`"))
                    .with_hint("it must be a size, as in 500m or 20GB, or none")),
            },
        }
    }

    /// Returns what is known of engines.
    pub fn engines(&self) -> EngineSettings {
        EngineSettings { docker_config: self.docker_config.clone(), ..self.engines.clone() }
    }

    /// Returns `SOURCE_DATE_EPOCH` as it stands there (reproducible-builds.org's specification); none if it is not set.
    pub fn source_date_epoch(&self) -> Option<&str> {
        self.source_date_epoch.as_deref()
    }

    /// Returns a client with the user's credentials and settings, which does nothing until it is asked. `parallel`
    /// blobs move at a time; 0 is the usual number.
    pub fn client(&self, insecure: bool, parallel: usize) -> OnDemand {
        let usual = RegistryOptions::default();
        OnDemand::new(RegistryOptions {
            insecure,
            parallel: if parallel == 0 { usual.parallel } else { parallel },
            credentials: self.credentials(),
            registries: self.registries.clone(),
            http: HttpOptions { certificates: self.certificates.clone(), proxies: self.proxies.clone(), ..usual.http },
        })
    }

    /// Returns the files that docker and podman keep credentials in.
    pub fn credentials(&self) -> Credentials {
        Credentials::from_docker_config(self.docker_config.clone()).with_auth_files(self.auth_files.clone())
    }
}

/// Returns whether a store can be made at `path`, or is there and may be written to.
fn may_be_written(path: &Path) -> bool {
    let nearest = path.ancestors().find(|path| path.symlink_metadata().is_ok());
    nearest.is_some_and(|nearest| access(nearest, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

/// Reads the value of `SOURCE_DATE_EPOCH`. Fails for one that is not a number of seconds.
pub fn epoch(text: &str) -> Result<i64> {
    let wrong = |_| Error::usage(format!("SOURCE_DATE_EPOCH is `{text}`"));
    text.parse().map_err(wrong).map_err(|error| error.with_hint("it must be a number of seconds since 1970"))
}

/// Returns the directory of the certificates for docker's daemon and whether any of its own will do, where one of docker's
/// variables asks for HTTPS.
fn docker_tls(variable: impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Option<(PathBuf, bool)> {
    let verifies = variable("DOCKER_TLS_VERIFY").is_some();
    if !verifies && variable("DOCKER_TLS").is_none() {
        return None;
    }
    let named = variable("DOCKER_CERT_PATH").map(PathBuf::from);
    Some((named.or_else(|| home.map(|home| home.join(".docker"))).unwrap_or_default(), !verifies))
}

/// The file that is named, or else those that podman looks at (containers-auth.json(5)).
fn auth_files(named: Option<PathBuf>, runtime: Option<PathBuf>, config: Option<&Path>) -> Vec<PathBuf> {
    if let Some(named) = named {
        return vec![named];
    }
    let own = || {
        let directory = PathBuf::from(format!("/run/containers/{}", rustix::process::getuid().as_raw()));
        // Where root's podman has made the directory above, nobody else is let in, and has nothing there.
        let is_shut_off = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        (!fs::symlink_metadata(&directory).is_err_and(is_shut_off)).then_some(directory)
    };
    let runtime = runtime.map(|runtime| runtime.join("containers")).or_else(own);
    let config = config.map(|config| config.join("containers"));
    runtime.into_iter().chain(config).map(|directory| directory.join("auth.json")).collect()
}

fn roots(file: Option<PathBuf>, directories: Option<OsString>) -> Vec<PathBuf> {
    let directories: Vec<PathBuf> = directories.iter().flat_map(env::split_paths).collect();
    file.into_iter().chain(directories).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Returns the directories of podman, docker without root, podman and docker, the user's first (containers-certs.d(5)).
fn certificate_directories(config: Option<&Path>) -> Vec<PathBuf> {
    let places = config.into_iter().chain([Path::new("/etc")]);
    places.flat_map(|place| ["containers/certs.d", "docker/certs.d"].map(|name| place.join(name))).collect()
}

/// Returns the proxies as curl and Go's programs have them: the lower case goes first, and `HTTP_PROXY` is not believed
/// where a web server may have set it for a client's header `Proxy:` (CGI, RFC 3875, section 4.1.18).
fn proxies(text: impl Fn(&str) -> Option<String>) -> Proxies {
    let either = |lower: &str| text(lower).or_else(|| text(&lower.to_ascii_uppercase()));
    let all = either("all_proxy");
    let http = text("http_proxy").or_else(|| text("HTTP_PROXY").filter(|_| text("REQUEST_METHOD").is_none()));
    Proxies { http: http.or_else(|| all.clone()), https: either("https_proxy").or(all), exceptions: either("no_proxy") }
}

/// The file that is named, else the user's, else the system's; the system's drop-ins do not count beside a file of the
/// user's (containers-registries.conf.d(5)).
fn registries(named: Option<PathBuf>, config: Option<&Path>) -> RegistriesConf {
    let system = Path::new("/etc/containers");
    let user = config.map(|config| config.join("containers"));
    let user_file = user.as_deref().map(|user| user.join("registries.conf")).filter(|file| file.exists());
    let is_users = named.is_none() && user_file.is_some();
    let usual = || user_file.or_else(|| Some(system.join("registries.conf")).filter(|file| file.exists()));
    let places = (!is_users).then_some(system).into_iter().chain(user.as_deref());
    RegistriesConf {
        file: named.or_else(usual),
        directories: places.map(|place| place.join("registries.conf.d")).collect(),
    }
}
