//! `/proc` and `/sys` where nothing can be mounted: the calls of a command that name something there are answered, and all
//! others go on in the kernel.
//!
//! It protects nothing, as all of the supervisor. The kernel looks at a path that it is left with once more, and what it finds
//! lies in the root of the command, under Landlock: where another thread has changed the path meanwhile, nothing but that is
//! reached. What is handed over instead was opened here, by names that are looked up here.
//!
//! The thread that answers has no right to look into processes beyond those of users: what it looks at for a process it looks
//! at as that process's user, and processes that the command has not started are not there.

mod answer;
pub(in crate::run::linux) mod calls;
mod caller;
mod content;
mod machine;
mod mounts;
mod request;
mod skeleton;
mod walk;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, ResolveFlags, readlinkat};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_thread_groups};

use self::answer::Answering;
use self::caller::{Caller, FileIds};
use self::calls::{PathCall, all, of_forerunner};
use self::content::Snapshots;
use self::machine::ThisMachine;
use self::request::{PathRequest, Purpose};
use self::skeleton::Skeleton;
use self::walk::PathWalk;
use super::calls::Table;
use super::listener::{Answer, Listener, Notification, receive};
use super::target::Target;
use super::{FORERUNNER, TURN};
use crate::error::{Error, ErrorKind, Result};
use crate::run::linux::capability;
use crate::run::linux::system::take_short_turns;
use crate::run::process::User;

/// A command that `/proc` and `/sys` are served to.
#[derive(Debug)]
pub(in crate::run::linux) struct Served {
    pub(in crate::run::linux) root: OwnedFd,
    pub(in crate::run::linux) user: User,
}

/// Answers the calls of a command, whose listener comes through `socket`, until nobody is left to make one. All of its
/// processes descend from `first`. It is to be called on a thread of its own, whose rights become less.
pub(in crate::run::linux) fn serve(socket: OwnedFd, served: &Served, first: BorrowedFd<'_>) -> Result<()> {
    let failed = |errno: Errno| {
        Error::new(ErrorKind::Io, "cannot serve /proc and /sys to the command").with_source(io::Error::from(errno))
    };
    let mut server = Service::new(served, first).map_err(failed)?;
    let _ = take_short_turns(TURN);
    let Some(listener) = receive(socket.as_fd()).map_err(failed)? else { return Ok(()) };
    drop(socket);
    server.run(&Listener::new(listener)).map_err(failed)
}

struct Service<'a> {
    machine: ThisMachine,
    skeleton: Skeleton,
    contents: Snapshots,
    root: BorrowedFd<'a>,
    /// The command's own user.
    usual: FileIds,
    /// Those of this machine and of its forerunner.
    calls: [Table<PathCall>; 2],
}

/// What an open asks for that is for the kernel alone.
const KEPT_WITHIN: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::IN_ROOT).union(ResolveFlags::NO_XDEV);

impl<'a> Service<'a> {
    fn new(served: &'a Served, first: BorrowedFd<'_>) -> std::result::Result<Service<'a>, Errno> {
        let root = served.root.as_fd();
        let path = readlinkat(CWD, format!("/proc/self/fd/{}", root.as_raw_fd()), Vec::new())?.into_bytes();
        // The path of a root that is the machine's own is nothing.
        let path = if path == b"/" { Vec::new() } else { path };
        let machine = ThisMachine::new(number_of(first)?, path)?;
        give_up_rights()?;
        let numbered = |(number, call, _)| (number, call);
        Ok(Service {
            machine,
            skeleton: Skeleton::new(root)?,
            contents: Snapshots::default(),
            root,
            usual: FileIds { user: served.user.id, group: served.user.group },
            calls: [Table::new(all().map(numbered)), Table::new(of_forerunner().map(numbered))],
        })
    }

    fn run(&mut self, listener: &Listener) -> std::result::Result<(), Errno> {
        while let Some(notification) = listener.next()? {
            let answer = self.answer(listener, &notification).unwrap_or_else(Answer::Failed);
            listener.answer(notification.id, &answer)?;
        }
        Ok(())
    }

    fn answer(&mut self, listener: &Listener, notification: &Notification) -> std::result::Result<Answer, Errno> {
        let is_forerunner = notification.machine == FORERUNNER;
        let Some(call) = self.calls[usize::from(is_forerunner)].call(notification.number) else {
            return Ok(Answer::Continue);
        };
        let target = Target::of(notification, is_forerunner);
        let Ok((caller, request, path)) = self.asked(call, target) else { return Ok(Answer::Continue) };
        let walk = PathWalk { machine: &self.machine, skeleton: &self.skeleton, root: self.root, caller: &caller };
        let Some(found) = walk.find(&path, request.follows)? else { return Ok(Answer::Continue) };
        let answering = Answering {
            machine: &self.machine,
            skeleton: &mut self.skeleton,
            contents: &mut self.contents,
            root: self.root,
            caller: &caller,
            is_waiting: &|| listener.is_waiting(notification.id),
        };
        { answering }.answer(&request, found)
    }

    /// Reads what is asked for, and the path from the root on; what cannot be read is for the kernel.
    fn asked(&self, call: PathCall, target: Target) -> std::result::Result<(Caller, PathRequest, Vec<u8>), Errno> {
        let request = PathRequest::of(call, &target);
        let (caller, path) = Caller::of(target, request.path, self.machine.processes(), self.usual)?;
        let request = if call == PathCall::Openat2 { request.with_how(&caller)? } else { request };
        let is_kept = matches!(request.wanted, Purpose::Open { resolve, .. } if resolve.intersects(KEPT_WITHIN));
        if path.is_empty() || is_kept {
            return Err(Errno::NOENT);
        }
        if path.to_bytes().starts_with(b"/") {
            return Ok((caller, request, path.into_bytes()));
        }
        let base = caller.base(self.machine.processes(), request.base)?;
        let base = self.machine.within(&base).ok_or(Errno::NOENT)?;
        Ok((caller, request, [base, b"/", path.to_bytes()].concat()))
    }
}

/// Returns the number of the process that a descriptor stands for.
fn number_of(process: BorrowedFd<'_>) -> std::result::Result<u32, Errno> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd()));
    let text = text.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    number.and_then(|number| number.trim().parse().ok()).ok_or(Errno::SRCH)
}

/// Leaves this thread the capabilities that root has in a container, and no groups: with more, a command would be shown more
/// than it could see itself.
fn give_up_rights() -> std::result::Result<(), Errno> {
    set_thread_groups(&[])?;
    let own = capabilities(None)?;
    let kept = own.permitted.intersection(capability::DEFAULT);
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })
}
