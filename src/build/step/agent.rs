//! `--mount=type=ssh`: a socket of the command's own, behind which the user's SSH agent answers.
//!
//! As with docker, a command may ask what keys there are and have something signed; it may not add keys, take them away or
//! lock the agent.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, Gid, OFlags, Uid, chmodat, chownat};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, open_by_path};

/// The name of the socket in its directory.
const NAME: &str = "agent";
/// So many connections are answered at a time.
const MOST_CONNECTIONS: usize = 64;
/// In bytes: the longest message that ssh-agent takes.
const LONGEST: usize = 256 << 10;

/// The messages of the protocol (draft-miller-ssh-agent, section 6.1).
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;

/// An agent that answers as long as this is there.
pub struct ForwardedAgent {
    /// Closed at the end.
    _end: UnixStream,
}

/// Whose the socket is, and who may connect to it.
#[derive(Debug, Clone, Copy)]
pub struct SocketAttributes {
    pub mode: u32,
    pub user: u32,
    pub group: u32,
}

impl ForwardedAgent {
    /// Makes a socket in `directory`, an empty one that nobody else may look into, behind which the agent at the path `agent`
    /// answers. Returns it opened for its path alone.
    pub fn begin(agent: &Path, directory: &OwnedFd, attributes: SocketAttributes) -> Result<(Self, OwnedFd)> {
        let failed = |source| Error::new(ErrorKind::Io, "cannot make a socket for the SSH agent").with_source(source);
        let refused = |errno: Errno| failed(errno.into());
        let agent = open_by_path(CWD, agent, OFlags::empty())
            .map_err(|errno| Error::io("find the SSH agent", agent, errno.into()))?;
        // A longer path than a socket's address may have would not do.
        let listener = UnixListener::bind(format!("{}/{NAME}", link(directory))).map_err(failed)?;
        let SocketAttributes { mode, user, group } = attributes;
        chmodat(directory, NAME, kernel::mode(mode), AtFlags::empty()).map_err(refused)?;
        let (owner, owners) = (Uid::from_raw(user), Gid::from_raw(group));
        chownat(directory, NAME, Some(owner), Some(owners), AtFlags::SYMLINK_NOFOLLOW).map_err(refused)?;
        let socket = open_by_path(directory, NAME, OFlags::NOFOLLOW).map_err(refused)?;
        let (end, ended) = UnixStream::pair().map_err(failed)?;
        let serving = thread::Builder::new().name("ssh agent".to_owned());
        serving.spawn(move || serve(&listener, &ended, &Arc::new(agent))).map_err(failed)?;
        Ok((ForwardedAgent { _end: end }, socket))
    }
}

/// The path by which the kernel finds what a descriptor stands for.
fn link(descriptor: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

/// Answers all who connect, until `ended` is closed.
fn serve(listener: &UnixListener, ended: &UnixStream, agent: &Arc<OwnedFd>) {
    loop {
        let mut polled = [PollFd::new(ended, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
        match poll(&mut polled, None) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) if !polled[0].revents().is_empty() => return,
            Ok(_) => {}
        }
        let Ok((client, _)) = listener.accept() else { return };
        // One is this thread's own.
        if Arc::strong_count(agent) <= MOST_CONNECTIONS {
            let agent = agent.clone();
            // Who is not answered sees the connection end.
            let _ = thread::Builder::new().name("ssh agent".to_owned()).spawn(move || forward(client, &agent));
        }
    }
}

/// Hands on what may be asked, and the answers, until either side ends.
fn forward(mut client: UnixStream, agent: &OwnedFd) -> io::Result<()> {
    let mut agent = UnixStream::connect(link(&agent.as_fd()))?;
    while let Some(request) = message(&mut client)? {
        let answer = match request.first() {
            Some(&(REQUEST_IDENTITIES | SIGN_REQUEST)) => {
                send(&mut agent, &request)?;
                message(&mut agent)?
            }
            _ => Some(vec![FAILURE]),
        };
        let Some(answer) = answer else { break };
        send(&mut client, &answer)?;
    }
    Ok(())
}

/// The next message; none at the end.
fn message(from: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    from.read_exact(&mut message)?;
    Ok(Some(message))
}

fn send(to: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    to.write_all(&[&length.to_be_bytes(), message].concat())
}
