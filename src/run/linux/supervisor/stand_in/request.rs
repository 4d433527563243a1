//! What a call asks for.

use rustix::fs::{AtFlags, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::caller::Caller;
use super::calls::PathCall;
use crate::run::linux::supervisor::target::{Base, Target, WORKING_DIRECTORY};

/// What is done with what is at a path.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Open {
        flags: OFlags,
        resolve: ResolveFlags,
    },
    /// The argument of that number is where it is written.
    Status {
        form: StatusForm,
        buffer: usize,
    },
    Access {
        mode: u32,
    },
    /// As long as the argument after the buffer's says.
    Text {
        buffer: usize,
    },
    FileSystem,
    /// To make it the working directory, or to execute it.
    Enter,
}

/// How the kernel writes what it tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum StatusForm {
    Plain,
    /// As statx does, asked for those parts.
    Extended(u32),
}

/// A call that names a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathRequest {
    pub(super) base: Base,
    /// The number of the argument that is the path.
    pub(super) path: usize,
    /// Whether a link at its end is followed.
    pub(super) follows: bool,
    pub(super) wanted: Purpose,
}

const HERE: Base = Base(WORKING_DIRECTORY);

impl PathRequest {
    pub(super) fn of(call: PathCall, target: &Target) -> PathRequest {
        let number = |place| target.number(place);
        let at = |place| AtFlags::from_bits_retain(number(place));
        let here = |follows, wanted| PathRequest { base: HERE, path: 0, follows, wanted };
        let from = |follows, wanted| PathRequest { base: target.base(0), path: 1, follows, wanted };
        let follows = |flags: AtFlags| !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
        let open = |flags: OFlags| Purpose::Open { flags, resolve: ResolveFlags::empty() };
        let opens = |flags: OFlags| !flags.contains(OFlags::NOFOLLOW);
        let status = |form, buffer| Purpose::Status { form, buffer };
        match call {
            PathCall::Open => {
                let flags = OFlags::from_bits_retain(number(1));
                here(opens(flags), open(flags))
            }
            PathCall::Openat => {
                let flags = OFlags::from_bits_retain(number(2));
                from(opens(flags), open(flags))
            }
            // Its flags lie in memory.
            PathCall::Openat2 => from(true, open(OFlags::empty())),
            PathCall::Creat => here(true, open(OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC)),
            PathCall::Stat => here(true, status(StatusForm::Plain, 1)),
            PathCall::Lstat => here(false, status(StatusForm::Plain, 1)),
            PathCall::Fstatat => from(follows(at(3)), status(StatusForm::Plain, 2)),
            PathCall::Statx => from(follows(at(2)), status(StatusForm::Extended(number(3)), 4)),
            PathCall::Access => here(true, Purpose::Access { mode: number(1) }),
            PathCall::Faccessat => from(true, Purpose::Access { mode: number(2) }),
            PathCall::Faccessat2 => from(follows(at(3)), Purpose::Access { mode: number(2) }),
            PathCall::Readlink => here(false, Purpose::Text { buffer: 1 }),
            PathCall::Readlinkat => from(false, Purpose::Text { buffer: 2 }),
            PathCall::Statfs => here(true, Purpose::FileSystem),
            PathCall::Chdir | PathCall::Execve => here(true, Purpose::Enter),
            PathCall::Execveat => from(follows(at(4)), Purpose::Enter),
        }
    }

    /// Reads the flags that lie in memory.
    pub(super) fn with_how(self, caller: &Caller) -> Result<PathRequest, Errno> {
        let how = caller.read_numbers(caller.target.argument(2), 6)?;
        let [flags, _, _, _, resolve, _] = how[..] else { return Err(Errno::FAULT) };
        let flags = OFlags::from_bits_retain(flags);
        let resolve = ResolveFlags::from_bits_retain(resolve.into());
        let follows = !flags.contains(OFlags::NOFOLLOW);
        Ok(PathRequest { follows, wanted: Purpose::Open { flags, resolve }, ..self })
    }
}
