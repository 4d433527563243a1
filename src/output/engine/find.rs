//! Which engine is there, looked for where its own programs look.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::kind::{Engine, EngineAddress, EngineKind, EngineProgram, EngineTls, EngineWay};
use super::{context, reach};
use crate::error::{Error, Result};
use crate::kernel::own_program;

/// What the environment says of engines. It is plain data; where it comes from is for the caller to say.
#[derive(Debug, Clone, Default)]
pub struct EngineSettings {
    /// The name of the engine that is meant where none is named, or `none`.
    pub usual: Option<String>,
    /// The address of docker's daemon.
    pub docker_host: Option<String>,
    /// The name of docker's context.
    pub docker_context: Option<String>,
    /// The directory of docker's configuration.
    pub docker_config: Option<PathBuf>,
    /// The directory of docker's certificates, if HTTPS is wanted, and whether any certificate of the daemon's will do.
    pub docker_tls: Option<(PathBuf, bool)>,
    /// The address of podman's service.
    pub container_host: Option<String>,
    /// The directory of the user's sockets.
    pub runtime: Option<PathBuf>,
    /// containerd's socket.
    pub containerd_address: Option<PathBuf>,
    /// containerd's namespace.
    pub containerd_namespace: Option<String>,
    /// The name of kind's cluster.
    pub kind_cluster: Option<String>,
    /// The directories that programs are looked for in. One that is not absolute does not count.
    pub path: Vec<PathBuf>,
}

/// Where docker's daemon listens.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Where root's podman does.
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";

/// Where containerd does, and the namespace that its programs use.
const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
const CONTAINERD_NAMESPACE: &str = "default";

impl EngineSettings {
    /// Returns the engine that is `wanted`, or the first that is there of docker, podman and containerd. Returns none if any will
    /// do and none is there; fails if the one that is meant is not there, or the only one cannot be used. No program is taken
    /// from a directory that lies in one of `contexts`: what is built does not say what is run.
    pub fn find(&self, wanted: Option<EngineKind>, contexts: &[PathBuf]) -> Result<Option<Engine>> {
        let usual = match self.usual.as_deref() {
            _ if wanted.is_some() => wanted,
            None => None,
            Some("none") => return Ok(None),
            Some(name) => Some(name.parse().map_err(|error: Error| Error {
                message: format!("OCIBAKE_ENGINE: {}", error.message),
                hint: Some("it must be docker, podman, containerd, kind, k3d, minikube or none".to_owned()),
                ..error
            })?),
        };
        if let Some(kind) = usual {
            let engine = self.of(kind, contexts)?.ok_or_else(|| missing(kind))?;
            return self.reach(&engine).map(|()| Some(engine));
        }
        let mut unusable = None;
        for kind in [EngineKind::Docker, EngineKind::Podman, EngineKind::Containerd] {
            let found = self.of(kind, contexts).and_then(|found| match found {
                Some(engine) => self.reach(&engine).map(|()| Some(engine)),
                None => Ok(None),
            });
            match found {
                Ok(Some(engine)) => return Ok(Some(engine)),
                Ok(None) => {}
                Err(error) if self.names(kind) => return Err(error),
                Err(error) => drop(unusable.get_or_insert(error)),
            }
        }
        unusable.map_or(Ok(None), Err)
    }

    /// Returns whether the user has said where it is.
    fn names(&self, kind: EngineKind) -> bool {
        match kind {
            EngineKind::Docker => self.docker_host.is_some() || self.docker_context.is_some(),
            EngineKind::Podman => self.container_host.is_some(),
            _ => false,
        }
    }

    /// Fails if nobody is where the engine should be.
    fn reach(&self, engine: &Engine) -> Result<()> {
        if engine.kind == EngineKind::Containerd {
            reach::connect(engine.kind, &self.containerd_socket())?;
        }
        reach::check(engine)
    }

    /// Returns the engine of this kind, if it is there.
    fn of(&self, kind: EngineKind, contexts: &[PathBuf]) -> Result<Option<Engine>> {
        let program = |name: &str, arguments: Vec<String>| {
            let path = self.program(name, contexts)?;
            Some(EngineProgram { path, arguments, cluster: self.kind_cluster.clone() })
        };
        let way = match kind {
            EngineKind::Docker => self.docker()?.map(EngineWay::Api),
            EngineKind::Podman => {
                let service = self.podman()?.map(EngineWay::Api);
                let own = || program("podman", Vec::new()).map(EngineWay::Program);
                let roots = || listening(Path::new(PODMAN_SOCKET)).map(EngineWay::Api);
                service.or_else(own).or_else(roots)
            }
            EngineKind::Containerd => {
                let socket = self.containerd_socket();
                let namespace = self.containerd_namespace.as_deref().unwrap_or(CONTAINERD_NAMESPACE);
                let address = socket.to_string_lossy().into_owned();
                let arguments = ["--address", &address, "--namespace", namespace].map(str::to_owned).to_vec();
                program("ctr", arguments).filter(|_| socket.exists()).map(EngineWay::Program)
            }
            EngineKind::Kind => {
                let nodes = || program("docker", Vec::new()).or_else(|| program("podman", Vec::new()));
                let own = program("kind", Vec::new()).map(EngineWay::Program);
                own.or_else(|| nodes().map(EngineWay::Nodes))
            }
            EngineKind::K3d => program("k3d", Vec::new()).map(EngineWay::Program),
            EngineKind::Minikube => program("minikube", Vec::new()).map(EngineWay::Program),
        };
        Ok(way.map(|way| Engine { kind, way }))
    }

    /// Returns where docker's daemon is: as `DOCKER_HOST` says, else a context, else where it usually is.
    fn docker(&self) -> Result<Option<EngineAddress>> {
        if let Some(host) = &self.docker_host {
            let tls = self.docker_tls.as_ref().map(|(directory, insecure)| {
                let plain = EngineTls { authority: None, own: None, insecure: *insecure };
                context::tls(directory, *insecure).unwrap_or(plain)
            });
            return EngineAddress::parse(host, tls).map(Some);
        }
        if let Some(config) = &self.docker_config
            && let Some(address) = context::address(config, self.docker_context.as_deref())?
        {
            return Ok(Some(address));
        }
        let sockets =
            [Some(PathBuf::from(DOCKER_SOCKET)), self.runtime.as_ref().map(|place| place.join("docker.sock"))];
        let there: Vec<PathBuf> = sockets.into_iter().flatten().filter(|socket| socket.exists()).collect();
        let found = there.iter().find_map(|socket| listening(socket));
        Ok(found.or_else(|| there.into_iter().next().map(EngineAddress::Socket)))
    }

    /// Returns where a service of the user's podman is.
    fn podman(&self) -> Result<Option<EngineAddress>> {
        match (&self.container_host, &self.runtime) {
            (Some(host), _) => EngineAddress::parse(host, None).map(Some),
            (None, Some(runtime)) => Ok(listening(&runtime.join("podman/podman.sock"))),
            (None, None) => Ok(None),
        }
    }

    fn containerd_socket(&self) -> PathBuf {
        self.containerd_address.clone().unwrap_or_else(|| PathBuf::from(CONTAINERD_SOCKET))
    }

    /// Returns where the program `name` lies, which is not this program under another name.
    fn program(&self, name: &str, contexts: &[PathBuf]) -> Option<PathBuf> {
        let own = own_program().ok().map(|own| (own.dev(), own.ino()));
        let contexts: Vec<PathBuf> = contexts.iter().filter_map(|context| context.canonicalize().ok()).collect();
        let is_foreign = |path: &Path| {
            // Of a context that is all there is nothing is told apart.
            let mut contexts = contexts.iter().filter(|context| context.parent().is_some());
            path.canonicalize()
                .is_ok_and(|real| contexts.any(|context| real.starts_with(context) || path.starts_with(context)))
        };
        let directories = self.path.iter().filter(|directory| directory.is_absolute());
        directories.map(|directory| directory.join(name)).find(|path| {
            let there =
                fs::metadata(path).ok().filter(|there| there.is_file() && there.permissions().mode() & 0o111 != 0);
            there.is_some_and(|there| Some((there.dev(), there.ino())) != own) && !is_foreign(path)
        })
    }
}

/// Returns the address of a socket that somebody listens on.
fn listening(socket: &Path) -> Option<EngineAddress> {
    UnixStream::connect(socket).ok().map(|_| EngineAddress::Socket(socket.to_owned()))
}

fn missing(kind: EngineKind) -> Error {
    let (what, hint) = match kind {
        EngineKind::Docker => {
            ("nothing listens at /var/run/docker.sock", "start docker, or say where it is with DOCKER_HOST")
        }
        EngineKind::Podman => {
            ("there is no program `podman`, and no service of it", "install podman, or set CONTAINER_HOST")
        }
        EngineKind::Containerd => (
            "its socket or the program `ctr` is not there",
            "CONTAINERD_ADDRESS says where the socket is; install containerd",
        ),
        EngineKind::Kind => ("there is no program `kind`, and no engine with its nodes", "install kind"),
        EngineKind::K3d => ("there is no program `k3d`", "install k3d"),
        EngineKind::Minikube => ("there is no program `minikube`", "install minikube"),
    };
    Error::not_found(format!("{kind} is not here: {what}")).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_program_comes_from_no_context_and_is_not_this_one() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for directory in ["context/bin", "link", "bin"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        let make = |path: &Path, mode: u32| {
            fs::write(path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        make(&at("context/bin/podman"), 0o755);
        symlink(at("context/bin/podman"), at("link/podman")).unwrap();
        symlink("/proc/self/exe", at("bin/docker")).unwrap();
        make(&at("bin/kind"), 0o644);
        let path = ["context/bin", "link", "bin"].map(at).to_vec();
        let settings =
            EngineSettings { path: [vec![PathBuf::from("."), PathBuf::new()], path].concat(), ..Default::default() };
        assert_eq!(settings.program("podman", &[]), Some(at("context/bin/podman")));
        assert_eq!(settings.program("podman", &[at("context")]), None);
        assert_eq!(settings.program("podman", &[PathBuf::from("/")]), Some(at("context/bin/podman")));
        make(&at("bin/podman"), 0o755);
        assert_eq!(settings.program("podman", &[at("context")]), Some(at("bin/podman")));
        assert_eq!(settings.program("docker", &[]), None, "it is this program");
        assert_eq!(settings.program("kind", &[]), None, "it is not executable");
    }

    #[test]
    fn what_is_named_is_taken_and_nothing_else() {
        let settings = |usual: &str| EngineSettings { usual: Some(usual.to_owned()), ..Default::default() };
        assert_eq!(settings("none").find(None, &[]).unwrap(), None);
        assert!(settings("none").find(Some(EngineKind::K3d), &[]).unwrap_err().message.contains("k3d is not here"));
        assert!(settings("minikube").find(None, &[]).unwrap_err().message.contains("minikube is not here"));
        assert!(settings("x").find(None, &[]).unwrap_err().message.starts_with("OCIBAKE_ENGINE: `x`"));
        let named = EngineSettings { docker_host: Some("ssh://host".to_owned()), ..Default::default() };
        assert!(named.find(None, &[]).unwrap_err().message.contains("ssh://host"));
        let named = EngineSettings { docker_host: Some("unix:///nothing/there".to_owned()), ..Default::default() };
        assert_eq!(named.find(None, &[]).unwrap_err().message, "cannot reach docker");
    }
}
