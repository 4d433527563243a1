//! Whether an engine can be reached, before an image is made for it.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::api::EngineApi;
use super::kind::{Engine, EngineAddress, EngineKind, EngineWay};
use crate::error::{Error, ErrorKind, Result};
use crate::run::namespace;

/// Fails, with what to do, if nobody listens where `engine` is, or its program could do nothing from here.
pub fn check(engine: &Engine) -> Result<()> {
    match (&engine.way, engine.kind) {
        (EngineWay::Api(EngineAddress::Socket(path)), kind) => connect(kind, path),
        (EngineWay::Api(address), kind) => EngineApi::new(kind, address)?.ping(),
        // podman makes a namespace of users itself, which cannot be done from within ours.
        (EngineWay::Program(_), kind @ EngineKind::Podman) if namespace::has_entered() => {
            let message =
                format!("{kind} cannot be started from the user namespace in which commands of a build are run");
            Err(Error::new(ErrorKind::Io, message).with_hint(
                "start its service (systemctl --user start podman.socket), or load what the build leaves: \
                 ocibake save NAME | podman load",
            ))
        }
        (EngineWay::Program(_) | EngineWay::Nodes(_), _) => Ok(()),
    }
}

/// Fails if nobody listens on a socket of an engine of this kind.
pub fn connect(kind: EngineKind, path: &Path) -> Result<()> {
    UnixStream::connect(path).map(drop).map_err(|source| {
        let hint = match (source.kind(), kind) {
            (io::ErrorKind::PermissionDenied, EngineKind::Docker) => {
                "add yourself to the group docker (usermod -aG docker USER, then log in again), or load into podman"
                    .to_owned()
            }
            (io::ErrorKind::PermissionDenied, _) => format!("this user may not use {kind}: run this as one who may"),
            (io::ErrorKind::NotFound, EngineKind::Docker) => {
                "is docker running? DOCKER_HOST says where it listens".to_owned()
            }
            (io::ErrorKind::NotFound, EngineKind::Podman) => "CONTAINER_HOST says where podman listens".to_owned(),
            _ => format!("nothing listens there: start {kind}"),
        };
        Error::io("reach", kind.name(), source).with_details(vec![format!("at {}", path.display())]).with_hint(hint)
    })
}
