//! The sandbox as its users see it.

use std::fmt;
use std::fs;
use std::iter;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::arranged::Arranged;
use super::child;
use super::prepared::Prepared;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::{self, Devices};
use crate::net::Stop;
use crate::run::passage::{RungRefusal, UNUSABLE, passage};
use crate::run::process::{Process, Ran, Root, Stream};
use crate::run::rung::Rung;

/// A way to run commands that works here.
#[derive(Debug, Clone)]
pub struct Sandbox {
    rung: Rung,
    is_stacking: bool,
    /// It has a `/proc` of its own, too, which is not available where parts of this program's own are hidden.
    has_processes: bool,
    /// `/proc` and `/sys` are served where they cannot be mounted.
    is_serving: bool,
    /// Why they are not, though they could be.
    unserved: Option<RungRefusal>,
}

/// What is tried, the best first.
///
/// Where directories cannot be stacked they are copied. An overlay with an upper directory in memory would be quicker at first,
/// but a command may write more than there is memory, or than a container may have of it. fuse-overlayfs would make other
/// images: with it, owners of links are lost where there is one id, and names of more than 251 bytes, those that begin with
/// `.wh.` and files without a name are refused; and each call costs several times as much, while a copy is made once.
const WAYS: [Sandbox; 10] = [
    in_namespaces(Rung::Ids, true, true),
    in_namespaces(Rung::Ids, false, true),
    in_namespaces(Rung::Ids, true, false),
    in_namespaces(Rung::Ids, false, false),
    in_namespaces(Rung::SingleId, true, true),
    in_namespaces(Rung::SingleId, false, true),
    in_namespaces(Rung::SingleId, true, false),
    in_namespaces(Rung::SingleId, false, false),
    in_chroot(true),
    in_chroot(false),
];

const fn in_namespaces(rung: Rung, is_stacking: bool, has_processes: bool) -> Sandbox {
    Sandbox { rung, is_stacking, has_processes, is_serving: false, unserved: None }
}

const fn in_chroot(is_serving: bool) -> Sandbox {
    Sandbox { rung: Rung::Chroot, is_stacking: false, has_processes: false, is_serving, unserved: None }
}

impl Sandbox {
    /// Goes through all that a run needs in throw-away processes, with the root in `place`, which must exist, and returns the
    /// best way that works. The error says which step of the best rung failed, in the way that asks for the least, and what to
    /// change.
    pub fn find(place: &Path) -> Result<Sandbox> {
        Self::find_on(place, None)
    }

    /// Does what [`Sandbox::find`] does, but on `rung` alone if there is one.
    pub fn find_on(place: &Path, rung: Option<Rung>) -> Result<Sandbox> {
        let (mut failed, mut unserved): (Vec<(Rung, Error)>, _) = (Vec::new(), None);
        for way in WAYS.into_iter().filter(|way| rung.is_none_or(|rung| rung == way.rung)) {
            let way = Sandbox { unserved: unserved.take(), ..way };
            let Err(error) = way.try_in(place) else { return Ok(way) };
            unserved = way.is_serving.then(|| RungRefusal { rung: way.rung, ..RungRefusal::of(&error) });
            failed.retain(|(rung, _)| *rung != way.rung);
            failed.push((way.rung, error));
        }
        Err(unusable(failed))
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
            let prepared = Prepared::new(process, root, self.rung)?;
            return run(if self.has_processes { prepared } else { prepared.among_others()? });
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
        if !self.rung.fits() {
            return Err(match self.rung {
                Rung::Ids | Rung::Chroot => Error::new(ErrorKind::Io, "there is only one user here").with_hint(SEVERAL),
                Rung::SingleId => Error::new(ErrorKind::Io, "there is more than one user here"),
            });
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
                layer::keep_owners_in(root.lowers.first().unwrap_or(&root.upper))?;
            }
            let probe = Prepared::probe(&root, self.rung)?;
            let probe = if self.has_processes { probe } else { probe.among_others()? };
            return child::run(probe, &|_, _| (), &Stop::default()).map(drop);
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
            Rung::Ids | Rung::SingleId if self.has_processes => "in namespaces of their own",
            Rung::Ids | Rung::SingleId => "in namespaces of their own, among the processes that are here",
        })?;
        f.write_str(if self.is_stacking { ", on an overlay of the image" } else { ", on a copy of the image" })
    }
}

const SEVERAL: &str = "give the user subordinate ids, as lines in /etc/subuid and /etc/subgid, and install the package \
                       uidmap; or run it as root, with the capability CAP_SYS_ADMIN";

/// Returns the error of a place in which all has `failed`. What could have been had in a namespace, why it could not, and what
/// to change, is told if it was tried.
fn unusable(failed: Vec<(Rung, Error)>) -> Error {
    let found = Error::new(ErrorKind::Io, UNUSABLE);
    let refused = passage().map(|passage| &passage.refused[..]).unwrap_or_default();
    if refused.is_empty() {
        // What is for other places says nothing about this one.
        let (fitting, others): (Vec<_>, Vec<_>) = failed.into_iter().partition(|(rung, _)| rung.fits());
        let best = fitting.into_iter().chain(others).next();
        let best = best.map_or_else(|| Error::input("this isolation is not available here"), |(_, error)| error);
        let hint = best.hint.clone();
        let found = found.with_source(best);
        return match hint {
            Some(hint) => found.with_hint(hint),
            None => found,
        };
    }
    let is_told = |rung: &Rung| refused.iter().any(|refusal| refusal.rung == *rung);
    let others = failed.iter().filter(|(rung, _)| !is_told(rung));
    let others = others.map(|(rung, error)| RungRefusal { rung: *rung, ..RungRefusal::of(error) });
    let lines = refused.iter().cloned().chain(others).flat_map(|RungRefusal { rung, reason, hint }| {
        iter::once(format!("{rung}: {reason}")).chain(hint.map(|hint| format!("  to change that: {hint}")))
    });
    found.with_details(lines.collect())
}
