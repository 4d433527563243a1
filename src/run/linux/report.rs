//! What the process in the sandbox tells the one that made it: messages of one size through a pipe.

use std::os::fd::BorrowedFd;

use rustix::io::{Errno, write};

use crate::layer::Provided;
use crate::run::process::Exit;
use crate::tree::Identity;

/// In bytes: for each message the same, and no more than a pipe takes at once.
pub(super) const LENGTH: usize = 1024;
/// In bytes.
const LONGEST_PATH: usize = LENGTH - PATH;
const NUMBERS: usize = 12;
const PATH: usize = NUMBERS * 8;

/// A step of what is done before the command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// What makes the process one that dies with this program.
    Bind,
    /// What closes the descriptors of this program.
    Close,
    /// What makes the process the one that all orphans come to, and that gains no rights by programs.
    Keep,
    /// What keeps the command within its root.
    Confine,
    /// What makes all mounts private.
    Private,
    /// What sets the host name.
    HostName,
    /// What sets the loopback interface up.
    Loopback,
    /// One of the operations.
    Operation(usize),
    /// What makes the root the root.
    Pivot,
    /// What sets one of the resource limits.
    Limit(usize),
    /// What makes the process of the command.
    Fork,
    /// What connects the outputs.
    Outputs,
    /// What opens the working directory.
    Directory,
    /// What sets the filter of system calls.
    Filter,
    /// What sets user and groups.
    User,
    /// What sets the capabilities.
    Capabilities,
    /// What starts the program.
    Execute,
    /// The same, of a program that is there.
    Interpreter,
    /// What gives calls to the supervisor.
    Supervise,
    /// What reads in `/proc` as it is served.
    Serve,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// A step failed.
    Failed(Step, Errno),
    /// A file was provided.
    Provided(Provided),
    /// All is ready, and there is no command.
    Ready,
    /// The command has ended, and what it has started too.
    Ended(Exit),
}

/// Sends that `step` failed. Nobody can be told if that fails, too.
pub(super) fn send_failure(pipe: BorrowedFd<'_>, step: Step, errno: Errno) {
    let (kind, index) = step.encode();
    let _ = send(pipe, &[1, kind, index, i64::from(errno.raw_os_error())], &[]);
}

/// Sends that there is no command.
pub(super) fn send_ready(pipe: BorrowedFd<'_>) -> Result<(), Errno> {
    send(pipe, &[2], &[])
}

/// Sends how the command ended.
pub(super) fn send_exit(pipe: BorrowedFd<'_>, exit: Exit) -> Result<(), Errno> {
    match exit {
        Exit::Status(status) => send(pipe, &[3, 0, status.into()], &[]),
        Exit::Signal(signal) => send(pipe, &[3, 1, signal.into()], &[]),
    }
}

/// Sends that the file at `path` was provided.
pub(super) fn send_provided(pipe: BorrowedFd<'_>, path: &[u8], identity: &Identity) -> Result<(), Errno> {
    let Identity { device, inode, links, size, modified, changed } = *identity;
    let numbers = [
        4,
        path.len() as i64,
        device.cast_signed(),
        inode.cast_signed(),
        links.cast_signed(),
        size.cast_signed(),
        modified.0,
        modified.1,
        changed.0,
        changed.1,
    ];
    send(pipe, &numbers, path)
}

/// Allocates nothing.
fn send(pipe: BorrowedFd<'_>, numbers: &[i64], path: &[u8]) -> Result<(), Errno> {
    let mut message = [0u8; LENGTH];
    for (place, number) in message.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    message.get_mut(PATH..PATH + path.len()).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(path);
    loop {
        match write(pipe, &message) {
            Err(Errno::INTR) => {}
            sent => return sent.map(|_| ()),
        }
    }
}

impl Message {
    /// Reads a message; none is one that nobody sends.
    pub(super) fn read(message: &[u8; LENGTH]) -> Option<Message> {
        let mut numbers = [0i64; NUMBERS];
        for (number, place) in numbers.iter_mut().zip(message.chunks_exact(8)) {
            *number = i64::from_le_bytes(place.try_into().ok()?);
        }
        let [kind, first, second, third, links, size, modified, modified_part, changed, changed_part, ..] = numbers;
        Some(match kind {
            1 => Message::Failed(Step::decode(first, second)?, Errno::from_raw_os_error(third as i32)),
            2 => Message::Ready,
            3 if first == 0 => Message::Ended(Exit::Status(second as i32)),
            3 => Message::Ended(Exit::Signal(second as i32)),
            4 => {
                let length = usize::try_from(first).ok().filter(|length| *length <= LONGEST_PATH)?;
                let identity = Identity {
                    device: second.cast_unsigned(),
                    inode: third.cast_unsigned(),
                    links: links.cast_unsigned(),
                    size: size.cast_unsigned(),
                    modified: (modified, modified_part),
                    changed: (changed, changed_part),
                };
                Message::Provided(Provided { path: message[PATH..PATH + length].to_vec(), identity })
            }
            _ => return None,
        })
    }
}

impl Step {
    fn encode(self) -> (i64, i64) {
        match self {
            Step::Bind => (0, 0),
            Step::Close => (1, 0),
            Step::Private => (2, 0),
            Step::HostName => (3, 0),
            Step::Loopback => (4, 0),
            Step::Operation(index) => (5, index as i64),
            Step::Pivot => (6, 0),
            Step::Limit(index) => (7, index as i64),
            Step::Fork => (8, 0),
            Step::Outputs => (9, 0),
            Step::Directory => (10, 0),
            Step::Filter => (11, 0),
            Step::User => (12, 0),
            Step::Capabilities => (13, 0),
            Step::Execute => (14, 0),
            Step::Interpreter => (15, 0),
            Step::Keep => (16, 0),
            Step::Confine => (17, 0),
            Step::Supervise => (18, 0),
            Step::Serve => (19, 0),
        }
    }

    fn decode(kind: i64, index: i64) -> Option<Step> {
        let index = usize::try_from(index).ok()?;
        Some(match kind {
            0 => Step::Bind,
            1 => Step::Close,
            2 => Step::Private,
            3 => Step::HostName,
            4 => Step::Loopback,
            5 => Step::Operation(index),
            6 => Step::Pivot,
            7 => Step::Limit(index),
            8 => Step::Fork,
            9 => Step::Outputs,
            10 => Step::Directory,
            11 => Step::Filter,
            12 => Step::User,
            13 => Step::Capabilities,
            14 => Step::Execute,
            15 => Step::Interpreter,
            16 => Step::Keep,
            17 => Step::Confine,
            18 => Step::Supervise,
            19 => Step::Serve,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn every_message_is_read_as_it_was_sent() {
        let (read, written) = rustix::pipe::pipe().unwrap();
        let pipe = written.as_fd();
        let mut sent = Vec::new();
        for kind in 0..20 {
            let step = Step::decode(kind, 7).unwrap();
            send_failure(pipe, step, Errno::PERM);
            sent.push(Message::Failed(step, Errno::PERM));
        }
        send_ready(pipe).unwrap();
        sent.push(Message::Ready);
        for exit in [Exit::Status(255), Exit::Signal(9)] {
            send_exit(pipe, exit).unwrap();
            sent.push(Message::Ended(exit));
        }
        let identity = Identity {
            device: u64::MAX,
            inode: 2,
            links: 1,
            size: 77,
            modified: (-1, 999_999_999),
            changed: (i64::MAX, 1),
        };
        let path = b"etc/resolv.conf".to_vec();
        send_provided(pipe, &path, &identity).unwrap();
        sent.push(Message::Provided(Provided { path, identity }));
        for message in sent {
            let mut bytes = [0; LENGTH];
            assert_eq!(rustix::io::read(&read, &mut bytes), Ok(LENGTH));
            assert_eq!(Message::read(&bytes), Some(message));
        }
        assert_eq!(send_provided(pipe, &[b'a'; LONGEST_PATH + 1], &identity), Err(Errno::NAMETOOLONG));
        assert_eq!(Message::read(&[9; LENGTH]), None);
    }
}
