//! What keeps the owners of files where the kernel has one id: it answers those system calls of a command that tell of owners,
//! set them, or make what has one (seccomp_unotify(2)), so that the command finds what it would find as root.
//!
//! It is a thread of this program, and no process of the sandbox: nothing there can look into it, and it is there before the
//! first call and after the last one. What it knows of a process lies with the process (`identity`), and what it knows of a file
//! with the file (`owners`, and `kept` in the layer engine): it has no table that could grow or go out of date.
//!
//! It protects nothing. The kernel does that, by the same namespaces, capabilities and filter as elsewhere: a command that
//! deceives the supervisor has deceived itself about its own files. So a call may go on in the kernel though it reads its
//! arguments once more. But the supervisor may do more than the command, and must do it nowhere else: see `target`.

mod answer;
pub(super) mod calls;
pub(super) mod identity;
mod list;
pub(super) mod listener;
mod owners;
pub(super) mod stand_in;
mod stat64;
mod target;
mod way;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, StatxFlags, openat, readlinkat, statx};
use rustix::io::Errno;
use rustix::process::{chroot, fchdir};

use self::answer::Asked;
use self::calls::{Call, Table};
use self::identity::{BEFORE, Becoming, Identities, Identity};
use self::listener::{Answer, Listener, Notification, receive};
use self::target::Target;
use super::system::{leave_shared_directories, take_short_turns};
use crate::error::{Error, ErrorKind, Result};
use crate::run::process::User;

/// Whom the supervisor is to take a command for.
#[derive(Debug, Clone)]
pub(super) struct Supervised {
    pub(super) user: User,
    /// The capabilities that root has, as bits.
    pub(super) rights: u64,
    /// Its processes may make themselves roots of their own.
    pub(super) is_insecure: bool,
}

/// Answers the calls of a command, whose listener comes through `socket`, until nobody is left to make one. It is to be called
/// on a thread of its own, whose root and working directory change.
pub(super) fn supervise(socket: OwnedFd, command: &Supervised) -> Result<()> {
    let failed = |errno: Errno| {
        Error::new(ErrorKind::Io, "cannot answer the system calls of the command").with_source(io::Error::from(errno))
    };
    let processes = openat(CWD, c"/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let processes = processes.map_err(failed)?;
    let own = readlinkat(&processes, c"self", Vec::new()).map_err(failed)?;
    if own.to_bytes() != std::process::id().to_string().as_bytes() {
        return Err(failed(Errno::SRCH).with_hint("/proc is not that of this program's own processes: mount it again"));
    }
    leave_shared_directories().map_err(failed)?;
    // A call that waits for a busy processor waits twice: for the supervisor, and for its own turn after that.
    let _ = take_short_turns(TURN);
    let Some(listener) = receive(socket.as_fd()).map_err(failed)? else { return Ok(()) };
    drop(socket);
    let first = Identity { is_apart: command.is_insecure, ..Identity::of(&command.user, command.rights) };
    let mut supervisor = Supervisor {
        listener: Listener::new(listener),
        identities: Identities::new(first, command.rights),
        calls: [Table::new(calls::all()), forerunner()],
        processes,
        root: None,
    };
    supervisor.run().map_err(failed)
}

#[cfg(target_arch = "x86_64")]
fn forerunner() -> Table {
    Table::new(calls::i386::ALL.iter().copied())
}

#[cfg(not(target_arch = "x86_64"))]
fn forerunner() -> Table {
    Table::new(std::iter::empty())
}

struct Supervisor {
    listener: Listener,
    identities: Identities,
    /// Those of this machine and of its forerunner.
    calls: [Table; 2],
    /// This machine's `/proc`.
    processes: OwnedFd,
    /// The sandbox's root, once a process of it was seen.
    root: Option<OwnedFd>,
}

/// In nanoseconds: much less than others take where the processors are busy, and more than an answer takes.
pub(super) const TURN: u64 = 100_000;

/// The machine of programs that have 32 bits where this one has 64.
const FORERUNNER: u32 = 0x4000_0003;

impl Supervisor {
    fn run(&mut self) -> std::result::Result<(), Errno> {
        while let Some(notification) = self.listener.next()? {
            let answer = self.answer(&notification).unwrap_or_else(Answer::Failed);
            self.listener.answer(notification.id, &answer)?;
        }
        Ok(())
    }

    fn answer(&mut self, notification: &Notification) -> std::result::Result<Answer, Errno> {
        let is_forerunner = notification.machine == FORERUNNER;
        let call = self.calls[usize::from(is_forerunner)].call(notification.number).ok_or(Errno::NOSYS)?;
        let target = Target::of(notification, is_forerunner);
        if self.root.is_none() {
            self.root = Some(self.enter(&target)?);
            if !self.listener.is_waiting(notification.id) {
                self.root = None;
                return Err(Errno::SRCH);
            }
        }
        // As long as nothing keeps anyone from it, and all have one root, whoever only looks sees the same.
        let is_for_all = !self.identities.has_apart && !self.identities.has_limited;
        if is_for_all && call.only_keeps() {
            return Ok(Answer::Continue);
        }
        let may_be_anyone = is_for_all && call.only_looks();
        let identity = if may_be_anyone { self.identities.get(BEFORE).cloned() } else { self.identity(&target, call)? };
        let Some(identity) = identity.filter(|identity| !call.only_keeps() || !identity.is_unlimited()) else {
            return Ok(Answer::Continue);
        };
        let is_apart = identity.is_apart;
        if is_apart {
            self.enter(&target)?;
        }
        let listener = &self.listener;
        let is_waiting = &|| listener.is_waiting(notification.id);
        let root = self.root.as_ref().ok_or(Errno::SRCH)?;
        let asked = Asked { target, identity: &identity, identities: &mut self.identities, root, is_waiting };
        let answer = asked.answer(call);
        if let (true, Some(root)) = (is_apart, &self.root) {
            make_root(root, &self.processes)?;
        }
        answer
    }

    /// Returns who has made the call; none for one that the process makes before it is the command.
    fn identity(&mut self, target: &Target, call: Call) -> std::result::Result<Option<Identity>, Errno> {
        let (number, identity) = self.identities.of(target.thread)?;
        if number == BEFORE {
            if call != Call::Execve {
                return Ok(None);
            }
            self.identities.assign(target.thread, BEFORE + 1)?;
            return Ok(self.identities.get(BEFORE + 1).cloned());
        }
        let Some(Becoming { device, inode, before }) = identity.becoming else { return Ok(Some(identity.clone())) };
        let program = statx(CWD, format!("{}/exe", target.thread), rustix::fs::AtFlags::empty(), StatxFlags::INO)?;
        let is_it =
            rustix::fs::makedev(program.stx_dev_major, program.stx_dev_minor) == device && program.stx_ino == inode;
        let number =
            if is_it { self.identities.number(Identity { becoming: None, ..identity.clone() })? } else { before };
        self.identities.assign(target.thread, number)?;
        Ok(self.identities.get(number).cloned())
    }

    /// Makes the root of a process that of this thread.
    fn enter(&self, target: &Target) -> std::result::Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(&self.processes, format!("{}/root", target.thread), flags, Mode::empty())?;
        make_root(&root, &self.processes)?;
        Ok(root)
    }
}

fn make_root(root: &OwnedFd, processes: &OwnedFd) -> std::result::Result<(), Errno> {
    const HERE: &CStr = c".";
    let made = fchdir(root).and_then(|()| chroot(HERE));
    fchdir(processes)?;
    made
}
