//! The sandbox as its users see it.

use std::path::Path;

use super::child;
use super::prepared::Prepared;
use super::process::{Process, Ran, Root, Stream};
use super::rung::Rung;
use crate::error::{Error, ErrorKind, Result};
use crate::layer;
use crate::net::Stop;

/// A way to run commands that works here: as root, with namespaces and overlayfs.
#[derive(Debug, Clone)]
pub struct Sandbox(Rung);

impl Sandbox {
    /// Goes through all that a run needs in a throw-away process, with the upper directory in `place`, which must exist. The
    /// error says which step failed and what to change.
    pub fn find(place: &Path) -> Result<Sandbox> {
        let failed = |error| Error::io("create a directory in", place, error);
        let directory = tempfile::Builder::new().prefix(".sandbox-").tempdir_in(place).map_err(failed)?;
        let made = ["lower", "upper", "work"].map(|name| directory.path().join(name));
        for path in &made {
            std::fs::create_dir(path).map_err(|error| Error::io("create", path, error))?;
        }
        let [lower, upper, work] = made;
        let root = Root { lowers: vec![lower], upper, work };
        let rung = Rung::here();
        if rung == Rung::SingleId {
            layer::keep_owners_in(&root.lowers[0])?;
        }
        match child::run(Prepared::probe(&root, rung)?, &|_, _| (), &Stop::default()) {
            Ok(_) => Ok(Sandbox(rung)),
            Err(error) => Err(unusable(error)),
        }
    }

    /// Runs `process` on `root`, and hands on what it writes to `output`, from this thread, as it comes; nothing of it is
    /// lost. Returns when the command and everything that it has started have ended. Once `stop` is ended all of it is killed
    /// at once, which is an error; and so it is if this program dies.
    pub fn run(
        &self,
        process: &Process,
        root: &Root,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
        stop: &Stop,
    ) -> Result<Ran> {
        child::run(Prepared::new(process, root, self.0)?, output, stop)
    }

    /// Returns which of the ways it is.
    pub fn rung(&self) -> Rung {
        self.0
    }
}

fn unusable(error: Error) -> Error {
    let hint = error.hint.clone();
    let found = Error::new(ErrorKind::Io, "commands cannot be run here").with_source(error);
    match hint {
        Some(hint) => found.with_hint(hint),
        None => found,
    }
}
