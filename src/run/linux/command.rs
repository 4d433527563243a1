//! The last stage: the process that becomes the command.

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fchown, fstat, makedev, openat, openat2, statat,
};
use rustix::io::{Errno, read};
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Signal, Uid, chroot, fchdir, ioctl_tiocsctty, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit, setsid, umask,
};
use rustix::stdio::stdin;
use rustix::thread::{CapabilitySet, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::capability;
use super::landlock::{Landlock, leave_abstract_sockets};
use super::report::{Step, send_failure};
use super::supervisor::TURN;
use super::supervisor::identity::{BEFORE, LIMIT};
use super::supervisor::listener::send;
use super::system::{
    Instruction, close_all_but, execute, exit, filter_calls, is_within_root, limit_of, open_within, redirect,
    reset_signals, set_limit_of, supervise_calls, take_short_turns,
};
use crate::run::process;

/// More than the kernel follows one after the other.
const MOST_INTERPRETERS: usize = 8;

/// A command, ready to be started: everything is in the form that the kernel takes.
pub(super) struct Command {
    /// What the program may be, the first that is there is it.
    pub(super) programs: Vec<CString>,
    pub(super) arguments: Strings,
    pub(super) environment: Strings,
    pub(super) directory: CString,
    pub(super) user: Uid,
    pub(super) group: Gid,
    pub(super) groups: Vec<Gid>,
    pub(super) limits: Vec<(Resource, Rlimit)>,
    /// None leaves it all that root has, and no filter.
    pub(super) restrictions: Option<Restrictions>,
    /// The filter that gives calls to the supervisor, in place of the one of the restrictions. To the kernel the command is
    /// root then, and to the supervisor whom it is to be.
    pub(super) supervision: Option<Vec<Instruction>>,
    /// None where namespaces do that.
    pub(super) confined: Option<Confined>,
    /// All is done but the start of the program.
    pub(super) is_probe: bool,
}

/// A directory that a command is kept in.
pub(super) struct Confined {
    pub(super) root: OwnedFd,
    pub(super) landlock: Landlock,
}

/// What a command is kept from.
pub(super) struct Restrictions {
    pub(super) capabilities: CapabilitySet,
    pub(super) filter: Vec<Instruction>,
    /// Where it has no processes of its own, but namespaces of all else.
    pub(super) among: Option<Landlock>,
}

/// Strings as execve takes them.
pub(super) struct Strings {
    /// Ends with a null pointer.
    pointers: Vec<*const c_char>,
    _strings: Vec<CString>,
}

impl Strings {
    pub(super) fn new(strings: Vec<CString>) -> Strings {
        // What a string holds stays where it is when the string is moved.
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Strings { pointers, _strings: strings }
    }
}

/// Becomes the command, or says what has failed and ends. Nothing is allocated.
pub(super) fn start(
    command: &Command,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    error: BorrowedFd<'_>,
    report: BorrowedFd<'_>,
    supervisor: Option<BorrowedFd<'_>>,
) -> ! {
    let (step, errno) = match prepare(command, input, output, error, report, supervisor) {
        Ok(()) if command.is_probe && supervisor.is_none() => exit(0),
        Ok(()) if command.is_probe => match try_service() {
            Ok(()) => exit(0),
            Err(errno) => (Step::Serve, errno),
        },
        Ok(()) => launch(command),
        Err(failed) => failed,
    };
    send_failure(report, step, errno);
    exit(1)
}

fn prepare(
    command: &Command,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    error: BorrowedFd<'_>,
    report: BorrowedFd<'_>,
    supervisor: Option<BorrowedFd<'_>>,
) -> Result<(), (Step, Errno)> {
    let at = |step| move |errno| (step, errno);
    setsid().map_err(at(Step::Outputs))?;
    for (from, to) in [(input, 0), (output, 1), (error, 2)] {
        redirect(from, to).map_err(at(Step::Outputs))?;
    }
    // A terminal becomes that of the session; anything else is none.
    let _ = ioctl_tiocsctty(input);
    // Otherwise who opens them is their owner.
    let is_real = command.supervision.is_none();
    for pipe in [output, error].into_iter().filter(|_| is_real) {
        // So that the user may open /dev/stdout.
        fchown(pipe, Some(command.user), Some(command.group)).map_err(at(Step::Outputs))?;
    }
    if let Some(Confined { root, .. }) = &command.confined {
        fchdir(root).and_then(|()| chroot(c".")).map_err(at(Step::Pivot))?;
    }
    take_own_null();
    enter(&command.directory).map_err(at(Step::Directory))?;
    for program in &command.programs {
        check_program(program, MOST_INTERPRETERS).map_err(at(Step::Execute))?;
    }
    umask(Mode::from_bits_retain(0o022));
    for (index, (resource, limit)) in command.limits.iter().enumerate() {
        setrlimit(*resource, *limit).map_err(at(Step::Limit(index)))?;
    }
    if let Some(restrictions) = &command.restrictions {
        match (&command.confined, restrictions.among) {
            (Some(Confined { root, landlock }), _) => landlock.keep_within(root.as_fd()).map_err(at(Step::Confine))?,
            (None, Some(landlock)) => leave_others(landlock).map_err(at(Step::Confine))?,
            // Older kernels have no such scope.
            (None, None) => drop(leave_abstract_sockets()),
        }
        capability::bound(restrictions.capabilities).map_err(at(Step::Capabilities))?;
        // While there is still the right to it: without, the kernel would ask for a promise that makes su useless.
        match supervisor {
            Some(supervisor) if is_real => {
                // Older kernels do not have them.
                let _ = take_short_turns(5 * TURN);
                let listener = supervise_calls(&restrictions.filter).map_err(at(Step::Supervise))?;
                send(supervisor, listener.as_fd()).map_err(at(Step::Supervise))?;
            }
            None if is_real => filter_calls(&restrictions.filter).map_err(at(Step::Filter))?,
            _ => {}
        }
    }
    if let (Some(filter), Some(supervisor)) = (&command.supervision, supervisor) {
        be_supervised(filter, supervisor).map_err(at(Step::Supervise))?;
    }
    if is_real {
        set_thread_groups(&command.groups).map_err(at(Step::User))?;
        set_thread_res_gid(command.group, command.group, command.group).map_err(at(Step::User))?;
        set_thread_res_uid(command.user, command.user, command.user).map_err(at(Step::User))?;
    }
    if (command.user.is_root() || !is_real)
        && let Some(restrictions) = &command.restrictions
    {
        capability::set(restrictions.capabilities).map_err(at(Step::Capabilities))?;
    }
    let is_among = command.restrictions.as_ref().is_some_and(|restrictions| restrictions.among.is_some());
    if command.confined.is_some() || is_among {
        // Another user has no such promise any more. The signals are blocked in the process that waits.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(at(Step::Bind))?;
        reset_signals();
    }
    // SAFETY: nothing but the program's start comes after this, and of the descriptors it uses the report alone.
    unsafe { close_all_but(&kept(report)) }.map_err(at(Step::Close))?;
    if !is_within_root().map_err(at(Step::Directory))? {
        return Err((Step::Directory, Errno::NOENT));
    }
    Ok(())
}

/// Keeps this process from all that it does not start itself.
fn leave_others(landlock: Landlock) -> Result<(), Errno> {
    let root = openat(CWD, c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    landlock.leave_others(root.as_fd())
}

/// Makes the null device of the root the standard input, if that is the machine's: the command could change its mode.
fn take_own_null() {
    let null = makedev(1, 3);
    let is_null = |file: BorrowedFd<'_>| {
        let is_device = |status: &Stat| FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice;
        fstat(file).is_ok_and(|status| is_device(&status) && status.st_rdev == null)
    };
    if !is_null(stdin()) {
        return;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let own = openat2(CWD, c"/dev/null", flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    if let Ok(own) = own
        && is_null(own.as_fd())
    {
        let _ = redirect(own.as_fd(), 0);
    }
}

/// From here on the supervisor is asked, which knows that this is not the command yet.
fn be_supervised(filter: &[Instruction], supervisor: BorrowedFd<'_>) -> Result<(), Errno> {
    // Older kernels do not have them.
    let _ = take_short_turns(5 * TURN);
    let (_, hard) = limit_of(0, LIMIT)?;
    set_limit_of(0, LIMIT, BEFORE, hard)?;
    // Until there is another program the supervisor reads in what this process shares with the first one.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    let listener = supervise_calls(filter)?;
    send(supervisor, listener.as_fd())
}

/// Opens what is there only if it is served.
fn try_service() -> Result<(), Errno> {
    // What is served is read in the memory of this process.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    openat(CWD, c"/proc/self/stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map(drop)
}

/// The standard descriptors and `report`, which an exec closes.
fn kept(report: BorrowedFd<'_>) -> [RawFd; 4] {
    [0, 1, 2, report.as_raw_fd()]
}

/// Makes `directory` the working directory; nothing that leads out of the root is followed.
fn enter(directory: &CStr) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, c"/", flags, Mode::empty())?;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    fchdir(open_within(root.as_fd(), directory, flags, within)?)
}

/// Refuses a program that the kernel would find by a link of procfs, or whose interpreter it would: until the command runs,
/// such a link can lead to this program's own file, which does not belong to the root. Nothing else runs in the root yet.
fn check_program(program: &CStr, interpreters: usize) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat2(CWD, program, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        Err(Errno::LOOP) => return Err(Errno::LOOP),
        // The kernel will say what is wrong with it.
        Err(_) => return Ok(()),
        Ok(file) => file,
    };
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    // As much as the kernel looks at, and a null byte.
    let mut head = [0u8; 257];
    let length = read(&file, &mut head[..256]).unwrap_or_default();
    let Some(line) = head.get(..length).and_then(|head| head.strip_prefix(b"#!")) else { return Ok(()) };
    let begin = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let name = line.get(begin..).unwrap_or_default();
    let length = name.iter().take_while(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | 0)).count();
    let start = 2 + begin;
    let Some(end) = head.get_mut(start + length) else { return Ok(()) };
    *end = 0;
    let interpreter = head.get(start..).and_then(|rest| CStr::from_bytes_until_nul(rest).ok());
    match interpreter {
        // The kernel gives up before.
        Some(_) if interpreters == 0 => Ok(()),
        Some(interpreter) => check_program(interpreter, interpreters - 1),
        None => Ok(()),
    }
}

/// Starts the first of the programs that is there.
fn launch(command: &Command) -> (Step, Errno) {
    let mut refused = None;
    for program in &command.programs {
        // SAFETY: `Strings` end with null pointers and hold what they point to.
        let errno = unsafe { execute(program, &command.arguments.pointers, &command.environment.pointers) };
        match errno {
            Errno::NOENT if statat(CWD, program.as_c_str(), AtFlags::empty()).is_ok() => {
                return (Step::Interpreter, errno);
            }
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => refused = Some(errno),
            errno => return (Step::Execute, errno),
        }
    }
    (Step::Execute, refused.unwrap_or(Errno::NOENT))
}

/// Returns what the system calls a limit.
pub(super) fn resource(of: process::Resource) -> Resource {
    match of {
        process::Resource::Core => Resource::Core,
        process::Resource::Cpu => Resource::Cpu,
        process::Resource::Data => Resource::Data,
        process::Resource::Fsize => Resource::Fsize,
        process::Resource::Locks => Resource::Locks,
        process::Resource::Memlock => Resource::Memlock,
        process::Resource::Msgqueue => Resource::Msgqueue,
        process::Resource::Nice => Resource::Nice,
        process::Resource::Nofile => Resource::Nofile,
        process::Resource::Nproc => Resource::Nproc,
        process::Resource::Rss => Resource::Rss,
        process::Resource::Rtprio => Resource::Rtprio,
        process::Resource::Rttime => Resource::Rttime,
        process::Resource::Sigpending => Resource::Sigpending,
        process::Resource::Stack => Resource::Stack,
    }
}
