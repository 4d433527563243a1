//! System calls that rustix does not have, or not for a process that is a copy of one with many threads.
//!
//! All of them are calls of the kernel and nothing else: none allocates or takes a lock.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::process::{Pid, Signal};

/// The signals that this thread lets through.
pub(super) struct Signals(libc::sigset_t);

/// One instruction of a filter of system calls.
pub(super) type Instruction = libc::sock_filter;

/// Returns what a system call returned, or the error that it left.
pub(super) fn outcome(returned: c_long) -> Result<c_long, Errno> {
    // The C library's errno belongs to the thread, and a new process has its own.
    if returned == -1 { Err(last_errno()) } else { Ok(returned) }
}

fn last_errno() -> Errno {
    io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

/// Makes a copy of this process as the first one of the namespaces in `flags`. Returns a descriptor that stands for it; in
/// the new process there is none.
///
/// # Safety
///
/// The new process has this thread alone: it must not allocate, take a lock, or return from the function that called this.
pub(super) unsafe fn clone_with(flags: c_int) -> Result<Option<OwnedFd>, Errno> {
    let mut descriptor: c_int = -1;
    let all = c_long::from(flags | libc::CLONE_PIDFD | libc::SIGCHLD);
    // SAFETY: without a stack of its own the new process goes on with a copy of this one's memory, as after fork; the
    // descriptor is written to a place that lives until the call is over. The first three arguments stand in this order on
    // all machines but s390x.
    let pid = outcome(unsafe { libc::syscall(libc::SYS_clone, all, 0, &raw mut descriptor, 0, 0) })?;
    // SAFETY: the kernel has just opened it for this process.
    Ok((pid != 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

/// Makes a copy of this process. Returns its number; in the new process there is none.
///
/// # Safety
///
/// This process has one thread: of several, the new one would have but this, and what the others were about to do would never
/// be done.
pub(super) unsafe fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the caller says so.
    let pid = outcome(unsafe { libc::fork() }.into())?;
    Ok(Pid::from_raw(pid as i32))
}

/// Leaves the user namespace and that of mounts for new ones.
pub(super) fn leave_user_namespace() -> Result<(), Errno> {
    // SAFETY: it touches no memory, and descriptors stay shared as they were.
    outcome(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) }.into()).map(|_| ())
}

/// Leaves the user namespace for a new one.
pub(super) fn leave_users() -> Result<(), Errno> {
    // SAFETY: it touches no memory.
    outcome(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into()).map(|_| ())
}

/// What was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// A signal that somebody has sent to this process.
    Sent(Signal),
    /// One that a terminal has sent to this process and all others that it was started with.
    OfTerminal,
    /// A child that has ended or was stopped.
    Child,
}

/// Signals that do nothing but be waited for.
pub(super) struct SignalWait {
    signals: libc::sigset_t,
    before: Signals,
}

impl SignalWait {
    /// Waits for `signals` from now on, and for the end of children. There must be one thread.
    pub(super) fn begin(signals: &[Signal]) -> SignalWait {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: both are written before they are read; the calls cannot fail with these arguments.
        unsafe {
            libc::sigemptyset(all.as_mut_ptr());
            for signal in signals.iter().chain([&Signal::CHILD]) {
                libc::sigaddset(all.as_mut_ptr(), signal.as_raw());
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
            SignalWait { signals: all.assume_init(), before: Signals(before.assume_init()) }
        }
    }

    /// Returns what comes next.
    pub(super) fn next(&self) -> Awaited {
        loop {
            let mut about = MaybeUninit::<libc::siginfo_t>::zeroed();
            // SAFETY: the set is one that was made, and what is known of the signal is written to a place for it.
            let number = unsafe { libc::sigwaitinfo(&raw const self.signals, about.as_mut_ptr()) };
            // SAFETY: zeroes are a value, too.
            let about = unsafe { about.assume_init() };
            match Signal::from_named_raw(number) {
                Some(Signal::CHILD) => return Awaited::Child,
                Some(_) if about.si_code == libc::SI_KERNEL => return Awaited::OfTerminal,
                Some(signal) => return Awaited::Sent(signal),
                // It was stopped and goes on.
                None => {}
            }
        }
    }

    /// Lets signals do again what the system does on them.
    pub(super) fn end(self) {
        reset_signals();
        restore_signals(&self.before);
    }
}

/// In bytes: what the start of a command needs, several times.
pub(super) const STACK: usize = 128 << 10;

/// Makes a process that runs `start` on `stack` in this one's memory, and waits until it has become a program or has ended:
/// no memory is copied, however much there is.
///
/// # Safety
///
/// This process has one thread, `stack` is used by nobody else, and `start` does not come back.
pub(super) unsafe fn start<T>(
    start: extern "C" fn(*mut c_void) -> c_int,
    what: &T,
    stack: &mut [u8],
) -> Result<Pid, Errno> {
    let top = stack.as_mut_ptr_range().end;
    let top = top.wrapping_sub(top.addr() % 16);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack grows down from its end, which is aligned; this process stands still while the other uses what both
    // share, and `what` outlives that.
    let pid = outcome(unsafe { libc::clone(start, top.cast(), flags, ptr::from_ref(what).cast_mut().cast()) }.into())?;
    Pid::from_raw(pid as i32).ok_or(Errno::SRCH)
}

/// Ends this process without anything that a program does at its end.
pub(super) fn exit(status: c_int) -> ! {
    // SAFETY: it is one system call, and does not come back.
    unsafe { libc::_exit(status) }
}

/// Replaces this process by `program`; comes back only if that fails.
///
/// # Safety
///
/// `arguments` and `environment` end with a null pointer, and each one before is a string that ends with a null byte.
pub(super) unsafe fn execute(program: &CStr, arguments: &[*const c_char], environment: &[*const c_char]) -> Errno {
    // SAFETY: the caller says so.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    last_errno()
}

/// Blocks all signals for this thread, and returns those that were let through.
pub(super) fn block_signals() -> Signals {
    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: both are written before they are read; the calls cannot fail with these arguments.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::sigemptyset(before.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        Signals(before.assume_init())
    }
}

/// Lets through the signals that were let through before.
pub(super) fn restore_signals(before: &Signals) {
    // SAFETY: it is a set that the kernel has written.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before.0, ptr::null_mut()) };
}

/// Takes away all that this program does on signals, and lets all of them through.
pub(super) fn reset_signals() {
    forget_handlers();
    // SAFETY: the set is written before it is read.
    unsafe {
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

/// Takes away all that this program does on signals.
pub(super) fn forget_handlers() {
    // SAFETY: a zeroed action is that of the system; signals whose action cannot be set stay as they are.
    unsafe {
        let action: libc::sigaction = std::mem::zeroed();
        for signal in 1..=64 {
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }
}

/// Waits for one of `signals`, all of which are blocked, for so many milliseconds at most; none if that is over, or for no
/// other reason.
pub(super) fn wait_for_signal(signals: &[c_int], milliseconds: Option<u32>) -> Option<c_int> {
    // SAFETY: the set is made before it is read, and nothing is written.
    let signal = unsafe {
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        match milliseconds {
            Some(number) => {
                let time =
                    libc::timespec { tv_sec: (number / 1000).into(), tv_nsec: (number % 1000 * 1_000_000).into() };
                libc::sigtimedwait(set.as_ptr(), ptr::null_mut(), &raw const time)
            }
            None => libc::sigwaitinfo(set.as_ptr(), ptr::null_mut()),
        }
    };
    (signal > 0).then_some(signal)
}

/// Closes all descriptors but `kept`, which is sorted.
///
/// # Safety
///
/// Nobody uses what is closed any more.
pub(super) unsafe fn close_all_but(kept: &[RawFd]) -> Result<(), Errno> {
    let mut first = 0;
    for descriptor in kept {
        if *descriptor > first {
            // SAFETY: the caller says so.
            unsafe { close_range(first, descriptor - 1) }?;
        }
        first = descriptor + 1;
    }
    // SAFETY: the caller says so.
    unsafe { close_range(first, c_int::MAX) }
}

unsafe fn close_range(first: RawFd, last: RawFd) -> Result<(), Errno> {
    // SAFETY: it touches no memory; the caller says that nobody uses the descriptors.
    outcome(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(|_| ())
}

/// Makes `from` the descriptor `to`, which an exec leaves open.
pub(super) fn redirect(from: BorrowedFd<'_>, to: RawFd) -> Result<(), Errno> {
    // SAFETY: it touches no memory; `to` is one of the three standard ones, which nobody owns.
    outcome(unsafe { libc::dup2(from.as_raw_fd(), to) }.into()).map(|_| ())
}

/// Opens what is at `path` in `directory` as `within` says. The kernel gives up where anything on the machine is renamed or
/// mounted while it goes through a `..` (openat2(2), `EAGAIN`), and is asked again.
pub(super) fn open_within(
    directory: impl AsFd,
    path: &CStr,
    flags: OFlags,
    within: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let open = || openat2(&directory, path, flags, Mode::empty(), within);
    let mut opened = open();
    for _ in 0..OPEN_TRIES {
        match opened {
            Err(Errno::AGAIN) => opened = open(),
            _ => break,
        }
    }
    opened
}

/// So often it is asked again: who renames without end does not hold it up for ever.
const OPEN_TRIES: usize = 10_000;

/// Sets attributes of a mount, and of all below it if `is_recursive`. What is mounted there later is seen there alone, and
/// not where else the same is mounted.
pub(super) fn set_mount(mount: impl AsFd, attributes: MountAttrFlags, is_recursive: bool) -> Result<(), Errno> {
    #[repr(C)]
    struct MountAttributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let wanted =
        MountAttributes { set: attributes.bits().into(), clear: 0, propagation: libc::MS_PRIVATE, user_namespace: 0 };
    let flags = libc::AT_EMPTY_PATH | if is_recursive { libc::AT_RECURSIVE } else { 0 };
    let mount = mount.as_fd().as_raw_fd();
    // SAFETY: the path ends with a null byte, and the attributes are of the size that is said.
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount,
            c"".as_ptr(),
            flags,
            &raw const wanted,
            std::mem::size_of::<MountAttributes>(),
        )
    };
    outcome(set).map(|_| ())
}

/// Sends every system call of this process and of those that it starts through `filter`.
pub(super) fn filter_calls(filter: &[Instruction]) -> Result<(), Errno> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel reads the program, which has the length that is said, and checks it.
    let set = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    outcome(set).map(|_| ())
}

/// Gives this process a keyring of its own in place of the one of the session that it was started in.
pub(super) fn leave_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_int = 1;
    // SAFETY: without a name the call reads no memory.
    outcome(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) }).map(|_| ())
}

/// Sets the interface `lo` up.
pub(super) fn set_loopback_up() -> Result<(), Errno> {
    // SAFETY: it touches no memory.
    let socket = outcome(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }.into())?;
    // SAFETY: the kernel has just opened it for this process.
    let socket = unsafe { OwnedFd::from_raw_fd(socket as RawFd) };
    // SAFETY: a zeroed request is a valid one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as c_char;
    request.ifr_name[1] = b'o' as c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: the request is of the type that this call takes.
    outcome(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) }.into()).map(|_| ())
}

/// Returns whether the working directory lies within the root.
pub(super) fn is_within_root() -> Result<bool, Errno> {
    let mut path = [0u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most as many bytes as there are.
    outcome(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) })?;
    // The kernel says "(unreachable)" in front of what lies elsewhere.
    Ok(path[0] == b'/')
}

/// Kills all processes that this one can see and may send signals to, but itself; in a namespace the first process is safe
/// from all others.
pub(super) fn kill_all() {
    // SAFETY: it touches no memory.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Sets the name that lists of processes show.
pub(super) fn set_name(name: &CStr) {
    // SAFETY: the name ends with a null byte.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Returns the soft and the hard limit of the process of `thread`.
pub(super) fn limit_of(thread: u32, resource: u32) -> Result<(u64, u64), Errno> {
    let mut limit = [0u64; 2];
    // SAFETY: the kernel writes two numbers of 64 bits, for which there is room.
    let got =
        unsafe { libc::syscall(libc::SYS_prlimit64, thread, resource, ptr::null::<[u64; 2]>(), limit.as_mut_ptr()) };
    outcome(got).map(|_| (limit[0], limit[1]))
}

/// Sets the soft and the hard limit of the process of `thread`; 0 is this one.
pub(super) fn set_limit_of(thread: u32, resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = [soft, hard];
    // SAFETY: the kernel reads two numbers of 64 bits.
    let set =
        unsafe { libc::syscall(libc::SYS_prlimit64, thread, resource, limit.as_ptr(), ptr::null_mut::<[u64; 2]>()) };
    outcome(set).map(|_| ())
}

/// Reads what `thread` has in its memory at `address`, and returns how much of it was there.
pub(super) fn read_memory(thread: u32, address: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
    let own = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let other = libc::iovec { iov_base: ptr::without_provenance_mut(address as usize), iov_len: bytes.len() };
    // SAFETY: the kernel writes at most as many bytes as there are; the other address is the other process's.
    let read = unsafe { libc::process_vm_readv(thread as libc::pid_t, &raw const own, 1, &raw const other, 1, 0) };
    outcome(read as c_long).map(|read| read as usize)
}

/// Writes into the memory of `thread` at `address`, and returns how much of it has found room.
pub(super) fn write_memory(thread: u32, address: u64, bytes: &[u8]) -> Result<usize, Errno> {
    let own = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let other = libc::iovec { iov_base: ptr::without_provenance_mut(address as usize), iov_len: bytes.len() };
    // SAFETY: the kernel only reads the bytes; the other address is the other process's.
    let written = unsafe { libc::process_vm_writev(thread as libc::pid_t, &raw const own, 1, &raw const other, 1, 0) };
    outcome(written as c_long).map(|written| written as usize)
}

/// Makes root and working directory of this thread its own.
pub(super) fn leave_shared_directories() -> Result<(), Errno> {
    // SAFETY: it touches no memory, and the directories of other threads stay theirs.
    outcome(unsafe { libc::unshare(libc::CLONE_FS) }.into()).map(|_| ())
}

/// Sends every system call of this process, and of those that it starts, through `filter`, and returns the descriptor by which
/// those are answered that the filter hands over.
pub(super) fn supervise_calls(filter: &[Instruction]) -> Result<OwnedFd, Errno> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    // SAFETY: the kernel reads the program, which has the length that is said, and checks it.
    let set = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    // SAFETY: the kernel has just opened it for this process.
    outcome(set).map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) })
}

/// Returns what stat says of an open object.
pub(super) fn status(object: BorrowedFd<'_>) -> Result<libc::stat, Errno> {
    // SAFETY: zero is a value of every field.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    let (path, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
    // SAFETY: the path ends with a null byte, and on machines of 64 bits the type is the kernel's own.
    let told = unsafe { libc::syscall(libc::SYS_newfstatat, object.as_raw_fd(), path, &raw mut status, flags) };
    outcome(told).map(|_| status)
}

/// Returns what statx says of an open object, asked for the parts in `mask`.
pub(super) fn extended_status(object: BorrowedFd<'_>, mask: u32) -> Result<libc::statx, Errno> {
    // SAFETY: zero is a value of every field.
    let mut status: libc::statx = unsafe { std::mem::zeroed() };
    let (path, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
    // SAFETY: the path ends with a null byte, and the type is the kernel's own.
    let told = unsafe { libc::syscall(libc::SYS_statx, object.as_raw_fd(), path, flags, mask, &raw mut status) };
    outcome(told).map(|_| status)
}

/// Returns what statfs says of an open object.
pub(super) fn file_system(object: BorrowedFd<'_>) -> Result<libc::statfs, Errno> {
    // SAFETY: zero is a value of every field.
    let mut status: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: on machines of 64 bits the type is the kernel's own.
    let told = unsafe { libc::syscall(libc::SYS_fstatfs, object.as_raw_fd(), &raw mut status) };
    outcome(told).map(|_| status)
}

/// Makes this thread one of that user and group, for files alone; root then has no capabilities that are about files.
pub(super) fn set_file_ids(user: u32, group: u32) {
    // SAFETY: they touch no memory, and are this thread's own.
    unsafe {
        libc::syscall(libc::SYS_setfsgid, group);
        libc::syscall(libc::SYS_setfsuid, user);
    }
}

/// A type of the kernel's, all of which has been written to.
pub(super) trait Plain: Copy {}
impl Plain for libc::stat {}
impl Plain for libc::statx {}
impl Plain for libc::statfs {}

/// Returns the bytes of `value`.
pub(super) fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: all of it was set to zero before the kernel wrote to it, and it is borrowed for as long as the bytes are.
    unsafe { std::slice::from_raw_parts(ptr::from_ref(value).cast(), std::mem::size_of::<T>()) }
}

/// Has this thread, and what it starts from then on, take turns of so many nanoseconds on its processor: no more of it than
/// others, but sooner. Before Linux 6.12 all turns have one length.
pub(super) fn take_short_turns(length: u64) -> Result<(), Errno> {
    // SAFETY: zero is a value of every field.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = std::mem::size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes what is of the size that is said.
    outcome(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) })?;
    if attributes.sched_policy != libc::SCHED_OTHER as u32 {
        return Ok(());
    }
    attributes.sched_runtime = length;
    // SAFETY: the kernel reads what has its size in it.
    outcome(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) }).map(|_| ())
}
