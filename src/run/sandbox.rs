//! The sandbox as its users see it.

use std::os::fd::BorrowedFd;
use std::path::Path;

use super::child;
use super::namespace;
use super::prepared::Prepared;
use super::process::{Process, Ran, Root, Stream};
use super::rung::Rung;
use crate::error::{Error, ErrorKind, Result};
use crate::net::Stop;

/// A way to run commands that works here: as root, with namespaces and overlayfs.
#[derive(Debug, Clone)]
pub struct Sandbox(());

impl Sandbox {
    /// Goes through all that a run needs in a throw-away process, with the upper directory in `place`, which must exist. The
    /// error says which step failed and what to change.
    pub fn find(place: &Path) -> Result<Sandbox> {
        if Rung::of_this_process()? == Rung::SingleId {
            let missing =
                Error::new(ErrorKind::Io, "here is one user alone, and commands with only one are not here yet");
            return Err(unusable(missing.with_hint(SEVERAL)));
        }
        let failed = |error| Error::io("create a directory in", place, error);
        let directory = tempfile::Builder::new().prefix(".sandbox-").tempdir_in(place).map_err(failed)?;
        let made = ["lower", "upper", "work"].map(|name| directory.path().join(name));
        for path in &made {
            std::fs::create_dir(path).map_err(|error| Error::io("create", path, error))?;
        }
        let [lower, upper, work] = made;
        let root = Root { lowers: vec![lower], upper, work };
        match child::run(Prepared::probe(&root)?, &|_, _| (), &Stop::default()) {
            Ok(_) => Ok(Sandbox(())),
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
        child::run(Prepared::new(process, root)?, output, stop)
    }

    /// Runs `process` on `root` as [`run`](Self::run) does, with `terminal` as its input, its outputs and the terminal of its
    /// session.
    pub fn run_on(&self, process: &Process, root: &Root, terminal: BorrowedFd<'_>, stop: &Stop) -> Result<Ran> {
        child::run_on(Prepared::new(process, root)?, terminal, stop)
    }
}

const SEVERAL: &str = "give the user subordinate ids, as lines in /etc/subuid and /etc/subgid, and install the package \
                       uidmap; or run it as root, with the capability CAP_SYS_ADMIN";

/// What could have been had in another place, and why it could not, is told with it.
fn unusable(error: Error) -> Error {
    let refused = namespace::standing().map(|standing| &standing.refused[..]).unwrap_or_default();
    let hint = refused.iter().find_map(|refusal| refusal.hint.clone()).or_else(|| error.hint.clone());
    let found = Error::new(ErrorKind::Io, namespace::UNUSABLE).with_source(error);
    let ways = refused.iter().map(|refusal| format!("{}: {}", refusal.rung, refusal.reason));
    let found = found.with_details(ways.collect());
    match hint {
        Some(hint) => found.with_hint(hint),
        None => found,
    }
}
