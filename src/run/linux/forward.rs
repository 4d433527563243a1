//! A socket in the root whose connections lead to one of this machine: where nothing can be mounted, that cannot be seen there
//! itself.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::chown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, chmodat, fstat};
use rustix::pipe::{PipeFlags, pipe_with};

/// Connections are taken until this is dropped. Those that there are then end when either side does.
pub(super) struct Forward {
    /// Its other end is closed with it.
    stop: Option<OwnedFd>,
    taking: Option<JoinHandle<()>>,
}

impl Forward {
    /// Makes the socket `name` in `directory` with the attributes of `socket`, to which it leads.
    pub(super) fn new(directory: BorrowedFd<'_>, name: &str, socket: BorrowedFd<'_>) -> io::Result<Forward> {
        let path = through(directory).join(name);
        let listener = UnixListener::bind(&path)?;
        let status = fstat(socket)?;
        chown(&path, Some(status.st_uid), Some(status.st_gid))?;
        chmodat(CWD, &path, Mode::from_raw_mode(status.st_mode), rustix::fs::AtFlags::empty())?;
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC)?;
        let socket = socket.try_clone_to_owned()?;
        let taking = thread::Builder::new().spawn(move || take(&listener, &stopped, &socket))?;
        Ok(Forward { stop: Some(stop), taking: Some(taking) })
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(taking) = self.taking.take() {
            let _ = taking.join();
        }
    }
}

/// The path by which the kernel finds what a descriptor stands for.
fn through(descriptor: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

fn take(listener: &UnixListener, stopped: &OwnedFd, socket: &OwnedFd) {
    loop {
        let mut polled = [PollFd::new(listener, PollFlags::IN), PollFd::new(stopped, PollFlags::empty())];
        if poll(&mut polled, None).is_err() && polled[0].revents().is_empty() {
            continue;
        }
        if !polled[1].revents().is_empty() {
            return;
        }
        let Ok((inside, _)) = listener.accept() else { continue };
        // Where nobody listens, the connection ends at once.
        let Ok(outside) = UnixStream::connect(through(socket.as_fd())) else { continue };
        let Ok((inside_too, outside_too)) = inside.try_clone().and_then(|too| Ok((too, outside.try_clone()?))) else {
            continue;
        };
        thread::spawn(move || pass(&inside, &outside));
        thread::spawn(move || pass(&outside_too, &inside_too));
    }
}

fn pass(mut from: &UnixStream, mut to: &UnixStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
