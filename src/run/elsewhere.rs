//! What there is of a sandbox where the system is not Linux: nothing.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::process::{getegid, geteuid};

use super::passage::{Passage, RungRefusal, Side, UNUSABLE, arrive};
use super::process::{Process, Ran, Root, Stream};
use super::rung::Rung;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::Devices;
use crate::net::Stop;
use crate::plan::Isolation;

/// A way to run commands that works here, of which there is none.
#[derive(Debug, Clone)]
pub enum Sandbox {}

impl Sandbox {
    /// Fails, with what to do.
    pub fn find(place: &Path) -> Result<Sandbox> {
        Self::find_on(place, None)
    }

    /// Does what [`Sandbox::find`] does.
    pub fn find_on(_place: &Path, _rung: Option<Rung>) -> Result<Sandbox> {
        let reason = Error::input("they want Linux, which this is not");
        Err(Error::new(ErrorKind::Io, UNUSABLE)
            .with_source(reason)
            .with_hint("build on Linux, in a virtual machine or elsewhere; whatever has no RUN can be built here"))
    }

    /// Returns the rung that it stands on.
    pub fn rung(&self) -> Rung {
        match *self {}
    }

    /// Returns whether it stacks directories itself.
    pub fn is_stacking(&self) -> bool {
        match *self {}
    }

    /// Returns why a command finds `/proc` and `/sys` empty, if it does.
    pub fn unserved(&self) -> Option<&RungRefusal> {
        match *self {}
    }

    /// Returns what device nodes of images have to be in a directory that is no stack.
    pub fn devices(&self) -> Devices {
        match *self {}
    }

    /// Returns whether two commands can have one directory at a time that both write to.
    pub fn is_sharing(&self) -> bool {
        match *self {}
    }

    /// Runs `process` on `root`.
    pub fn run(
        &self,
        _process: &Process,
        _root: &Root,
        _output: &(dyn Fn(Stream, &[u8]) + Sync),
        _stop: &Stop,
    ) -> Result<Ran> {
        match *self {}
    }

    /// Runs `process` on `root` with a terminal.
    pub fn run_on(&self, _process: &Process, _root: &Root, _terminal: BorrowedFd<'_>, _stop: &Stop) -> Result<Ran> {
        match *self {}
    }
}

impl fmt::Display for Sandbox {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// Fails: there is no user namespace to leave.
pub fn become_user(_user: u32, _group: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns that it is of no use to look for another place.
pub fn may_help(_isolation: Isolation) -> bool {
    false
}

/// Goes on here, without a look.
pub fn enter<T>(_isolation: Isolation, _look: &dyn Fn(Rung) -> Result<T>) -> Result<Side<T>> {
    arrive(Passage { owner: (geteuid().as_raw(), getegid().as_raw()), ..Passage::default() });
    Ok(Side::Inner(None))
}
