//! Which commands go on in a user namespace of the program's own, which has to be known before anything has begun.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{SeekFrom, seek};
use rustix::stdio::stdin;

use super::environment::Environment;
use super::print::tell;
use super::progress::leave;
use crate::error::{Error, ErrorKind, Result};
use crate::net::start_by;
use crate::plan::Isolation;
use crate::run::Sandbox;
use crate::run::namespace::{self, Passage, Side};
use crate::store::{LocalStore, pending};

/// What a command of the program wants of the place that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Nothing: it is right anywhere.
    Nothing,
    /// Commands of images are to be run.
    Commands(Isolation),
    /// What users of images own is to be removed.
    Removal,
}

impl Want {
    /// Returns what it takes to remove something from the local store: what lies unpacked there may belong to users of images.
    pub fn of_removal(environment: &Environment) -> Self {
        match environment.store().is_ok_and(has_owners) {
            true => Want::Removal,
            false => Want::Nothing,
        }
    }

    /// Returns whether another place has to be looked for.
    pub fn is_elsewhere(self) -> bool {
        match self {
            Want::Nothing => false,
            Want::Commands(isolation) => namespace::may_help(isolation),
            Want::Removal => namespace::may_help(Isolation::Ids),
        }
    }
}

/// The argument of a program that was started again once it was known that commands are to be run.
pub const AGAIN: &str = "again-for-commands";

/// Finds the place for a command that wants `want`, and goes on there, with the sandbox that was found on the way. Returns the
/// exit status where another process has gone on, and has ended.
pub fn enter(want: Want, environment: &Environment) -> Result<Side<Sandbox>> {
    match want {
        Want::Nothing => Ok(Side::Inner(None)),
        Want::Commands(isolation) => {
            // One that does not last is both processes', so that it goes whichever of them ends last.
            let root = environment.working_store()?;
            namespace::enter(isolation, &|rung| {
                let store = LocalStore::open(root)?;
                Sandbox::find_on(store.directory()?.path(), Some(rung))
            })
        }
        Want::Removal => Ok(match namespace::enter(Isolation::Ids, &|_| Ok(())) {
            Ok(Side::Outer(status)) => Side::Outer(status),
            // Where there is no other place, what is in the way says so.
            Ok(Side::Inner(_)) | Err(_) => Side::Inner(None),
        }),
    }
}

/// The first argument of a program that only starts another, as the user who has started all: `USER:GROUP`, and the other
/// program with its arguments, follow.
const AS_USER: &str = "--as-user-outside";

/// Has programs of the user's started as the user, if this process is root only where it is.
pub fn keep_user() {
    if let Some(Passage { entered: Some(_), owner: (user, group), .. }) = namespace::passage() {
        let words = ["/proc/self/exe".to_owned(), AS_USER.to_owned(), format!("{user}:{group}")];
        start_by(words.map(OsString::from).to_vec());
    }
}

/// Starts another program as the user, if that is what `arguments` say. Comes back with an exit code if it cannot be started.
pub fn start_as_user(arguments: &[OsString]) -> Option<u8> {
    let [_, flag, owner, program, rest @ ..] = arguments else { return None };
    let (user, group) = owner.to_str().filter(|_| flag == AS_USER)?.split_once(':')?;
    // Where that cannot be had, it is root as this is.
    let _ = namespace::become_user(user.parse().ok()?, group.parse().ok()?);
    let failed = Command::new(program).args(rest).exec();
    tell(&format!("cannot start {}: {failed}", program.display()));
    Some(NOT_STARTED)
}

/// The exit code of a shell for a program that is not there.
const NOT_STARTED: u8 = 127;

/// Returns whether a local store at `root` has anything that belongs to others than its owner for sure only where there are
/// others.
fn has_owners(root: &Path) -> bool {
    if !Want::Removal.is_elsewhere() {
        return false;
    }
    let is_full = |name: &&str| fs::read_dir(root.join(name)).is_ok_and(|mut entries| entries.next().is_some());
    LocalStore::SHARED_OUT.iter().any(is_full)
}

/// Starts the program again, now that it is known that commands of `isolation` are to be run, if that may be of use. The
/// program that is started says nothing until it is here. Comes back with an error at most.
pub fn start_again(isolation: Isolation) -> Result<()> {
    if !Want::Commands(isolation).is_elsewhere() {
        return Ok(());
    }
    // A Dockerfile that was read there was kept, and can be read again.
    let _ = seek(stdin(), SeekFrom::Start(0));
    let _nothing_new_begins = pending::discard_all();
    leave();
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_default();
    let failed = Command::new("/proc/self/exe").arg0(name).arg(format!("--{AGAIN}")).args(arguments).exec();
    Err(Error::new(ErrorKind::Io, "cannot restart the program to run commands").with_source(failed))
}
