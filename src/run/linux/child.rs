//! The side of the program: it makes the first process of the sandbox, reads what comes of it, and sees to its end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, Scope, ScopedJoinHandle};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::failure::{failure, not_made, not_told, stopped};
use super::init::{self, Ends};
use super::keeper;
use super::output::{Outputs, Received};
use super::prepared::Prepared;
use super::report::Message;
use super::supervisor::stand_in::{Served, serve};
use super::supervisor::{Supervised, supervise};
use super::system::{block_signals, clone_with, restore_signals};
use crate::error::{Error, Result};
use crate::net::Stop;
use crate::run::process::{Exit, Ran, Stream};

/// The first process of a sandbox, which ends when this is dropped, and all others with it.
struct Child {
    descriptor: OwnedFd,
    /// What ends it.
    signal: Signal,
}

impl Child {
    fn kill(&self) {
        // It may have ended.
        let _ = pidfd_send_signal(&self.descriptor, self.signal);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        // Nobody else waits for it.
        while matches!(waitid(WaitId::PidFd(self.descriptor.as_fd()), WaitIdOptions::EXITED), Err(Errno::INTR)) {}
    }
}

/// Runs what is prepared, and hands on what it writes. A probe's exit is a status of 0.
pub(super) fn run(prepared: Prepared, output: &dyn Fn(Stream, &[u8]), stop: &Stop) -> Result<Ran> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| cannot("make a pipe", errno.into()));
    let (output_read, output_write) = pipe()?;
    let (error_read, error_write) = pipe()?;
    let (report_read, report_write) = pipe()?;
    let input = File::open("/dev/null").map_err(|error| Error::io("open", "/dev/null", error))?;
    let ends =
        Ends { input: input.into(), output: output_write, error: error_write, report: report_write, supervisor: None };
    let outputs = Outputs { output: output_read, error: error_read, report: report_read };
    run_between(prepared, ends, outputs, output, stop)
}

/// Runs what is prepared with `terminal` as its input and its outputs.
pub(super) fn run_on(prepared: Prepared, terminal: BorrowedFd<'_>, stop: &Stop) -> Result<Ran> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| cannot("make a pipe", errno.into()));
    let end = || terminal.try_clone_to_owned().map_err(|error| cannot("use the terminal", error));
    // Nobody writes to the first two.
    let ((output, _), (error, _), (report, report_write)) = (pipe()?, pipe()?, pipe()?);
    let ends = Ends { input: end()?, output: end()?, error: end()?, report: report_write, supervisor: None };
    run_between(prepared, ends, Outputs { output, error, report }, &|_, _| (), stop)
}

fn run_between(
    prepared: Prepared,
    mut ends: Ends,
    outputs: Outputs,
    output: &dyn Fn(Stream, &[u8]),
    stop: &Stop,
) -> Result<Ran> {
    let is_answered = prepared.supervised.is_some() || prepared.served.is_some();
    let sockets = is_answered.then(UnixStream::pair).transpose();
    let (socket, supervisor) = sockets.map_err(|error| cannot("make a socket", error))?.unzip();
    ends.supervisor = supervisor.map(OwnedFd::from);
    let kept = ends.kept(&prepared);
    let (child, prepared) = make(prepared, &ends, &kept)?;
    drop(ends);
    let (received, supervised) = thread::scope(|scope| {
        let supervisor = start_supervisor(scope, &child, socket, (&prepared.supervised, &prepared.served));
        let received = outputs.read(output, stop, || child.kill());
        // All that the supervisor could be asked by ends with it.
        child.kill();
        let supervised = supervisor.and_then(|thread| thread.map_or(Ok(()), |thread| thread.join().unwrap_or(Ok(()))));
        (received, supervised)
    });
    // Whatever has been mounted is gone when it has ended.
    drop(child);
    supervised?;
    told(received?, &prepared)
}

/// Starts the thread that answers the command's calls, if any are to be. Should it fail, the command ends: what is not answered
/// fails, and not every program minds.
fn start_supervisor<'scope>(
    scope: &'scope Scope<'scope, '_>,
    child: &'scope Child,
    socket: Option<UnixStream>,
    commands: (&'scope Option<Supervised>, &'scope Option<Served>),
) -> Result<Option<ScopedJoinHandle<'scope, Result<()>>>> {
    let Some(socket) = socket else { return Ok(None) };
    let answer = move || match commands {
        (Some(supervised), _) => supervise(socket.into(), supervised),
        (None, Some(served)) => serve(socket.into(), served, child.descriptor.as_fd()),
        (None, None) => Ok(()),
    };
    let supervise = move || answer().inspect_err(|_| child.kill());
    let started = thread::Builder::new().name("supervisor".to_owned()).spawn_scoped(scope, supervise);
    started.map(Some).map_err(|error| {
        child.kill();
        cannot("start a thread", error)
    })
}

/// Makes the first process, and returns what it stands for.
fn make(prepared: Prepared, ends: &Ends, kept: &[i32]) -> Result<(Child, Prepared)> {
    let is_confined = prepared.command.as_ref().is_some_and(|command| command.confined.is_some());
    let has_processes = !is_confined && prepared.among.is_none();
    let mut flags = 0;
    if !is_confined {
        flags |= libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;
        if has_processes {
            flags |= libc::CLONE_NEWPID;
        }
        if prepared.is_offline {
            flags |= libc::CLONE_NEWNET;
        }
    }
    if prepared.users.is_some() {
        flags |= libc::CLONE_NEWUSER;
    }
    // None of this program's handlers is to run in the new process.
    let signals = block_signals();
    // SAFETY: the new process goes to its own code, which allocates nothing and does not come back.
    let made = unsafe { clone_with(flags) };
    match made {
        Ok(None) if !has_processes => keeper::run(prepared, ends, kept),
        Ok(None) => init::run(prepared, ends, kept),
        _ => {}
    }
    restore_signals(&signals);
    match made {
        Ok(Some(descriptor)) => {
            // Without a namespace nothing ends with the first process but by it.
            let signal = if has_processes { Signal::KILL } else { keeper::END };
            let child = Child { descriptor, signal };
            prepared.users.iter().try_for_each(|users| users.begin(&child.descriptor))?;
            Ok((child, prepared))
        }
        Ok(None) => Err(not_told()),
        Err(errno) => Err(not_made(errno)),
    }
}

/// Returns what the messages say.
fn told(received: Received, prepared: &Prepared) -> Result<Ran> {
    let mut provided = Vec::new();
    let mut exit = None;
    for message in received.messages {
        match message {
            Message::Failed(step, errno) => return Err(failure(step, errno, prepared)),
            Message::Provided(file) => provided.push(file),
            Message::Ready => exit = Some(Exit::Status(0)),
            Message::Ended(how) => exit = Some(how),
        }
    }
    match exit {
        // A command that has ended before the stop has ended as it did.
        Some(exit) => Ok(Ran { exit, provided }),
        None if received.is_stopped => Err(stopped()),
        None => Err(not_told()),
    }
}

fn cannot(action: &str, error: io::Error) -> Error {
    Error::new(crate::error::ErrorKind::Io, format!("cannot {action} for a command")).with_source(error)
}
