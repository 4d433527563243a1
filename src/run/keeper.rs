//! The first process where there are no namespaces: it starts the command, and ends all that the command has started, when that
//! has ended or this program has. Nothing of that is lost to it: orphans become its children.
//!
//! Nothing here allocates, takes a lock or returns to what the program was doing.

use std::os::fd::{AsFd, RawFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, read};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, wait};
use rustix::thread::set_no_new_privs;

use super::command::Confined;
use super::init::{Ends, Start, become_command, end_with_program, exit_of, set_apart};
use super::landlock::Landlock;
use super::prepared::Prepared;
use super::process::Exit;
use super::report::{Step, send_exit, send_failure};
use super::system::{self, close_all_but, exit, forget_handlers, kill_all, wait_for_signal};

/// What tells it to end all, and itself. It must not be killed: nobody else ends the others.
pub(super) const END: Signal = Signal::TERM;

/// In milliseconds: so often it is looked whether all have ended that were killed.
const PAUSE: u32 = 2;

/// The children of a process, as its kernel lists them.
const CHILDREN: &std::ffi::CStr = c"/proc/thread-self/children";

/// Does all that the first process does, and ends it; `kept` are the descriptors that stay open, sorted.
pub(super) fn run(mut prepared: Prepared, ends: &Ends, kept: &[RawFd]) -> ! {
    let report = ends.report.as_fd();
    match begin(&mut prepared, ends, kept) {
        Ok((command, landlock)) => {
            if let Some(ended) = wait_for(command, landlock) {
                let _ = send_exit(report, ended);
            }
        }
        Err((step, errno)) => send_failure(report, step, errno),
    }
    exit(0)
}

fn begin(prepared: &mut Prepared, ends: &Ends, kept: &[RawFd]) -> Result<(Pid, Landlock), (Step, Errno)> {
    let at = |step| move |errno| (step, errno);
    // All signals are blocked since before this process was.
    forget_handlers();
    end_with_program(ends.report.as_fd(), END).and_then(|()| set_apart()).map_err(at(Step::Bind))?;
    // SAFETY: this process has its own table of descriptors, and uses those alone that are kept.
    unsafe { close_all_but(kept) }.map_err(at(Step::Close))?;
    let command = prepared.command.as_ref().ok_or((Step::Fork, Errno::INVAL))?;
    let Confined { root, landlock } = command.confined.as_ref().ok_or((Step::Confine, Errno::INVAL))?;
    let landlock = *landlock;
    set_child_subreaper(Some(Pid::INIT)).map_err(at(Step::Keep))?;
    // Without CAP_SYS_ADMIN both filters and Landlock ask for that promise.
    set_no_new_privs(true).map_err(at(Step::Keep))?;
    if landlock.has_signals() {
        // The command has a narrower domain, from which this process is out of reach.
        landlock.keep_signals(root.as_fd()).map_err(at(Step::Confine))?;
    } else {
        openat(CWD, CHILDREN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(at(Step::Keep))?;
    }
    let start = Start { command, ends };
    // SAFETY: this is the only thread, nobody else has the stack, and what runs there does not come back.
    let pid = unsafe { system::start(become_command, &start, &mut prepared.stack) }.map_err(at(Step::Fork))?;
    Ok((pid, landlock))
}

/// Returns how `command` has ended, once all else has ended, too; none if it was to be ended.
fn wait_for(command: Pid, landlock: Landlock) -> Option<Exit> {
    let mut ended = None;
    let (mut is_ending, mut is_told) = (false, false);
    loop {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == command => {
                    ended = Some(exit_of(status));
                    is_ending = true;
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                // All have ended.
                Err(_) => return ended.filter(|_| !is_told),
            }
        }
        if is_ending {
            kill_others(landlock);
        }
        let signal = wait_for_signal(&[libc::SIGCHLD, END.as_raw()], is_ending.then_some(PAUSE));
        if signal == Some(END.as_raw()) {
            is_told |= ended.is_none();
            is_ending = true;
            kill_others(landlock);
        }
    }
}

/// Kills all that the command has started, or at least those that have nobody else: the others come in their place.
fn kill_others(landlock: Landlock) {
    if landlock.has_signals() {
        // It reaches those alone that this process has started, in one step that no fork gets ahead of.
        return kill_all();
    }
    let Ok(list) = openat(CWD, CHILDREN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else { return };
    let mut text = [0u8; 4096];
    let Ok(length) = read(&list, &mut text) else { return };
    for number in text.get(..length).unwrap_or_default().split(|byte| *byte == b' ') {
        let pid = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
