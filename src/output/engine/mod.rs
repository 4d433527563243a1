//! Engines are where images are run. One that is there is given an image under its names, and of it only what it lacks, where
//! it tells what that is.
//!
//! Docker and podman are spoken to by the API that both have, podman without a service by its program, containerd by `ctr`, and
//! clusters by the programs that made them. Which of them is there, [`find`](EngineSettings::find) says.

mod api;
mod cluster;
mod containerd;
mod context;
mod find;
mod image;
mod kind;
mod one;
mod program;
mod reach;

pub use find::EngineSettings;
pub use kind::{Engine, EngineAddress, EngineKind, EngineProgram, EngineTls, EngineWay};

pub(super) use reach::check;

use super::bundle::ReadEntry;
use crate::error::Result;
use crate::progress::Progress;

/// Loads `items`, one after the other.
pub(super) fn load(engine: &Engine, items: &[ReadEntry<'_>], progress: Progress<'_>) -> Result<()> {
    items.iter().try_for_each(|item| match (engine.kind, &engine.way) {
        (kind, EngineWay::Api(address)) => one::by_api(kind, address, item, progress),
        (_, EngineWay::Nodes(program)) => cluster::into_nodes(program, item, progress),
        (EngineKind::Containerd, EngineWay::Program(program)) => containerd::load(program, item, progress),
        (EngineKind::Docker | EngineKind::Podman, EngineWay::Program(program)) => {
            one::by_podman(program, item, progress)
        }
        (kind, EngineWay::Program(program)) => cluster::by_program(kind, program, item, progress),
    })
}
