//! The sandbox as its users see it.

use std::fmt;
use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::arranged::Arranged;
use super::child;
use super::namespace::{self, RungRefusal};
use super::prepared::Prepared;
use super::process::{Process, Ran, Root, Stream};
use super::rung::Rung;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::{self, Devices, has_one_id};
use crate::net::Stop;

/// A way to run commands that works here.
#[derive(Debug, Clone)]
pub struct Sandbox {
    rung: Rung,
    is_stacking: bool,
    /// Whether `/proc` and `/sys` are served where they cannot be mounted.
    is_serving: bool,
    /// Why they are not, though they could be.
    unserved: Option<RungRefusal>,
}

/// What is tried, the best first: the rung, whether directories are stacked, and whether `/proc` and `/sys` are served.
const WAYS: [(Rung, bool, bool); 5] = [
    (Rung::Ids, true, false),
    (Rung::Ids, false, false),
    (Rung::SingleId, true, false),
    (Rung::Chroot, false, true),
    (Rung::Chroot, false, false),
];

impl Sandbox {
    /// Goes through all that a run needs in throw-away processes, with the root in `place`, which must exist, and returns the
    /// best way that works. The error says which step of the best way failed and what to change.
    pub fn find(place: &Path) -> Result<Sandbox> {
        Self::find_on(place, None)
    }

    /// As [`Sandbox::find`], but on `rung` alone if there is one.
    pub fn find_on(place: &Path, rung: Option<Rung>) -> Result<Sandbox> {
        let (mut first, mut unserved) = (None, None);
        for (rung, is_stacking, is_serving) in WAYS.into_iter().filter(|way| rung.is_none_or(|rung| rung == way.0)) {
            let way = Sandbox { rung, is_stacking, is_serving, unserved };
            match way.try_in(place) {
                Ok(()) => return Ok(way),
                Err(error) => {
                    unserved = is_serving.then(|| RungRefusal { rung, ..RungRefusal::of(&error) });
                    first.get_or_insert(error);
                }
            }
        }
        Err(unusable(first.unwrap_or_else(|| Error::input("there is no such isolation here"))))
    }

    /// Returns the rung that it stands on.
    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// Returns whether it stacks directories itself. Otherwise a [`Root`] is one directory that may be changed, without lower
    /// ones.
    pub fn is_stacking(&self) -> bool {
        self.is_stacking
    }

    /// Returns why a command finds `/proc` and `/sys` empty, if it does.
    pub fn unserved(&self) -> Option<&RungRefusal> {
        self.unserved.as_ref()
    }

    /// Returns what device nodes of images have to be in such a directory.
    pub fn devices(&self) -> Devices {
        match self.rung {
            // Nothing else keeps a command from using them.
            Rung::Chroot => Devices::Dead,
            Rung::Ids | Rung::SingleId => Devices::Live,
        }
    }

    /// Returns whether two commands can have one directory at a time that both write to.
    pub fn is_sharing(&self) -> bool {
        self.rung != Rung::Chroot
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
        self.run_with(process, root, |prepared| child::run(prepared, output, stop))
    }

    fn run_with(&self, process: &Process, root: &Root, run: impl FnOnce(Prepared) -> Result<Ran>) -> Result<Ran> {
        if self.rung != Rung::Chroot {
            return run(Prepared::new(process, root, self.rung)?);
        }
        let mut arranged = Arranged::new(process, root, self.is_serving)?;
        let passing = arranged.passing();
        let prepared = Prepared::in_chroot(process, arranged.root(), self.is_serving);
        let prepared = prepared.map(|prepared| Prepared { passing, ..prepared });
        let ran = prepared.and_then(run);
        let ended = arranged.end();
        let ran = ran?;
        Ok(Ran { provided: ended?, ..ran })
    }

    fn try_in(&self, place: &Path) -> Result<()> {
        match (self.rung, has_one_id()) {
            (Rung::Ids | Rung::Chroot, true) => {
                return Err(Error::new(ErrorKind::Io, "here is one user alone").with_hint(SEVERAL));
            }
            (Rung::SingleId, false) => return Err(Error::new(ErrorKind::Io, "here is more than one user")),
            _ => {}
        }
        let failed = |error| Error::io("create a directory in", place, error);
        let directory = tempfile::Builder::new().prefix(".sandbox-").tempdir_in(place).map_err(failed)?;
        let path = |name: &str| directory.path().join(name);
        let lowers: Vec<PathBuf> = if self.is_stacking { vec![path("lower")] } else { Vec::new() };
        let root = Root { lowers, upper: path("upper"), work: path("work") };
        for path in root.lowers.iter().chain([&root.upper, &root.work]) {
            fs::create_dir(path).map_err(|error| Error::io("create", path, error))?;
        }
        if self.rung != Rung::Chroot {
            if self.rung == Rung::SingleId {
                layer::keep_owners_in(&root.lowers[0])?;
            }
            return child::run(Prepared::probe(&root, self.rung)?, &|_, _| (), &Stop::default()).map(drop);
        }
        Prepared::check_for_chroot(self.is_serving)?;
        let arranged = Arranged::probe(&root, self.is_serving)?;
        child::run(Prepared::chroot_probe(arranged.root(), self.is_serving)?, &|_, _| (), &Stop::default())?;
        arranged.end().map(drop)
    }

    /// Runs `process` on `root` as [`run`](Self::run) does, with `terminal` as its input, its outputs and the terminal of its
    /// session.
    pub fn run_on(&self, process: &Process, root: &Root, terminal: BorrowedFd<'_>, stop: &Stop) -> Result<Ran> {
        self.run_with(process, root, |prepared| child::run_on(prepared, terminal, stop))
    }
}

/// Completes "commands can be run here: …".
impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.rung {
            Rung::Chroot => "in a chroot",
            Rung::Ids | Rung::SingleId => "in namespaces of their own",
        })?;
        f.write_str(if self.is_stacking { ", on an overlay of the image" } else { ", on a copy of the image" })
    }
}

const SEVERAL: &str = "give the user subordinate ids, as lines in /etc/subuid and /etc/subgid, and install the package \
                       uidmap; or run it as root, with the capability CAP_SYS_ADMIN";

/// What could have been had in another place, and why it could not, is told with it.
fn unusable(error: Error) -> Error {
    let refused = namespace::passage().map(|passage| &passage.refused[..]).unwrap_or_default();
    let hint = refused.iter().find_map(|refusal| refusal.hint.clone()).or_else(|| error.hint.clone());
    let found = Error::new(ErrorKind::Io, namespace::UNUSABLE).with_source(error);
    let ways = refused.iter().map(|refusal| format!("{}: {}", refusal.rung, refusal.reason));
    let found = found.with_details(ways.collect());
    match hint {
        Some(hint) => found.with_hint(hint),
        None => found,
    }
}
