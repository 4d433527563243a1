//! An [`Engine`] is a place where images are run, with the way to it; plain data, which nothing here has looked at.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result, suggestion};

/// An engine that images are loaded into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// The engine itself.
    pub kind: EngineKind,
    /// The way to it.
    pub way: EngineWay,
}

/// The engines that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Docker's daemon.
    Docker,
    /// podman, with a service or without.
    Podman,
    /// containerd by itself.
    Containerd,
    /// The nodes of a cluster of kind's.
    Kind,
    /// Those of a cluster of k3d's.
    K3d,
    /// minikube.
    Minikube,
}

/// The way to an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineWay {
    /// Docker's API, which podman has, too.
    Api(EngineAddress),
    /// The engine's own program.
    Program(EngineProgram),
    /// For kind: the program of the engine in which the nodes are containers.
    Nodes(EngineProgram),
}

/// Where an API is available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// A Unix socket.
    Socket(PathBuf),
    /// `host:port`.
    Host(String, Option<EngineTls>),
}

/// What an API in HTTPS is trusted by, and trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineTls {
    /// The only authority, if not those of the system.
    pub authority: Option<PathBuf>,
    /// The user's own certificate, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Any certificate will do.
    pub insecure: bool,
}

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineProgram {
    /// Where it lies, absolute.
    pub path: PathBuf,
    /// What comes before all other arguments.
    pub arguments: Vec<String>,
    /// The cluster that is meant, where there are several.
    pub cluster: Option<String>,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [EngineKind; 6] = [
        EngineKind::Docker,
        EngineKind::Podman,
        EngineKind::Containerd,
        EngineKind::Kind,
        EngineKind::K3d,
        EngineKind::Minikube,
    ];

    /// Returns the name that people have for it.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Docker => "docker",
            EngineKind::Podman => "podman",
            EngineKind::Containerd => "containerd",
            EngineKind::Kind => "kind",
            EngineKind::K3d => "k3d",
            EngineKind::Minikube => "minikube",
        }
    }

    /// Returns whether it knows images by their names alone.
    pub fn needs_names(self) -> bool {
        !matches!(self, EngineKind::Docker | EngineKind::Podman)
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = EngineKind::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            let hint = match suggestion(text, EngineKind::ALL.map(EngineKind::name)) {
                Some(near) => format!("did you mean {near}?"),
                None => "known engines are docker, podman, containerd, kind, k3d and minikube".to_owned(),
            };
            Error::usage(format!("`{text}` is not an engine")).with_hint(hint)
        })
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineAddress::Socket(path) => write!(f, "unix://{}", path.display()),
            EngineAddress::Host(host, _) => write!(f, "tcp://{host}"),
        }
    }
}

impl EngineAddress {
    /// Reads an address as `DOCKER_HOST` has it, for an API that is spoken to by `tls`, if it is on another host. One that
    /// is available through SSH is refused.
    pub fn parse(text: &str, tls: Option<EngineTls>) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let host = rest.split('/').next().unwrap_or_default();
        match scheme {
            "unix" if rest.starts_with('/') => Ok(EngineAddress::Socket(PathBuf::from(rest))),
            "tcp" | "http" | "https" if !host.is_empty() && !host.contains('@') => {
                let usual = || EngineTls { authority: None, own: None, insecure: false };
                let tls = tls.or_else(|| (scheme == "https").then(usual));
                let port = if tls.is_some() { 2376 } else { 2375 };
                let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
                Ok(EngineAddress::Host(if has_port { host.to_owned() } else { format!("{host}:{port}") }, tls))
            }
            "ssh" => Err(Error::input(format!("{text}: engines cannot be reached through ssh://")).with_hint(format!(
                "let ssh bring the socket here: ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock {host}, and unix:///tmp/engine.sock"
            ))),
            _ => Err(Error::input(format!("{text} is not the address of an engine"))
                .with_hint("it must be unix:///PATH or tcp://HOST:PORT")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_docker_has_them() {
        let read = |text: &str| EngineAddress::parse(text, None).map(|address| address.to_string());
        assert_eq!(read("unix:///var/run/docker.sock").unwrap(), "unix:///var/run/docker.sock");
        assert_eq!(read("tcp://docker").unwrap(), "tcp://docker:2375");
        assert_eq!(read("10.0.0.7:4000").unwrap(), "tcp://10.0.0.7:4000");
        assert_eq!(read("tcp://[::1]:2375/").unwrap(), "tcp://[::1]:2375");
        let tls = EngineTls { authority: None, own: None, insecure: false };
        let secure = EngineAddress::parse("tcp://docker", Some(tls.clone())).unwrap();
        assert_eq!(secure, EngineAddress::Host("docker:2376".to_owned(), Some(tls.clone())));
        assert_eq!(
            EngineAddress::parse("https://a:1", None).unwrap(),
            EngineAddress::Host("a:1".to_owned(), Some(tls))
        );
        let refused = read("ssh://me@host").unwrap_err();
        assert!(refused.message.contains("ssh://me@host") && refused.hint.unwrap().contains("ssh -nNT -L"));
        for wrong in ["unix://relative", "npipe:////./pipe/docker_engine", "fd://", "tcp://", "tcp://me:pw@host:1", ""]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_engine_has_one_name() {
        for kind in EngineKind::ALL {
            assert_eq!(kind.name().parse::<EngineKind>().unwrap(), kind);
        }
        assert_eq!("podmann".parse::<EngineKind>().unwrap_err().hint.unwrap(), "did you mean podman?");
        assert!("x".parse::<EngineKind>().is_err());
    }
}
