//! The first process where there is no namespace of processes, and maybe none at all: it starts the command, and ends all that the command has started, when that
//! has ended or this program has. Nothing of that is lost to it: orphans become its children.
//!
//! Nothing here allocates, takes a lock or returns to what the program was doing.

use std::os::fd::{AsFd, OwnedFd, RawFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::io::{Errno, pread};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, wait};
use rustix::thread::set_no_new_privs;

use super::command::Confined;
use super::init::{Ends, end_with_program, exit_of, make_root, set_apart, start};
use super::prepared::Prepared;
use super::report::{Step, send_exit, send_failure, send_ready};
use super::system::{close_all_but, exit, forget_handlers, kill_all, wait_for_signal};
use crate::run::process::Exit;

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
        Ok(None) => {
            let _ = send_ready(report);
        }
        Ok(Some((command, started))) => {
            let ended = wait_for(command, &started);
            prepared.stubs.remove();
            for (directory, name) in &prepared.passing {
                let _ = unlinkat(directory, name, AtFlags::empty());
            }
            if let Some(ended) = ended {
                let _ = send_exit(report, ended);
            }
        }
        Err((step, errno)) => send_failure(report, step, errno),
    }
    exit(0)
}

/// How all that was started is found.
enum Started {
    /// No signal of this process reaches anybody else.
    InReach,
    /// Its children are listed here.
    Listed(OwnedFd),
}

/// Starts the command; none is a probe's.
fn begin(prepared: &mut Prepared, ends: &Ends, kept: &[RawFd]) -> Result<Option<(Pid, Started)>, (Step, Errno)> {
    let at = |step| move |errno| (step, errno);
    // All signals are blocked since before this process was.
    forget_handlers();
    end_with_program(ends.report.as_fd(), END).and_then(|()| set_apart()).map_err(at(Step::Bind))?;
    // SAFETY: this process has its own table of descriptors, and uses those alone that are kept.
    unsafe { close_all_but(kept) }.map_err(at(Step::Close))?;
    // What lies there in the root of the command is the command's.
    let children = openat(CWD, CHILDREN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    set_child_subreaper(Some(Pid::INIT)).map_err(at(Step::Keep))?;
    if prepared.among.is_some() {
        make_root(prepared, ends.report.as_fd())?;
    }
    let confined = prepared.command.as_ref().and_then(|command| command.confined.as_ref());
    let landlock = match (confined, prepared.among) {
        (Some(Confined { root, landlock }), _) => {
            // Without CAP_SYS_ADMIN both filters and Landlock ask for that promise.
            set_no_new_privs(true).map_err(at(Step::Keep))?;
            // The command has a narrower domain, from which this process is out of reach.
            landlock.keep_signals(root.as_fd()).map_err(at(Step::Confine))?;
            *landlock
        }
        (None, Some(landlock)) => {
            landlock.keep_signals_alone().map_err(at(Step::Confine))?;
            landlock
        }
        (None, None) => return Err((Step::Confine, Errno::INVAL)),
    };
    let started = match landlock.has_signals() {
        true => Started::InReach,
        false => Started::Listed(children.map_err(at(Step::Keep))?),
    };
    Ok(start(prepared, ends)?.map(|pid| (pid, started)))
}

/// Returns how `command` has ended, once all else has ended, too; none if it was to be ended.
fn wait_for(command: Pid, started: &Started) -> Option<Exit> {
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
            kill_others(started);
        }
        let signal = wait_for_signal(&[libc::SIGCHLD, END.as_raw()], is_ending.then_some(PAUSE));
        if signal == Some(END.as_raw()) {
            is_told |= ended.is_none();
            is_ending = true;
            kill_others(started);
        }
    }
}

/// Kills all that the command has started, or at least those that have nobody else: the others come in their place.
fn kill_others(started: &Started) {
    let list = match started {
        // In one step that no fork gets ahead of.
        Started::InReach => return kill_all(),
        Started::Listed(list) => list,
    };
    let mut text = [0u8; 4096];
    let Ok(length) = pread(list, &mut text, 0) else { return };
    for number in text.get(..length).unwrap_or_default().split(|byte| *byte == b' ') {
        let pid = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rustix::fs::{FileType, makedev, mknodat};

    use super::*;
    use crate::net::Stop;
    use crate::run::linux::child;
    use crate::run::linux::landlock::Landlock;
    use crate::run::process::{Limit, Network, Process, Ran, Resource, Root, Security, Stream, User};
    use crate::run::rung::Rung;

    const BUSYBOX: &str = "/bin/busybox";

    /// Runs a script on a kernel that has less of Landlock, with a busybox, in a chroot; none where that cannot be tried.
    fn run(version: i64, script: &str, user: u32, limits: Vec<Limit>) -> Option<(Ran, String)> {
        run_in(script, user, limits, |process, root| {
            let opened = File::open(root).unwrap();
            Prepared::in_chroot_with(process, opened.as_fd(), false, Landlock::of_version(version))
        })
    }

    /// The same in namespaces of all but processes.
    fn run_among(version: i64, script: &str) -> Option<(Ran, String)> {
        run_in(script, 0, Vec::new(), |process, root| {
            let work = root.with_file_name("work");
            fs::create_dir(&work).unwrap();
            let root = Root { lowers: Vec::new(), upper: root.to_owned(), work };
            Prepared::new(process, &root, Rung::Ids)?.among_others_with(Landlock::of_version(version))
        })
    }

    fn run_in(
        script: &str,
        user: u32,
        limits: Vec<Limit>,
        prepare: impl FnOnce(&Process, &Path) -> crate::error::Result<Prepared>,
    ) -> Option<(Ran, String)> {
        if !rustix::process::geteuid().is_root() || !Path::new(BUSYBOX).exists() {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let root = place.path().join("root");
        for name in ["", "bin", "dev"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let (null, mode) = (root.join("dev/null"), Mode::from_bits_retain(0o666));
        mknodat(CWD, &null, FileType::CharacterDevice, mode, makedev(1, 3)).unwrap();
        fs::set_permissions(&null, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
        for name in ["sh", "sleep", "setsid", "cat", "readlink"] {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let process = Process {
            arguments: ["sh", "-c", script].map(|word| word.as_bytes().to_vec()).to_vec(),
            environment: vec![b"PATH=/bin".to_vec()],
            directory: b"/".to_vec(),
            user: User { id: user, group: user, groups: Vec::new() },
            network: Network::Host,
            security: Security::Sandbox,
            hosts: Vec::new(),
            shm_size: None,
            limits,
            mounts: Vec::new(),
            emulator: None,
        };
        let prepared = prepare(&process, &root).unwrap();
        let output = std::sync::Mutex::new(Vec::new());
        let write = |stream, bytes: &[u8]| {
            if stream == Stream::Output {
                output.lock().unwrap().extend_from_slice(bytes);
            }
        };
        let ran = child::run(prepared, &write, &Stop::default()).unwrap();
        Some((ran, String::from_utf8_lossy(&output.into_inner().unwrap()).into_owned()))
    }

    /// Returns whether a process with `mark` in its command line is there.
    fn is_running(mark: &str) -> bool {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        lines.any(|line| line.windows(mark.len()).any(|part| part == mark.as_bytes()))
    }

    #[test]
    fn without_scopes_of_signals_all_that_a_command_has_started_ends_and_nobody_else() {
        for version in [0, 4, 6] {
            let mark = format!("8650{version}.{}", std::process::id());
            let script = format!(
                "(setsid sleep {mark} &); sleep {mark}1 & (trap '' TERM HUP INT; (sleep {mark}2 &)); kill -9 -1; echo on; exit 5"
            );
            let Some((ran, output)) = run(version, &script, 0, Vec::new()) else { return };
            assert_eq!((ran.exit, output.as_str()), (Exit::Status(5), "on\n"), "{version}");
            assert!(!is_running(&mark), "{version}");
        }
    }

    #[test]
    fn among_other_processes_all_that_a_command_has_started_ends_and_nobody_else() {
        let mut other = std::process::Command::new("sleep").arg("600").env("OWN", "secret").spawn().unwrap();
        let pid = other.id();
        for version in [4, 6] {
            let mark = format!("8651{version}.{}", std::process::id());
            // Older kernels let it kill those whose number it knows.
            let kill = if version < 6 { String::new() } else { format!("kill -9 {pid}; ") };
            let script = format!(
                "(setsid sleep {mark} &); sleep {mark}1 & (trap '' TERM HUP INT; (sleep {mark}2 &)); {kill}kill -9 -1; \
                 cat /proc/{pid}/environ /proc/$PPID/environ; readlink /proc/{pid}/root; test -d /proc/$$ && echo on; exit 5"
            );
            let done = run_among(version, &script);
            let is_alive = other.try_wait().unwrap().is_none();
            let Some((ran, output)) = done else { break };
            assert_eq!((ran.exit, output.as_str(), is_alive), (Exit::Status(5), "on\n", true), "{version}");
            assert!(!is_running(&mark), "{version}");
        }
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn without_scopes_of_signals_a_fork_bomb_ends_too() {
        let mark = format!("bomb{}", std::process::id());
        let limits = vec![Limit { resource: Resource::Nproc, soft: Some(150), hard: Some(150) }];
        let script = format!("{mark}() {{ {mark} | {mark} & }}; {mark} 2>/dev/null; sleep 0.3; exit 3");
        let Some((ran, _)) = run(4, &script, 54323, limits) else { return };
        assert_eq!(ran.exit, Exit::Status(3));
        assert!(!is_running(&mark));
    }
}
