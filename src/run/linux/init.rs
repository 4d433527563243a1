//! The first process of the sandbox: it makes the root, starts the command, and waits for the end of all.
//!
//! Nothing here allocates, takes a lock or returns to what the program was doing.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, chdir, chroot, fchdir, pivot_root, set_dumpable_behavior,
    set_parent_process_death_signal, setsid, umask, wait,
};
use rustix::system::sethostname;

use super::command::{self, Command};
use super::make::Making;
use super::operation::Operation;
use super::prepared::Prepared;
use super::provided::HOST_NAME;
use super::report::{Step, send_exit, send_failure, send_ready};
use super::system::{
    self, Instruction, close_all_but, exit, kill_all, leave_keyring, reset_signals, set_loopback_up, set_name,
    supervise_calls,
};
use crate::run::process::Exit;

/// The descriptors of the sandbox's processes.
pub(super) struct Ends {
    pub(super) input: OwnedFd,
    pub(super) output: OwnedFd,
    pub(super) error: OwnedFd,
    pub(super) report: OwnedFd,
    /// Where the supervisor waits for its listener.
    pub(super) supervisor: Option<OwnedFd>,
}

/// Does all that the first process does, and ends it; `kept` are the descriptors that stay open, sorted.
pub(super) fn run(mut prepared: Prepared, ends: &Ends, kept: &[RawFd]) -> ! {
    let report = ends.report.as_fd();
    match begin(&mut prepared, ends, kept) {
        Ok(None) => {
            let _ = send_ready(report);
        }
        Ok(Some(command)) => {
            let ended = wait_for(command);
            prepared.stubs.remove();
            if let Some(ended) = ended {
                let _ = send_exit(report, ended);
            }
        }
        Err((step, errno)) => send_failure(report, step, errno),
    }
    exit(0)
}

/// Makes the root and starts the command; none is a probe's.
fn begin(prepared: &mut Prepared, ends: &Ends, kept: &[RawFd]) -> Result<Option<Pid>, (Step, Errno)> {
    let at = |step| move |errno| (step, errno);
    let report = ends.report.as_fd();
    bind(report).map_err(at(Step::Bind))?;
    // SAFETY: this process has its own table of descriptors, and uses those alone that are kept.
    unsafe { close_all_but(kept) }.map_err(at(Step::Close))?;
    make_root(prepared, report)?;
    start(prepared, ends)
}

/// Tries the supervision where a probe asks for that, and starts the command as a child of this process; none is a probe's.
pub(super) fn start(prepared: &mut Prepared, ends: &Ends) -> Result<Option<Pid>, (Step, Errno)> {
    let at = |step| move |errno| (step, errno);
    if let Some(filter) = &prepared.probed_supervision {
        probe_supervision(filter).map_err(at(Step::Supervise))?;
    }
    let Some(command) = &prepared.command else { return Ok(None) };
    let start = Start { command, ends };
    // SAFETY: this is the only thread, nobody else has the stack, and what runs there does not come back.
    let pid = unsafe { system::start(become_command, &start, &mut prepared.stack) }.map_err(at(Step::Fork))?;
    // A supervisor had to look into it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at(Step::Bind))?;
    Ok(Some(pid))
}

/// Does what a supervisor does and what is done for it, to no purpose.
fn probe_supervision(filter: &[Instruction]) -> Result<(), Errno> {
    chroot(c"/")?;
    supervise_calls(filter).map(drop)
}

/// Makes the root in the namespaces of this process, and goes there.
pub(super) fn make_root(prepared: &mut Prepared, report: BorrowedFd<'_>) -> Result<(), (Step, Errno)> {
    let at = |step| move |errno| (step, errno);
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(at(Step::Private))?;
    match sethostname(HOST_NAME.as_bytes()) {
        // The filter of a container may refuse it to everybody: then the name is that of the container.
        Err(Errno::PERM) => {}
        set => set.map_err(at(Step::HostName))?,
    }
    if prepared.is_offline {
        set_loopback_up().map_err(at(Step::Loopback))?;
    }
    let mut making = Making::new(&mut prepared.lowers, &mut prepared.stubs, report);
    for (index, operation) in prepared.operations.iter().enumerate() {
        making.run(operation).map_err(at(Step::Operation(index)))?;
    }
    making.root().and_then(enter).map_err(at(Step::Pivot))
}

/// What the command's process is given.
struct Start<'a> {
    pub(super) command: &'a Command,
    pub(super) ends: &'a Ends,
}

/// Becomes the command of the [`Start`] that it is given.
extern "C" fn become_command(start: *mut c_void) -> c_int {
    // SAFETY: it is the `Start` that the first process waits with.
    let Start { command, ends } = unsafe { &*start.cast::<Start<'_>>() };
    let supervisor = ends.supervisor.as_ref().map(AsFd::as_fd);
    let (input, output, error) = (ends.input.as_fd(), ends.output.as_fd(), ends.error.as_fd());
    command::start(command, input, output, error, ends.report.as_fd(), supervisor)
}

/// Makes this process one that ends with the program, that a terminal's signals do not reach, and that nobody looks into: its
/// memory is a copy of the program's.
fn bind(report: BorrowedFd<'_>) -> Result<(), Errno> {
    end_with_program(report, Signal::KILL)?;
    reset_signals();
    set_apart()
}

/// Sees to it that this process gets `signal` when the program dies.
pub(super) fn end_with_program(report: BorrowedFd<'_>, signal: Signal) -> Result<(), Errno> {
    set_parent_process_death_signal(Some(signal))?;
    // The program may have died before that: then nobody reads the report.
    let mut polled = [PollFd::from_borrowed_fd(report, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    if polled[0].revents().contains(PollFlags::ERR) {
        return Err(Errno::PIPE);
    }
    Ok(())
}

/// Makes this process one that a terminal's signals do not reach, and that nobody looks into.
pub(super) fn set_apart() -> Result<(), Errno> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_name(c"ocibake-init");
    setsid()?;
    umask(Mode::empty());
    // A kernel without keyrings has none to leave.
    let _ = leave_keyring();
    Ok(())
}

/// Makes `root` the root, and takes away all that was mounted before.
fn enter(root: BorrowedFd<'_>) -> Result<(), Errno> {
    fchdir(root)?;
    pivot_root(c".", c".")?;
    // The old root lies above the new one.
    unmount(c".", UnmountFlags::DETACH)?;
    chdir(c"/")
}

/// Returns how `command` has ended, once all else has ended, too.
fn wait_for(command: Pid) -> Option<Exit> {
    let mut ended = None;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == command => {
                ended = Some(exit_of(status));
                kill_all();
            }
            // One that was being made when the others were killed.
            Ok(Some(_)) if ended.is_some() => kill_all(),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return ended,
        }
    }
}

pub(super) fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => Exit::Status(status),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }
}

impl Ends {
    /// Returns the numbers of all descriptors that the first process uses, sorted.
    pub(super) fn kept(&self, prepared: &Prepared) -> Vec<RawFd> {
        let own = [&self.input, &self.output, &self.error, &self.report].map(AsRawFd::as_raw_fd);
        let trees = prepared.operations.iter().flat_map(|operation| match operation {
            Operation::Bind { tree, .. } | Operation::Discard { tree, .. } => vec![tree.as_raw_fd()],
            Operation::Emulate { program, ready, .. } => vec![program.as_raw_fd(), ready.as_raw_fd()],
            _ => Vec::new(),
        });
        let confined = prepared.command.iter().filter_map(|command| command.confined.as_ref());
        let root = confined.map(|confined| confined.root.as_raw_fd());
        let passing = prepared.passing.iter().map(|(directory, _)| directory.as_raw_fd());
        let supervisor = self.supervisor.iter().map(AsRawFd::as_raw_fd);
        let own = own.into_iter().chain(supervisor);
        let mut kept: Vec<RawFd> = own.chain(trees).chain(root).chain(passing).collect();
        kept.sort_unstable();
        kept
    }
}
