//! The descriptor by which the kernel hands over system calls and takes answers (seccomp_unotify(2)).

use std::ffi::c_ulong;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Hands over a call on the processor that it was made on, where the kernel can: that of the supervisor and that of the process
/// need not be woken up across the machine.
const SYNC_WAKE_UP: c_ulong = 1;

/// A call that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::run::linux) struct Notification {
    pub(in crate::run::linux) id: u64,
    /// The thread that made it, as this program knows it.
    pub(in crate::run::linux) thread: u32,
    pub(in crate::run::linux) machine: u32,
    pub(in crate::run::linux) number: u32,
    pub(in crate::run::linux) arguments: [u64; 6],
}

/// What becomes of a call.
#[derive(Debug)]
pub(in crate::run::linux) enum Answer {
    /// The kernel does it.
    Continue,
    /// It has been done, with this result.
    Done(i64),
    /// It has failed.
    Failed(Errno),
    /// It has opened a file, which the process gets; an exec closes it or not.
    Opened(OwnedFd, bool),
}

pub(in crate::run::linux) struct Listener(OwnedFd);

impl Listener {
    pub(in crate::run::linux) fn new(descriptor: OwnedFd) -> Listener {
        // Older kernels do not know it.
        // SAFETY: the call takes a number and touches no memory.
        let _ = unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
        Listener(descriptor)
    }

    /// Waits for the next call; none when nobody is left to make one.
    pub(in crate::run::linux) fn next(&self) -> Result<Option<Notification>, Errno> {
        loop {
            let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut polled, None) {
                Err(Errno::INTR) => continue,
                polled => polled?,
            };
            if !polled[0].revents().contains(PollFlags::IN) {
                return Ok(None);
            }
            // SAFETY: the kernel wants it to be zero, which all of its fields can be.
            let mut taken: libc::seccomp_notif = unsafe { MaybeUninit::zeroed().assume_init() };
            match self.control(libc::SECCOMP_IOCTL_NOTIF_RECV, &mut taken) {
                // Who has made it was killed meanwhile.
                Err(Errno::INTR | Errno::NOENT) => continue,
                taken => taken?,
            };
            return Ok(Some(Notification {
                id: taken.id,
                thread: taken.pid,
                machine: taken.data.arch,
                number: taken.data.nr as u32,
                arguments: taken.data.args,
            }));
        }
    }

    /// Whether the call still waits: what was read of its process before that was the process's own.
    pub(in crate::run::linux) fn is_waiting(&self, id: u64) -> bool {
        let mut id = id;
        self.control(libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut id).is_ok()
    }

    /// Answers a call. Who has been killed meanwhile needs no answer.
    pub(in crate::run::linux) fn answer(&self, id: u64, answer: &Answer) -> Result<(), Errno> {
        let mut response = libc::seccomp_notif_resp { id, val: 0, error: 0, flags: 0 };
        match answer {
            Answer::Continue => response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Answer::Done(value) => response.val = *value,
            Answer::Failed(errno) => response.error = -errno.raw_os_error(),
            Answer::Opened(file, closes) => match self.hand_over(id, file.as_fd(), *closes) {
                Ok(()) | Err(Errno::NOENT | Errno::SRCH) => return Ok(()),
                Err(errno) => response.error = -errno.raw_os_error(),
            },
        }
        match self.control(libc::SECCOMP_IOCTL_NOTIF_SEND, &mut response) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn hand_over(&self, id: u64, file: BorrowedFd<'_>, closes: bool) -> Result<(), Errno> {
        let mut handed = libc::seccomp_notif_addfd {
            id,
            flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            srcfd: file.as_raw_fd() as u32,
            newfd: 0,
            newfd_flags: if closes { libc::O_CLOEXEC as u32 } else { 0 },
        };
        self.control(libc::SECCOMP_IOCTL_NOTIF_ADDFD, &mut handed)
    }

    fn control<T>(&self, request: libc::Ioctl, what: &mut T) -> Result<(), Errno> {
        // SAFETY: each request of this file is given the type that it takes, which lives until the call is over.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), request, ptr::from_mut(what)) };
        if done < 0 { Err(last_errno()) } else { Ok(()) }
    }
}

/// Sends `descriptor` through a socket. Allocates nothing.
pub(in crate::run::linux) fn send(socket: BorrowedFd<'_>, descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut room = Room::default();
    let mut byte = [0u8; 1];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: byte.len() };
    let message = message(&mut part, &mut room);
    // SAFETY: the message has room for one descriptor, which is written where the macros say.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(mem::size_of::<i32>() as u32) as _;
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(descriptor.as_raw_fd());
        libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(last_errno()) } else { Ok(()) }
}

/// Waits for the descriptor that comes through a socket; none if nobody is left to send it.
pub(in crate::run::linux) fn receive(socket: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    let mut room = Room::default();
    let mut byte = [0u8; 1];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: byte.len() };
    let mut message = message(&mut part, &mut room);
    loop {
        // SAFETY: the kernel writes into what the message names, which lives until the call is over.
        let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        match length {
            0 => return Ok(None),
            1.. => break,
            _ if last_errno() == Errno::INTR => {}
            _ => return Err(last_errno()),
        }
    }
    // SAFETY: the macros look at what the kernel has written, and the descriptor is new and nobody else's.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
            return Ok(None);
        }
        Ok(Some(OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<i32>().read_unaligned())))
    }
}

/// What a descriptor takes of a message, aligned as its header.
#[derive(Default)]
struct Room([u64; 4]);

fn message(part: &mut libc::iovec, room: &mut Room) -> libc::msghdr {
    // SAFETY: a zeroed message is an empty one.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message.msg_control = room.0.as_mut_ptr().cast();
    // SAFETY: it computes a number.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(mem::size_of::<i32>() as u32) } as _;
    message
}

fn last_errno() -> Errno {
    io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}
