//! What a failure in the sandbox means to who has asked for the run.

use std::io;

use rustix::io::Errno;

use super::operation::Operation;
use super::prepared::Prepared;
use super::report::Step;
use crate::error::{Error, ErrorKind};

const NOT_ROOT: &str = "run it as root, with the capability CAP_SYS_ADMIN: a container has that with `--privileged`";

/// Returns the error of `step`, which failed with `errno`.
pub(super) fn failure(step: Step, errno: Errno, prepared: &Prepared) -> Error {
    let program = || prepared.program.clone();
    let plain = |what: &str| cannot(what, errno);
    match step {
        Step::Bind => plain("tie the command to this program"),
        Step::Close => plain("close what the command is not to inherit"),
        Step::Keep => plain("keep what the command starts together"),
        Step::Confine => plain("keep the command within its root"),
        Step::Private => plain("make the mounts of the command its own").with_hint(NOT_ROOT),
        Step::HostName => plain("set the host name of the command").with_hint(NOT_ROOT),
        Step::Loopback => plain("set up the network of the command"),
        Step::Pivot => plain("make the root file system of the command its root"),
        Step::Fork => plain("start a process for the command"),
        Step::Outputs => plain("connect the command to its outputs"),
        Step::Filter => plain("filter the system calls of the command")
            .with_hint("the kernel needs CONFIG_SECCOMP_FILTER; without the filter nothing is run"),
        Step::Supervise => supervise(errno),
        Step::Serve => plain("read in /proc as it is served to a command")
            .with_hint("/proc/sys/kernel/yama/ptrace_scope must be 0 or 1, so that this program can read what a command asks for"),
        Step::User => plain("become the user of the command"),
        Step::Capabilities => plain("take capabilities from the command").with_hint(NOT_ROOT),
        Step::Limit(index) => limit(index, errno, prepared),
        Step::Operation(index) => match prepared.operations.get(index) {
            Some(made) => operation(made, errno),
            None => plain("make the root file system of the command"),
        },
        Step::Directory => directory(errno, prepared),
        Step::Execute => execute(&program(), errno),
        Step::Interpreter => with_errno(format!("cannot run `{}`", program()), errno).with_hint(
            "the program is there, but what it needs to start is not: the interpreter in its `#!` line (look for \\r at its \
            end), or the dynamic loader of its C library",
        ),
    }
}

fn supervise(errno: Errno) -> Error {
    let failed = cannot("supervise the command", errno);
    match errno {
        Errno::BUSY => {
            failed.with_hint("another supervisor watches this program's system calls: run it outside of that")
        }
        Errno::PERM => failed.with_hint(
            "a container's filter of system calls may be what refuses it, as podman's does to one without CAP_SYS_CHROOT: give \
            it that capability",
        ),
        Errno::INVAL => failed.with_hint("the kernel must be Linux 5.19 or newer, with CONFIG_SECCOMP_FILTER"),
        _ => failed,
    }
}

fn operation(made: &Operation, errno: Errno) -> Error {
    let failed = cannot(&made.to_string(), errno);
    match (made, errno) {
        (Operation::Emulate { .. }, Errno::NOENT | Errno::ACCESS) => {
            failed.with_hint("it must be an executable program on a file system that is not mounted `noexec`")
        }
        (Operation::Emulate { .. }, _) => failed.with_hint(
            "that takes Linux 6.7 with CONFIG_BINFMT_MISC: else register it for the whole machine, as \
            `docker run --privileged --rm tonistiigi/binfmt --install all` does",
        ),
        (_, Errno::NODEV) => failed.with_hint("the kernel does not have this file system"),
        (Operation::Root { .. }, Errno::INVAL) => failed.with_hint(
            "the directory for changes must be on a file system that overlayfs can write to, such as ext4, xfs, btrfs or \
            tmpfs, and not on an overlay as a container's own files are: put the store on a volume",
        ),
        (Operation::Root { .. }, Errno::PERM) => failed.with_hint(NOT_ROOT),
        (Operation::Mount { filesystem, .. }, Errno::PERM) if *filesystem == c"proc" => failed.with_hint(
            "this program's own /proc has hidden parts, as in a container: run that with `--privileged`, or with \
            `--security-opt systempaths=unconfined`",
        ),
        (Operation::Mount { .. } | Operation::Bind { .. } | Operation::Discard { .. }, Errno::PERM) => {
            failed.with_hint("nothing can be mounted within /proc")
        }
        (Operation::Mount { .. }, Errno::NOTDIR) => failed.with_hint("the image has something there that is not a directory"),
        (Operation::Provide { .. }, Errno::ISDIR) => failed.with_hint("the image has a directory there"),
        (_, Errno::LOOP) => failed.with_hint("the image has links there that lead nowhere, or into /proc"),
        _ => failed,
    }
}

fn limit(index: usize, errno: Errno, prepared: &Prepared) -> Error {
    let resource = prepared.command.as_ref().and_then(|command| command.limits.get(index));
    let name = resource.map(|(resource, _)| format!("{resource:?}").to_lowercase()).unwrap_or_default();
    let failed = cannot(&format!("set the limit `{name}` of the command"), errno);
    match errno {
        Errno::INVAL => failed.with_hint("the soft limit must not be above the hard one"),
        Errno::PERM => {
            failed.with_hint("the limit is above the hard limit of this program: raise that with `ulimit -H`")
        }
        _ => failed,
    }
}

fn directory(errno: Errno, prepared: &Prepared) -> Error {
    let path = prepared.command.as_ref().map(|command| command.directory.to_string_lossy().into_owned());
    let failed = cannot(&format!("enter the working directory {}", path.unwrap_or_default()), errno);
    match errno {
        Errno::LOOP => failed.with_hint("links that lead out of the root are not followed"),
        Errno::NOTDIR => failed.with_hint("the image has something there that is not a directory"),
        _ => failed,
    }
}

fn execute(program: &str, errno: Errno) -> Error {
    let has_slash = program.contains('/');
    match errno {
        Errno::NOENT if has_slash => Error::not_found(format!("cannot run `{program}`: the image has no such file")),
        Errno::NOENT => {
            Error::not_found(format!("cannot run `{program}`: no directory in PATH has a program of that name"))
                .with_hint("install it in an earlier step, or add its directory to PATH with ENV")
        }
        Errno::ACCESS => with_errno(format!("cannot run `{program}`"), errno)
            .with_hint("it must be a file that its user may execute: `chmod +x`"),
        Errno::NOEXEC => with_errno(format!("cannot run `{program}`"), errno)
            .with_hint("it is a program for another platform, or a script without a first line such as `#!/bin/sh`"),
        Errno::LOOP => with_errno(format!("cannot run `{program}`"), errno)
            .with_hint("it is a link to itself, or it or its interpreter is a link into /proc, which is not followed"),
        Errno::TOOBIG => with_errno(format!("cannot run `{program}`"), errno)
            .with_hint("its arguments and variables are longer than the kernel takes"),
        errno => with_errno(format!("cannot run `{program}`"), errno),
    }
}

/// Returns the error of a sandbox whose first process was not made.
pub(super) fn not_made(errno: Errno) -> Error {
    let failed = cannot("make namespaces for a command", errno);
    match errno {
        Errno::PERM => failed.with_hint(NOT_ROOT),
        Errno::NOSPC => {
            failed.with_hint("the limits in /proc/sys/user/ are used up: raise max_mnt_namespaces and its like")
        }
        Errno::INVAL => failed.with_hint("the kernel lacks one of mount, PID, IPC, UTS and cgroup namespaces"),
        _ => failed,
    }
}

/// Returns the error of a sandbox that has ended without a word.
pub(super) fn not_told() -> Error {
    Error::new(ErrorKind::Io, "the command's sandbox was killed from outside")
        .with_hint("check with `dmesg` whether the machine ran out of memory")
}

/// Returns the error of a sandbox that was stopped.
pub(super) fn stopped() -> Error {
    Error::new(ErrorKind::Io, "the command was stopped")
}

fn cannot(what: &str, errno: Errno) -> Error {
    with_errno(format!("cannot {what}"), errno)
}

fn with_errno(message: String, errno: Errno) -> Error {
    Error::new(ErrorKind::Io, message).with_source(io::Error::from(errno))
}
